/*
 * Text appended piece by piece to a buffer; memory that ran out is noticed once,
 * at the end.
 */

#ifndef ESPUTNIK_TEXT_H
#define ESPUTNIK_TEXT_H

#include <cstdint>
#include <string_view>

#include "esputnik_array.h"
#include "esputnik_problem.h"

namespace esputnik {

class Text {
public:
    explicit Text(Buffer &out) : out_(out) {}

    bool ok() const { return ok_; }

    Text &operator<<(std::string_view s)
    {
        ok_ = ok_ && out_.append(s.data(), s.size());
        return *this;
    }

    Text &operator<<(const char *s) { return *this << std::string_view(s); }

    Text &operator<<(uint64_t n)
    {
        char digits[20];
        size_t at = sizeof(digits);
        do {
            digits[--at] = static_cast<char>('0' + n % 10);
            n /= 10;
        } while (n != 0);
        return *this << std::string_view(digits + at, sizeof(digits) - at);
    }

    Text &operator<<(int64_t n)
    {
        if (n >= 0) {
            return *this << static_cast<uint64_t>(n);
        }
        return *this << "-" << ~static_cast<uint64_t>(n) + 1;
    }

    /* n units of 10^-places, "1.5": without the zeros at the end. */
    Text &decimal(uint64_t n, unsigned places)
    {
        uint64_t unit = 1;
        for (unsigned i = 0; i < places; i++) {
            unit *= 10;
        }

        *this << n / unit;
        uint64_t rest = n % unit;
        if (rest == 0) {
            return *this;
        }

        char digits[21];
        size_t length = 0;
        digits[length++] = '.';
        while (rest != 0) {
            unit /= 10;
            digits[length++] = static_cast<char>('0' + rest / unit);
            rest %= unit;
        }
        return *this << std::string_view(digits, length);
    }

    /* Inside a JSON string. */
    Text &escaped(std::string_view s)
    {
        const size_t used = out_.size();
        const size_t most = s.size() * 6;
        ok_ = ok_ && out_.resize(used + most);
        if (ok_) {
            out_.truncate(used + json_escape(s, out_.data() + used, most));
        }
        return *this;
    }

private:
    Buffer &out_;
    bool ok_ = true;
};

} // namespace esputnik

#endif
