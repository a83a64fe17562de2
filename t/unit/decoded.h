/*
 * A reply from its text on the wire, for tests.
 */

#ifndef ESPUTNIK_TEST_DECODED_H
#define ESPUTNIK_TEST_DECODED_H

#include <check.h>

#include <string>
#include <string_view>

#include "esputnik_reply.h"

class Decoded {
public:
    explicit Decoded(std::string_view wire)
    {
        ck_assert(decoder_.reset());
        decoder_.set_limit(esputnik::ReplyDecoder::kMaxLimit);
        (void) decoder_.feed(wire.data(), wire.size());
        ck_assert_msg(decoder_.next(&reply_)
                          == esputnik::ReplyDecoder::Result::reply,
                      "%s", decoder_.error());
    }

    operator const esputnik::Reply &() const { return reply_; }
    const esputnik::Reply *operator->() const { return &reply_; }

private:
    esputnik::ReplyDecoder decoder_;
    esputnik::Reply reply_;
};

/* Pieces of RESP. */
inline std::string array_of(std::initializer_list<std::string> items)
{
    std::string out = "*" + std::to_string(items.size()) + "\r\n";
    for (const std::string &item : items) {
        out += item;
    }
    return out;
}

inline std::string bulk(std::string_view text)
{
    return "$" + std::to_string(text.size()) + "\r\n" + std::string(text)
           + "\r\n";
}

inline std::string number(long long n)
{
    return ":" + std::to_string(n) + "\r\n";
}

static const char *const kNil = "$-1\r\n";

#endif
