#include "ngx_esputnik_store.h"
#include "ngx_esputnik_answer.h"
#include "ngx_esputnik_count.h"
#include "ngx_esputnik_outcome.h"
#include "ngx_esputnik_plan.h"
#include "ngx_esputnik_planned.h"
#include "ngx_esputnik_target.h"
#include "ngx_esputnik_worker.h"

#include "esputnik_list_push.h"
#include "esputnik_redis_error.h"

namespace ngx_esputnik {

namespace {

constexpr std::string_view kVerbs[] = {"RPUSH", "LPUSH"};
constexpr std::string_view kNotAReply =
    "Redis sent a reply of another kind than the command has";

esputnik::ParseOptions options(const Context *ctx)
{
    const LocConf *conf = ctx->conf;
    esputnik::ParseOptions o;

    o.max_events = static_cast<size_t>(conf->max_events);
    o.max_depth = static_cast<unsigned>(conf->max_depth);
    o.required = conf->required;
    o.reject_unknown_status = conf->reject_unknown_status != 0;
    o.keep_going = conf->invalid
                   == static_cast<ngx_uint_t>(Invalid::quarantine);

    const MainConf *main = main_conf(ctx->request);
    o.wanted = main->counted | (needs_fields(conf) ? main->wanted : 0);
    return o;
}

esputnik::ParseResult parse(Context *ctx, esputnik::Parser *p)
{
    return p->parse(reinterpret_cast<char *>(ctx->body.data), ctx->body.len,
                    options(ctx));
}

/* The batch that the parser has at hand, which the quick way needed no plan
 * for. */
ngx_int_t spool_batch(Context *ctx, const esputnik::Parser &p,
                      std::string_view why)
{
    esputnik::PushPlan *plan = scratch_plan();
    esputnik::Problem problem;

    if (plan == nullptr) {
        return unavailable(ctx, "no memory for the spool");
    }

    const ngx_int_t rc = plan_events(ctx, p, *plan, &problem);
    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? answer_problem(ctx, problem, {})
                                  : unavailable(ctx, "no memory");
    }
    return spool(ctx, *plan, why);
}

/* The same when Redis has kept the request waiting: the parser has had other
 * bodies since. */
ngx_int_t spool_again(Context *ctx)
{
    esputnik::Parser *p = parser();

    if (p == nullptr || parse(ctx, p) != esputnik::ParseResult::ok) {
        return unavailable(ctx, "no memory for the spool");
    }

    const ngx_int_t rc = spool_batch(ctx, *p, {});
    p->trim();
    return rc;
}

/* The length of the list that the elements were pushed to, so at least their
 * number. */
bool is_push_reply(const Context *ctx, const esputnik::Reply &reply)
{
    return reply.is(esputnik::ReplyType::integer)
           && reply.integer() >= static_cast<long long>(ctx->events);
}

bool on_reply(Op *op, Outcome outcome, const esputnik::Reply *reply, bool,
              std::string_view why) noexcept
{
    auto *ctx = reinterpret_cast<Context *>(reinterpret_cast<char *>(op)
                                            - offsetof(Context, op));
    bool trusted = true;
    bool again = true;   /* in the spool, it can be stored later */
    ngx_int_t rc;

    ngx_http_set_log_request(ctx->request->connection->log, ctx->request);
    ctx->redis_time = ngx_current_msec - ctx->asked;
    count::replied(ctx);

    if (outcome == Outcome::reply) {
        if (is_push_reply(ctx, *reply)) {
            count::list_length(ctx->conf->target,
                               static_cast<uint64_t>(reply->integer()));
            if (ctx->conf->max_length != 0) {
                ctx->link->target()->note_length(
                    view(ctx->key), static_cast<uint64_t>(reply->integer()),
                    ctx->conf->max_length);
            }
            resume(ctx, answer_accepted(ctx));
            return true;
        }

        if (reply->is_error()) {
            again = redis_error_spoolable(
                esputnik::classify_redis_error(reply->text()));
        } else {
            trusted = false;
            why = kNotAReply;
        }
    }

    rc = has_spool(ctx) && again ? spool_again(ctx) : unavailable(ctx, why);
    resume(ctx, rc);
    return trusted;
}

/* The command of a push that was deferred. */
void write_push(Op *op, char *out) noexcept
{
    auto *ctx = reinterpret_cast<Context *>(reinterpret_cast<char *>(op)
                                            - offsetof(Context, op));

    (void) esputnik::write_list_push(out, kVerbs[ctx->conf->push],
                                     view(ctx->key), view(ctx->body),
                                     ctx->slices, ctx->events);
}

/* What write_push() needs; false when memory is short. */
bool keep_slices(Context *ctx, const esputnik::Batch &batch)
{
    ctx->slices = static_cast<esputnik::EventSlice *>(
        ngx_palloc(ctx->request->pool,
                   batch.events.size() * sizeof(esputnik::EventSlice)));
    if (ctx->slices == nullptr) {
        return false;
    }

    slice_events(batch, ctx->slices);
    return true;
}

/* All events, as they came, on one list. */
ngx_int_t push_batch(Context *ctx, const esputnik::Parser &p)
{
    const LocConf *conf = ctx->conf;
    const esputnik::Batch &batch = p.batch();

    ctx->key = conf->key->value;

    Target *target = Target::of(conf->target);
    if (target == nullptr) {
        return unavailable(ctx, "no memory");
    }

    if (target->lengths().full(view(ctx->key), conf->max_length)) {
        /* it may have to wait, as a plan can: the parser is the next one's */
        return push_planned(ctx, p);
    }

    const std::string_view verb = kVerbs[conf->push];
    const size_t size = esputnik::list_push_size(verb, view(ctx->key), batch);

    ctx->link = target->link();
    ctx->asked_redis = true;
    ctx->asked = ngx_current_msec;
    ctx->op.done = on_reply;
    count::asked(ctx);

    char *out;
    if (!ctx->link->offer(&ctx->op, size, 1, conf->target->timeout, write_push,
                          &out)) {
        return has_spool(ctx) ? spool_batch(ctx, p, {})
                              : unavailable(ctx, ctx->link->refusal());
    }

    if (out != nullptr) {
        (void) esputnik::write_list_push(out, verb, view(ctx->key), batch);
    } else if (!keep_slices(ctx, batch)) {
        ctx->link->cancel(&ctx->op);
        return has_spool(ctx) ? spool_batch(ctx, p, {})
                              : unavailable(ctx, "no memory");
    }
    return wait(ctx);
}

/* A body that is no array of events. */
ngx_int_t refused(Context *ctx, esputnik::Problem problem)
{
    ngx_http_request_t *r = ctx->request;

    if (ctx->conf->invalid == static_cast<ngx_uint_t>(Invalid::quarantine)) {
        return quarantine_body(ctx, problem);
    }

    const ngx_int_t rc = answer_problem(ctx, problem, {});

    Target *target = Target::of(ctx->conf->target);
    if (target != nullptr
        && target->refusals().pass(reason_name(problem.reason))) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "esputnik: payload refused: %V%s", &ctx->error,
                      target->refusals().held());
    }
    return rc;
}

