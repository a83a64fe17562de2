/*
 * What is so at the moment, told by each worker for itself: every worker holds
 * a place in the zone, and its gauges count as long as it lives.
 */

#ifndef NGX_ESPUTNIK_GAUGE_H
#define NGX_ESPUTNIK_GAUGE_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_zone.h"

#include "esputnik_counters.h"

namespace ngx_esputnik {

/* This worker's place in the zone, from its start to its end.  With more
 * workers than places the last ones have none: they count, but their gauges
 * are not seen. */
void take_place(SharedRoot *root);
void leave_place(SharedRoot *root);

/* kNoPlace without one. */
constexpr size_t kNoPlace = static_cast<size_t>(-1);
size_t my_place();

/* nullptr without a place. */
esputnik::TargetGauges *gauges_of(SharedTarget *target);

/* Calls each(place) for the places of living workers. */
template <class Each>
void each_worker(SharedRoot *root, Each each);

/* One connection's part in the gauges of its deployment. */
class LinkGauge {
public:
    enum class State : uint8_t { idle, up, connecting, down };

    /* Plain stores, and only of what has changed: cheap enough for every turn
     * of the event loop.  commands is how many were ever queued. */
    void tell(SharedTarget *target, State state, size_t in_flight,
              size_t queue_bytes, uint64_t commands);

private:
    State state_ = State::idle;
    int64_t in_flight_ = 0;
    int64_t queue_bytes_ = 0;
    uint64_t commands_ = 0;
};

bool worker_lives(ngx_pid_t pid);

template <class Each>
void each_worker(SharedRoot *root, Each each)
{
    for (size_t i = 0; i < root->places; i++) {
        const auto pid = static_cast<ngx_pid_t>(root->workers[i]);
        if (pid != 0 && worker_lives(pid)) {
            each(i);
        }
    }
}

} // namespace ngx_esputnik

#endif
