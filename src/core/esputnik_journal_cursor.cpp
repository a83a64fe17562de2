#include "esputnik_journal_cursor.h"

#include <cerrno>
#include <cstring>

#include "esputnik_crc32c.h"
#include "esputnik_spool_dir.h"

namespace esputnik {

namespace {

constexpr char kMarkMagic[4] = {'D', 'O', 'N', 'E'};
constexpr size_t kMarkSumAt = 12;
constexpr size_t kMarksAtOnce = 256;

void put32(char *out, uint32_t n)
{
    for (size_t i = 0; i < 4; i++) {
        out[i] = static_cast<char>(n >> (8 * i));
    }
}

uint32_t get32(const char *in)
{
    uint32_t n = 0;
    for (size_t i = 0; i < 4; i++) {
        n |= uint32_t{static_cast<unsigned char>(in[i])} << (8 * i);
    }
    return n;
}

uint32_t mark_sum(const char *mark, uint64_t segment_id)
{
    char id[8];
    put32(id, static_cast<uint32_t>(segment_id));
    put32(id + 4, static_cast<uint32_t>(segment_id >> 32));
    return crc32c(crc32c(0, id, sizeof(id)), mark, kMarkSumAt);
}

} // namespace

/* The first range that ends at or behind at. */
size_t RangeSet::lower(uint32_t at) const
{
    size_t low = 0;
    size_t high = ranges_.size();

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (ranges_[middle].to < at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool RangeSet::add(Range r)
{
    if (r.from >= r.to) {
        return true;
    }

    const size_t first = lower(r.from);
    size_t last = first;
    while (last < ranges_.size() && ranges_[last].from <= r.to) {
        if (ranges_[last].from < r.from) {
            r.from = ranges_[last].from;
        }
        if (ranges_[last].to > r.to) {
            r.to = ranges_[last].to;
        }
        last++;
    }

    const size_t behind = ranges_.size() - last;
    if (first == last && !ranges_.push(r)) {
        return false;
    }

    /* [first, last) becomes one */
    const size_t at = first + 1;
    if (behind > 0) {
        std::memmove(ranges_.data() + at, ranges_.data() + last,
                     behind * sizeof(Range));
    }
    ranges_[first] = r;
    ranges_.truncate(at + behind);
    return true;
}

bool RangeSet::covers(uint32_t from, uint32_t to) const
{
    return from >= to || skip(from) >= to;
}

uint32_t RangeSet::skip(uint32_t at) const
{
    const size_t i = lower(at);
    if (i < ranges_.size() && ranges_[i].from <= at) {
        return ranges_[i].to;
    }
    return at;
}

uint64_t RangeSet::bytes() const
{
    uint64_t n = 0;
    for (const Range &r : ranges_) {
        n += r.to - r.from;
    }
    return n;
}

void write_mark(Range r, uint64_t segment_id, char *out)
{
    std::memcpy(out, kMarkMagic, sizeof(kMarkMagic));
    put32(out + 4, r.from);
    put32(out + 8, r.to);
    put32(out + kMarkSumAt, mark_sum(out, segment_id));
}

bool read_mark(const char *in, uint64_t segment_id, Range *out)
{
    if (std::memcmp(in, kMarkMagic, sizeof(kMarkMagic)) != 0
        || get32(in + kMarkSumAt) != mark_sum(in, segment_id))
    {
        return false;
    }
    out->from = get32(in + 4);
    out->to = get32(in + 8);
    return out->from < out->to;
}

int Cursor::load(Files *files, const char *dir, uint64_t segment_id)
{
    close();
    files_ = files;
    segment_id_ = segment_id;
    delivered_.clear();
    fresh_.clear();
    size_ = 0;
    unsynced_ = named_ = false;

    SpoolPath path;
    if (!path.marks(dir, segment_id)) {
        return -ENAMETOOLONG;
    }
    const int fd = files->open(path.text, OpenMode::read);
    if (fd < 0) {
        return fd == -ENOENT ? 0 : fd;
    }

    int rc = 0;
    char marks[kMarksAtOnce * kMarkSize];
    while (rc == 0) {
        const ssize_t got = read_all(*files, fd, marks, sizeof(marks), size_);
        if (got < static_cast<ssize_t>(kMarkSize)) {
            rc = got < 0 ? static_cast<int>(got) : 0;
            break;
        }

        const size_t whole = static_cast<size_t>(got) / kMarkSize;
        for (size_t i = 0; i < whole; i++) {
            Range r;
            if (read_mark(marks + i * kMarkSize, segment_id, &r)
                && !delivered_.add(r)) {
                rc = -ENOMEM;
            }
        }
        size_ += whole * kMarkSize;
    }

    files->close(fd);
    return rc;
}

bool Cursor::mark(Range r)
{
    /* should the second fail, the record is delivered and not sent again by
     * this process, just not remembered for the next one */
    return delivered_.add(r) && fresh_.add(r);
}

bool Cursor::cover(Range r)
{
    return delivered_.add(r);
}

int Cursor::open_file(const char *dir)
{
    if (fd_ >= 0) {
        return 0;
    }

    SpoolPath path;
    if (!path.marks(dir, segment_id_)) {
        return -ENAMETOOLONG;
    }
    fd_ = files_->open(path.text, OpenMode::create_or_open);
    return fd_ < 0 ? fd_ : 0;
}

int Cursor::write(const char *dir)
{
    if (!pending()) {
        return 0;
    }

    int rc = open_file(dir);
    if (rc < 0) {
        return rc;
    }

    const Array<Range> &ranges = fresh_.ranges();
    char marks[kMarksAtOnce * kMarkSize];
    for (size_t i = 0; i < ranges.size();) {
        size_t n = 0;
        for (; n < kMarksAtOnce && i < ranges.size(); n++, i++) {
            write_mark(ranges[i], segment_id_, marks + n * kMarkSize);
        }
        rc = write_all(*files_, fd_, marks, n * kMarkSize, size_);
        if (rc < 0) {
            return rc;
        }
        size_ += n * kMarkSize;
        unsynced_ = true;
    }

    fresh_.clear();
    return 0;
}

int Cursor::sync(const char *dir)
{
    if (!unsynced_) {
        return 0;
    }

    int rc = open_file(dir);
    if (rc < 0) {
        return rc;
    }
    rc = files_->fdatasync(fd_);
    if (rc == 0 && !named_) {
        rc = files_->fsync_dir(dir);
        named_ = rc == 0;
    }

    /* not tried again for the same marks, as after any failed sync: the worst
     * that a lost mark does is a record sent twice */
    unsynced_ = false;
    return rc;
}

void Cursor::close()
{
    if (fd_ >= 0) {
        files_->close(fd_);
        fd_ = -1;
    }
}

} // namespace esputnik
