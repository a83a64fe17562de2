#include "esputnik_pipeline.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

namespace esputnik {

namespace {

constexpr size_t kFirstSlots = 64;
constexpr size_t kIdleBlocks = 30;

} // namespace

Pipeline::~Pipeline()
{
    head_ = tail_;
    clear();

    while (idle_ != nullptr) {
        Block *next = idle_->next;
        unmap(idle_);
        idle_ = next;
    }

    std::free(slots_);
}

bool Pipeline::grow()
{
    const size_t capacity = capacity_ ? capacity_ * 2 : kFirstSlots;
    if (capacity > kMaxSlots) {
        return false;
    }

    auto *grown = static_cast<Slot *>(std::malloc(capacity * sizeof(Slot)));
    if (grown == nullptr) {
        return false;
    }

    for (uint64_t n = head_; n != tail_; n++) {
        grown[n & (capacity - 1)] = slots_[n & mask_];
    }

    std::free(slots_);
    slots_ = grown;
    capacity_ = capacity;
    mask_ = capacity - 1;
    return true;
}

Pipeline::Block *Pipeline::new_block(size_t size)
{
    Block *block = nullptr;

    if (size <= kCapacity && idle_ != nullptr) {
        block = idle_;
        idle_ = block->next;
        idle_count_--;

    } else {
        const size_t capacity = size > kCapacity ? size : kCapacity;
        void *p = ::mmap(nullptr, sizeof(Block) + capacity,
                         PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                         -1, 0);
        if (p == MAP_FAILED) {
            return nullptr;
        }
        block = static_cast<Block *>(p);
        block->capacity = capacity;
    }

    block->next = nullptr;
    block->filled = 0;
    block->begin = queued_;
    return block;
}

void Pipeline::unmap(Block *block)
{
    (void) ::munmap(block, sizeof(Block) + block->capacity);
}

void Pipeline::free_block(Block *block)
{
    if (block->capacity == kCapacity && idle_count_ < kIdleBlocks) {
        block->next = idle_;
        idle_ = block;
        idle_count_++;
        return;
    }

    unmap(block);
}

char *Pipeline::add(size_t size, void *owner, uint32_t replies)
{
    if (size_t(tail_ - head_) == capacity_ && !grow()) {
        return nullptr;
    }

    /* a command never spans two blocks: a half-written one can be sent again
     * from its first byte, which is still there */
    if (current_ == nullptr || current_->capacity - current_->filled < size) {
        Block *block = new_block(size);
        if (block == nullptr) {
            return nullptr;
        }
        if (current_ == nullptr) {
            first_ = block;
        } else {
            current_->next = block;
        }
        current_ = block;
    }

    char *out = current_->data() + current_->filled;
    current_->filled += size;

    Slot &s = slots_[tail_ & mask_];
    s.owner = owner;
    s.begin = queued_;
    s.end = queued_ + size;
    s.replies = replies;

    queued_ += size;
    tail_++;

    return out;
}

void Pipeline::disown(uint64_t number)
{
    if (number >= head_ && number < tail_) {
        slots_[number & mask_].owner = nullptr;
    }
}

bool Pipeline::withdraw(uint64_t number)
{
    if (number < head_ || number >= tail_) {
        return false;
    }

    if (was_begun(number)) {
        return false;
    }
    slots_[number & mask_].replies = 0;
    return true;
}

/* One pass over what is not written, however many have been withdrawn: the
 * commands that stay move up within their blocks. */
void Pipeline::compact()
{
    uint64_t n = head_;
    while (n != tail_ && slots_[n & mask_].end <= written_) {
        n++;
    }

    uint64_t gap = 0;
    Block **link = &first_;

    while (*link != nullptr) {
        Block *const block = *link;
        const uint64_t end = block->begin + block->filled;
        const uint64_t old_begin = block->begin;

        block->begin -= gap;
        uint64_t gone = 0; /* of this block */

        while (n != tail_ && slots_[n & mask_].begin < end) {
            Slot &s = slots_[n & mask_];
            const size_t size = static_cast<size_t>(s.end - s.begin);
            char *const from = block->data() + (s.begin - old_begin);

            s.begin -= gap + gone;
            if (s.replies == 0) {
                s.end = s.begin;
                gone += size;
            } else {
                s.end = s.begin + size;
                if (gone != 0) {
                    std::memmove(from - gone, from, size);
                }
            }
            n++;
        }

        block->filled -= static_cast<size_t>(gone);
        gap += gone;

        if (block->filled == 0 && block != current_) {
            *link = block->next;
            free_block(block);
        } else {
            link = &block->next;
        }
    }

    queued_ -= gap;
    for (; n != tail_; n++) {
        /* of no size, behind the last byte */
        slots_[n & mask_].begin = slots_[n & mask_].end = queued_;
    }
}

void Pipeline::sweep()
{
    while (head_ != tail_ && slots_[head_ & mask_].replies == 0
           && slots_[head_ & mask_].end <= written_)
    {
        head_++;
    }
}

size_t Pipeline::unwritten_before(uint64_t number) const
{
    if (number < head_) {
        return 0;
    }
    const uint64_t end = number < tail_ ? slots_[number & mask_].begin
                                        : queued_;
    return end > written_ ? static_cast<size_t>(end - written_) : 0;
}

size_t Pipeline::pending() const
{
    return empty() ? 0
                   : static_cast<size_t>(queued_ - slots_[head_ & mask_].begin);
}

bool Pipeline::awaiting() const
{
    return !empty() && slots_[head_ & mask_].end <= written_;
}

Pipeline::Span Pipeline::output() const
{
    if (written_ == queued_) {
        return {nullptr, 0};
    }

    Block *block = first_;
    size_t done = static_cast<size_t>(written_ - block->begin);

    if (done == block->filled) {
        block = block->next;
        done = 0;
    }

    return {block->data() + done, block->filled - done};
}

void Pipeline::wrote(size_t n)
{
    written_ += n;

    while (first_ != nullptr && first_->begin + first_->filled <= written_) {
        if (first_ == current_) {
            /* all is written: begin anew in the block at hand */
            if (first_->capacity == kCapacity) {
                first_->filled = 0;
                first_->begin = queued_;
            } else {
                free_block(first_);
                first_ = current_ = nullptr;
            }
            return;
        }
        Block *next = first_->next;
        free_block(first_);
        first_ = next;
    }
}

Pipeline::Slot *Pipeline::reply(bool *last)
{
    if (!awaiting()) {
        return nullptr;
    }

    Slot *s = &slots_[head_ & mask_];
    s->replies--;
    *last = s->replies == 0;
    return s;
}

void Pipeline::pop()
{
    head_++;
    sweep();
}

size_t Pipeline::disconnect()
{
    uint64_t n = head_;

    while (n != tail_ && slots_[n & mask_].end <= written_) {
        n++;
    }

    if (n != tail_) {
        /* its block still holds it: blocks leave only when written whole */
        written_ = slots_[n & mask_].begin;
    }

    return static_cast<size_t>(n - head_);
}

void Pipeline::clear()
{
    head_ = tail_;
    written_ = queued_;

    while (first_ != nullptr) {
        Block *next = first_->next;
        free_block(first_);
        first_ = next;
    }
    current_ = nullptr;
}

} // namespace esputnik
