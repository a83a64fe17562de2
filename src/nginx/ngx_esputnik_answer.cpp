#include "ngx_esputnik_answer.h"

#include "esputnik_command.h"

namespace ngx_esputnik {

namespace {

const ngx_str_t kJson = ngx_string("application/json");
const ngx_str_t kProblemJson = ngx_string("application/problem+json");
const ngx_str_t kChallenge = ngx_string("Token");
const ngx_str_t kAllow = ngx_string("GET, HEAD, POST");

/* Soon: what fails here mostly passes within seconds, and whoever obeys this
 * header should not wait as long as the sender's own rule has it. */
const ngx_str_t kRetryAfter = ngx_string("5");

bool add_header(ngx_http_request_t *r, const char *name, const ngx_str_t &value)
{
    auto *h = static_cast<ngx_table_elt_t *>(
        ngx_list_push(&r->headers_out.headers));
    if (h == nullptr) {
        return false;
    }
    ngx_memzero(h, sizeof(*h));
    h->hash = 1;
    h->key = str(name);
    h->value = value;
    return true;
}

ngx_int_t send(ngx_http_request_t *r, ngx_uint_t status, const ngx_str_t &type,
               const ngx_str_t &body)
{
    r->headers_out.status = status;
    r->headers_out.content_length_n = static_cast<off_t>(body.len);

    if (body.len != 0) {
        r->headers_out.content_type = type;
        r->headers_out.content_type_len = type.len;
        r->headers_out.content_type_lowcase = nullptr;
    } else {
        r->header_only = 1;
    }

    const ngx_int_t rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    auto *b = static_cast<ngx_buf_t *>(ngx_calloc_buf(r->pool));
    if (b == nullptr) {
        return NGX_ERROR;
    }
    b->pos = b->start = body.data;
    b->last = b->end = body.data + body.len;
    b->memory = 1;
    b->last_buf = r == r->main;
    b->last_in_chain = 1;

    ngx_chain_t out = {b, nullptr};
    return ngx_http_output_filter(r, &out);
}

ngx_int_t send_problem(ngx_http_request_t *r, const esputnik::Problem &problem,
                       std::string_view detail)
{
    const unsigned status = esputnik::reason_status(problem.reason);

    if (status == NGX_HTTP_NOT_ALLOWED && !add_header(r, "Allow", kAllow)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* RFC 9110 wants a challenge with every 401 */
    if (status == NGX_HTTP_UNAUTHORIZED
        && !add_header(r, "WWW-Authenticate", kChallenge))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE
        && !add_header(r, "Retry-After", kRetryAfter))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    auto *text = static_cast<char *>(
        ngx_pnalloc(r->pool, esputnik::kProblemMax));
    if (text == nullptr) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    const size_t length = esputnik::problem_json(problem, detail, text,
                                                 esputnik::kProblemMax);
    return send(r, status, kProblemJson, str({text, length}));
}

} // namespace

ngx_int_t answer_check(ngx_http_request_t *r)
{
    count::checked(r);
    return send(r, NGX_HTTP_OK, kJson, {0, nullptr});
}

ngx_int_t answer_method(ngx_http_request_t *r)
{
    esputnik::Problem problem;
    problem.reason = esputnik::Reason::method_not_allowed;
    count::refused_method(r);
    return send_problem(r, problem, {});
}

ngx_int_t answer_accepted(Context *ctx)
{
    ngx_http_request_t *r = ctx->request;

    constexpr size_t kMax = sizeof("{\"accepted\":,\"duplicates\":,"
                                   "\"spooled\":true,\"quarantined\":}")
                            + 3 * NGX_INT_T_LEN;
    auto *text = static_cast<u_char *>(ngx_pnalloc(r->pool, kMax));
    if (text == nullptr) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* a body that is no array has no events and is one element there */
    const ngx_uint_t bad = ngx_min(ctx->quarantined, ctx->events);

    /* not by ngx_sprintf(): this is in the way of every POST */
    constexpr char kAccepted[] = "{\"accepted\":";
    u_char *end = ngx_cpymem(text, kAccepted, sizeof(kAccepted) - 1);
    end = reinterpret_cast<u_char *>(esputnik::write_decimal(
        reinterpret_cast<char *>(end), ctx->events - bad - ctx->duplicates));
    ctx->result = Result::accepted;

    if (ctx->duplicates != 0) {
        end = ngx_sprintf(end, ",\"duplicates\":%ui", ctx->duplicates);
    }
    if (ctx->quarantined != 0) {
        end = ngx_sprintf(end, ",\"quarantined\":%ui", ctx->quarantined);
        ctx->result = Result::quarantined;
    }
    if (ctx->in_spool) {
        end = ngx_sprintf(end, ",\"spooled\":true");
        ctx->result = Result::spooled;
    }
    *end++ = '}';

    count::accepted(ctx);
    return send(r, NGX_HTTP_OK, kJson, {static_cast<size_t>(end - text), text});
}

ngx_int_t answer_problem(Context *ctx, const esputnik::Problem &problem,
                         std::string_view detail)
{
    ngx_http_request_t *r = ctx->request;

    switch (problem.reason) {
    case esputnik::Reason::unauthorized:
        ctx->result = Result::unauthorized;
        break;
    case esputnik::Reason::unavailable:
        ctx->result = Result::unavailable;
        break;
    default:
        ctx->result = Result::rejected;
        break;
    }

    if (ctx->error.len == 0) {
        char text[esputnik::kProblemMax];
        if (detail.empty()) {
            detail = {text,
                      esputnik::problem_detail(problem, text, sizeof(text))};
        }
        ctx->error = copy(r->pool, detail);
    }

    count::refused(ctx, problem, view(ctx->error));
    return send_problem(r, problem, view(ctx->error));
}

ngx_int_t refuse(Context *ctx, esputnik::Reason reason)
{
    esputnik::Problem problem;
    problem.reason = reason;
    return answer_problem(ctx, problem, {});
}

} // namespace ngx_esputnik
