/*
 * Small questions about JSON text that yajl has read already.
 */

#ifndef ESPUTNIK_SYNTAX_H
#define ESPUTNIK_SYNTAX_H

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace esputnik {

/* The first byte at or after at that is no white space of JSON. */
size_t skip_space(std::string_view body, size_t at);

struct Token {
    size_t start;
    size_t end;
};

/* The first token at or after from; empty at the end of the body.  The text
 * need not be JSON: what might have been meant as a number or a literal, a
 * word, is one token. */
Token next_token(std::string_view body, size_t from);

/* The start of the word that at is in; at itself where there is none. */
size_t word_start(std::string_view body, size_t at);

/* The opening quote of the string whose closing quote is body[closing]; an
 * opening quote must be there. */
size_t opening_quote(const char *body, size_t closing);

enum class Number : uint8_t {
    integer, /* no fraction, no exponent, fits int64_t */
    out_of_range,
    no_integer,
};

/* Of a JSON number's text. */
Number classify_number(const char *s, size_t length);

} // namespace esputnik

#endif
