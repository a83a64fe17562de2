/*
 * What goes to the error log from outside: made harmless, and the same fault
 * at most once in a while, so that an outage does not fill the disk.
 */

#ifndef NGX_ESPUTNIK_LOG_H
#define NGX_ESPUTNIK_LOG_H

#include "ngx_esputnik.h"

namespace ngx_esputnik {

/* Copies at most size bytes, control characters and bytes beyond ASCII as
 * '?': Redis' words cannot forge a line of the log.  Returns the length. */
size_t copy_printable(std::string_view text, u_char *out, size_t size);

/* Remembers the last few texts. */
class LogLimit {
public:
    explicit LogLimit(ngx_msec_t interval) : interval_(interval) {}

    /* True when the text was not logged within the interval (ms), whatever the
     * wall clock does meanwhile. */
    bool pass(std::string_view text);

    /* For the line that may pass: empty, or how many were held back since the
     * last one. */
    const char *held() const { return held_; }

private:
    static constexpr size_t kTexts = 8;

    struct Entry {
        uint32_t hash;
        bool used;
        ngx_msec_t logged;      /* ngx_current_msec */
        ngx_uint_t held;
    };

    ngx_msec_t interval_;
    Entry entries_[kTexts] = {};
    char held_[48] = "";
};

} // namespace ngx_esputnik

#endif
