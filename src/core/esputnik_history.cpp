#include "esputnik_history.h"

namespace esputnik {

namespace {

uint32_t fit(uint64_t n)
{
    return n < UINT32_MAX ? static_cast<uint32_t>(n) : UINT32_MAX;
}

} // namespace

bool History::due(uint64_t now)
{
    const uint64_t turn = now / kInterval;
    const uint64_t taken = taken_.read();

    /* also when the clock was set back */
    return taken != turn && taken_.swap(taken, turn);
}

void History::add(const HistoryTotals &totals, uint64_t now)
{
    const uint64_t turn = now / kInterval;
    HistorySample &sample = samples_[turn % kKept];
    HistogramCounts times = totals.request_time;

    sample = HistorySample();

    if (begun_.read() != 0) {
        times -= last_.request_time;
        sample.events = fit(totals.events - last_.events);
        sample.ok = fit(totals.ok - last_.ok);
        sample.refused = fit(totals.refused - last_.refused);
        sample.p50_us = fit(static_cast<uint64_t>(times.quantile(0.5)));
        sample.p99_us = fit(static_cast<uint64_t>(times.quantile(0.99)));
    }

    sample.list_length = fit(totals.list_length);
    sample.spool_events = fit(totals.spool_events);
    sample.time = turn * kInterval;

    last_ = totals;
    begun_.set(1);
}

size_t History::read(uint64_t now, HistorySample *out) const
{
    const uint64_t turn = now / kInterval;
    size_t n = 0;

    for (uint64_t t = turn >= kKept ? turn - kKept + 1 : 0; t <= turn; t++) {
        const HistorySample &sample = samples_[t % kKept];
        if (sample.time == t * kInterval && sample.time != 0) {
            out[n++] = sample;
        }
    }
    return n;
}

} // namespace esputnik
