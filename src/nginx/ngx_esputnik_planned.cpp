#include "ngx_esputnik_planned.h"
#include "ngx_esputnik_answer.h"
#include "ngx_esputnik_count.h"
#include "ngx_esputnik_delivery.h"
#include "ngx_esputnik_outcome.h"
#include "ngx_esputnik_plan.h"
#include "ngx_esputnik_target.h"

#include "esputnik_redis_error.h"

namespace ngx_esputnik {

namespace {

bool spoolable(const Delivery::Verdict &verdict)
{
    switch (verdict.end) {
    case Delivery::End::not_sent:
    case Delivery::End::unknown:
        return true;
    case Delivery::End::refused:
        return redis_error_spoolable(verdict.error);
    case Delivery::End::stored:
    case Delivery::End::weak:
        break;
    }
    return false;
}

ngx_int_t conclude(Context *ctx, const esputnik::PushPlan &plan,
                   const Delivery::Verdict &verdict)
{
    if (verdict.end == Delivery::End::stored) {
        ctx->duplicates = verdict.counts.duplicates;
        count::list_length(ctx->conf->target, verdict.counts.length);
        Target::of(ctx->conf->target)
            ->note_length(verdict.counts.longest, verdict.counts.length,
                          ctx->conf->max_length);
        return answer_accepted(ctx);
    }

    if (has_spool(ctx) && spoolable(verdict)) {
        return spool(ctx, plan, {});
    }
    return unavailable(ctx, verdict.why);
}

void on_delivered(void *owner, const Delivery::Verdict &verdict) noexcept
{
    auto *ctx = static_cast<Context *>(owner);
    Delivery *delivery = ctx->delivery;

    ngx_http_set_log_request(ctx->request->connection->log, ctx->request);

    ctx->link = delivery->link();
    ctx->delivery = nullptr;
    ctx->redis_time = ngx_current_msec - ctx->asked;
    count::replied(ctx);

    resume(ctx, conclude(ctx, delivery->plan(), verdict));
}

bool any_list_full(Context *ctx, Target *target, const esputnik::PushPlan &plan)
{
    bool full = false;

    if (ctx->conf->max_length == 0) {
        return false;
    }
    for (size_t part = 0; part < plan.parts(); part++) {
        plan.each(part, [&](std::string_view key, std::string_view,
                            std::string_view) {
            full = full || target->list_full(key, ctx->conf->max_length,
                                             ctx->conf->target->timeout);
        });
    }
    return full;
}

/* The finished plan of the delivery; takes the delivery. */
ngx_int_t deliver(Context *ctx, Target *target, Delivery *delivery)
{
    ngx_int_t rc;

    if (queues_behind(ctx)) {
        rc = spool(ctx, delivery->plan(), {});
        delivery->drop();
        return rc;
    }

    if (any_list_full(ctx, target, delivery->plan())) {
        rc = has_spool(ctx) ? spool(ctx, delivery->plan(), "the list is full")
                            : unavailable(ctx, "the list is full");
        delivery->drop();
        return rc;
    }

    ctx->asked_redis = true;
    ctx->asked = ngx_current_msec;
    count::asked(ctx);

    if (!delivery->send(target, ctx->conf->ack, ctx->conf->target->timeout,
                        ctx, on_delivered))
    {
        ctx->link = delivery->link();
        rc = conclude(ctx, delivery->plan(), delivery->verdict());
        delivery->drop();
        return rc;
    }

    ctx->delivery = delivery;
    return wait(ctx);
}

template <class Plan>
ngx_int_t plan_and_deliver(Context *ctx, Plan plan)
{
    Target *target = Target::of(ctx->conf->target);
    Delivery *delivery = target != nullptr ? Delivery::take() : nullptr;
    if (delivery == nullptr) {
        return unavailable(ctx, "no memory");
    }

    esputnik::Problem problem;
    const ngx_int_t rc = plan(delivery->plan(), &problem);

    if (rc != NGX_OK) {
        delivery->drop();
        return rc == NGX_DECLINED ? answer_problem(ctx, problem, {})
                                  : unavailable(ctx, "no memory");
    }
    return deliver(ctx, target, delivery);
}

} // namespace

ngx_int_t push_planned(Context *ctx, const esputnik::Parser &parser)
{
    return plan_and_deliver(
        ctx, [&](esputnik::PushPlan &plan, esputnik::Problem *why) {
            return plan_events(ctx, parser, plan, why);
        });
}

ngx_int_t quarantine_body(Context *ctx, const esputnik::Problem &problem)
{
    char detail[esputnik::kProblemMax];
    ctx->error = copy(ctx->request->pool,
                      {detail, esputnik::problem_detail(problem, detail,
                                                        sizeof(detail))});

    return plan_and_deliver(
        ctx, [&](esputnik::PushPlan &plan, esputnik::Problem *why) {
            *why = problem;
            return plan_body(ctx, plan, why);
        });
}

} // namespace ngx_esputnik
