/*
 * From a whole body to its answer: validation, Redis, and the spool where
 * Redis does not take it.
 */

#ifndef NGX_ESPUTNIK_STORE_H
#define NGX_ESPUTNIK_STORE_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_context.h"

namespace ngx_esputnik {

/* NGX_AGAIN when the answer comes later, from Redis' side or the disk's; else
 * what ngx_http_finalize_request() is to be given. */
ngx_int_t store(Context *ctx);

} // namespace ngx_esputnik

#endif
