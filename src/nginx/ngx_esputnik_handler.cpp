#include "ngx_esputnik_handler.h"
#include "ngx_esputnik_answer.h"
#include "ngx_esputnik_body.h"
#include "ngx_esputnik_store.h"
#include "ngx_esputnik_token.h"
#include "ngx_esputnik_worker.h"

namespace ngx_esputnik {

namespace {

/* A refusal that does not look at the body. */
ngx_int_t refuse_unread(ngx_http_request_t *r)
{
    if (r->headers_in.expect != nullptr) {
        /* whether the body still comes is the client's choice now */
        r->expect_tested = 1;
        r->keepalive = 0;
    }

    return ngx_http_discard_request_body(r);
}

bool encoded(ngx_http_request_t *r)
{
    const ngx_list_part_t *part = &r->headers_in.headers.part;

    for (; part != nullptr; part = part->next) {
        const auto *h = static_cast<ngx_table_elt_t *>(part->elts);
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (h[i].key.len == sizeof("Content-Encoding") - 1
                && ngx_strncmp(h[i].lowcase_key, "content-encoding",
                               sizeof("content-encoding") - 1)
                       == 0
                && h[i].value.len != 0
                && (h[i].value.len != sizeof("identity") - 1
                    || ngx_strncasecmp(h[i].value.data,
                                       reinterpret_cast<u_char *>(
                                           const_cast<char *>("identity")),
                                       sizeof("identity") - 1)
                           != 0))
            {
                return true;
            }
        }
    }

    return false;
}

bool too_large(const ngx_http_request_t *r, const LocConf *conf)
{
    return conf->max_body != 0
           && r->headers_in.content_length_n > conf->max_body;
}

ngx_int_t take_post(ngx_http_request_t *r, LocConf *conf)
{
    Context *ctx = make_context(r, conf);
    if (ctx == nullptr) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    esputnik::Reason reason = esputnik::Reason::none;

    if (!authorized(r, conf)) {
        reason = esputnik::Reason::unauthorized;

    } else if (too_large(r, conf)) {
        reason = esputnik::Reason::body_too_large;

    } else if (encoded(r)) {
        if (conf->invalid != static_cast<ngx_uint_t>(Invalid::quarantine)) {
            reason = esputnik::Reason::unsupported_encoding;
        }
        ctx->encoded = 1;
    }

    if (reason == esputnik::Reason::none) {
        return read_body(r, ctx);
    }

    const ngx_int_t rc = refuse_unread(r);
    return rc == NGX_OK ? refuse(ctx, reason) : rc;
}

} // namespace

ngx_int_t content_handler(ngx_http_request_t *r) noexcept
{
    if (r->method & NGX_HTTP_POST) {
        return take_post(r, loc_conf(r));
    }

    const ngx_int_t rc = refuse_unread(r);
    if (rc != NGX_OK) {
        return rc;
    }

    return r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD) ? answer_check(r)
                                                      : answer_method(r);
}

void body_read(ngx_http_request_t *r, Context *ctx)
{
    const ngx_int_t rc = ctx->body_refusal != esputnik::Reason::none
                             ? refuse(ctx, ctx->body_refusal)
                             : store(ctx);

    if (rc != NGX_AGAIN) {
        ngx_http_finalize_request(r, rc);
    }
}

} // namespace ngx_esputnik
