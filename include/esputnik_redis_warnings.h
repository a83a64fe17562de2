/*
 * What looks at the servers of a deployment have found (esputnik_redis_look.h),
 * for the status page: for each server what the last look at it did, by
 * whichever worker.
 *
 * In shared memory, lock-free, from zero bytes.
 */

#ifndef ESPUTNIK_REDIS_WARNINGS_H
#define ESPUTNIK_REDIS_WARNINGS_H

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace esputnik {

class RedisWarnings {
public:
    /* Of more servers than that the last ones share a place, and there what was
     * found stays. */
    static constexpr size_t kServers = 16;

    /* server tells the servers of the deployment apart, 0 is none of them.
     * generation is that of the configuration, and counts up with each: what
     * the one before it has found counts until the first word of the next,
     * which so forgets the servers that are gone.  warnings are bits of
     * RedisWarning, all that is so now. */
    void tell(uint32_t server, uint32_t generation, uint32_t warnings);

    /* Of all servers together. */
    uint32_t read() const;

    /* True once for each warning of the deployment: who is to log it. */
    bool first_time(uint32_t warning);

private:
    /* server, 24 bits of the generation, 8 of warnings; 0: free */
    std::atomic<uint64_t> seats_[kServers];
    std::atomic<uint32_t> logged_;
};

} // namespace esputnik

#endif
