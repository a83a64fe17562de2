#include "esputnik_crc32c.h"

#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace esputnik {

namespace {

constexpr uint32_t kPolynomial = 0x82f63b78; /* Castagnoli's, reflected */

/* Slicing by eight: tables[k][b] is the sum of byte b with k zeros behind. */
struct Tables {
    uint32_t of[8][256];
};

constexpr Tables make_tables()
{
    Tables t = {};
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? crc >> 1 ^ kPolynomial : crc >> 1;
        }
        t.of[0][b] = crc;
    }
    for (uint32_t b = 0; b < 256; b++) {
        for (int k = 1; k < 8; k++) {
            const uint32_t shorter = t.of[k - 1][b];
            t.of[k][b] = shorter >> 8 ^ t.of[0][shorter & 0xff];
        }
    }
    return t;
}

constexpr Tables kTables = make_tables();

uint32_t load32(const unsigned char *p)
{
    return uint32_t{p[0]} | uint32_t{p[1]} << 8 | uint32_t{p[2]} << 16
           | uint32_t{p[3]} << 24;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) uint32_t crc32c_sse42(uint32_t crc,
                                                        const void *data,
                                                        size_t length)
{
    const unsigned char *p = static_cast<const unsigned char *>(data);
    uint64_t sum = ~crc;

    while (length >= 8) {
        uint64_t word;
        std::memcpy(&word, p, sizeof(word));
        sum = _mm_crc32_u64(sum, word);
        p += 8;
        length -= 8;
    }

    uint32_t rest = static_cast<uint32_t>(sum);
    while (length-- > 0) {
        rest = _mm_crc32_u8(rest, *p++);
    }
    return ~rest;
}

#endif

} // namespace

bool crc32c_hardware()
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("sse4.2");
#else
    return false;
#endif
}

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t length)
{
    const unsigned char *p = static_cast<const unsigned char *>(data);
    const auto &t = kTables.of;

    crc = ~crc;
    while (length >= 8) {
        const uint32_t low = crc ^ load32(p);
        const uint32_t high = load32(p + 4);
        crc = t[7][low & 0xff] ^ t[6][low >> 8 & 0xff] ^ t[5][low >> 16 & 0xff]
              ^ t[4][low >> 24] ^ t[3][high & 0xff] ^ t[2][high >> 8 & 0xff]
              ^ t[1][high >> 16 & 0xff] ^ t[0][high >> 24];
        p += 8;
        length -= 8;
    }
    while (length-- > 0) {
        crc = crc >> 8 ^ t[0][(crc ^ *p++) & 0xff];
    }
    return ~crc;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t length)
{
#if defined(__x86_64__)
    if (crc32c_hardware()) {
        return crc32c_sse42(crc, data, length);
    }
#endif
    return crc32c_portable(crc, data, length);
}

} // namespace esputnik
