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

/* Once for a request: it may be for the length of a list first. */
void begin_asking(Context *ctx)
{
    if (!ctx->asked_redis) {
        ctx->asked_redis = true;
        ctx->asked = ngx_current_msec;
        count::asked(ctx);
    }
}

/* What is left of the time that the request may wait for Redis. */
ngx_msec_t time_left(const Context *ctx)
{
    const ngx_msec_t all = ctx->conf->target->timeout;
    const ngx_msec_t spent = ctx->asked_redis ? ngx_current_msec - ctx->asked
                                              : 0;
    return all - ngx_min(spent, all);
}

/* For all lists of the plan; stops at the first that has none or is asked
 * for. */
Room room_for(Context *ctx, Target *target, const esputnik::PushPlan &plan,
              std::string_view *why)
{
    const ngx_uint_t max = ctx->conf->max_length;
    Room room = Room::yes;
    std::string_view last;

    for (size_t part = 0; max != 0 && part < plan.parts(); part++) {
        plan.each(part, [&](std::string_view key, std::string_view,
                            std::string_view) {
            if (room == Room::yes && key != last) {
                room = target->lengths().room(key, max, time_left(ctx),
                                              &ctx->length, why);
                last = key;
            }
        });
    }
    return room;
}

/* The list is full, or Redis does not tell. */
ngx_int_t no_room(Context *ctx, const esputnik::PushPlan &plan,
                  std::string_view why)
{
    return has_spool(ctx) ? spool(ctx, plan, why) : unavailable(ctx, why);
}

void on_length(LengthWaiter *waiter, std::string_view why) noexcept;

/* The finished plan of the delivery; takes the delivery. */
ngx_int_t deliver(Context *ctx, Target *target, Delivery *delivery)
{
    std::string_view why;
    ngx_int_t rc;

    if (queues_behind(ctx)) {
        rc = spool(ctx, delivery->plan(), {});
        delivery->drop();
        return rc;
    }

    ctx->length.done = on_length;

    switch (room_for(ctx, target, delivery->plan(), &why)) {

    case Room::yes:
        break;

    case Room::no:
        rc = no_room(ctx, delivery->plan(), why);
        delivery->drop();
        return rc;

    case Room::asking:
        begin_asking(ctx);
        ctx->delivery = delivery;
        return wait(ctx);
    }

    begin_asking(ctx);

    if (!delivery->send(target, ctx->conf->ack, time_left(ctx), ctx,
                        on_delivered)) {
        ctx->link = delivery->link();
        rc = conclude(ctx, delivery->plan(), delivery->verdict());
        delivery->drop();
        return rc;
    }

    ctx->delivery = delivery;
    return wait(ctx);
}

void on_length(LengthWaiter *waiter, std::string_view why) noexcept
{
    auto *ctx = reinterpret_cast<Context *>(reinterpret_cast<char *>(waiter)
                                            - offsetof(Context, length));
    Delivery *delivery = ctx->delivery;

    ngx_http_set_log_request(ctx->request->connection->log, ctx->request);

    ctx->link = waiter->link;
    ctx->delivery = nullptr;
    ctx->redis_time = ngx_current_msec - ctx->asked;

    if (why.empty()) {
        resume(ctx, deliver(ctx, Target::of(ctx->conf->target), delivery));
        return;
    }

    count::replied(ctx);

    const ngx_int_t rc = no_room(ctx, delivery->plan(), why);
    delivery->drop();
    resume(ctx, rc);
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
    ctx->error = copy(
        ctx->request->pool,
        {detail, esputnik::problem_detail(problem, detail, sizeof(detail))});

    return plan_and_deliver(
        ctx, [&](esputnik::PushPlan &plan, esputnik::Problem *why) {
            *why = problem;
            return plan_body(ctx, plan, why);
        });
}

} // namespace ngx_esputnik
