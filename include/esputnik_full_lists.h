/*
 * Which lists are as long as they may be (esputnik_max_length): what the
 * replies to RPUSH and LLEN told last.  Only lists that were too long are kept,
 * the one told longest ago gives way; a list that is not known takes one more
 * push, whose reply tells.
 *
 * Keys are known by a hash: a collision refuses one list more for as long as
 * the other is full.  Not thread-safe.
 */

#ifndef ESPUTNIK_FULL_LISTS_H
#define ESPUTNIK_FULL_LISTS_H

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace esputnik {

class FullLists {
public:
    static constexpr size_t kLists = 64;

    /* The list has this many elements; max is what it may have, 0: any. */
    void note(std::string_view key, uint64_t length, uint64_t max);

    bool full(std::string_view key, uint64_t max) const;

private:
    struct List {
        uint64_t hash;      /* 0: free */
        uint64_t length;
        uint64_t told;      /* counts up */
    };

    List *find(uint64_t hash);

    List lists_[kLists] = {};
    uint64_t clock_ = 0;
    size_t used_ = 0;
};

} // namespace esputnik

#endif
