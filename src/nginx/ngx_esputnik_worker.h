/* What a worker process has once: its parser, and its end. */

#ifndef NGX_ESPUTNIK_WORKER_H
#define NGX_ESPUTNIK_WORKER_H

#include "ngx_esputnik.h"

#include "esputnik_parser.h"
#include "esputnik_push.h"

namespace ngx_esputnik {

/* The worker's scratch: parsing and encoding a body is one step of the event
 * loop, so one parser serves all requests.  nullptr when memory is short. */
esputnik::Parser *parser();

/* The same for a plan that is used up within one step. */
esputnik::PushPlan *scratch_plan();

ngx_int_t init_process(ngx_cycle_t *cycle) noexcept;
void exit_process(ngx_cycle_t *cycle) noexcept;

} // namespace ngx_esputnik

#endif
