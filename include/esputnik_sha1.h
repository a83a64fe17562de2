/*
 * SHA-1 (FIPS 180-4) at compile time: Redis names scripts by it.  Not for
 * security.
 */

#ifndef ESPUTNIK_SHA1_H
#define ESPUTNIK_SHA1_H

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace esputnik {

struct Sha1Hex {
    char text[40];

    constexpr std::string_view view() const { return {text, sizeof(text)}; }
};

namespace sha1_detail {

constexpr uint32_t rotate(uint32_t v, unsigned n)
{
    return v << n | v >> (32 - n);
}

/* Byte i of the padded message. */
constexpr uint8_t padded(std::string_view text, size_t i, size_t total)
{
    if (i < text.size()) {
        return static_cast<uint8_t>(text[i]);
    }
    if (i == text.size()) {
        return 0x80;
    }
    const uint64_t bits = static_cast<uint64_t>(text.size()) * 8;
    return i + 8 < total ? 0
                         : static_cast<uint8_t>(bits >> (8 * (total - 1 - i)));
}

} // namespace sha1_detail

constexpr Sha1Hex sha1(std::string_view text)
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
                     0xc3d2e1f0};
    const size_t total = (text.size() + 9 + 63) / 64 * 64;

    for (size_t block = 0; block < total; block += 64) {
        uint32_t w[80] = {};
        for (size_t i = 0; i < 16; i++) {
            for (size_t k = 0; k < 4; k++) {
                w[i] = w[i] << 8
                       | sha1_detail::padded(text, block + i * 4 + k, total);
            }
        }
        for (size_t i = 16; i < 80; i++) {
            w[i] = sha1_detail::rotate(
                w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        }

        uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (size_t i = 0; i < 80; i++) {
            uint32_t f = 0;
            uint32_t k = 0;
            if (i < 20) {
                f = (b & c) | (~b & d);
                k = 0x5a827999;
            } else if (i < 40) {
                f = b ^ c ^ d;
                k = 0x6ed9eba1;
            } else if (i < 60) {
                f = (b & c) | (b & d) | (c & d);
                k = 0x8f1bbcdc;
            } else {
                f = b ^ c ^ d;
                k = 0xca62c1d6;
            }
            const uint32_t t = sha1_detail::rotate(a, 5) + f + e + k + w[i];
            e = d;
            d = c;
            c = sha1_detail::rotate(b, 30);
            b = a;
            a = t;
        }
        h[0] += a;
        h[1] += b;
        h[2] += c;
        h[3] += d;
        h[4] += e;
    }

    Sha1Hex hex = {};
    for (size_t i = 0; i < 40; i++) {
        hex.text[i] = "0123456789abcdef"[h[i / 8] >> (28 - i % 8 * 4) & 15];
    }
    return hex;
}

} // namespace esputnik

#endif
