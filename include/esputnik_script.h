/*
 * The script by which one POST goes in atomically where a single command
 * cannot do it: several lists, several stream entries, or dedup.
 *
 * Redis 6.2 or later, Valkey.  All keys are declared and, in a cluster, in one
 * slot.  Nothing is written before every key has been looked at, so a list
 * that is no list refuses the whole POST.
 *
 * KEYS  the lists; with dedup, kMarkKeys keys of marks for each list behind
 *       them, list by list.
 * ARGV  RPUSH, LPUSH or XADD; MAXLEN or 0; the slice in ms or 0 without dedup;
 *       which values are of the quarantine, a 1 or 0 for each, or nothing when
 *       none is; one count for each list; then list by list its values and,
 *       with dedup, their digests.
 * Reply six, whatever the number of lists: pushed; duplicates, those of the
 *       quarantine apart; which list is the longest now (from 1, in the order
 *       of KEYS), its length; and a text: empty, or why Redis would not
 *       remember what was pushed.
 */

#ifndef ESPUTNIK_SCRIPT_H
#define ESPUTNIK_SCRIPT_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_array.h"

namespace esputnik {

std::string_view push_script();

/* 40 hexadecimal digits, what SCRIPT LOAD answers. */
std::string_view push_script_sha();

/* SCRIPT LOAD; false when memory is short. */
bool append_script_load(Buffer &out);

/*
 * Where dedup keeps its marks (docs/dedup.md): a ring of sets, one for each
 * eighth of the window, the current one, and the one that is being dropped.
 */
constexpr unsigned kMarkKeys = 10;

uint64_t dedup_slice(uint64_t window_ms);

/*
 * The names of the sets that belong to a list: in the list's own hash slot,
 * and no two lists share one.  "esputnik:events" with 24 h gives
 * "{esputnik:events}dedup:86400000:0" to "…:9".
 */
class MarkName {
public:
    MarkName(std::string_view list, uint64_t window_ms);

    size_t size() const;
    char *write(char *out, unsigned index) const;  /* returns the end */

private:
    std::string_view list_;
    uint64_t window_;
    unsigned tag_ = 0;      /* a number whose slot is the list's */
    char separator_;        /* which of three ways the name is made */
};

} // namespace esputnik

#endif
