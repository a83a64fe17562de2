/*
 * Whose a segment is that was found in the folder, and what is done with bytes
 * that are nobody's.
 */

#include <cerrno>

#include "esputnik_journal_source.h"
#include "esputnik_spool_dir.h"

namespace esputnik {

namespace {

constexpr size_t kCopyAtOnce = 16 * 1024;

} // namespace

JournalSource::Adopted JournalSource::adopt(std::string_view target)
{
    SpoolPath path;
    if (!path.segment(dir_, id_)) {
        return Adopted::other;
    }

    if (fd_ < 0) {
        fd_ = files_->open(path.text, OpenMode::write);
    }
    if (fd_ < 0) {
        if (fd_ == -ENOENT) {
            return Adopted::gone;
        }
        give_up(fd_);
        return Adopted::failed;
    }

    char bytes[kSegmentHeaderSize] = {};
    SegmentHeader h = {};
    const ssize_t got = read_all(*files_, fd_, bytes, sizeof(bytes), 0);
    if (got < 0) {
        give_up(static_cast<int>(got));
        park();
        return Adopted::failed;
    }

    Adopted adopted = Adopted::other;
    switch (read_segment_header(bytes, &h)) {
    case HeaderState::unknown_version:
        report(ReportKind::unknown_version, 0, 0, 0);
        break;
    case HeaderState::corrupt:
        adopted = adopt_headless(target);
        break;
    case HeaderState::good:
        if (h.target_name() == target) {
            adopted = Adopted::ours;
            replaces_ = h.replaces;
            first_sequence_ = h.first_sequence;
        }
        break;
    }

    park();
    if (adopted == Adopted::ours) {
        target_.clear();
        if (!target_.append(target.data(), target.size())) {
            give_up(-ENOMEM);
            return Adopted::failed;
        }
        ours_ = true;
    }
    return adopted;
}

JournalSource::Adopted JournalSource::adopt_headless(std::string_view target)
{
    const int64_t size = files_->size(fd_);
    if (size < 0) {
        give_up(static_cast<int>(size));
        return Adopted::failed;
    }

    const int rc = cursor_.load(files_, dir_, id_);
    if (rc < 0) {
        give_up(rc);
        return Adopted::failed;
    }
    loaded_ = true;

    /* A header is synced before its file gets its name, so this one has been
     * damaged since; the records may be sound. */
    walker_.start(files_, fd_, id_, &cursor_.delivered(), kSegmentHeaderSize,
                  static_cast<uint64_t>(size));
    SegmentWalker::Step step;
    do {
        step = walker_.next();
    } while (step == SegmentWalker::Step::corrupt
             || step == SegmentWalker::Step::end_mark);

    if (step == SegmentWalker::Step::failed) {
        give_up(walker_.error());
        return Adopted::failed;
    }
    if (step != SegmentWalker::Step::record) {
        return refuse(static_cast<uint64_t>(size));
    }
    if (walker_.record().target != target) {
        return Adopted::other;
    }

    const Range header = {0, kSegmentHeaderSize};
    if (!cursor_.delivered().covers(header.from, header.to)) {
        const int aside = set_aside(ReportKind::corrupt, 0, kSegmentHeaderSize);
        if (aside < 0 || !cursor_.mark(header)) {
            give_up(aside < 0 ? aside : -ENOMEM);
            return Adopted::failed;
        }
    }
    return Adopted::ours;
}

/* Nothing in it says whose it is. */
JournalSource::Adopted JournalSource::refuse(uint64_t size)
{
    if (files_->lock(fd_) < 0) {
        return Adopted::other;
    }
    files_->unlock(fd_);

    SpoolPath from, to;
    if (!from.segment(dir_, id_) || !to.corrupt(dir_, id_, 0)) {
        return Adopted::other;
    }
    const int rc = files_->rename(from.text, to.text);
    if (rc < 0) {
        give_up(rc);
        return Adopted::failed;
    }
    files_->fsync_dir(dir_);
    report(ReportKind::no_target, 0, size, 0);
    return Adopted::gone;
}

/* The bytes as they are, safe on the disk before they count as handled. */
int JournalSource::set_aside(ReportKind kind, uint64_t from, uint64_t to)
{
    SpoolPath path;
    if (!path.corrupt(dir_, id_, from)) {
        return -ENAMETOOLONG;
    }
    const int fd = files_->open(path.text, OpenMode::create_or_open);
    if (fd < 0) {
        return fd;
    }

    int rc = files_->ftruncate(fd, 0);
    char bytes[kCopyAtOnce];
    for (uint64_t at = from; rc == 0 && at < to;) {
        const uint64_t left = to - at;
        const ssize_t got = read_all(
            *files_, fd_, bytes, left < sizeof(bytes) ? left : sizeof(bytes),
            at);
        if (got <= 0) {
            rc = static_cast<int>(got);
            break;
        }
        rc = write_all(*files_, fd, bytes, static_cast<size_t>(got), at - from);
        at += static_cast<uint64_t>(got);
    }
    if (rc == 0) {
        rc = files_->fdatasync(fd);
    }
    files_->close(fd);
    if (rc == 0) {
        rc = files_->fsync_dir(dir_);
    }
    if (rc == 0 && !report(kind, from, to - from, 0)) {
        rc = -ENOMEM;
    }
    return rc;
}

} // namespace esputnik
