#include "esputnik_token.h"

#include <string.h>

namespace esputnik {

void wipe(void *p, size_t n)
{
    if (n > 0) {
        explicit_bzero(p, n);
    }
}

void TokenList::clear()
{
    wipe(bytes_.data(), bytes_.capacity());
    bytes_.shrink(0);
    tokens_.shrink(0);
}

namespace {

bool is_control(char c)
{
    const unsigned char u = static_cast<unsigned char>(c);
    return u < ' ' || u == 0x7f;
}

/* What is wrong with a line that is to be a token; nullptr: nothing. */
const char *check_token(std::string_view s)
{
    if (s.size() > kMaxToken) {
        return "a token has at most 1024 bytes";
    }
    /* no header field can carry such a value: it would never match */
    if (s.front() == ' ' || s.back() == ' ') {
        return "a token has no blank at its beginning or end";
    }
    for (char c : s) {
        if (is_control(c)) {
            return "a token has no control characters";
        }
    }
    return nullptr;
}

} // namespace

const char *TokenList::load(std::string_view text, size_t *line)
{
    clear();
    *line = 0;

    /* at once: a buffer that grows would leave copies behind */
    if (!bytes_.reserve(text.size())) {
        return "no memory";
    }

    while (!text.empty()) {
        const size_t end = text.find('\n');
        std::string_view s = text.substr(0, end);
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
        ++*line;

        if (!s.empty() && s.back() == '\r') {
            s.remove_suffix(1);
        }
        if (s.empty() || s[0] == '#') {
            continue;
        }

        const char *error = check_token(s);
        if (!error && tokens_.size() == kMaxTokens) {
            error = "at most 64 tokens are expected";
        }
        if (!error) {
            const Token t = {static_cast<uint32_t>(bytes_.size()),
                             static_cast<uint32_t>(s.size())};
            if (!tokens_.push(t) || !bytes_.append(s.data(), s.size())) {
                error = "no memory";
            }
        }
        if (error) {
            clear();
            return error;
        }
    }

    *line = 0;
    return tokens_.empty() ? "at least one token is expected" : nullptr;
}

namespace {

/* 1 when n is 0, else 0. */
uint32_t is_zero(uint64_t n)
{
    return static_cast<uint32_t>(((n | (uint64_t{0} - n)) >> 63) ^ 1);
}

} // namespace

bool token_matches(const TokenList &list, std::string_view given)
{
    uint32_t found = 0;

    for (const TokenList::Token &t : list.tokens_) {
        /* volatile: the compiler may not stop at the first difference */
        const volatile char *token = list.bytes_.data() + t.offset;
        volatile unsigned char differ = 0;
        size_t at = 0;

        for (const char c : given) {
            differ = static_cast<unsigned char>(differ | (token[at] ^ c));
            at++;
            if (at == t.length) {
                at = 0;
            }
        }
        found |= is_zero(differ) & is_zero(t.length ^ given.size());
    }
    return found != 0;
}

} // namespace esputnik
