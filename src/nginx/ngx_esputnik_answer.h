/*
 * What the sender is told.  Each function sends the whole answer and returns
 * what ngx_http_finalize_request() is to be given.
 */

#ifndef NGX_ESPUTNIK_ANSWER_H
#define NGX_ESPUTNIK_ANSWER_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_context.h"

#include "esputnik_problem.h"

namespace ngx_esputnik {

/* 200 without a body: the vendor's check of the URL. */
ngx_int_t answer_check(ngx_http_request_t *r);

/* 405; for requests that have no context. */
ngx_int_t answer_method(ngx_http_request_t *r);

/* 200 with the counts of the context. */
ngx_int_t answer_accepted(Context *ctx);

/* problem+json; detail is said instead of the problem's own when not empty.
 * Sets $esputnik_result and $esputnik_error. */
ngx_int_t answer_problem(Context *ctx, const esputnik::Problem &problem,
                         std::string_view detail);

/* The same for a reason that needs no more words. */
ngx_int_t refuse(Context *ctx, esputnik::Reason reason);

} // namespace ngx_esputnik

#endif
