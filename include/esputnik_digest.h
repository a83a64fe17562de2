/*
 * SipHash-2-4 with 128 bits (Aumasson and Bernstein, "SipHash: a fast
 * short-input PRF"; the 128-bit form is their reference code's, CC0).
 *
 * What stands for an event's identity in Redis: the first kDigestSize bytes
 * under a fixed key, so that every worker of every host, before and after an
 * upgrade, computes the same.
 */

#ifndef ESPUTNIK_DIGEST_H
#define ESPUTNIK_DIGEST_H

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace esputnik {

struct Hash128 {
    uint8_t bytes[16];
};

Hash128 siphash128(std::string_view text, const uint8_t key[16]);

/* 112 bits.  Redis stores up to 14 bytes of a set's member in an allocation of
 * 16; two bytes more would cost 16 (docs/dedup.md has the figures). */
constexpr size_t kDigestSize = 14;

struct Digest {
    uint8_t bytes[kDigestSize];

    std::string_view view() const
    {
        return {reinterpret_cast<const char *>(bytes), sizeof(bytes)};
    }
};

Digest identity_digest(std::string_view identity);

} // namespace esputnik

#endif
