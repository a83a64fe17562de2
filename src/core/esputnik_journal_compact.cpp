/*
 * Rewrites a segment that is mostly delivered but for some stuck records,
 * which would keep all of its bytes on the disk.
 *
 * The new segment names the one that it replaces in its header, and gets its
 * name when it is whole and synced.  So whoever finds both knows that the old
 * one is of no more use.
 */

#include <cerrno>

#include "esputnik_journal_source.h"
#include "esputnik_spool_dir.h"

namespace esputnik {

namespace {

constexpr uint64_t kWorthwhile = 4096;
constexpr size_t kWriteAtOnce = 256 * 1024;

} // namespace

bool JournalSource::sparse() const
{
    return ours_ && loaded_ && sealed_ && exhausted_ && !replaced_
           && limit_ >= kWorthwhile
           && cursor_.delivered().bytes() >= limit_ / 2;
}

int JournalSource::copy_undelivered(int fd, uint64_t id, uint64_t *size)
{
    SegmentWalker walker;
    Buffer out;
    uint64_t at = kSegmentHeaderSize;

    walker.start(files_, fd_, id_, &cursor_.delivered(), kSegmentHeaderSize,
                 limit_);
    for (;;) {
        const SegmentWalker::Step step = walker.next();

        if (step == SegmentWalker::Step::record
            && !cursor_.delivered().covers(
                static_cast<uint32_t>(walker.offset()),
                static_cast<uint32_t>(walker.end())))
        {
            const size_t length = walker.end() - walker.offset();
            const size_t start = out.size();
            if (!out.resize(start + length)) {
                return -ENOMEM;
            }
            char *record = out.data() + start;
            const ssize_t got = read_all(*files_, fd_, record, length,
                                         walker.offset());
            RecordHeader h;
            if (got < 0 || !peek_record_header(record, &h)
                || h.size() > static_cast<size_t>(got))
            {
                return got < 0 ? static_cast<int>(got) : -EIO;
            }
            seal_record(record, h.size(), id);
        }
        if (step == SegmentWalker::Step::failed) {
            return walker.error();
        }

        const bool last = step == SegmentWalker::Step::limit
                          || step == SegmentWalker::Step::bad_tail;
        if (out.size() >= kWriteAtOnce || last) {
            const int rc = write_all(*files_, fd, out.data(), out.size(), at);
            if (rc < 0) {
                return rc;
            }
            at += out.size();
            out.clear();
        }
        if (last) {
            *size = at;
            return 0;
        }
    }
}

int JournalSource::compact(uint64_t *freed)
{
    if (fd_ < 0) {
        const int rc = open();
        if (rc < 0) {
            park();
            return rc;
        }
    }

    SegmentHeader h = {};
    h.replaces = id_;
    h.first_sequence = first_sequence_;
    h.target_length = static_cast<uint8_t>(target_.size());
    std::memcpy(h.target, target_.data(), target_.size());

    /* an id of its own, never below the old one's */
    uint64_t last_ms = segment_id_ms(id_);
    const int fd = make_temporary(*files_, dir_, &h, &last_ms);
    if (fd < 0) {
        return fd;
    }

    SpoolPath temporary, final;
    temporary.temporary(dir_, h.id);
    final.segment(dir_, h.id);

    char header[kSegmentHeaderSize];
    write_segment_header(h, header);
    uint64_t size = 0;
    const char *name = temporary.text;

    int rc = write_all(*files_, fd, header, sizeof(header), 0);
    if (rc == 0) {
        rc = copy_undelivered(fd, h.id, &size);
    }
    if (rc == 0) {
        rc = files_->fdatasync(fd);
    }
    if (rc == 0) {
        rc = files_->rename(temporary.text, final.text);
    }
    if (rc == 0) {
        name = final.text;
        rc = files_->fsync_dir(dir_);
    }
    files_->close(fd);
    if (rc < 0) {
        const int undone = files_->unlink(name);
        replaced_ = name == final.text && undone < 0 && undone != -ENOENT;
        return rc;
    }

    /* from here on there are two: a third would deliver its records again */
    replaced_ = true;
    const uint64_t before = limit_;
    park();
    rc = drop_file();
    if (rc == 0) {
        *freed += before > size ? before - size : 0;
    }
    return rc;
}

} // namespace esputnik
