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

    /* How often Redis is asked for the length of a list that is full: so many
     * times at once, and then once an interval.  A sender that comes when a
     * consumer has made room is to find it, one that does nothing but come
     * again is to cost next to nothing. */
    static constexpr unsigned kLooks = 10;
    static constexpr uint64_t kLookInterval = 100;  /* ms */

    /* The list has this many elements; max is what it may have for the one
     * who pushed or asked, 0: any.  Others may have other limits: it is
     * forgotten when it is below all that it was found to have reached. */
    void note(std::string_view key, uint64_t length, uint64_t max);

    bool full(std::string_view key, uint64_t max) const;

    /* Whether to ask for the length of a list that is full, now, at a time of
     * any clock that goes forward only; if so, it is taken for done. */
    bool look(std::string_view key, uint64_t now_ms);

private:
    struct List {
        uint64_t hash;      /* 0: free */
        uint64_t length;
        uint64_t max;       /* the lowest that it has reached */
        uint64_t told;      /* counts up */
        uint64_t due;       /* ms, of the next look when they come evenly */
    };

    List *find(uint64_t hash);
    List *place();

    List lists_[kLists] = {};
    uint64_t clock_ = 0;
    size_t used_ = 0;
};

} // namespace esputnik

#endif
