#include "esputnik_histogram.h"

namespace esputnik {

namespace {

constexpr size_t kDigits = 9; /* buckets a decade */

/* Of the decades above the first bucket: 10, 100 … 10,000,000 us. */
constexpr uint64_t kDecades[] = {10,     100,     1000,    10000,
                                 100000, 1000000, 10000000};
constexpr size_t kDecadeCount = sizeof(kDecades) / sizeof(kDecades[0]);

static_assert(1 + kDecadeCount * kDigits == kFiniteBuckets,
              "the first bucket, and nine for each decade");

} // namespace

size_t histogram_bucket(uint64_t us)
{
    if (us <= kDecades[0]) {
        return 0;
    }

    /* a bound belongs to the bucket that it ends */
    const uint64_t below = us - 1;

    for (size_t d = 0; d < kDecadeCount; d++) {
        if (below < kDecades[d] * 10) {
            return d * kDigits + static_cast<size_t>(below / kDecades[d]);
        }
    }
    return kFiniteBuckets;
}

uint64_t histogram_bound(size_t bucket)
{
    if (bucket == 0) {
        return kDecades[0];
    }
    const size_t step = bucket - 1;
    return kDecades[step / kDigits] * (step % kDigits + 2);
}

bool histogram_is_coarse(size_t bucket)
{
    uint64_t digit = histogram_bound(bucket);
    while (digit >= 10) {
        digit /= 10;
    }
    return digit == 1 || digit == 2 || digit == 5;
}

uint64_t HistogramCounts::count() const
{
    uint64_t n = 0;
    for (const uint64_t b : bucket) {
        n += b;
    }
    return n;
}

double HistogramCounts::quantile(double q) const
{
    const uint64_t all = count();
    if (all == 0) {
        return 0;
    }

    const double rank = q * static_cast<double>(all);
    double before = 0;

    for (size_t i = 0; i < kFiniteBuckets; i++) {
        const auto here = static_cast<double>(bucket[i]);
        if (here > 0 && before + here >= rank) {
            const double from = i == 0 ? 0
                                       : static_cast<double>(
                                           histogram_bound(i - 1));
            const auto to = static_cast<double>(histogram_bound(i));
            const double share = rank > before ? (rank - before) / here : 0;
            return from + (to - from) * share;
        }
        before += here;
    }
    return static_cast<double>(histogram_bound(kFiniteBuckets - 1));
}

HistogramCounts &HistogramCounts::operator+=(const HistogramCounts &other)
{
    for (size_t i = 0; i < kBuckets; i++) {
        bucket[i] += other.bucket[i];
    }
    sum_us += other.sum_us;
    return *this;
}

HistogramCounts &HistogramCounts::operator-=(const HistogramCounts &earlier)
{
    for (size_t i = 0; i < kBuckets; i++) {
        bucket[i] -= earlier.bucket[i];
    }
    sum_us -= earlier.sum_us;
    return *this;
}

HistogramCounts Histogram::read() const
{
    HistogramCounts counts;
    for (size_t i = 0; i < kBuckets; i++) {
        counts.bucket[i] = bucket_[i].load(std::memory_order_relaxed);
    }
    counts.sum_us = sum_us_.load(std::memory_order_relaxed);
    return counts;
}

} // namespace esputnik
