/*
 * A histogram of durations that all workers count into: lock-free, nine
 * buckets a decade from 10 us to 100 s, as a decimal slide rule has them (10,
 * 20 … 90, 100, 200 …), so that the bounds stay round in seconds and a
 * quantile is never more than a step of its leading digit off.
 *
 * It lies in shared memory; zero bytes are an empty one.
 */

#ifndef ESPUTNIK_HISTOGRAM_H
#define ESPUTNIK_HISTOGRAM_H

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace esputnik {

constexpr size_t kFiniteBuckets = 64;
constexpr size_t kBuckets = kFiniteBuckets + 1;  /* the last has no bound */

/* The bucket that takes a duration: the first whose bound is not below it. */
size_t histogram_bucket(uint64_t us);

/* The bound in microseconds, of a finite bucket. */
uint64_t histogram_bound(size_t bucket);

/* True for the buckets that Prometheus is given: those of 1, 2 and 5. */
bool histogram_is_coarse(size_t bucket);

/* What a histogram says at one moment; several can be added up. */
struct HistogramCounts {
    uint64_t bucket[kBuckets] = {};
    uint64_t sum_us = 0;

    uint64_t count() const;

    /* The duration in microseconds that a share q (0 to 1) does not exceed,
     * straight between a bucket's bounds; 0 when nothing was counted, and the
     * last bound for what is beyond it. */
    double quantile(double q) const;

    HistogramCounts &operator+=(const HistogramCounts &other);
    HistogramCounts &operator-=(const HistogramCounts &earlier);
};

class Histogram {
public:
    void add(uint64_t us)
    {
        bucket_[histogram_bucket(us)].fetch_add(1, std::memory_order_relaxed);
        sum_us_.fetch_add(us, std::memory_order_relaxed);
    }

    HistogramCounts read() const;

private:
    std::atomic<uint64_t> sum_us_;
    std::atomic<uint64_t> bucket_[kBuckets];
};

} // namespace esputnik

#endif
