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

void Pipeline::push_slot(size_t size, void *owner, uint32_t replies,
                         bool deferred)
{
    Slot &s = slots_[tail_ & mask_];
    s.owner = owner;
    s.begin = queued_;
    s.end = queued_ + size;
    s.replies = replies;
    s.deferred = deferred;

    queued_ += size;
    tail_++;
}

char *Pipeline::add(size_t size, void *owner, uint32_t replies)
{
    if (size_t(tail_ - head_) == capacity_ && !grow()) {
        return nullptr;
    }

    if (current_ != nullptr && current_->filled == 0) {
        current_->begin = queued_;
    }

    /* a command never spans two blocks: a half-written one can be sent again
     * from its first byte, which is still there; and a block has no gap where
     * a deferred one belongs */
    if (current_ == nullptr || current_->end() != queued_
        || current_->capacity - current_->filled < size)
    {
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

    push_slot(size, owner, replies, false);
    return out;
}

bool Pipeline::defer(size_t size, void *owner, uint32_t replies)
{
    if (size_t(tail_ - head_) == capacity_ && !grow()) {
        return false;
    }

    push_slot(size, owner, replies, true);
    deferred_++;
    return true;
}

/* The first slot that is not written whole; there is one. */
Pipeline::Slot &Pipeline::unwritten_slot()
{
    uint64_t low = head_;
    uint64_t high = tail_ - 1;

    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (slots_[middle & mask_].end <= written_) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return slots_[low & mask_];
}

/* The block that holds the next byte to write; nullptr when there is none, or
 * when it is a deferred command's. */
Pipeline::Block *Pipeline::next_block() const
{
    Block *block = first_;

    /* empty, or written and then left alone by compact() */
    while (block != nullptr
           && (block->filled == 0 || block->end() <= written_))
    {
        block = block->next;
    }
    return block != nullptr && block->begin <= written_ ? block : nullptr;
}

Pipeline::Slot *Pipeline::deferred()
{
    while (deferred_ != 0 && written_ != queued_ && next_block() == nullptr) {
        Slot &s = unwritten_slot();
        if (s.owner != nullptr) {
            return &s;
        }

        /* who would have to write it has left */
        s.replies = 0;
        undefer(s);
        written_ = s.end;
        sweep();
    }
    return nullptr;
}

char *Pipeline::fill(Slot *slot)
{
    const auto size = static_cast<size_t>(slot->end - slot->begin);

    Block *block = new_block(size);
    if (block == nullptr) {
        return nullptr;
    }

    block->begin = slot->begin;
    block->filled = size;
    block->next = first_;
    if (first_ == nullptr) {
        current_ = block;
    }
    first_ = block;

    undefer(*slot);
    return block->data();
}

void Pipeline::undefer(Slot &slot)
{
    deferred_ -= slot.deferred;
    slot.deferred = false;
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

/* Moves a slot up by gap bytes; returns how many it leaves behind it, being
 * withdrawn. */
size_t Pipeline::move_up(Slot &slot, uint64_t gap)
{
    const auto size = static_cast<size_t>(slot.end - slot.begin);

    slot.begin -= gap;
    if (slot.replies != 0) {
        slot.end = slot.begin + size;
        return 0;
    }

    slot.end = slot.begin;
    undefer(slot);
    return size;
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
        const uint64_t old_begin = block->begin;
        const uint64_t old_end = block->end();

        /* the deferred ones before it */
        for (; n != tail_ && slots_[n & mask_].begin < old_begin; n++) {
            gap += move_up(slots_[n & mask_], gap);
        }

        block->begin -= gap;
        uint64_t gone = 0; /* of this block */

        for (; n != tail_ && slots_[n & mask_].begin < old_end; n++) {
            Slot &s = slots_[n & mask_];
            char *const from = block->data() + (s.begin - old_begin);
            const size_t left = move_up(s, gap + gone);

            if (left == 0 && gone != 0) {
                std::memmove(from - gone, from,
                             static_cast<size_t>(s.end - s.begin));
            }
            gone += left;
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

    for (; n != tail_; n++) {
        gap += move_up(slots_[n & mask_], gap);
    }
    queued_ -= gap;
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
    Block *block = written_ != queued_ ? next_block() : nullptr;
    if (block == nullptr) {
        return {nullptr, 0};
    }

    const auto done = static_cast<size_t>(written_ - block->begin);
    return {block->data() + done, block->filled - done};
}

void Pipeline::wrote(size_t n)
{
    written_ += n;

    while (first_ != nullptr && first_->end() <= written_) {
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
    undefer(slots_[head_ & mask_]);
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
        /* its block still holds it: blocks leave only when written whole; and
         * of a deferred command no byte is written */
        written_ = slots_[n & mask_].begin;
    }

    return static_cast<size_t>(n - head_);
}

void Pipeline::clear()
{
    head_ = tail_;
    written_ = queued_;
    deferred_ = 0;

    while (first_ != nullptr) {
        Block *next = first_->next;
        free_block(first_);
        first_ = next;
    }
    current_ = nullptr;
}

} // namespace esputnik
