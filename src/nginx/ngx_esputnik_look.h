/* The look at a Redis that was just connected to: where its configuration keeps
 * less than a 200 promises, the status says so until another look finds it put
 * right, and the log once for all workers. */

#ifndef NGX_ESPUTNIK_LOOK_H
#define NGX_ESPUTNIK_LOOK_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_op.h"

#include "esputnik_redis_look.h"

namespace ngx_esputnik {

class Target;

/* One link's, on each of its connections: a Redis that was started anew may be
 * another one. */
class Look {
public:
    Look();

    void at(Target *target, Link *link);

private:
    static bool on_reply(Op *op, Outcome outcome, const esputnik::Reply *reply,
                         bool last, std::string_view why) noexcept;

    Op op_;
    Target *target_ = nullptr;
    Link *link_ = nullptr;
    esputnik::RedisFacts facts_;
};

} // namespace ngx_esputnik

#endif
