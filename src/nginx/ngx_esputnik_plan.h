/*
 * What a POST comes to: which values go to which keys, evaluated event by
 * event.  The plan is sent as one atomic command for each Redis that takes
 * part, or becomes records of the spool.
 */

#ifndef NGX_ESPUTNIK_PLAN_H
#define NGX_ESPUTNIK_PLAN_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_context.h"

#include "esputnik_push.h"

namespace ngx_esputnik {

constexpr size_t kMaxKey = 1024;

inline bool good_key(const ngx_str_t &key)
{
    return key.len != 0 && key.len <= kMaxKey;
}

/* Whether one plain push of the events as they came is not all there is to
 * do. */
bool needs_plan(const LocConf *conf);

/* Whether the location can ask for fields of an event. */
bool needs_fields(const LocConf *conf);

/*
 * The events of the batch that the parser has at hand, those with a problem
 * as elements of the quarantine; finished.  NGX_DECLINED: *problem says why
 * the POST is refused.  NGX_ERROR: memory.
 */
ngx_int_t plan_events(Context *ctx, const esputnik::Parser &parser,
                      esputnik::PushPlan &plan, esputnik::Problem *problem);

/* The whole body as the one element of the quarantine. */
ngx_int_t plan_body(Context *ctx, esputnik::PushPlan &plan,
                    esputnik::Problem *problem);

} // namespace ngx_esputnik

#endif
