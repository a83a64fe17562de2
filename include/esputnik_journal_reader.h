/*
 * Drains one target: its records from all segments of the folder, in the order
 * of their sequences, and the marks of what was delivered.
 *
 * One process at a time drains a target (lock_drain()).  Writers may append
 * meanwhile.
 *
 *     read()    blocking: items() are the next records
 *     …         the caller sends them; for each that Redis has taken: done(i);
 *               for each whose key is stuck (WRONGTYPE): hold(i)
 *     commit()  blocking: writes the marks, removes delivered segments
 *
 * commit() is due after an empty read(), too: a segment may have lost its
 * writer since.  What was neither done nor held by the next read() is read
 * again.  After a
 * kill, records between done() and commit() are sent again: never more than
 * the items of one read().  After a power cut, those whose marks had not
 * reached the disk: sync_marks() bounds that.
 *
 * A held record keeps back the later records that share a key with it, and
 * these in turn theirs, and no others: read() passes them over, and of the
 * items at hand waits() tells them.  release() lets all of them be read again,
 * from the oldest on.  When all that was held before is held again, read() goes
 * on from where it was: what lies between need not be looked at once more.
 *
 * Not thread-safe: one call at a time, from any thread.
 */

#ifndef ESPUTNIK_JOURNAL_READER_H
#define ESPUTNIK_JOURNAL_READER_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_array.h"
#include "esputnik_file.h"
#include "esputnik_journal_record.h"
#include "esputnik_journal_source.h"
#include "esputnik_spool_report.h"
#include "esputnik_spool_shared.h"

namespace esputnik {

enum class ReadResult : uint8_t {
    records,    /* items() has some */
    empty,      /* nothing undelivered in any segment of the target */
    waiting,    /* only records that are held, or too new for this read */
    failed,     /* error(): a file could not be read, or memory is short;
                   nothing is lost, try again later */
};

struct CommitReport {
    int error = 0;           /* errno of a mark or a removal that failed: it
                                is tried again with the next commit() */
    uint64_t freed = 0;      /* bytes of removed segments */
    uint64_t records = 0;    /* delivered since the last commit() */
    uint64_t events = 0;
};

class JournalReader {
public:
    struct Item {
        Record record;
        uint64_t segment_id;
        uint32_t offset;     /* of the record in its segment */
        bool done;
        bool held;
        Range range;         /* what its mark covers */
        JournalSource *source;
        size_t copy;         /* where its bytes are kept */
    };

    JournalReader() = default;
    ~JournalReader();

    JournalReader(const JournalReader &) = delete;
    JournalReader &operator=(const JournalReader &) = delete;

    /* dir and target are copied; shared may be nullptr (no nginx runs). */
    bool init(Files *files, std::string_view dir, std::string_view target,
              SpoolShared *shared);

    /* Records with sequences below before (SpoolShared::begin_read();
     * UINT64_MAX when nobody writes), up to about max_bytes of them, at least
     * one. */
    ReadResult read(uint64_t before, size_t max_bytes);

    /* Valid until the next read(). */
    const Array<Item> &items() const { return items_; }

    /* False when memory is short: the item is then read, and sent, again. */
    bool done(size_t item);
    bool hold(size_t item);
    bool holds() const { return !held_keys_.empty(); }

    /* An item of this read shares a key with one that was held meanwhile: it is
     * to be held as well, or it would overtake. */
    bool waits(size_t item) const
    {
        return holds() && keys_held(items_[item].record.payload);
    }
    void release();

    /* compact: may also rewrite a segment that is mostly delivered, which
     * takes its time. */
    bool commit(CommitReport *report, bool compact = true);

    /* Something is done that the next process does not know of. */
    bool uncommitted() const { return done_records_ != 0; }

    /* Makes the marks written so far durable; 0 or errno. */
    int sync_marks();

    /* What read() and commit() met since clear_reports(): each is worth a log
     * line. */
    const Array<SpoolReport> &reports() const { return reports_; }
    void clear_reports() { reports_.clear(); }

    int error() const { return error_; }

private:
    bool refresh();
    bool adopt(uint64_t id);
    bool drop_replaced();
    void drop(size_t i);
    JournalSource *find(uint64_t id);
    JournalSource *lowest(uint64_t before, bool *later);
    bool take(JournalSource *s);
    bool keys_held(std::string_view payload) const;
    bool hold_keys(std::string_view payload);
    void rewind_unresolved();
    bool note_passed();
    void forget_passed();
    void skip_passed();
    bool give_up(int error);

    Files *files_ = nullptr;
    SpoolShared *shared_ = nullptr;
    Buffer dir_;                 /* with a terminator */
    Buffer target_;
    Array<JournalSource *> sources_;
    Array<uint64_t> listed_;
    Array<Item> items_;
    Buffer bytes_;               /* the items' records */
    Array<uint64_t> held_keys_;  /* hashes, sorted */
    Array<uint64_t> passed_keys_; /* the same: what was held on the way to where
                                     the sources are to resume */
    Array<SpoolReport> reports_;
    uint64_t done_records_ = 0;
    uint64_t done_events_ = 0;
    uint64_t freed_ = 0;         /* outside of commit() */
    int error_ = 0;
};

} // namespace esputnik

#endif
