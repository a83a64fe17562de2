/* What a sender of a command to Redis waits with. */

#ifndef NGX_ESPUTNIK_OP_H
#define NGX_ESPUTNIK_OP_H

#include "ngx_esputnik.h"

#include "esputnik_reply.h"

namespace ngx_esputnik {

class Link;

enum class Outcome : uint8_t {
    reply,     /* Redis has answered */
    not_sent,  /* certainly not executed */
    unknown,   /* sent, and the answer did not come */
};

struct Op {
    /* reply is nullptr unless the outcome is one; why is a text for logs and
     * people, without secrets, and valid during the call.  last: no further
     * call comes for this Op, which may be sent again or freed.
     *
     * false says that the reply cannot be one to the command: the link is
     * closed, for the next replies may be others' as well. */
    bool (*done)(Op *op, Outcome outcome, const esputnik::Reply *reply,
                 bool last, std::string_view why) noexcept;
    Link *link;            /* nullptr when nothing is under way */
    uint64_t slot;
    ngx_msec_t deadline;   /* ngx_current_msec at which done(…) comes at the
                              latest */
    Op *confirms;          /* of a Confirmation: the command that it is about */
    void (*write)(Op *op, char *out) noexcept;  /* of a deferred command */
};

/* The question, behind a command on the same link, whether Redis has done more
 * than execute it. */
struct Confirmation {
    Op op;                 /* first: an Op * is its Confirmation * */
    std::string_view question;  /* WAIT … or WAITAOF …, its owner's */
    ngx_queue_t queue;
    bool waits;            /* in the queue of those to be asked */
};

/* One that knows whose it is. */
template <class Owner>
struct OwnedOp {
    Op op;          /* first: an Op * is an OwnedOp * */
    Owner *owner;

    static Owner *of(Op *op) { return reinterpret_cast<OwnedOp *>(op)->owner; }
};

} // namespace ngx_esputnik

#endif
