#include "ngx_esputnik_outcome.h"
#include "ngx_esputnik_answer.h"
#include "ngx_esputnik_log.h"
#include "ngx_esputnik_spool.h"
#include "ngx_esputnik_target.h"

namespace ngx_esputnik {

namespace {

void on_spooled(SpoolWaiter *waiter, ngx_err_t error, const char *why) noexcept
{
    auto *ctx = reinterpret_cast<Context *>(reinterpret_cast<char *>(waiter)
                                            - offsetof(Context, spooled));
    ngx_int_t rc;

    ngx_http_set_log_request(ctx->request->connection->log, ctx->request);

    if (error == 0) {
        ctx->in_spool = true;
        rc = answer_accepted(ctx);

    } else {
        u_char text[256];
        u_char *end = ngx_snprintf(text, sizeof(text),
                                   "the spool cannot take them: %s: ", why);
        end = ngx_strerror(error, end,
                           static_cast<size_t>(text + sizeof(text) - end));
        rc = unavailable(ctx, {reinterpret_cast<char *>(text),
                               static_cast<size_t>(end - text)});
    }

    resume(ctx, rc);
}

} // namespace

ngx_int_t wait(Context *ctx)
{
    ngx_http_request_t *r = ctx->request;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
    return NGX_AGAIN;
}

void resume(Context *ctx, ngx_int_t rc)
{
    ngx_connection_t *c = ctx->request->connection;

    if (rc != NGX_AGAIN) {
        ngx_http_finalize_request(ctx->request, rc);
    }
    ngx_http_run_posted_requests(c);
}

ngx_int_t unavailable(Context *ctx, std::string_view why)
{
    ngx_http_request_t *r = ctx->request;

    u_char text[256];
    const ngx_str_t printable = {copy_printable(why, text, sizeof(text)), text};
    ctx->error = copy(r->pool, view(printable));

    Target *target = Target::of(ctx->conf->target);
    if (target != nullptr && target->refusals().pass(why)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "esputnik: events not stored: %V%s", &printable,
                      target->refusals().held());
    }

    esputnik::Problem problem;
    problem.reason = esputnik::Reason::unavailable;
    return answer_problem(ctx, problem, view(printable));
}

bool queues_behind(const Context *ctx)
{
    if (!has_spool(ctx)) {
        return false;
    }
    const Spool *s = Spool::of(ctx->conf->spool);
    return s != nullptr && s->spooling();
}

ngx_int_t spool(Context *ctx, const esputnik::PushPlan &plan,
                std::string_view why)
{
    Spool *s = Spool::of(ctx->conf->spool);
    if (s == nullptr) {
        return unavailable(ctx, "no memory for the spool");
    }

    ctx->spooled.done = on_spooled;

    switch (s->append(plan, &ctx->spooled)) {
    case SpoolResult::queued:
        return wait(ctx);
    case SpoolResult::full:
        return unavailable(ctx, why.empty() ? "the spool is full" : why);
    case SpoolResult::failed:
        break;
    }
    return unavailable(ctx, "no memory for the spool");
}

} // namespace ngx_esputnik
