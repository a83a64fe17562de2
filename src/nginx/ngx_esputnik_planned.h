/* Whatever is more than one plain push: planned, and sent as a Delivery. */

#ifndef NGX_ESPUTNIK_PLANNED_H
#define NGX_ESPUTNIK_PLANNED_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_context.h"

namespace ngx_esputnik {

/* The events of the batch that the parser has at hand.  NGX_AGAIN when the
 * answer comes later. */
ngx_int_t push_planned(Context *ctx, const esputnik::Parser &parser);

/* The whole body to the quarantine, for the problem that it has. */
ngx_int_t quarantine_body(Context *ctx, const esputnik::Problem &problem);

} // namespace ngx_esputnik

#endif
