/*
 * The body in one piece of memory, whatever brings it: Content-Length, chunks,
 * HTTP/2 frames.  A request body filter takes nginx's buffers as they fill, so
 * none ever goes to a temporary file.
 */

#ifndef NGX_ESPUTNIK_BODY_H
#define NGX_ESPUTNIK_BODY_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_context.h"

namespace ngx_esputnik {

/* Reads the whole body, within esputnik_body_timeout and the location's
 * client_max_body_size, and then runs body_read() (ngx_esputnik_handler.cpp)
 * once.  Returns what the content handler returns. */
ngx_int_t read_body(ngx_http_request_t *r, Context *ctx);

/* Puts the filter into nginx's chain. */
void install_body_filter();

} // namespace ngx_esputnik

#endif
