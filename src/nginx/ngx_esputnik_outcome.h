/*
 * What becomes of a request when its events are on their way: it waits, it is
 * answered, or they go to the spool.
 */

#ifndef NGX_ESPUTNIK_OUTCOME_H
#define NGX_ESPUTNIK_OUTCOME_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_context.h"

#include "esputnik_push.h"

namespace ngx_esputnik {

/* NGX_AGAIN.  A client that goes away meanwhile ends the request at once. */
ngx_int_t wait(Context *ctx);

/* From Redis' side, or the disk's: the request goes on with rc. */
void resume(Context *ctx, ngx_int_t rc);

/* 503, with the reason for the sender, and in the log once a second for each
 * reason: the access log has it for every request. */
ngx_int_t unavailable(Context *ctx, std::string_view why);

inline bool has_spool(const Context *ctx)
{
    return ctx->conf->spool != nullptr;
}

/* Older events of the target are in the spool, not in Redis yet. */
bool queues_behind(const Context *ctx);

/* The finished plan into the location's spool; why is the reason of the 503
 * when that is full. */
ngx_int_t spool(Context *ctx, const esputnik::PushPlan &plan,
                std::string_view why);

} // namespace ngx_esputnik

#endif
