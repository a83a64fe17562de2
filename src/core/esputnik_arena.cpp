#include "esputnik_arena.h"

#include <cstdlib>
#include <cstring>

namespace esputnik {

namespace {

constexpr size_t kAlign = alignof(std::max_align_t);

/* yajl 2.1.0: its handle, lexer and two buffer headers take about 300 bytes;
 * the figures below are its YAJL_BUF_INIT_SIZE and YAJL_BS_INC. */
constexpr size_t kFixed = 1024;
constexpr size_t kBuffer = 2048;
constexpr size_t kStackStep = 128;

/* the stack's states besides one per container of an event: before the array,
 * in the array, in the event */
constexpr size_t kOuterStates = 3;

size_t align(size_t n)
{
    return (n + kAlign - 1) & ~(kAlign - 1);
}

} // namespace

Arena::~Arena()
{
    std::free(block_);
}

bool Arena::reset(size_t bound)
{
    used_ = last_ = 0;
    if (bound <= capacity_) {
        return true;
    }

    std::free(block_);
    block_ = static_cast<char *>(std::malloc(bound));
    capacity_ = block_ ? bound : 0;
    return block_ != nullptr;
}

size_t Arena::yajl_bound(size_t body_length, size_t depth)
{
    /* The decode buffer ends at less than twice the longest string, and all
     * its smaller selves, should it have moved each time, take as much again;
     * a cut token is copied once into a buffer that doubled up to it.  Both
     * come from different bytes of the body; one more is the blank with which
     * yajl ends a body. */
    size_t bound = kFixed + 4 * kBuffer + 4 * (body_length + 1);

    /* The state stack grows in place as long as it is the newest allocation,
     * that is, it moves at most once for each doubling of a buffer. */
    size_t states = (depth < body_length ? depth : body_length) + kOuterStates;
    size_t moves = 1;
    if (states > kStackStep) {
        moves = 3;
        for (size_t n = kBuffer; n < body_length; n *= 2) {
            moves++;
        }
    }

    return bound + moves * (states + kStackStep + kAlign);
}

void *Arena::allocate(size_t size)
{
    const size_t need = align(size);

    if (need < size || need > capacity_ - used_) {
        return nullptr;
    }
    last_ = used_;
    used_ += need;
    return block_ + last_;
}

void *Arena::reallocate(void *p, size_t size)
{
    if (p == nullptr) {
        return allocate(size);
    }

    char *const from = static_cast<char *>(p);
    if (from == block_ + last_) {
        const size_t need = align(size);
        if (need < size || need > capacity_ - last_) {
            return nullptr;
        }
        used_ = last_ + need;
        return p;
    }

    /* the old size is not kept: what lies behind it is copied along */
    const size_t most = block_ + used_ - from;
    void *to = allocate(size);
    if (to != nullptr) {
        std::memcpy(to, from, size < most ? size : most);
    }
    return to;
}

void Arena::release(void *p)
{
    /* an older block's bytes come back with reset() */
    if (p != nullptr && p == block_ + last_) {
        used_ = last_;
    }
}

void Arena::trim(size_t keep)
{
    used_ = last_ = 0;
    if (capacity_ > keep) {
        std::free(block_);
        block_ = nullptr;
        capacity_ = 0;
    }
}

} // namespace esputnik
