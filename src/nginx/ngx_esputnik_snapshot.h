/*
 * The zone's numbers, all workers', as the core's renderers take them.
 */

#ifndef NGX_ESPUTNIK_SNAPSHOT_H
#define NGX_ESPUTNIK_SNAPSHOT_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_conf.h"

#include "esputnik_status.h"

namespace ngx_esputnik {

/* Into an empty report; false when memory is short. */
bool take_snapshot(const MainConf *main, bool with_history,
                   esputnik::StatusReport *report);

/* What a sample of the history is made of. */
esputnik::HistoryTotals take_totals(const MainConf *main);

} // namespace ngx_esputnik

#endif
