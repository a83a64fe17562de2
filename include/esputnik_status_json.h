/*
 * The status as JSON.  The form is documented in docs/monitoring/status.md and
 * carries its version: members are added without a new one, and none changes
 * its meaning or goes without it.
 */

#ifndef ESPUTNIK_STATUS_JSON_H
#define ESPUTNIK_STATUS_JSON_H

#include "esputnik_array.h"
#include "esputnik_status.h"

namespace esputnik {

constexpr unsigned kStatusVersion = 1;

/* Appends; false when memory is short. */
bool status_json(const StatusReport &report, Buffer &out);

} // namespace esputnik

#endif
