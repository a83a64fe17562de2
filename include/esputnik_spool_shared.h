/*
 * What the workers share about the spool of one target: it lies in shared
 * memory, is lock-free, and a worker that is killed anywhere leaves it usable.
 *
 * The order rule.  While a target is spooling(), every worker appends instead
 * of pushing.  A worker that appends
 *
 *     1. takes sequences: take(n), on the event loop, when the record is queued,
 *     2. appends and fsyncs (JournalWriter::append(), in a thread),
 *     3. calls appended(), and only then answers 200.
 *
 * The worker that drains loops over
 *
 *     1. ticket = begin_read(),
 *     2. JournalReader::read(ticket.before, …), in a thread,
 *     3. records: sends them; nothing left: finish_read(ticket), which opens
 *        the direct way again, unless an append has ended since begin_read().
 *
 * A sender's next POST comes after the answer to the one before, so it takes a
 * sequence after appended() of that one.  A record with a sequence of
 * ticket.before or above may have such an older one beside it that this read
 * has missed, and waits for the next read.  One below that was still under way
 * comes with a later read, behind higher ones: its sender has had no answer, so
 * nothing of that sender is among these.
 */

#ifndef ESPUTNIK_SPOOL_SHARED_H
#define ESPUTNIK_SPOOL_SHARED_H

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace esputnik {

class SpoolShared {
public:
    static constexpr unsigned kSlots = 128;  /* open segments of the target */

    struct Ticket {
        uint64_t before;    /* for JournalReader::read() */
        uint64_t state;
        uint64_t records;    /* that were counted then, */
        uint64_t events;
        uint64_t gone_records; /* and how many had ever been delivered */
        uint64_t gone_events;
    };

    /* On a fresh zone, before the workers start: next_sequence above the
     * highest found in the spool, and what was found. */
    void init(uint64_t next_sequence, uint64_t records, uint64_t events);

    bool spooling() const { return state_.load() & kSpooling; }

    /* n sequences, the first is returned; the target is spooling from now
     * on, also for the other workers.  They follow the wall clock where they
     * can (now_us, microseconds since 1970), so that they compare with those of
     * the other nginx while a binary upgrade has two of them, each with a zone
     * of its own; a clock set back makes them count on. */
    uint64_t take(uint64_t n, uint64_t now_us = 0);

    /* Records are safe in the journal. */
    void appended(uint64_t records, uint64_t events);

    /* The drain has come across records that nobody has counted here, as other
     * workers with a zone of their own have left them: newer events queue
     * behind them, too. */
    void found() { appended(0, 0); }

    /* Records were delivered and marked (for the counters only). */
    void delivered(uint64_t records, uint64_t events);

    /* With the clock of take(), so that records that were taken with another
     * zone are below the ticket as well. */
    Ticket begin_read(uint64_t now_us = 0);

    /* read() found the spool empty; true: the target is not spooling any
     * more. */
    bool finish_read(const Ticket &);

    /* For the status page. */
    uint64_t records() const { return count(records_); }
    uint64_t events() const { return count(events_); }

    /* Of JournalWriter and JournalReader: how far a segment that is being
     * written is synced.  publish() returns false when all slots are taken;
     * the segment is then read by its sums alone. */
    bool publish(uint64_t segment_id, uint64_t synced);
    void retract(uint64_t segment_id);
    bool synced(uint64_t segment_id, uint64_t *out) const;

private:
    static constexpr uint64_t kSpooling = 1;
    static constexpr uint64_t kGeneration = 2;

    struct Slot {
        std::atomic<uint64_t> segment;  /* 0: free */
        std::atomic<uint64_t> synced;
    };

    /* A record may be delivered before it is counted. */
    static uint64_t count(const std::atomic<uint64_t> &c)
    {
        const uint64_t n = c.load();
        return n > INT64_MAX ? 0 : n;
    }

    /* Bit 0: spooling; above it a count of ended appends. */
    std::atomic<uint64_t> state_;
    std::atomic<uint64_t> next_;
    std::atomic<uint64_t> records_;
    std::atomic<uint64_t> events_;
    std::atomic<uint64_t> gone_records_;
    std::atomic<uint64_t> gone_events_;
    Slot slots_[kSlots];
};

} // namespace esputnik

#endif
