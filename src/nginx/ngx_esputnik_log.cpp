#include "ngx_esputnik_log.h"

namespace ngx_esputnik {

size_t copy_printable(std::string_view text, u_char *out, size_t size)
{
    const size_t length = ngx_min(text.size(), size);

    for (size_t i = 0; i < length; i++) {
        const auto ch = static_cast<u_char>(text[i]);
        out[i] = ch < 0x20 || ch > 0x7e ? '?' : ch;
    }

    return length;
}

bool LogLimit::pass(std::string_view text)
{
    const uint32_t hash = ngx_murmur_hash2(
        reinterpret_cast<u_char *>(const_cast<char *>(text.data())),
        text.size());
    const ngx_msec_t now = ngx_current_msec;
    Entry *entry = &entries_[0];

    for (Entry &e : entries_) {
        if (e.used && e.hash == hash) {
            entry = &e;
            break;
        }
        /* a free one, or the one logged longest ago, gives way */
        if (entry->used && (!e.used || now - e.logged > now - entry->logged)) {
            entry = &e;
        }
    }

    if (!entry->used || entry->hash != hash) {
        *entry = {hash, true, now, 0};
    } else if (now - entry->logged < interval_) {
        entry->held++;
        return false;
    }

    held_[0] = '\0';
    if (entry->held != 0) {
        (void) ngx_sprintf(reinterpret_cast<u_char *>(held_),
                           " (and %ui times before)%Z", entry->held);
    }
    entry->logged = now;
    entry->held = 0;
    return true;
}

} // namespace ngx_esputnik
