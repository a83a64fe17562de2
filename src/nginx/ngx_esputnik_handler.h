/* The request's path: method, token, body, events, Redis, answer. */

#ifndef NGX_ESPUTNIK_HANDLER_H
#define NGX_ESPUTNIK_HANDLER_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_context.h"

namespace ngx_esputnik {

/* The body is whole; finalizes the request, now or when Redis has answered. */
void body_read(ngx_http_request_t *r, Context *ctx);

} // namespace ngx_esputnik

#endif
