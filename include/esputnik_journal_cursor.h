/*
 * What of a segment is delivered: a set of byte ranges, and the file beside the
 * segment that remembers it (<segment>.done).
 *
 * The file is a log of 16-byte marks, each with a sum that starts from the
 * segment's id; a mark is never rewritten.  A bad or missing mark means that
 * records are sent once more, never that one is lost.  As marks are ranges,
 * records may be delivered in any order.
 *
 * Not thread-safe.
 */

#ifndef ESPUTNIK_JOURNAL_CURSOR_H
#define ESPUTNIK_JOURNAL_CURSOR_H

#include <cstddef>
#include <cstdint>

#include "esputnik_array.h"
#include "esputnik_file.h"

namespace esputnik {

struct Range {
    uint32_t from;
    uint32_t to;    /* behind the last byte */
};

class RangeSet {
public:
    /* False when memory is short: the set is as it was. */
    bool add(Range r);
    bool covers(uint32_t from, uint32_t to) const;

    /* The end of the covered range that holds at, or at itself. */
    uint32_t skip(uint32_t at) const;

    uint64_t bytes() const;     /* covered in all */
    const Array<Range> &ranges() const { return ranges_; }
    void clear() { ranges_.clear(); }

private:
    size_t lower(uint32_t at) const;

    Array<Range> ranges_;   /* sorted, apart from each other */
};

constexpr size_t kMarkSize = 16;

void write_mark(Range r, uint64_t segment_id, char *out);
bool read_mark(const char *in, uint64_t segment_id, Range *out);

class Cursor {
public:
    /* Reads the marks of DIR/<id>.done; a missing file is an empty set.
     * 0 or -errno. */
    int load(Files *files, const char *dir, uint64_t segment_id);

    const RangeSet &delivered() const { return delivered_; }

    Cursor() = default;
    ~Cursor() { close(); }

    Cursor(const Cursor &) = delete;
    Cursor &operator=(const Cursor &) = delete;

    /* In memory; pending until write(). */
    bool mark(Range r);

    /* In memory only: what needs no mark, as a reader finds it out anew. */
    bool cover(Range r);

    bool pending() const { return !fresh_.ranges().empty(); }

    /* Appends the pending marks; 0 or -errno, they then stay pending. */
    int write(const char *dir);

    /* Makes the written marks durable; 0 or -errno. */
    int sync(const char *dir);

    void close();

private:
    int open_file(const char *dir);

    Files *files_ = nullptr;
    RangeSet delivered_;
    RangeSet fresh_;
    uint64_t segment_id_ = 0;
    uint64_t size_ = 0;     /* of the file, in whole marks */
    int fd_ = -1;
    bool unsynced_ = false;
    bool named_ = false;    /* its name is durable */
};

} // namespace esputnik

#endif
