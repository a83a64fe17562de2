#include "esputnik_digest.h"

#include <cstring>

namespace esputnik {

namespace {

/* "esputnik:dedup:1"; changing it forgets all that Redis remembers */
constexpr uint8_t kIdentityKey[16] = {'e', 's', 'p', 'u', 't', 'n', 'i', 'k',
                                      ':', 'd', 'e', 'd', 'u', 'p', ':', '1'};

uint64_t load64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) {
        v = v << 8 | p[i];
    }
    return v;
}

void store64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        p[i] = static_cast<uint8_t>(v >> (8 * i));
    }
}

uint64_t rotate(uint64_t v, unsigned n)
{
    return v << n | v >> (64 - n);
}

struct State {
    uint64_t v0, v1, v2, v3;

    void rounds(int n)
    {
        while (n-- > 0) {
            v0 += v1;
            v1 = rotate(v1, 13) ^ v0;
            v0 = rotate(v0, 32);
            v2 += v3;
            v3 = rotate(v3, 16) ^ v2;
            v0 += v3;
            v3 = rotate(v3, 21) ^ v0;
            v2 += v1;
            v1 = rotate(v1, 17) ^ v2;
            v2 = rotate(v2, 32);
        }
    }

    void word(uint64_t m)
    {
        v3 ^= m;
        rounds(2);
        v0 ^= m;
    }

    uint64_t out() const { return v0 ^ v1 ^ v2 ^ v3; }
};

} // namespace

Hash128 siphash128(std::string_view text, const uint8_t key[16])
{
    const uint64_t k0 = load64(key);
    const uint64_t k1 = load64(key + 8);
    State s = {0x736f6d6570736575 ^ k0, 0x646f72616e646f6d ^ k1 ^ 0xee,
               0x6c7967656e657261 ^ k0, 0x7465646279746573 ^ k1};

    const uint8_t *p = reinterpret_cast<const uint8_t *>(text.data());
    size_t left = text.size();
    for (; left >= 8; left -= 8, p += 8) {
        s.word(load64(p));
    }

    uint64_t last = static_cast<uint64_t>(text.size()) << 56;
    for (size_t i = 0; i < left; i++) {
        last |= static_cast<uint64_t>(p[i]) << (8 * i);
    }
    s.word(last);

    Hash128 hash;
    s.v2 ^= 0xee;
    s.rounds(4);
    store64(hash.bytes, s.out());
    s.v1 ^= 0xdd;
    s.rounds(4);
    store64(hash.bytes + 8, s.out());
    return hash;
}

Digest identity_digest(std::string_view identity)
{
    const Hash128 hash = siphash128(identity, kIdentityKey);
    Digest digest;
    std::memcpy(digest.bytes, hash.bytes, sizeof(digest.bytes));
    return digest;
}

} // namespace esputnik
