/*
 * The status in Prometheus' text format, version 0.0.4.
 */

#ifndef ESPUTNIK_STATUS_PROMETHEUS_H
#define ESPUTNIK_STATUS_PROMETHEUS_H

#include "esputnik_array.h"
#include "esputnik_status.h"

namespace esputnik {

/* Appends; false when memory is short. */
bool status_prometheus(const StatusReport &report, Buffer &out);

} // namespace esputnik

#endif
