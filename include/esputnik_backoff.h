/*
 * When to try to connect again: at once after a link that had lasted, then
 * 10 ms, doubling, and never more than a second, so that a Redis that is back
 * is found within that second.  Half of each delay is random, so that the
 * workers do not come all together.
 *
 * The caller passes 32 random bits, and nothing else is random here.
 */

#ifndef ESPUTNIK_BACKOFF_H
#define ESPUTNIK_BACKOFF_H

#include <cstdint>

namespace esputnik {

constexpr uint32_t kBackoffFirst = 10;      /* ms */
constexpr uint32_t kBackoffMax = 1000;      /* ms */

class Backoff {
public:
    /* A link that had been ready was lost after so many ms of being ready.
     * The next attempt is made at once, unless the link was lost within the
     * longest delay: a Redis that takes every connection and drops it again
     * (too many clients, a demoted master) must not be met by a storm. */
    void lost(uint64_t ready_for);

    /* How long to wait before the next attempt, in ms: between half of the
     * step and the whole step, or 0. */
    uint32_t next(uint32_t random);

    /* The longest that next() could say now. */
    uint32_t ceiling() const;

private:
    uint32_t step_ = 0;     /* ms; 0 before the first delay */
    bool at_once_ = false;
};

} // namespace esputnik

#endif
