#include "ngx_esputnik_count.h"
#include "ngx_esputnik_context.h"
#include "ngx_esputnik_gauge.h"
#include "ngx_esputnik_zone.h"

#include <ctime>
#include <new>

namespace ngx_esputnik {

namespace count {

namespace {

static_assert(static_cast<size_t>(Result::unavailable) + 1
                  == esputnik::kResultCount,
              "the core's names are in the order of Result");

uint64_t clock_us;
ngx_msec_t clock_read_at;
bool clock_good;

SharedRoot *root_of(ngx_http_request_t *r)
{
    return main_conf(r)->shared;
}

uint64_t now_ms()
{
    const ngx_time_t *t = ngx_timeofday();
    return static_cast<uint64_t>(t->sec) * 1000 + t->msec;
}

/* The POST's end, under the result that it has. */
esputnik::Counters &ended(Context *ctx)
{
    esputnik::Counters &mine = root_of(ctx->request)->mine();

    mine.results[static_cast<size_t>(ctx->result)].add();
    mine.request_time.add(now_us() - ctx->counted.began_us);
    return mine;
}

} // namespace

uint64_t now_us()
{
    /* a turn in which nothing called stale() is noticed by the next ms */
    if (!clock_good || clock_read_at != ngx_current_msec) {
        struct timespec t;
        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        clock_us = static_cast<uint64_t>(t.tv_sec) * 1000000
                   + static_cast<uint64_t>(t.tv_nsec) / 1000;
        clock_read_at = ngx_current_msec;
        clock_good = true;
    }
    return clock_us;
}

void stale()
{
    clock_good = false;
}

void begun(Context *ctx)
{
    ctx->counted.began_us = now_us();
}

void parsed(Context *ctx, const esputnik::Batch &batch)
{
    ctx->counted.tally.take(batch);
}

void dropped(Context *ctx, const esputnik::Batch &batch, size_t event)
{
    ctx->counted.tally.drop(batch, event);
}

void planned(Context *ctx)
{
    ctx->quarantined = 0;
    ctx->counted.quarantine = nullptr;
}

bool quarantined(Context *ctx, const esputnik::Problem &problem)
{
    if (ctx->counted.quarantine == nullptr) {
        void *memory = ngx_palloc(ctx->request->pool,
                                  sizeof(esputnik::QuarantineTally));
        if (memory == nullptr) {
            return false;
        }
        ctx->counted.quarantine = new (memory) esputnik::QuarantineTally();
    }

    ctx->quarantined++;
    ctx->counted.quarantine->add(problem);
    return true;
}

void asked(Context *ctx)
{
    ctx->counted.asked_us = now_us();
}

void replied(Context *ctx)
{
    root_of(ctx->request)
        ->mine()
        .redis_time.add(now_us() - ctx->counted.asked_us);
}

void accepted(Context *ctx)
{
    SharedRoot *root = root_of(ctx->request);
    esputnik::Counters &mine = ended(ctx);

    const ngx_uint_t good = ctx->events
                            - ngx_min(ctx->quarantined, ctx->events);

    if (good != 0) {
        mine.stored(ctx->counted.tally);
        (ctx->in_spool ? mine.spooled : mine.accepted)
            .add(good - ctx->duplicates);
    }
    if (ctx->duplicates != 0) {
        mine.duplicates.add(ctx->duplicates);
    }
    if (ctx->quarantined != 0) {
        mine.quarantined.add(ctx->quarantined);
        ctx->counted.quarantine->count(&mine, &root->refusals, now_ms());
    }

    root->sender.ok(view(ctx->body), static_cast<uint64_t>(ngx_time()),
                    ctx->counted.tally.newest);
}

void refused(Context *ctx, const esputnik::Problem &problem,
             std::string_view detail)
{
    stale(); /* it may be the turn's first look at the clock */

    SharedRoot *root = root_of(ctx->request);
    esputnik::Counters &mine = ended(ctx);
    esputnik::RedisError error = esputnik::RedisError::none;

    mine.reasons[static_cast<size_t>(problem.reason)].add();

    if (problem.reason == esputnik::Reason::unavailable) {
        /* one word of what Redis said, and nothing of other texts */
        error = esputnik::classify_redis_error(detail);
        if (error == esputnik::RedisError::other) {
            error = esputnik::RedisError::none;
        }
    }
    root->refusals.add(problem, error, false, now_ms());
    root->sender.refused(ctx->gathered ? view(ctx->body) : std::string_view(),
                         static_cast<uint64_t>(ngx_time()));
    stale();
}

void abandoned(Context *ctx)
{
    if (ctx->result == Result::none) {
        (void) ended(ctx);
        stale();
    }
}

void checked(ngx_http_request_t *r)
{
    root_of(r)->mine().checks.add();
}

void refused_method(ngx_http_request_t *r)
{
    SharedRoot *root = root_of(r);
    esputnik::Problem problem;
    problem.reason = esputnik::Reason::method_not_allowed;

    root->mine().reasons[static_cast<size_t>(problem.reason)].add();
    root->refusals.add(problem, esputnik::RedisError::none, false, now_ms());
}

void list_length(const TargetConf *target, uint64_t length)
{
    esputnik::TargetGauges *gauges = gauges_of(target->shared);
    if (gauges != nullptr) {
        gauges->see_list(length, now_ms());
    }
}

void redis_error(const TargetConf *target, esputnik::RedisError error)
{
    target->shared->counters.errors[static_cast<size_t>(error)].add();
}

void connected(const TargetConf *target, bool again)
{
    target->shared->counters.connects.add();
    if (again) {
        target->shared->counters.reconnects.add();
    }
}

void not_connected(const TargetConf *target)
{
    target->shared->counters.failures.add();
}

} // namespace count

} // namespace ngx_esputnik
