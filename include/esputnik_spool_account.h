/*
 * How much of a spool's folder is used, for max_size: the files' bytes, and
 * what is reserved for appends under way.  Kept by all workers together, in
 * shared memory (of zero bytes at first) and without a lock.
 *
 * A sum that is only added to and taken from goes wrong with the first worker
 * that is killed in between.  So each worker also says, in a share of its own,
 * what it has under way:
 *
 *     reserve()      before an append is queued
 *     begin()        before the files are changed
 *     end()          after it, with what they have grown by
 *     give_back()    what was reserved and never came to a task
 *
 * and with the shares
 *
 *     abandon()      takes back what a worker had reserved that has died
 *     correct()      puts a fresh count of the files in the sum's place, when
 *                    nothing was under way from before it until after it
 *
 * Whatever the sum has come to, also by another nginx in the same folder (a
 * binary upgrade), it is right again after the next count.
 */

#ifndef ESPUTNIK_SPOOL_ACCOUNT_H
#define ESPUTNIK_SPOOL_ACCOUNT_H

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace esputnik {

class SpoolAccount {
public:
    static constexpr size_t kShares = 256;

    /* Of a worker that has none: its own is not known to a count, which may
     * then be wrong by it until the next one. */
    static constexpr size_t kNoShare = SIZE_MAX;

    /* A share with one task and nothing reserved. */
    static constexpr uint64_t kTask = uint64_t{1} << 48;

    struct Mark {
        uint64_t ended;
        int64_t sum;
    };

    uint64_t used() const
    {
        const int64_t n = sum_.load();
        return n > 0 ? static_cast<uint64_t>(n) : 0;
    }

    /* False when it would be more than limit; 0: without one. */
    bool reserve(size_t share, uint64_t bytes, uint64_t limit);
    void give_back(size_t share, uint64_t reserved);

    void begin(size_t share);

    /* grown: of the files, negative when some were removed; reserved: no more
     * needed. */
    void end(size_t share, int64_t grown, uint64_t reserved);

    /* What was there before the first worker. */
    void found(uint64_t bytes) { sum_.fetch_add(static_cast<int64_t>(bytes)); }

    /* May be below zero, when more was taken from it than was there. */
    int64_t sum() const { return sum_.load(); }

    uint64_t under_way(size_t share) const { return shares_[share].load(); }

    /* The worker of this share, which had that under way, is dead.  Once,
     * whoever says so first. */
    void abandon(size_t share, uint64_t had);

    /* Before a count of the files, and after it; false when anything has
     * changed in between. */
    Mark mark() const { return {ended_.load(), sum_.load()}; }
    bool correct(Mark, uint64_t counted);

private:
    void share(size_t i, uint64_t by)
    {
        if (i < kShares) {
            shares_[i].fetch_add(by);
        }
    }

    std::atomic<int64_t> sum_;
    std::atomic<uint64_t> ended_;   /* tasks, ever */

    /* Tasks in the upper 16 bits, reserved bytes below; written by its worker
     * alone while that lives. */
    std::atomic<uint64_t> shares_[kShares];
};

} // namespace esputnik

#endif
