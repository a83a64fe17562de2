#include "esputnik_journal_source.h"

#include <cerrno>

#include "esputnik_spool_dir.h"

namespace esputnik {

bool JournalSource::report(ReportKind kind, uint64_t offset, uint64_t length,
                           int error)
{
    return reports_->push({kind, error, id_, offset, length});
}

JournalSource::Head JournalSource::give_up(int error)
{
    error_ = -error;
    report(ReportKind::unreadable, gap_, 0, -error);
    rewind(has_head_ ? range_.from : gap_);
    return Head::failed;
}

int JournalSource::open()
{
    SpoolPath path;
    if (!path.segment(dir_, id_)) {
        return -ENAMETOOLONG;
    }
    fd_ = files_->open(path.text, OpenMode::write);
    if (fd_ < 0) {
        return fd_;
    }

    if (!loaded_) {
        const int rc = cursor_.load(files_, dir_, id_);
        if (rc < 0) {
            return rc;
        }
        loaded_ = true;
        gap_ = cursor_.delivered().skip(kSegmentHeaderSize);
    }

    walker_.start(files_, fd_, id_, &cursor_.delivered(), gap_, limit_);
    if (!sealed_) {
        return poll() == Head::failed ? -error_ : 0;
    }
    return 0;
}

void JournalSource::park()
{
    if (fd_ >= 0) {
        files_->close(fd_);
    }
    fd_ = -1;
    has_head_ = false;
    walker_.shrink();
    cursor_.close();
}

JournalSource::Head JournalSource::poll()
{
    if (sealed_ || fd_ < 0) {
        return Head::none;
    }

    uint64_t limit;
    const int locked = files_->lock(fd_);
    if (locked == 0) {
        files_->unlock(fd_);
        sealed_ = true;
        if (shared_ != nullptr) {
            /* of a writer that was killed */
            shared_->retract(id_);
        }
    } else if (locked != -EWOULDBLOCK) {
        return give_up(locked);
    }

    bounded_ = !sealed_ && shared_ != nullptr && shared_->synced(id_, &limit);
    if (!bounded_) {
        const int64_t size = files_->size(fd_);
        if (size < 0) {
            sealed_ = false;
            return give_up(static_cast<int>(size));
        }
        limit = static_cast<uint64_t>(size);
    }

    /* without a bound, the same length may have got better bytes */
    if (limit != limit_ || sealed_ || !bounded_) {
        limit_ = limit;
        if (has_head_) {
            rewind(range_.from);
        } else {
            walker_.set_limit(limit);
        }
        exhausted_ = false;
    }
    return Head::none;
}

void JournalSource::rewind(uint32_t to)
{
    gap_ = to;
    has_head_ = false;
    exhausted_ = false;
    if (fd_ >= 0) {
        walker_.start(files_, fd_, id_, &cursor_.delivered(), gap_, limit_);
    }
}

uint64_t JournalSource::sequence() const
{
    if (has_head_) {
        return record().sequence;
    }
    if (exhausted_) {
        return UINT64_MAX;
    }
    return first_sequence_;
}

JournalSource::Head JournalSource::load()
{
    if (has_head_) {
        return Head::record;
    }
    if (exhausted_) {
        return Head::none;
    }
    if (fd_ < 0) {
        const int rc = open();
        if (rc == -ENOENT && fd_ < 0) {
            /* the segment itself; anything else that is missing is a failure */
            exhausted_ = true;
            return Head::none;
        }
        if (rc < 0) {
            park();
            return give_up(rc);
        }
    }

    for (;;) {
        const SegmentWalker::Step step = walker_.next();
        const uint32_t from = static_cast<uint32_t>(walker_.offset());
        const uint32_t to = static_cast<uint32_t>(walker_.end());
        const Range whole = {gap_, to};
        bool cover = false;

        switch (step) {
        case SegmentWalker::Step::record:
            if (cursor_.delivered().covers(from, to)) {
                cover = true;
                break;
            }
            if (record().target
                    == std::string_view(target_.data(), target_.size())
                && record().sequence != UINT64_MAX /* no bound is above */
                && valid_operations(record().payload))
            {
                range_ = whole;
                gap_ = to;
                has_head_ = true;
                return Head::record;
            }
            [[fallthrough]];

        case SegmentWalker::Step::corrupt: {
            if (cursor_.delivered().covers(from, to)) {
                cover = true;
                break;
            }
            const int rc = set_aside(step == SegmentWalker::Step::record
                                         ? ReportKind::malformed
                                         : ReportKind::corrupt,
                                     from, to);
            if (rc < 0) {
                return give_up(rc);
            }
            if (!cursor_.mark(whole)) {
                return give_up(-ENOMEM);
            }
            break;
        }

        case SegmentWalker::Step::end_mark:
            cover = true;
            break;

        case SegmentWalker::Step::bad_tail:
            if (bounded_) {
                /* it was synced, so it was good once */
                const int rc = set_aside(ReportKind::corrupt, from, limit_);
                const Range rest = {gap_, static_cast<uint32_t>(limit_)};
                if (rc < 0 || !cursor_.mark(rest)) {
                    return give_up(rc < 0 ? rc : -ENOMEM);
                }
                rewind(static_cast<uint32_t>(limit_));
                continue;
            }
            if (sealed_) {
                report(ReportKind::torn_tail, from, limit_ - from, 0);
                limit_ = from;
                files_->ftruncate(fd_, limit_);
            }
            exhausted_ = true;
            return Head::none;

        case SegmentWalker::Step::limit:
            exhausted_ = true;
            return Head::none;

        case SegmentWalker::Step::failed:
            return give_up(walker_.error());
        }

        if (cover && !cursor_.cover(whole)) {
            return give_up(-ENOMEM);
        }
        gap_ = to;
    }
}

bool JournalSource::finished() const
{
    return ours_ && loaded_ && sealed_ && exhausted_
           && cursor_.delivered().covers(kSegmentHeaderSize, gap_);
}

/* The segment first, durably, then its marks: should it come back after a
 * power cut, they are still there. */
int JournalSource::drop_file()
{
    SpoolPath path;
    if (!path.segment(dir_, id_)) {
        return -ENAMETOOLONG;
    }
    int rc = files_->unlink(path.text);
    if (rc < 0 && rc != -ENOENT) {
        return rc;
    }
    rc = files_->fsync_dir(dir_);
    if (rc == 0 && path.marks(dir_, id_)) {
        files_->unlink(path.text);
    }
    return rc;
}

int JournalSource::remove(uint64_t *freed)
{
    /* a full disk must not keep a delivered segment */
    write_marks();
    sync_marks();
    park();

    const int rc = drop_file();
    if (rc == 0) {
        *freed += limit_;
    }
    return rc;
}

} // namespace esputnik
