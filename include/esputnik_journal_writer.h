/*
 * Appends records of one target: one writer per worker process and target,
 * each with a segment file of its own.
 *
 * The file is made under another name, locked (flock), given its header and
 * synced, renamed to its place, and the directory synced, before the first
 * append into it is acknowledged.  The lock tells readers that its writer lives.
 *
 * After any failure the file is cut back to what was synced and never written
 * or synced again: the next append starts another one.
 *
 * Blocking, for a thread of the pool; one call at a time, from any thread.
 */

#ifndef ESPUTNIK_JOURNAL_WRITER_H
#define ESPUTNIK_JOURNAL_WRITER_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_array.h"
#include "esputnik_file.h"
#include "esputnik_journal_format.h"
#include "esputnik_spool_shared.h"

namespace esputnik {

struct AppendReport {
    int error = 0;         /* errno, 0 when appended */
    const char *step = ""; /* what failed: "write", "fdatasync", … */
    uint64_t bytes = 0;    /* by which the spool has grown, also by an
                                 append that failed (a header) */
    uint64_t records = 0;
    uint64_t events = 0;
};

class JournalWriter {
public:
    JournalWriter() = default;
    ~JournalWriter() { close(); }

    JournalWriter(const JournalWriter &) = delete;
    JournalWriter &operator=(const JournalWriter &) = delete;

    /* dir and target are copied; no file is made before the first append.
     * shared may be nullptr.  segment_size: a segment that has reached it is
     * closed, 4 KiB to 2 GiB.  False when memory is short or a value out of
     * range. */
    bool init(Files *files, std::string_view dir, std::string_view target,
              SpoolShared *shared, uint64_t segment_size = kSegmentSizeDefault);

    /* Records of RecordBuilder, one after another, sequences 1 or more,
     * ascending, and above all that this writer appended before.  Fills in their sums.  True:
     * all of them are on the disk.  False: none may be acknowledged. */
    bool append(char *records, size_t length, AppendReport *report);

    /* Ends the segment, so that it can be removed when it is delivered: at
     * the worker's exit, and when the target is not spooling any more.  The
     * next append starts another one.  Returns the bytes written (its end
     * mark). */
    uint64_t close();

    /* The open segment, or 0. */
    uint64_t segment_id() const { return fd_ < 0 ? 0 : header_.id; }

private:
    bool check_batch(const char *records, size_t length, AppendReport *report,
                     uint64_t *first, uint64_t *last) const;
    bool open_segment(uint64_t first_sequence, AppendReport *report);
    bool write_batch(char *records, size_t length, AppendReport *report);
    void abandon();
    void release();

    Files *files_ = nullptr;
    SpoolShared *shared_ = nullptr;
    Buffer dir_; /* with a terminator */
    SegmentHeader header_ = {};
    uint64_t segment_size_ = 0;
    uint64_t end_ = 0;     /* of what is written and synced */
    uint64_t last_ = 0;    /* sequence */
    uint64_t last_ms_ = 0; /* of the newest id */
    int fd_ = -1;
};

} // namespace esputnik

#endif
