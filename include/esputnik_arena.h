/*
 * A bump allocator for yajl, which dereferences what its allocator returns
 * without a look: memory is reserved before the parse, up to the bound that a
 * body of the given length can need, so that no allocation inside the parse
 * can fail.
 *
 * The bound (yajl 2.1.0): the handle and its lexer, 2 KB of decode buffer that
 * doubles up to the longest string, a byte of state per nesting level in steps
 * of 128, and a copy of a token cut off by the end of the body.
 *
 * Ownership: the arena owns its block; reset() keeps it for the next body.
 * Not thread-safe.
 */

#ifndef ESPUTNIK_ARENA_H
#define ESPUTNIK_ARENA_H

#include <cstddef>

namespace esputnik {

class Arena {
public:
    Arena() = default;
    ~Arena();

    Arena(const Arena &) = delete;
    Arena &operator=(const Arena &) = delete;

    /* Forgets all allocations and makes sure that bound bytes can be taken;
     * false when memory is short. */
    bool reset(size_t bound);

    /* What yajl needs for a body of this length whose parse ends beyond depth
     * containers inside an event. */
    static size_t yajl_bound(size_t body_length, size_t depth);

    void *allocate(size_t size);
    void *reallocate(void *p, size_t size);
    void release(void *p);

    size_t used() const { return used_; }
    size_t capacity() const { return capacity_; }

    /* Gives the block back when it is larger than keep bytes. */
    void trim(size_t keep);

private:
    char *block_ = nullptr;
    size_t capacity_ = 0;
    size_t used_ = 0;
    size_t last_ = 0; /* offset of the newest allocation, which grows and
                           shrinks in place */
};

} // namespace esputnik

#endif
