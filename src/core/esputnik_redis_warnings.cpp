#include "esputnik_redis_warnings.h"

#include "esputnik_redis_look.h"

namespace esputnik {

namespace {

constexpr auto relaxed = std::memory_order_relaxed;

constexpr uint32_t kWarningBits = 8;
constexpr uint32_t kWarnings = (1U << kWarningBits) - 1;
constexpr uint32_t kGenerations = (1U << 24) - 1;

static_assert(static_cast<uint32_t>(RedisWarning::count) <= kWarningBits,
              "a seat has a bit for each");

uint64_t seat(uint32_t server, uint32_t generation, uint32_t warnings)
{
    return uint64_t{server} << 32
           | uint64_t{generation & kGenerations} << kWarningBits
           | (warnings & kWarnings);
}

uint32_t server_of(uint64_t seat)
{
    return static_cast<uint32_t>(seat >> 32);
}

uint32_t generation_of(uint64_t seat)
{
    return static_cast<uint32_t>(seat >> kWarningBits) & kGenerations;
}

} // namespace

void RedisWarnings::tell(uint32_t server, uint32_t generation,
                         uint32_t warnings)
{
    const uint64_t word = seat(server, generation, warnings);
    bool told = false;

    /* two workers that met at a server's first look have taken two seats */
    for (auto &s : seats_) {
        uint64_t was = s.load(relaxed);
        while (server_of(was) == server) {
            told = true;
            if (generation_of(was) > generation_of(word)
                || s.compare_exchange_weak(was, word, relaxed))
            {
                break;
            }
        }
    }
    if (told) {
        return;
    }

    for (auto &s : seats_) {
        uint64_t was = s.load(relaxed);
        while (was == 0 || generation_of(was) < generation_of(word)) {
            if (s.compare_exchange_weak(was, word, relaxed)) {
                return;
            }
        }
    }

    seats_[kServers - 1].fetch_or(warnings & kWarnings, relaxed);
}

uint32_t RedisWarnings::read() const
{
    uint32_t newest = 0;
    uint32_t warnings = 0;

    for (const auto &s : seats_) {
        const uint64_t is = s.load(relaxed);
        if (is == 0 || generation_of(is) < newest) {
            continue;
        }
        if (generation_of(is) > newest) {
            newest = generation_of(is);
            warnings = 0;
        }
        warnings |= static_cast<uint32_t>(is) & kWarnings;
    }
    return warnings;
}

bool RedisWarnings::first_time(uint32_t warning)
{
    const uint32_t bit = 1U << warning;
    return (logged_.fetch_or(bit, relaxed) & bit) == 0;
}

} // namespace esputnik
