#include "esputnik_journal_writer.h"

#include <cerrno>
#include <cstring>

#include "esputnik_spool_dir.h"

namespace esputnik {

namespace {

constexpr uint64_t kSegmentSizeMin = 4096;
constexpr uint64_t kSegmentSizeMax = 2048u * 1024 * 1024;

bool fail(AppendReport *report, const char *step, int error)
{
    report->error = -error;
    report->step = step;
    return false;
}

} // namespace

bool JournalWriter::init(Files *files, std::string_view dir,
                         std::string_view target, SpoolShared *shared,
                         uint64_t segment_size)
{
    if (target.empty() || target.size() > kTargetMax
        || segment_size < kSegmentSizeMin || segment_size > kSegmentSizeMax)
    {
        return false;
    }

    files_ = files;
    shared_ = shared;
    segment_size_ = segment_size;
    header_.target_length = static_cast<uint8_t>(target.size());
    std::memcpy(header_.target, target.data(), target.size());

    dir_.clear();
    return dir_.append(dir.data(), dir.size()) && dir_.push('\0');
}

bool JournalWriter::append(char *records, size_t length, AppendReport *report)
{
    *report = {};

    uint64_t first, last;
    if (!check_batch(records, length, report, &first, &last)) {
        report->records = report->events = 0;
        return fail(report, "check", -EINVAL);
    }

    if (fd_ >= 0 && round_up(end_, kSectorSize) + length > segment_size_) {
        report->bytes += close();
    }
    if (fd_ < 0 && !open_segment(first, report)) {
        return false;
    }
    if (!write_batch(records, length, report)) {
        return false;
    }

    last_ = last;
    return true;
}

/* Sound records of this target, in order: what a reader will insist on. */
bool JournalWriter::check_batch(const char *records, size_t length,
                                AppendReport *report, uint64_t *first,
                                uint64_t *last) const
{
    size_t at = 0;
    *last = last_;

    while (length - at >= kRecordHeaderSize) {
        RecordHeader h;
        const char *p = records + at;
        if (!peek_record_header(p, &h) || h.kind != RecordKind::operations
            || h.padded_size() > length - at || h.sequence <= *last
            || std::string_view(p + kRecordHeaderSize, h.target_length)
                   != header_.target_name())
        {
            return false;
        }
        if (at == 0) {
            *first = h.sequence;
        }
        *last = h.sequence;
        report->records++;
        report->events += h.events;
        at += h.padded_size();
    }
    return at == length && length > 0
           && length <= kSegmentMax - kSegmentHeaderSize - 2 * kSectorSize;
}

bool JournalWriter::open_segment(uint64_t first_sequence, AppendReport *report)
{
    const int fd = make_temporary(*files_, dir_.data(), &header_, &last_ms_);
    SpoolPath temporary, final;
    if (fd < 0 || !temporary.temporary(dir_.data(), header_.id)
        || !final.segment(dir_.data(), header_.id))
    {
        return fail(report, "open", fd < 0 ? fd : -ENAMETOOLONG);
    }

    header_.replaces = 0;
    header_.first_sequence = first_sequence;

    char header[kSegmentHeaderSize];
    write_segment_header(header_, header);

    const char *step = "lock";
    const char *name = temporary.text;
    int rc = files_->lock(fd);
    if (rc == 0) {
        step = "write";
        rc = write_all(*files_, fd, header, sizeof(header), 0);
    }
    if (rc == 0) {
        step = "fdatasync";
        rc = files_->fdatasync(fd);
    }
    if (rc == 0) {
        if (shared_ != nullptr) {
            shared_->publish(header_.id, kSegmentHeaderSize);
        }
        step = "rename";
        rc = files_->rename(temporary.text, final.text);
    }
    if (rc == 0) {
        name = final.text;
        step = "fsync directory";
        rc = files_->fsync_dir(dir_.data());
    }
    if (rc < 0) {
        files_->unlink(name);
        files_->close(fd);
        if (shared_ != nullptr) {
            shared_->retract(header_.id);
        }
        return fail(report, step, rc);
    }

    fd_ = fd;
    end_ = kSegmentHeaderSize;
    report->bytes += kSegmentHeaderSize;
    return true;
}

bool JournalWriter::write_batch(char *records, size_t length,
                                AppendReport *report)
{
    for (size_t at = 0; at < length;) {
        RecordHeader h;
        peek_record_header(records + at, &h);
        seal_record(records + at, h.size(), header_.id);
        at += h.padded_size();
    }

    /* the gap up to the sector is a hole: it reads as zeros */
    const uint64_t offset = round_up(end_, kSectorSize);
    const char *step = "write";
    int rc = write_all(*files_, fd_, records, length, offset);
    if (rc == 0) {
        step = "fdatasync";
        rc = files_->fdatasync(fd_);
    }
    if (rc < 0) {
        if (end_ == kSegmentHeaderSize) {
            report->bytes -= kSegmentHeaderSize;
        }
        abandon();
        report->records = report->events = 0;
        return fail(report, step, rc);
    }

    report->bytes += offset + length - end_;
    end_ = offset + length;
    if (shared_ != nullptr) {
        shared_->publish(header_.id, end_);
    }
    return true;
}

/* Nothing may be written or synced here any more: what the kernel still has of
 * the failed batch is unknown.  Should the cut fail too, whole records of the
 * batch may be delivered: an attempt of unknown outcome, never a lost one. */
void JournalWriter::abandon()
{
    SpoolPath path;
    if (end_ == kSegmentHeaderSize && path.segment(dir_.data(), header_.id)) {
        files_->unlink(path.text);
    } else {
        files_->ftruncate(fd_, end_);
    }
    release();
}

void JournalWriter::release()
{
    files_->close(fd_);
    fd_ = -1;

    /* after the lock is gone: until then the published length counts */
    if (shared_ != nullptr) {
        shared_->retract(header_.id);
    }
}

uint64_t JournalWriter::close()
{
    if (fd_ < 0) {
        return 0;
    }

    /* Not synced: when it is lost, the last record's integrity is not vouched
     * for, and that is all. */
    char mark[kRecordHeaderSize + kTargetMax];
    RecordHeader h = {};
    h.sequence = last_;
    h.time_ms = files_->now_ms();
    h.kind = RecordKind::end;
    h.target_length = header_.target_length;
    write_record_header(h, mark);
    std::memcpy(mark + kRecordHeaderSize, header_.target, h.target_length);
    seal_record(mark, h.size(), header_.id);

    const uint64_t offset = round_up(end_, kSectorSize);
    uint64_t grown = offset + h.size() - end_;
    if (write_all(*files_, fd_, mark, h.size(), offset) < 0) {
        files_->ftruncate(fd_, end_);
        grown = 0;
    }

    release();
    return grown;
}

} // namespace esputnik
