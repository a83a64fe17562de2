/*
 * One pipelined connection from this worker to one Redis: an ngx_connection_t
 * on nginx's event loop around the core's Pipeline and ReplyDecoder.
 *
 *     down -> (locating) -> (resolving) -> connecting -> (securing)
 *          -> greeting -> ready -> down
 *
 * Commands may be sent in any state but a backing-off down: what comes before
 * the connection is ready waits for it.  All that was queued in one turn of
 * the event loop leaves in one write.
 *
 * While Redis waits for replicas or for the disk it executes nothing else of
 * the connection.  So commands that are to be confirmed have links of their own
 * (a lane for each AckMode), and there they go in groups: all that were queued
 * while the last group was being confirmed, and behind them their questions,
 * of which the first one takes all the time there is.
 *
 * Ownership: a Link belongs to its Target.  An Op belongs to the one who sends
 * it and must stay where it is until done() was called for its last reply, or
 * cancel().  Everything runs in the worker's one thread.
 */

#ifndef NGX_ESPUTNIK_LINK_H
#define NGX_ESPUTNIK_LINK_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_addresses.h"
#include "ngx_esputnik_conf.h"
#include "ngx_esputnik_gauge.h"
#include "ngx_esputnik_look.h"
#include "ngx_esputnik_op.h"
#include "ngx_esputnik_tls.h"

#include "esputnik_ack.h"
#include "esputnik_array.h"
#include "esputnik_backoff.h"
#include "esputnik_cluster.h"
#include "esputnik_pipeline.h"
#include "esputnik_reply.h"

#include <initializer_list>

namespace ngx_esputnik {

/* Where a link leads to. */
struct Place {
    const ServerConf *server;   /* of the configuration; nullptr: */
    std::string_view host;      /* a name or an address, without brackets */
    in_port_t port;
};

/* What the one who made a link decides for it, and is told. */
class LinkOwner {
public:
    /* False: it is not known yet, and the link waits for move() or hold(). */
    virtual bool where(Link *link, Place *place) = 0;

    /* There is a connection, and nothing was sent on it. */
    virtual void connected(Link *) {}

    /* The reply to ROLE, of a Kind::master; why the link is not to be used, a
     * literal, or nullptr. */
    virtual const char *refuses(Link *, const esputnik::Reply &)
    {
        return nullptr;
    }

    virtual void ready(Link *) {}

    /* Broken, or never made.  lasted: ms of being ready. */
    virtual void lost(Link *, ngx_msec_t) {}

    /* A reply that nobody asked for; false closes the link. */
    virtual bool message(Link *, const esputnik::Reply &) { return false; }

protected:
    ~LinkOwner() = default;
};

class Link {
public:
    /* Output above this is written before the turn ends: a long queue would
     * have left the processor's cache until then. */
    static constexpr size_t kWriteEarly = 32 * 1024;

    /* A command of this size and more is not copied while so much output
     * stands before it. */
    static constexpr size_t kDefer = 4 * 1024;

    enum class State : uint8_t {
        down,
        locating,     /* its owner does not know the address yet */
        resolving,
        connecting,
        securing,     /* the TLS handshake */
        greeting,
        ready,
    };

    enum class Kind : uint8_t {
        redis,
        master,       /* behind sentinels: its role is checked, and when it is
                         lost its owner says when to try again */
        sentinel,
    };

    Link(Target *target, LinkOwner *owner, ngx_uint_t number, Kind kind,
         esputnik::AckMode lane = esputnik::AckMode::memory);
    ~Link();

    Link(const Link &) = delete;
    Link &operator=(const Link &) = delete;

    /*
     * Queues one command of exactly size bytes, to be written where the result
     * points before anything else is called.  nullptr when the link is backing
     * off, its queue is full, or memory is short: refusal() says which.
     * op may be nullptr when nobody waits.
     */
    char *send(Op *op, size_t size, uint32_t replies, ngx_msec_t timeout);

    using Write = void (*)(Op *op, char *out) noexcept;

    /*
     * As send(), for a command whose bytes its owner holds until done(): while
     * the connection takes nothing, a large one is deferred.  *out is nullptr
     * then, and write() is called in its turn, at most once and not after
     * cancel(), for exactly size bytes.  False as nullptr above.
     */
    bool offer(Op *op, size_t size, uint32_t replies, ngx_msec_t timeout,
               Write write, char **out);

    /* Asks about a command that was sent in this turn, or once more about one
     * that this connection has stored (era()), on a link whose lane is not
     * AckMode::memory.  Op::done() as of a command; it comes only after the
     * command's own, and not at all when that was not answered: then cancel()
     * is due. */
    void confirm(Confirmation *c, Op *command, ngx_msec_t timeout);

    /* The owner does not wait any more; a command's place stays, but for one
     * that is deferred still: that is not sent. */
    void cancel(Op *op);
    void cancel(Confirmation *c);

    std::string_view refusal() const { return view(reason_); }

    /* The server's look, when it is ready for the first time. */
    void look() { look_.at(target_, this); }

    /* Whether it leads, or led last, to this address. */
    bool is_at(std::string_view host, in_port_t port) const
    {
        return port == port_ && host.size() == host_length_
               && ngx_strncasecmp(
                      str(host).data,
                      reinterpret_cast<u_char *>(const_cast<char *>(host_)),
                      host_length_)
                      == 0;
    }

    /* Where it is, or was last, connected: for $esputnik_redis_addr. */
    std::string_view peer() const { return view(peer_name_); }

