/*
 * UTF-8 (RFC 3629) and the escapes of JSON strings (RFC 8259, section 7).
 *
 * Everything here is reentrant and reads only the bytes it is given.
 */

#ifndef ESPUTNIK_UTF8_H
#define ESPUTNIK_UTF8_H

#include <cstddef>
#include <cstdint>

namespace esputnik {

/* Length, 1 to 4, of the sequence that p starts with; 0 when it is none:
 * overlong, a surrogate, above U+10FFFF, a stray continuation byte, or cut by
 * the end.  n is at least 1. */
size_t utf8_sequence(const char *p, size_t n);

/* Writes code point c, at most U+10FFFF and no surrogate; returns the end.
 * Takes up to 4 bytes. */
char *utf8_write(char *out, uint32_t c);

/* What yajl would let pass, found in one pass over a body. */
enum class ScanResult : uint8_t {
    clean,
    bad_utf8,
    bad_space, /* a vertical tab or a form feed: white space for yajl, not
                    for RFC 8259, neither in a string nor between tokens */
};

/* On a fault *offset is its first byte. */
ScanResult scan_body(const char *body, size_t length, size_t *offset);

/* Resolves the escapes of a string's characters, which stand without quotes
 * and were found well-formed.  A surrogate without its partner, which JSON's
 * grammar allows, becomes U+FFFD, so that what is written is UTF-8.  Never
 * writes more than length bytes; returns how many. */
size_t json_unescape(const char *in, size_t length, char *out);

} // namespace esputnik

#endif
