/*
 * Where the module counts: each function is called at the one place where its
 * fact is decided.  The rules are the core's (esputnik_counters.h); the numbers
 * lie in the zone.
 */

#ifndef NGX_ESPUTNIK_COUNT_H
#define NGX_ESPUTNIK_COUNT_H

#include "ngx_esputnik.h"

#include "esputnik_counters.h"
#include "esputnik_parser.h"
#include "esputnik_problem.h"
#include "esputnik_sender.h"

namespace ngx_esputnik {

struct Context;
struct TargetConf;

namespace count {

/* What is kept for it in a request's context. */
struct Record {
    uint64_t began_us;
    uint64_t asked_us;
    esputnik::Tally tally;
    esputnik::QuarantineTally *quarantine; /* nullptr: nothing for it */
};

/*
 * Microseconds of a clock that only goes forward.  Read once in a turn of the
 * event loop and remembered, as it costs more than all that is counted:
 * stale() where a turn ends, and before replies are read.
 */
uint64_t now_us();
void stale();

/* The way of a POST. */
void begun(Context *ctx);
void parsed(Context *ctx, const esputnik::Batch &batch);
void dropped(Context *ctx, const esputnik::Batch &batch, size_t event);

/* A plan is begun, perhaps not the first one, with nothing for the quarantine
 * yet; one more element for it, false when memory is short. */
void planned(Context *ctx);
bool quarantined(Context *ctx, const esputnik::Problem &problem);

void asked(Context *ctx);
void replied(Context *ctx);

/* Its end: one of these. */
void accepted(Context *ctx);
void refused(Context *ctx, const esputnik::Problem &problem,
             std::string_view detail);
void abandoned(Context *ctx);

/* Requests that have no context: the check of the URL, other methods. */
void checked(ngx_http_request_t *r);
void refused_method(ngx_http_request_t *r);

/* Of a deployment. */
void list_length(const TargetConf *target, uint64_t length);
void redis_error(const TargetConf *target, esputnik::RedisError error);
void connected(const TargetConf *target, bool again);
void not_connected(const TargetConf *target);

} // namespace count

} // namespace ngx_esputnik

#endif