/* Parses, and sends on. */
ngx_int_t take(Context *ctx, esputnik::Parser *p)
{
    if (ctx->encoded) {
        esputnik::Problem problem;
        problem.reason = esputnik::Reason::unsupported_encoding;
        return refused(ctx, problem);
    }

    switch (parse(ctx, p)) {
    case esputnik::ParseResult::ok:
        break;
    case esputnik::ParseResult::no_memory:
        return unavailable(ctx, "no memory to parse the body");
    case esputnik::ParseResult::refused:
        return refused(ctx, p->problem());
    }

    const esputnik::Batch &batch = p->batch();
    ctx->events = batch.events.size();
    count::parsed(ctx, batch);

    if (batch.events.empty()) {
        return answer_accepted(ctx);
    }

    if (!needs_plan(ctx->conf) && batch.problems.empty()) {
        return queues_behind(ctx) ? spool_batch(ctx, *p, {})
                                  : push_batch(ctx, *p);
    }

    return push_planned(ctx, *p);
}

} // namespace

ngx_int_t store(Context *ctx)
{
    esputnik::Parser *p = parser();
    if (p == nullptr) {
        return unavailable(ctx, "no memory to parse the body");
    }

    const ngx_int_t rc = take(ctx, p);
    p->trim();
    return rc;
}

} // namespace ngx_esputnik
