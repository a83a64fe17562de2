/* The look at a Redis that was just connected to: what its configuration
 * keeps less than a 200 promises is logged, once for all workers. */

#ifndef NGX_ESPUTNIK_LOOK_H
#define NGX_ESPUTNIK_LOOK_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_op.h"

#include "esputnik_redis_look.h"

namespace ngx_esputnik {

class Target;

/* One link's; it looks again when the link leads to another server. */
class Look {
public:
    Look();

    void at(Target *target, Link *link);

private:
    static bool on_reply(Op *op, Outcome outcome, const esputnik::Reply *reply,
                         bool last, std::string_view why) noexcept;

    Op op_;
    Target *target_ = nullptr;
    esputnik::RedisFacts facts_;
    uint32_t peer_ = 0;      /* hashes of addresses */
    uint32_t seen_ = 0;
};

} // namespace ngx_esputnik

#endif
