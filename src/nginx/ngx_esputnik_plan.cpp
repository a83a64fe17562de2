#include "ngx_esputnik_plan.h"

#include "esputnik_quarantine.h"

namespace ngx_esputnik {

namespace {

bool quarantines(const LocConf *conf)
{
    return conf->invalid == static_cast<ngx_uint_t>(Invalid::quarantine);
}

esputnik::PushOptions options(const LocConf *conf)
{
    esputnik::PushOptions o;

    o.op = static_cast<esputnik::PushOp>(conf->push);
    o.maxlen = conf->push_maxlen;
    o.dedup_ms = conf->dedup_window;
    o.cluster = conf->target->cluster != 0;
    return o;
}

/* A head line and the offending bytes, in the request's memory. */
ngx_int_t quarantine(Context *ctx, const esputnik::Problem &problem,
                     std::string_view bytes, esputnik::PushPlan &plan,
                     esputnik::Problem *refusal)
{
    ngx_http_request_t *r = ctx->request;
    ngx_str_t key;

    if (ngx_http_complex_value(r, ctx->conf->invalid_key, &key) != NGX_OK) {
        return NGX_ERROR;
    }
    if (!good_key(key)) {
        refusal->reason = esputnik::Reason::bad_key;
        return NGX_DECLINED;
    }

    char head[esputnik::kQuarantineHeadMax];
    const size_t length = esputnik::quarantine_head(problem, ngx_time(), head,
                                                    sizeof(head));

    auto *element = static_cast<u_char *>(
        ngx_pnalloc(r->pool, length + bytes.size()));
    if (element == nullptr) {
        return NGX_ERROR;
    }

    u_char *end = ngx_cpymem(element, head, length);
    if (!bytes.empty()) {
        end = ngx_cpymem(end, bytes.data(), bytes.size());
    }

    if (!count::quarantined(ctx, problem)) {
        return NGX_ERROR;
    }

    /* the head has a time in it: what was refused is its own identity */
    return plan.add(view(key),
                    {reinterpret_cast<char *>(element),
                     static_cast<size_t>(end - element)},
                    bytes, true)
               ? NGX_OK
               : NGX_ERROR;
}

ngx_int_t evaluate(ngx_http_request_t *r, ngx_http_complex_value_t *cv,
                   std::string_view otherwise, std::string_view *out)
{
    if (cv == nullptr) {
        *out = otherwise;
        return NGX_OK;
    }

    ngx_str_t text;
    if (ngx_http_complex_value(r, cv, &text) != NGX_OK) {
        return NGX_ERROR;
    }
    *out = view(text);
    return NGX_OK;
}

/* The event at ctx->event. */
ngx_int_t plan_event(Context *ctx, const esputnik::Batch &batch,
                     esputnik::PushPlan &plan, esputnik::Problem *problem)
{
    const LocConf *conf = ctx->conf;
    ngx_http_request_t *r = ctx->request;
    const esputnik::Event &event = batch.events[ctx->event];
    const std::string_view bytes = batch.bytes(event);

    *problem = esputnik::Problem();

    if (event.problem != 0) {
        return quarantine(ctx, batch.problems[event.problem - 1], bytes, plan,
                          problem);
    }

    std::string_view key;
    std::string_view value;
    std::string_view identity;

    if (evaluate(r, conf->key, {}, &key) != NGX_OK
        || evaluate(r, conf->value, bytes, &value) != NGX_OK
        || (conf->dedup_window != 0
            && evaluate(r, conf->dedup_identity, bytes, &identity) != NGX_OK))
    {
        return NGX_ERROR;
    }

    if (conf->dedup_window != 0 && identity.empty()) {
        identity = bytes;  /* events without one are not all the same event */
    }

    if (good_key(str(key))) {
        return plan.add(key, value, identity) ? NGX_OK : NGX_ERROR;
    }

    problem->reason = esputnik::Reason::bad_key;
    problem->event = ctx->event;
    problem->offset = event.offset;

    if (!quarantines(conf)) {
        return NGX_DECLINED;
    }

    count::dropped(ctx, batch, ctx->event);
    const esputnik::Problem reason = *problem;
    return quarantine(ctx, reason, bytes, plan, problem);
}

} // namespace

bool needs_fields(const LocConf *conf)
{
    return conf->key->lengths != nullptr || conf->value != nullptr
           || conf->dedup_identity != nullptr;
}

bool needs_plan(const LocConf *conf)
{
    return conf->key->lengths != nullptr || conf->value != nullptr
           || conf->dedup_window != 0
           || conf->push == static_cast<ngx_uint_t>(Push::xadd)
           || conf->ack.mode != esputnik::AckMode::memory
           || conf->target->cluster;
}

ngx_int_t plan_events(Context *ctx, const esputnik::Parser &parser,
                      esputnik::PushPlan &plan, esputnik::Problem *problem)
{
    const esputnik::Batch &batch = parser.batch();
    ngx_int_t rc = NGX_OK;

    plan.begin(options(ctx->conf));

    ctx->parser = &parser;
    ctx->events = batch.events.size();
    count::planned(ctx);

    for (ctx->event = 0; ctx->event < batch.events.size(); ctx->event++) {
        rc = plan_event(ctx, batch, plan, problem);
        if (rc != NGX_OK) {
            break;
        }
    }

    ctx->parser = nullptr;

    if (rc == NGX_OK && !plan.finish()) {
        rc = NGX_ERROR;
    }
    return rc;
}

ngx_int_t plan_body(Context *ctx, esputnik::PushPlan &plan,
                    esputnik::Problem *problem)
{
    const esputnik::Problem reason = *problem;

    plan.begin(options(ctx->conf));
    count::planned(ctx);

    const ngx_int_t rc = quarantine(ctx, reason, view(ctx->body), plan,
                                    problem);
    if (rc != NGX_OK) {
        return rc;
    }
    return plan.finish() ? NGX_OK : NGX_ERROR;
}

} // namespace ngx_esputnik
