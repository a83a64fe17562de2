/*
 * A plan of pushes on its way to Redis: each part to its link, once more with
 * its script where Redis does not know it, on to where a cluster sends it, and
 * the confirmation that esputnik_ack asks for behind it.  For whatever is more
 * than one plain push, and for the drain of a spool.
 *
 * Ownership: taken from the worker's stock and given back when done() returns,
 * by abandon(), or by drop().  The plan's keys and values are its owner's and
 * must stay until then.
 */

#ifndef NGX_ESPUTNIK_DELIVERY_H
#define NGX_ESPUTNIK_DELIVERY_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_cluster.h"
#include "ngx_esputnik_link.h"

#include "esputnik_ack.h"
#include "esputnik_push.h"
#include "esputnik_redirect.h"

namespace ngx_esputnik {

class Delivery {
public:
    enum class End : uint8_t {
        stored,
        refused,    /* Redis said no: nothing was written */
        not_sent,   /* certainly not executed */
        unknown,    /* sent, and the answer did not come */
        weak,       /* stored, but not confirmed as asked */
    };

    struct Verdict {
        End end;
        esputnik::RedisError error;      /* of refused */
        esputnik::PushCounts counts;     /* of the parts that are stored */
        std::string_view why;            /* valid during done() */
    };

    using Done = void (*)(void *owner, const Verdict &verdict) noexcept;

    /* nullptr when memory is short. */
    static Delivery *take();
    static void end_all();

    esputnik::PushPlan &plan() { return plan_; }

    /* Sends all parts of the finished plan.  False when all of them have
     * already failed: verdict() is final, done() is not called, and drop() is
     * due. */
    bool send(Target *target, const esputnik::Ack &ack, ngx_msec_t timeout,
              void *owner, Done done);

    /* For the next send(): the replies to what is sent are waited for as long
     * as its connection lasts, for to send it again would be to store it twice;
     * and what is stored and not confirmed is asked about again, instead of
     * being told as weak.  The worker's shutdown ends the latter. */
    void be_patient() { patient_ = true; }

    Verdict verdict() const;

    /* The link that was used last; nullptr before. */
    Link *link() const { return link_; }

    /* The owner is gone: what is under way keeps its place in the pipelines. */
    void abandon();

    /* Back into the stock; nothing is under way. */
    void drop();

private:
    /* What an open part does. */
    enum class Way : uint8_t {
        sent,
        again,        /* is sent once more when its replies have all come */
        map,          /* waits for the cluster's first map */
        pause,        /* waits until wake */
        stored,       /* waits for the confirmation */
        doubt,        /* waits until wake to ask for it again */
    };

    struct Part {
        Op op;              /* first: an Op * is its Part * */
        Delivery *delivery;
        size_t index;
        esputnik::PushForm form;
        Way way;
        bool open;
        bool refused;       /* the push's reply was an error */
        bool asking;        /* the reply to ASKING has not come yet */

        Confirmation confirmation;
        ngx_uint_t era;     /* of the link that has stored it */

        /* in a cluster */
        esputnik::CommandWay hops;
        Link *link;         /* that it was sent to last */
        Link *hop;          /* where it goes next; nullptr: as the map says */
        bool ask;           /* behind ASKING */
        bool asked;         /* was sent so */
        ngx_msec_t wake;
    };

    Delivery();
    ~Delivery();

    static Delivery *of(ngx_event_t *ev)
    {
        return static_cast<Delivery *>(
            static_cast<ngx_connection_t *>(ev->data)->data);
    }

    static void on_timer(ngx_event_t *ev) noexcept;
    static void on_map(ClusterWaiter *waiter, std::string_view why) noexcept;
    static bool on_reply(Op *op, Outcome outcome, const esputnik::Reply *reply,
                         bool last, std::string_view why) noexcept;
    static void write_part(Op *op, char *out) noexcept;
    static bool on_confirmed(Op *op, Outcome outcome,
                             const esputnik::Reply *reply, bool last,
                             std::string_view why) noexcept;

    bool take_reply(Part *part, const esputnik::Reply &reply);
    bool take_redirect(Part *part, const esputnik::Reply &reply,
                       esputnik::RedisError error);
    bool take_ack(Part *part, const esputnik::Reply &reply);
    void ask_ack(Part *part, ngx_msec_t timeout);
    void leave_ack(Part *part);
    void ask_again(Part *part);
    void send_part(Part *part);
    ngx_msec_t reply_time(const Link *link, ngx_msec_t left) const;
    Link *link_for(Part *part);
    void arm();
    void rest();
    void close(Part *part);
    void fail(End end, std::string_view why);
    void note_error(esputnik::RedisError error)
    {
        error_ = end_ == End::stored ? error : error_;
    }
    void finish();

    esputnik::PushPlan plan_;
    esputnik::Array<Part> parts_;
    size_t open_ = 0;

    Target *target_ = nullptr;
    esputnik::Ack ack_;
    esputnik::Buffer ack_bytes_;
    bool patient_ = false;
    ngx_msec_t timeout_ = 0;
    ngx_msec_t deadline_ = 0;
    void *owner_ = nullptr;
    Done done_ = nullptr;
    Link *link_ = nullptr;

    End end_ = End::stored;
    esputnik::RedisError error_ = esputnik::RedisError::none;
    esputnik::PushCounts counts_;
    size_t why_length_ = 0;
    u_char why_[256];

    ClusterWaiter waiter_;
    ngx_event_t timer_;
    ngx_connection_t self_;     /* behind the timer */

    Delivery *next_ = nullptr;
};

} // namespace ngx_esputnik

#endif
