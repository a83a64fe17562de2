#include "esputnik_syntax.h"

#include <cstring>

namespace esputnik {

namespace {

bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A character of a number or a literal, or of what was meant to be one. */
bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
           || (c >= 'A' && c <= 'Z') || c == '-' || c == '+' || c == '.'
           || c == '_';
}

/* Of a number's characters only the digits are 0x30 to 0x3F. */
template <class Word>
bool all_digits(const char *s)
{
    Word w;
    std::memcpy(&w, s, sizeof(w));
    return (w & static_cast<Word>(0xF0F0F0F0F0F0F0F0))
           == static_cast<Word>(0x3030303030303030);
}

/* n is 1 to 19; words that overlap. */
bool few_digits(const char *s, size_t n)
{
    if (n >= 8) {
        return all_digits<uint64_t>(s) && all_digits<uint64_t>(s + n - 8)
               && (n <= 16 || all_digits<uint64_t>(s + 8));
    }
    if (n >= 4) {
        return all_digits<uint32_t>(s) && all_digits<uint32_t>(s + n - 4);
    }
    return all_digits<uint8_t>(s) && all_digits<uint8_t>(s + n / 2)
           && all_digits<uint8_t>(s + n - 1);
}

} // namespace

size_t skip_space(std::string_view body, size_t at)
{
    while (at < body.size() && is_space(body[at])) {
        at++;
    }
    return at;
}

Token next_token(std::string_view body, size_t from)
{
    const size_t start = skip_space(body, from);
    size_t end = start;

    if (start == body.size()) {
        return {start, start};
    }
    end++;
    if (body[start] == '"') {
        while (end < body.size() && body[end] != '"') {
            end += body[end] == '\\' ? 2 : 1;
        }
        end++;
    } else if (is_word(body[start])) {
        while (end < body.size() && is_word(body[end])) {
            end++;
        }
    }
    return {start, end < body.size() ? end : body.size()};
}

size_t word_start(std::string_view body, size_t at)
{
    while (at > 0 && is_word(body[at]) && is_word(body[at - 1])) {
        at--;
    }
    return at;
}

/* A quote inside a string stands after an odd number of backslashes; before
 * the opening one there is none. */
size_t opening_quote(const char *body, size_t closing)
{
    size_t i = closing - 1;

    for (;; i--) {
        if (body[i] != '"') {
            continue;
        }
        size_t before = i;
        while (body[before - 1] == '\\') {
            before--;
        }
        if ((i - before) % 2 == 0) {
            return i;
        }
        i = before;
    }
}

Number classify_number(const char *s, size_t length)
{
    const bool negative = *s == '-';
    const char *const digits = s + negative;
    const size_t count = length - negative;

    if (count < 20) {
        if (!few_digits(digits, count)) {
            return Number::no_integer;
        }
        if (count < 19) {
            return Number::integer;
        }
        /* JSON has no leading zeros: as many digits compare as bytes do */
        const char *const most = negative ? "9223372036854775808"
                                          : "9223372036854775807";
        return std::memcmp(digits, most, 19) <= 0 ? Number::integer
                                                  : Number::out_of_range;
    }

    for (size_t i = 0; i < count; i++) {
        if (!all_digits<uint8_t>(digits + i)) {
            return Number::no_integer;
        }
    }
    return Number::out_of_range;
}

} // namespace esputnik
