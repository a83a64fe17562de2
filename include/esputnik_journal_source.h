/*
 * One segment as the drain sees it: which records of it are still to be
 * delivered, whether its writer lives, and its end.
 *
 * The writer lives while the file is locked.  Until then records are read up to
 * what SpoolShared says is synced (an event whose fsync might yet fail is not
 * delivered), or, without shared memory, as far as their sums are right.
 *
 * Not thread-safe.
 */

#ifndef ESPUTNIK_JOURNAL_SOURCE_H
#define ESPUTNIK_JOURNAL_SOURCE_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_array.h"
#include "esputnik_file.h"
#include "esputnik_journal_cursor.h"
#include "esputnik_journal_segment.h"
#include "esputnik_spool_report.h"
#include "esputnik_spool_shared.h"

namespace esputnik {

class JournalSource {
public:
    enum class Adopted : uint8_t { ours, other, gone, failed };
    enum class Head : uint8_t { record, none, failed };

    /* dir and reports must outlive the source; shared may be nullptr. */
    JournalSource(Files *files, const char *dir, SpoolShared *shared,
                  Array<SpoolReport> *reports, uint64_t id)
        : files_(files), dir_(dir), shared_(shared), reports_(reports), id_(id)
    {
    }
    ~JournalSource() { park(); }

    JournalSource(const JournalSource &) = delete;
    JournalSource &operator=(const JournalSource &) = delete;

    /* Whose is it?  A segment with a bad header belongs to the target of its
     * first good record; one without any is set aside: gone. */
    Adopted adopt(std::string_view target);

    uint64_t id() const { return id_; }
    uint64_t replaces() const { return replaces_; }
    bool ours() const { return ours_; }

    /* No record to come has a lower one; UINT64_MAX: none to come for now. */
    uint64_t sequence() const;

    /* Has it a record at hand?  Else load() looks for the next that is not
     * delivered. */
    bool has_head() const { return has_head_; }
    Head load();
    const Record &record() const { return walker_.record(); }
    Range range() const { return range_; } /* for mark() */
    uint32_t offset() const { return static_cast<uint32_t>(walker_.offset()); }
    void pass() { has_head_ = false; }

    /* Has it grown, or lost its writer? */
    Head poll();

    /* Reads on from there; from the first byte that is not delivered. */
    void rewind(uint32_t to);
    void rewind() { rewind(cursor_.delivered().skip(kSegmentHeaderSize)); }

    /* Where it has come to is kept over a rewind(), so that reading can go on
     * there again: the furthest such place until forget(). */
    void remember() { resume_ = behind() ? resume_ : position(); }
    bool behind() const { return position() < resume_; }
    void forget() { resume_ = 0; }
    void resume()
    {
        if (behind()) {
            rewind(resume_);
        }
    }

    bool mark(Range r) { return cursor_.mark(r); }
    int write_marks() { return cursor_.write(dir_); }
    int sync_marks() { return cursor_.sync(dir_); }

    /* Its writer is gone and all is delivered. */
    bool finished() const;
    int remove(uint64_t *freed);

    /* Its writer is gone, all is read, and most of it is delivered: worth
     * rewriting without that. */
    bool sparse() const;

    /* Writes what is not delivered into a segment of its own and removes this
     * one.  0 or -errno; when only the removal failed, not done again: the next
     * read() finds both and drops this one. */
    int compact(uint64_t *freed);

    /* Frees descriptors and memory.  When idle, nothing of them is needed
     * until the next rewind(). */
    void park();
    bool idle() const { return sealed_ && exhausted_; }

    uint64_t size() const { return limit_; }

    int error() const { return error_; }

private:
    uint32_t position() const { return has_head_ ? range_.from : gap_; }
    int open();
    Head give_up(int error);
    bool report(ReportKind kind, uint64_t offset, uint64_t length, int error);
    int set_aside(ReportKind kind, uint64_t from, uint64_t to);
    Adopted adopt_headless(std::string_view target);
    Adopted refuse(uint64_t size);
    int copy_undelivered(int fd, uint64_t id, uint64_t *size);
    int drop_file();

    Files *files_;
    const char *dir_;
    SpoolShared *shared_;
    Array<SpoolReport> *reports_;
    uint64_t id_;
    uint64_t replaces_ = 0;
    uint64_t first_sequence_ = 0;
    uint64_t limit_ = 0;
    SegmentWalker walker_;
    Cursor cursor_;
    Buffer target_;
    Range range_ = {0, 0};
    uint32_t gap_ = kSegmentHeaderSize; /* end of the last record */
    uint32_t resume_ = 0;
    int fd_ = -1;
    int error_ = 0;
    bool ours_ = false;
    bool loaded_ = false; /* the cursor */
    bool has_head_ = false;
    bool exhausted_ = false;
    bool sealed_ = false;  /* no writer */
    bool bounded_ = false; /* limit_ is what is synced */
    bool replaced_ = false; /* by a segment that compact() has made */
};

} // namespace esputnik

#endif
