/*
 * The pipeline of one connection to Redis: commands that wait to be written,
 * commands whose replies are awaited, and which is which.
 *
 * A command is a slot of the queue.  Replies come in the order of the commands
 * (https://redis.io/docs/manual/pipelining/), so the oldest slot takes the
 * next reply.  A slot outlives whoever waits for it: its owner may leave, the
 * slot keeps its place and its reply is dropped.
 *
 * Every slot knows the stream offsets at which its bytes begin and end.  When
 * the connection breaks, what had not been written to its last byte cannot
 * have been executed and stays for the next connection; what had been written
 * is of unknown outcome and is never sent again.  A command that nobody wants
 * executed any more can be withdrawn as long as none of its bytes is written.
 *
 * A command is copied into the pipeline, or deferred: then it has its place
 * and its size, and its owner writes it when it is the next to leave.  What its
 * owner holds anyway is not held twice while the connection takes nothing.
 *
 * Blocks come from mmap(), so that what a burst took goes back to the system
 * when it is over; a few are kept.
 *
 * Units: bytes, and offsets in the stream of all bytes ever queued.
 * Ownership: the pipeline owns blocks and slots, never the owners.
 * Not thread-safe.
 */

#ifndef ESPUTNIK_PIPELINE_H
#define ESPUTNIK_PIPELINE_H

#include <cstddef>
#include <cstdint>

namespace esputnik {

class Pipeline {
public:
    struct Slot {
        void *owner;        /* nullptr: nobody waits */
        uint64_t begin;     /* stream offset of the command's first byte */
        uint64_t end;       /* and just past its last one */
        uint32_t replies;   /* still to come; 0: withdrawn */
        bool deferred;      /* its bytes are its owner's still */
    };

    /* A piece of output that lies in one block. */
    struct Span {
        char *data;
        size_t size;
    };

    static constexpr size_t kBlockSize = 64 * 1024;
    static constexpr size_t kMaxSlots = 1 << 16;

    Pipeline() = default;
    ~Pipeline();

    Pipeline(const Pipeline &) = delete;
    Pipeline &operator=(const Pipeline &) = delete;

    /*
     * Queues a command of exactly size bytes with the given number of replies
     * and returns where to write it (contiguous, to be filled before the next
     * call); nullptr when memory is short or kMaxSlots wait.
     * slot_number() then names the new slot.
     */
    char *add(size_t size, void *owner, uint32_t replies);

    /* The same without the bytes: deferred() gives the slot back when they are
     * the next to be written.  When its owner has left until then, it will not
     * be sent.  False as nullptr above. */
    bool defer(size_t size, void *owner, uint32_t replies);

    /* The number of the newest slot; numbers grow by one and are not reused. */
    uint64_t newest() const { return tail_ - 1; }

    /* The oldest slot's number, and one past the newest's. */
    uint64_t first() const { return head_; }
    uint64_t last() const { return tail_; }

    bool empty() const { return head_ == tail_; }
    size_t size() const { return static_cast<size_t>(tail_ - head_); }

    Slot &slot(uint64_t number) { return slots_[number & mask_]; }

    /* The owner does not wait any more; the slot stays. */
    void disown(uint64_t number);

    /* Takes back a command of which nothing was written: it will not be.  False
     * when it is too late.  After the last of several compact() takes their
     * bytes out of the queue, before anything else is called; their slots stay
     * until their turn comes, or sweep() finds them at the head. */
    bool withdraw(uint64_t number);
    void compact();
    void sweep();

    /* Bytes queued and not yet written. */
    size_t unwritten() const { return static_cast<size_t>(queued_ - written_); }

    /* Those of them that come before a slot's, or all for one past the
     * newest. */
    size_t unwritten_before(uint64_t number) const;

    /* Bytes of all slots still in the queue, written or not. */
    size_t pending() const;

    /* Written, or some of it: withdraw() comes too late. */
    bool was_begun(uint64_t number) const
    {
        return slots_[number & mask_].begin < written_;
    }

    /* Slots written to their last byte whose replies have not all come. */
    bool awaiting() const;

    /* The deferred command whose turn it is, or nullptr: what output() gives
     * comes first.  fill() says where its bytes are to be written (contiguous,
     * before the next call), and output() gives them then; nullptr when memory
     * is short. */
    Slot *deferred();
    char *fill(Slot *slot);

    /* The next piece to write; size 0 when all is written, or the next is
     * deferred. */
    Span output() const;

    /* The first n bytes of output() have been written. */
    void wrote(size_t n);

    /* A reply has come: the oldest slot, or nullptr when it answers nothing
     * that was asked.  When *last is set the slot has all its replies, and
     * must be taken off with pop() before the next call. */
    Slot *reply(bool *last);
    void pop();

    /*
     * The connection broke.  Returns how many slots, from first() on, had been
     * written whole: their outcome is unknown and the caller pops them.  The
     * others will be sent again from their first byte.
     */
    size_t disconnect();

    /* Drops everything that was not written whole and frees idle blocks; only
     * when empty() or after all owners were told. */
    void clear();

private:
    struct Block {
        Block *next;
        size_t capacity;
        size_t filled;
        uint64_t begin;   /* stream offset of its first byte */
        uint64_t end() const { return begin + filled; }
        char *data() { return reinterpret_cast<char *>(this + 1); }
    };

    static constexpr size_t kCapacity = kBlockSize - sizeof(Block);

    static void unmap(Block *block);

    bool grow();
    Block *new_block(size_t size);
    void free_block(Block *block);
    Block *next_block() const;
    void push_slot(size_t size, void *owner, uint32_t replies, bool deferred);
    Slot &unwritten_slot();
    size_t move_up(Slot &slot, uint64_t gap);
    void undefer(Slot &slot);

    Slot *slots_ = nullptr;
    uint64_t mask_ = 0;       /* capacity - 1 */
    size_t capacity_ = 0;
    uint64_t head_ = 0;
    uint64_t tail_ = 0;

    Block *first_ = nullptr;  /* holds the next byte to write */
    Block *current_ = nullptr;
    Block *idle_ = nullptr;   /* kept for reuse */
    size_t idle_count_ = 0;

    uint64_t queued_ = 0;
    uint64_t written_ = 0;
    size_t deferred_ = 0;     /* slots without bytes */
};

} // namespace esputnik

#endif
