/*
 * The tokens that a sender may show (esputnik_token … file=PATH): one a line,
 * several during a rotation.
 *
 * Ownership: the list owns a copy of the tokens and wipes it when it is
 * destroyed or loaded again.  The buffer that load() reads is the caller's,
 * who wipes it with wipe().  Reading a list needs no lock.
 */

#ifndef ESPUTNIK_TOKEN_H
#define ESPUTNIK_TOKEN_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_array.h"

namespace esputnik {

constexpr size_t kMaxToken = 1024;
constexpr size_t kMaxTokens = 64;

/* Overwrites secrets; the compiler may not leave it out. */
void wipe(void *p, size_t n);

class TokenList {
public:
    TokenList() = default;
    ~TokenList() { clear(); }

    TokenList(const TokenList &) = delete;
    TokenList &operator=(const TokenList &) = delete;

    /*
     * The content of a token file: lines end in LF or CRLF, the last one may
     * lack its end; empty lines and lines that start with '#' are ignored.
     * Each other line is a token of 1 to kMaxToken bytes without control
     * characters and without blanks at its ends.
     *
     * nullptr when it is sound and has a token; else a literal that says what
     * was expected, *line then has the number of the line (from 1, 0 when it
     * is none's) and the list is empty.
     */
    const char *load(std::string_view text, size_t *line);

    size_t size() const { return tokens_.size(); }
    void clear();

private:
    friend bool token_matches(const TokenList &, std::string_view);

    struct Token {
        uint32_t offset;
        uint32_t length;
    };

    Buffer bytes_;
    Array<Token> tokens_;
};

/*
 * True when given is one of the tokens.
 *
 * The time depends on the number of tokens, on their lengths and on the
 * length of given, and on nothing else: given is compared with every token,
 * each over the whole of given, differing bits are gathered with OR, and
 * whether one matched is known after the last.  For a token of another length
 * the comparison runs over given just the same (the token's bytes are read
 * modulo its length) and its result is discarded by arithmetic, not by a
 * branch.  Which of the tokens matched takes no other time either.
 */
bool token_matches(const TokenList &list, std::string_view given);

} // namespace esputnik

#endif
