#include "esputnik_utf8.h"

#include <cstring>

namespace esputnik {

namespace {

constexpr uint32_t kReplacement = 0xFFFD;

unsigned byte_at(const char *p)
{
    return static_cast<unsigned char>(*p);
}

bool within(const char *p, unsigned low, unsigned high)
{
    return byte_at(p) - low <= high - low;
}

/* GCC's and clang's own vectors: SSE2 on amd64, NEON on arm64. */
using Bytes16 = unsigned char __attribute__((vector_size(16)));
using Words16 = uint64_t __attribute__((vector_size(16)));

Bytes16 load(const char *p)
{
    Bytes16 v;
    std::memcpy(&v, p, sizeof(v));
    return v;
}

/* All bits of a byte that is a vertical tab (0x0B) or a form feed (0x0C). */
Bytes16 gap(Bytes16 v)
{
    return static_cast<Bytes16>(v - 0x0B <= 1);
}

constexpr size_t kBlock = 64;
constexpr size_t kStep = sizeof(Bytes16);

bool none(Bytes16 v)
{
    const Words16 w = reinterpret_cast<Words16>(v);
    return (w[0] | w[1]) == 0;
}

/* ASCII without these two. */
bool plain_block(const char *p)
{
    const Bytes16 a = load(p);
    const Bytes16 b = load(p + 16);
    const Bytes16 c = load(p + 32);
    const Bytes16 d = load(p + 48);
    const Bytes16 odd = ((a | b | c | d) & 0x80) | gap(a) | gap(b) | gap(c)
                        | gap(d);
    return none(odd);
}

bool plain_step(const char *p)
{
    const Bytes16 v = load(p);
    return none((v & 0x80) | gap(v));
}

uint32_t hex4(const char *p)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        const unsigned c = byte_at(p + i);
        /* letters have bit 6 set, and the low bits of A and a are 1 */
        value = value << 4 | ((c & 0xF) + (c >> 6) * 9);
    }
    return value;
}

bool high_surrogate(uint32_t c)
{
    return c - 0xD800 < 0x400;
}

bool low_surrogate(uint32_t c)
{
    return c - 0xDC00 < 0x400;
}

} // namespace

/* Unicode 15, table 3-7: only the second byte's range depends on the first. */
size_t utf8_sequence(const char *p, size_t n)
{
    const unsigned c = byte_at(p);

    if (c < 0x80) {
        return 1;
    }
    if (c < 0xC2) {
        return 0;
    }
    if (c < 0xE0) {
        return n >= 2 && within(p + 1, 0x80, 0xBF) ? 2 : 0;
    }
    if (c < 0xF0) {
        const unsigned low = c == 0xE0 ? 0xA0 : 0x80;
        const unsigned high = c == 0xED ? 0x9F : 0xBF;
        return n >= 3 && within(p + 1, low, high) && within(p + 2, 0x80, 0xBF)
                   ? 3
                   : 0;
    }
    if (c < 0xF5) {
        const unsigned low = c == 0xF0 ? 0x90 : 0x80;
        const unsigned high = c == 0xF4 ? 0x8F : 0xBF;
        return n >= 4 && within(p + 1, low, high) && within(p + 2, 0x80, 0xBF)
                       && within(p + 3, 0x80, 0xBF)
                   ? 4
                   : 0;
    }
    return 0;
}

char *utf8_write(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = static_cast<char>(c);
        return out;
    }
    if (c < 0x800) {
        *out++ = static_cast<char>(0xC0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *out++ = static_cast<char>(0xE0 | c >> 12);
        } else {
            *out++ = static_cast<char>(0xF0 | c >> 18);
            *out++ = static_cast<char>(0x80 | (c >> 12 & 0x3F));
        }
        *out++ = static_cast<char>(0x80 | (c >> 6 & 0x3F));
    }
    *out++ = static_cast<char>(0x80 | (c & 0x3F));
    return out;
}

ScanResult scan_body(const char *body, size_t length, size_t *offset)
{
    size_t i = 0;

    while (i < length) {
        size_t stop = length;

        if (length - i >= kBlock && plain_block(body + i)) {
            i += kBlock;
            continue;
        }
        if (length - i >= kStep) {
            if (plain_step(body + i)) {
                i += kStep;
                continue;
            }
            stop = i + kStep;
        }

        while (i < stop) {
            const unsigned c = byte_at(body + i);
            if (c < 0x80) {
                if (c == 0x0B || c == 0x0C) {
                    *offset = i;
                    return ScanResult::bad_space;
                }
                i++;
                continue;
            }
            const size_t n = utf8_sequence(body + i, length - i);
            if (n == 0) {
                *offset = i;
                return ScanResult::bad_utf8;
            }
            i += n;
        }
    }

    return ScanResult::clean;
}

size_t json_unescape(const char *in, size_t length, char *out)
{
    const char *const end = in + length;
    char *const begin = out;

    while (in < end) {
        const void *found = std::memchr(in, '\\', end - in);
        const char *escape = found ? static_cast<const char *>(found) : end;

        std::memcpy(out, in, escape - in);
        out += escape - in;
        if (escape == end) {
            break;
        }

        const char kind = escape[1];
        in = escape + 2;
        switch (kind) {
        case 'b':
            *out++ = '\b';
            break;
        case 'f':
            *out++ = '\f';
            break;
        case 'n':
            *out++ = '\n';
            break;
        case 'r':
            *out++ = '\r';
            break;
        case 't':
            *out++ = '\t';
            break;
        case 'u': {
            uint32_t c = hex4(in);
            in += 4;
            if (high_surrogate(c) && end - in >= 6 && in[0] == '\\'
                && in[1] == 'u' && low_surrogate(hex4(in + 2)))
            {
                c = 0x10000 + ((c - 0xD800) << 10) + (hex4(in + 2) - 0xDC00);
                in += 6;
            }
            if (high_surrogate(c) || low_surrogate(c)) {
                c = kReplacement;
            }
            out = utf8_write(out, c);
            break;
        }
        default:
            /* a quote, a backslash or a solidus stands for itself */
            *out++ = kind;
        }
    }

    return out - begin;
}

} // namespace esputnik
