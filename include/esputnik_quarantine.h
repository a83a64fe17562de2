/*
 * An element of the quarantine list: one line of JSON that says why, a line
 * feed, and the offending body or event byte for byte, whatever bytes these
 * are.
 *
 *     {"reason":"wrong_type","detail":"contactId must be an integer",
 *      "offset":17,"event":0,"field":"contactId",
 *      "time":"2026-11-23T17:42:05Z"}<LF>[{"contactId":"x"…
 */

#ifndef ESPUTNIK_QUARANTINE_H
#define ESPUTNIK_QUARANTINE_H

#include <cstddef>
#include <ctime>

#include "esputnik_problem.h"

namespace esputnik {

/* The first line with its line feed; kQuarantineHeadMax bytes always suffice.
 * now is in seconds since the epoch.  Returns the length. */
constexpr size_t kQuarantineHeadMax = 1024;
size_t quarantine_head(const Problem &problem, time_t now, char *out,
                       size_t size);

} // namespace esputnik

#endif
