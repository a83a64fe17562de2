/*
 * Walks the records of one segment file, good and bad.
 *
 * A bad record whose header is right is stepped over by its length; where the
 * header is wrong too, the next header is looked for at every multiple of 8.
 * Damage in a delivered range ends with it: what follows is found by everyone
 * alike, also by who begins there.
 *
 * Whether bad bytes at the end are a torn tail or corruption is the caller's
 * knowledge (is the writer alive? was this synced?), so they are handed out as
 * what they are: bytes with nothing valid behind them.
 *
 * Owns its buffer, not the descriptor.  Not thread-safe.
 */

#ifndef ESPUTNIK_JOURNAL_SEGMENT_H
#define ESPUTNIK_JOURNAL_SEGMENT_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_array.h"
#include "esputnik_file.h"
#include "esputnik_journal_cursor.h"
#include "esputnik_journal_format.h"
#include "esputnik_journal_record.h"

namespace esputnik {

class SegmentWalker {
public:
    enum class Step : uint8_t {
        record,   /* record() at offset(), up to end() */
        end_mark, /* the writer closed the segment here */
        corrupt,  /* [offset(), end()) is bad; a good record follows, or a
                   * delivered range begins or ends there */
        bad_tail, /* [offset(), limit) is bad to its end; stays here */
        limit,    /* all is read up to the limit */
        failed,   /* error(): -errno of a read, or memory */
    };

    /* Reads fd from offset up to limit.  delivered is looked at as it is at
     * the time, and must outlive the walk. */
    void start(Files *files, int fd, uint64_t segment_id,
               const RangeSet *delivered, uint64_t offset, uint64_t limit);

    /* The file has grown: goes on where it stood. */
    void set_limit(uint64_t limit);

    Step next();

    const Record &record() const { return record_; }
    uint64_t offset() const { return offset_; }
    uint64_t end() const { return position_; }
    uint64_t position() const { return position_; }
    uint64_t limit() const { return limit_; }
    int error() const { return error_; }

    /* Frees the window. */
    void shrink()
    {
        window_.shrink(0);
        window_size_ = 0;
    }

private:
    const char *view(uint64_t offset, size_t n);
    uint64_t delivered_end(uint64_t offset) const;
    bool good_record(uint64_t offset, RecordHeader *h);
    Step resynchronise(uint64_t from);

    Files *files_ = nullptr;
    const RangeSet *delivered_ = nullptr;
    Buffer window_;
    uint64_t window_from_ = 0;
    uint64_t window_size_ = 0;
    uint64_t segment_id_ = 0;
    uint64_t offset_ = 0;
    uint64_t position_ = 0;
    uint64_t limit_ = 0;
    Record record_ = {};
    int fd_ = -1;
    int error_ = 0;
};

} // namespace esputnik

#endif
