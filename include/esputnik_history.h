/*
 * The last five minutes, for the plots of the status page, which so has them
 * the moment it is opened: every two seconds one worker takes a sample.
 *
 * In shared memory, from zero bytes.  One writer at a time: whoever due()
 * chooses.  A reader may see a sample that is just being written.
 */

#ifndef ESPUTNIK_HISTORY_H
#define ESPUTNIK_HISTORY_H

#include <cstddef>
#include <cstdint>

#include "esputnik_counters.h"
#include "esputnik_histogram.h"

namespace esputnik {

/* Sums since the start, as they are when a sample is due. */
struct HistoryTotals {
    uint64_t events;            /* stored */
    uint64_t ok;                /* POSTs answered 200 */
    uint64_t refused;           /* POSTs answered otherwise */
    HistogramCounts request_time;
    uint64_t list_length;       /* at the moment */
    uint64_t spool_events;
};

struct HistorySample {
    uint64_t time;              /* seconds since 1970: the end of its interval */
    uint32_t events;            /* within the interval */
    uint32_t ok;
    uint32_t refused;
    uint32_t p50_us;
    uint32_t p99_us;
    uint32_t list_length;
    uint32_t spool_events;
};

class History {
public:
    static constexpr uint64_t kInterval = 2;   /* seconds */
    static constexpr size_t kKept = 150;

    /* True for one caller every interval, who is to call add(). */
    bool due(uint64_t now);
    void add(const HistoryTotals &totals, uint64_t now);

    /* Oldest first, those of the last kKept intervals; returns how many. */
    size_t read(uint64_t now, HistorySample *out) const;

private:
    Counter taken_;             /* when, in intervals since 1970 */
    Counter begun_;             /* last_ is of an earlier sample */
    HistoryTotals last_;
    HistorySample samples_[kKept];
};

} // namespace esputnik

#endif