    State state() const { return state_; }
    Kind kind() const { return kind_; }
    ngx_uint_t number() const { return number_; }
    LinkOwner *owner() const { return owner_; }
    bool unused() const
    {
        return pipeline_.empty() && ngx_queue_empty(&questions_);
    }

    /* Counts the connections: what was asked of one means nothing on the
     * next. */
    ngx_uint_t era() const { return era_; }

    /* The most bytes of a reply, from the next connection on. */
    void limit_replies(size_t bytes) { reply_limit_ = bytes; }

    /* For its owner. */

    /* The address is known, or has become another. */
    void move();

    /* There is no address: until release() nothing is taken, and what waits
     * for one is told. */
    void hold(std::string_view why);
    void release() { held_ = false; }

    /* Ends the connection: what was written whole is of unknown outcome, the
     * rest goes to the next one. */
    void leave(std::string_view why)
    {
        addresses_.give_up();
        down(why);
    }

    /* Without a word, while nothing is under way; the next command begins
     * afresh. */
    void close();

    Target *target() const { return target_; }

private:
    enum class Step : uint8_t { auth, select, name, role, probe };

    static Link *of(ngx_event_t *ev)
    {
        return static_cast<Link *>(
            static_cast<ngx_connection_t *>(ev->data)->data);
    }

    static void on_read(ngx_event_t *ev) noexcept;
    static void on_write(ngx_event_t *ev) noexcept;
    static void on_flush(ngx_event_t *ev) noexcept;
    static void on_timer(ngx_event_t *ev) noexcept;
    static void on_resolved(ngx_resolver_ctx_t *ctx) noexcept;
    static void on_secured(ngx_connection_t *c) noexcept;

    /* the way up: ngx_esputnik_connect.cpp */
    void connect();
    void go(const Place &place);
    void resolve();
    void resolved(ngx_resolver_ctx_t *ctx);
    void connect_to(Addresses::Address *address);
    bool try_another(std::string_view why);
    void connected();
    void cannot_connect(ngx_err_t err);
    void secure();
    void secured();
    void greet();

    /* the greeting: ngx_esputnik_greeting.cpp */
    bool compose_greeting();
    bool add_step(Step step, std::initializer_list<std::string_view> command);
    void greeted(const esputnik::Reply &reply);
    void ready();

    /* traffic and the way down: ngx_esputnik_traffic.cpp, _disconnect.cpp */
    void read();
    bool take_replies();
    void take_reply(const esputnik::Reply &reply);
    void flush();
    size_t may_write() const;
    void written();
    bool write_deferred();
    bool admit(size_t size);
    bool take(Op *op, size_t size, uint32_t replies, ngx_msec_t timeout,
              Write write, char **out);
    void under_way(ngx_msec_t timeout);
    void post_flush();
    bool next_group();
    void write_early();
    void write_greeting();
    void expire();
    void progress();
    void withdraw_late(bool stood_still, bool spare);
    void forget_questions(uint64_t from, std::string_view why);
    void arm(ngx_msec_t when);
    void down(std::string_view why);
    void forget(uint64_t until, Outcome outcome, std::string_view why);
    void idle();
    void tell();
    void set_reason(std::string_view why);
    void set_peer(std::string_view name);
    void disconnect(bool clean = false);
    void cannot(const char *what);

    Target *target_;
    LinkOwner *owner_;
    ngx_uint_t number_;
    Kind kind_;
    esputnik::AckMode lane_;
    State state_ = State::down;
    bool held_ = false;
    bool wanted_ = false;                 /* somebody has sent a command */
    bool falling_ = false;                /* in down() */
    bool unfit_ = false;                  /* it cannot do what the lane is for:
                                             no sign of a lost server */
    ngx_uint_t era_ = 0;

    ngx_connection_t *connection_ = nullptr;
    ngx_pool_t *pool_ = nullptr;          /* of the connection, for nginx */
    ngx_resolver_ctx_t *resolving_ = nullptr;
    Addresses addresses_;
    in_port_t port_ = 0;
    TlsClient tls_;
    Look look_;

    esputnik::Pipeline pipeline_;
    ngx_queue_t questions_;               /* of Confirmation, for the group
                                             that is written next */
    uint64_t group_ = 0;                  /* the first slot behind the group
                                             that is under way */
    esputnik::ReplyDecoder decoder_;
    size_t reply_limit_ = 0;              /* 0: the decoder's own */
    esputnik::Backoff backoff_;
    ngx_msec_t retry_at_ = 0;
    bool backing_off_ = false;

    esputnik::Buffer greeting_;           /* AUTH, SELECT …; wiped when sent */
    size_t greeting_sent_ = 0;
    Step steps_[5];
    unsigned step_ = 0;
    unsigned step_count_ = 0;

    ngx_connection_t self_;               /* what nginx's debug log looks at
                                             behind the two events */
    ngx_event_t flush_event_;
    ngx_event_t timer_event_;
    ngx_msec_t due_ = 0;                  /* when it was to fire */
    ngx_msec_t progress_ = 0;             /* when Redis last answered, or was
                                             first given something to answer */
    bool spared_ = false;                 /* it got more time since then */
    ngx_msec_t ready_at_ = 0;
    bool was_ready_ = false;              /* it is not the first connection */

    LinkGauge gauge_;                     /* what the status page says of it */

    ngx_str_t reason_;
    ngx_str_t peer_name_;
    size_t host_length_ = 0;
    u_char reason_text_[256];
    u_char peer_text_[NGX_SOCKADDR_STRLEN + 1];
    char host_[esputnik::kMaxHostLength];  /* as the owner named it */
};

} // namespace ngx_esputnik

#endif
