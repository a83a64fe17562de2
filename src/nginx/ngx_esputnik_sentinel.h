/*
 * The master of a deployment with Redis Sentinel: does what the core's
 * SentinelFollower says, with a link to each sentinel that it names, one more
 * that listens to +switch-master, and the links to the master, which are the
 * target's.
 *
 * Begun by the first request, kept up from then on.
 */

#ifndef NGX_ESPUTNIK_SENTINEL_H
#define NGX_ESPUTNIK_SENTINEL_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_links.h"

#include "esputnik_sentinel.h"

namespace ngx_esputnik {

class Sentinel final : public LinkOwner {
public:
    /* nullptr when memory is short. */
    static Sentinel *make(Target *target);
    ~Sentinel();

    /* The links to the master, which are gone before this is. */
    void guide(Links *masters) { masters_ = masters; }

    bool where(Link *link, Place *place) override;
    void connected(Link *link) override;
    const char *refuses(Link *link, const esputnik::Reply &role) override;
    void ready(Link *link) override;
    void lost(Link *link, ngx_msec_t lasted) override;
    bool message(Link *link, const esputnik::Reply &reply) override;

private:
    explicit Sentinel(Target *target);

    bool init();

    static Sentinel *of(ngx_event_t *ev)
    {
        return static_cast<Sentinel *>(
            static_cast<ngx_connection_t *>(ev->data)->data);
    }

    static void on_timer(ngx_event_t *ev) noexcept;
    static void on_listen(ngx_event_t *ev) noexcept;
    static bool on_address(Op *op, Outcome outcome,
                           const esputnik::Reply *reply, bool last,
                           std::string_view why) noexcept;
    static bool on_role(Op *op, Outcome outcome, const esputnik::Reply *reply,
                        bool last, std::string_view why) noexcept;
    static bool on_subscribed(Op *op, Outcome outcome,
                              const esputnik::Reply *reply, bool last,
                              std::string_view why) noexcept;
    static bool on_pong(Op *op, Outcome outcome, const esputnik::Reply *reply,
                        bool last, std::string_view why) noexcept;

    void follow(esputnik::SentinelStep step, std::string_view peer);
    bool ask(size_t sentinel);
    void move();
    void check(Link *link);
    void pause(ngx_msec_t ms, std::string_view why);
    void listen();
    void ping();

    Target *target_;
    Links *masters_ = nullptr;
    Link **sentinels_ = nullptr;      /* one for each server, and last the one
                                         that listens */
    ngx_uint_t server_count_ = 0;
    ngx_uint_t link_count_ = 0;
    ngx_uint_t listening_to_ = 0;
    size_t asked_ = 0;

    esputnik::SentinelFollower follower_;
    bool begun_ = false;
    bool located_ = false;            /* the follower names an address */
    bool subscribed_ = false;         /* the last link hears messages */
    bool rejected_ = false;           /* rejection_ waits for lost() */
    bool calming_ = false;            /* the timer is about quick losses */
    unsigned quick_ = 0;              /* losses soon after being ready */
    esputnik::SentinelStep rejection_;

    OwnedOp<Sentinel> address_;
    OwnedOp<Sentinel> role_;
    OwnedOp<Sentinel> subscription_;
    OwnedOp<Sentinel> ping_;
    ngx_event_t timer_;
    ngx_event_t listen_timer_;        /* to subscribe, or to send PING */
    ngx_connection_t self_;           /* behind the two events */
};

} // namespace ngx_esputnik

#endif
