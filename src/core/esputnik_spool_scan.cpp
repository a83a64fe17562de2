/*
 * What is in a spool, read from end to end, nothing changed.
 */

#include <cerrno>
#include <cstring>

#include "esputnik_journal_cursor.h"
#include "esputnik_journal_segment.h"
#include "esputnik_spool_dir.h"

namespace esputnik {

namespace {

TargetStats *stats_of(Array<TargetStats> *targets, std::string_view name)
{
    for (TargetStats &t : *targets) {
        if (t.target_name() == name) {
            return &t;
        }
    }

    TargetStats t = {};
    t.target_length = static_cast<uint8_t>(name.size());
    std::memcpy(t.target, name.data(), name.size());
    return targets->push(t) ? &targets->back() : nullptr;
}

void count(TargetStats *t, const Record &r)
{
    t->records++;
    t->events += r.events;
    if (t->oldest_ms == 0 || r.time_ms < t->oldest_ms) {
        t->oldest_ms = r.time_ms;
    }
    if (r.time_ms > t->newest_ms) {
        t->newest_ms = r.time_ms;
    }
}

class Scan {
public:
    Scan(Files &files, const char *dir, Array<TargetStats> *targets,
         Array<SpoolReport> *reports)
        : files_(files), dir_(dir), targets_(targets), reports_(reports)
    {
    }

    int segment(uint64_t id, const Array<uint64_t> &replaced);
    int replaced(const Array<uint64_t> &ids, Array<uint64_t> *out);

private:
    int walk(int fd, uint64_t id, uint64_t size, TargetStats *stats);
    bool report(ReportKind kind, uint64_t id, uint64_t offset, uint64_t length,
                int error);

    Files &files_;
    const char *dir_;
    Array<TargetStats> *targets_;
    Array<SpoolReport> *reports_;
    SegmentWalker walker_;
};

bool Scan::report(ReportKind kind, uint64_t id, uint64_t offset,
                  uint64_t length, int error)
{
    return reports_->push({kind, error, id, offset, length});
}

/* Segments whose records another one has taken over. */
int Scan::replaced(const Array<uint64_t> &ids, Array<uint64_t> *out)
{
    for (uint64_t id : ids) {
        SpoolPath path;
        char bytes[kSegmentHeaderSize];
        SegmentHeader h;

        if (!path.segment(dir_, id)) {
            return -ENAMETOOLONG;
        }
        const int fd = files_.open(path.text, OpenMode::read);
        if (fd < 0) {
            continue;
        }
        const ssize_t got = read_all(files_, fd, bytes, sizeof(bytes), 0);
        files_.close(fd);
        if (got == static_cast<ssize_t>(sizeof(bytes))
            && read_segment_header(bytes, &h) == HeaderState::good
            && h.replaces != 0 && !out->push(h.replaces))
        {
            return -ENOMEM;
        }
    }
    return 0;
}

int Scan::segment(uint64_t id, const Array<uint64_t> &replaced)
{
    for (uint64_t other : replaced) {
        if (other == id) {
            return 0;
        }
    }

    SpoolPath path;
    if (!path.segment(dir_, id)) {
        return -ENAMETOOLONG;
    }
    const int fd = files_.open(path.text, OpenMode::read);
    if (fd < 0) {
        /* delivered and removed meanwhile */
        return fd == -ENOENT || report(ReportKind::unreadable, id, 0, 0, -fd)
                   ? 0
                   : -ENOMEM;
    }

    char bytes[kSegmentHeaderSize] = {};
    SegmentHeader h = {};
    int rc = 0;
    const int64_t size = files_.size(fd);
    const ssize_t got = read_all(files_, fd, bytes, sizeof(bytes), 0);

    if (size < 0 || got < 0) {
        const int error = static_cast<int>(size < 0 ? -size : -got);
        rc = report(ReportKind::unreadable, id, 0, 0, error) ? 0 : -ENOMEM;
    } else {
        switch (read_segment_header(bytes, &h)) {
        case HeaderState::unknown_version:
            rc = report(ReportKind::unknown_version, id, 0,
                        static_cast<uint64_t>(size), 0)
                     ? 0
                     : -ENOMEM;
            break;
        case HeaderState::corrupt:
            rc = report(ReportKind::corrupt, id, 0, kSegmentHeaderSize, 0)
                     ? walk(fd, id, static_cast<uint64_t>(size), nullptr)
                     : -ENOMEM;
            break;
        case HeaderState::good:
            TargetStats *stats = stats_of(targets_, h.target_name());
            rc = stats != nullptr
                     ? walk(fd, id, static_cast<uint64_t>(size), stats)
                     : -ENOMEM;
            break;
        }
    }

    files_.close(fd);
    return rc;
}

int Scan::walk(int fd, uint64_t id, uint64_t size, TargetStats *stats)
{
    Cursor cursor;
    const int rc = cursor.load(&files_, dir_, id);
    if (rc < 0 && !report(ReportKind::unreadable, id, 0, 0, -rc)) {
        return -ENOMEM;
    }

    bool counted = false;
    walker_.start(&files_, fd, id, &cursor.delivered(), kSegmentHeaderSize,
                  size);

    for (;;) {
        switch (walker_.next()) {
        case SegmentWalker::Step::record: {
            const Record &r = walker_.record();
            if (stats == nullptr) {
                stats = stats_of(targets_, r.target);
            }
            if (stats == nullptr) {
                return -ENOMEM;
            }
            if (!counted) {
                counted = true;
                stats->segments++;
                stats->bytes += size;
            }
            if (r.sequence > stats->max_sequence) {
                stats->max_sequence = r.sequence;
            }
            if (!cursor.delivered().covers(
                    static_cast<uint32_t>(walker_.offset()),
                    static_cast<uint32_t>(walker_.end())))
            {
                count(stats, r);
            }
            break;
        }

        case SegmentWalker::Step::end_mark:
            break;

        case SegmentWalker::Step::corrupt:
            if (!cursor.delivered().covers(
                    static_cast<uint32_t>(walker_.offset()),
                    static_cast<uint32_t>(walker_.end()))
                && !report(ReportKind::corrupt, id, walker_.offset(),
                           walker_.end() - walker_.offset(), 0))
            {
                return -ENOMEM;
            }
            break;

        case SegmentWalker::Step::bad_tail: {
            /* of a living writer it is an append that goes on */
            const int locked = files_.lock(fd);
            if (locked == 0) {
                files_.unlock(fd);
                if (!report(ReportKind::torn_tail, id, walker_.offset(),
                            size - walker_.offset(), 0))
                {
                    return -ENOMEM;
                }
            }
        }
            [[fallthrough]];

        case SegmentWalker::Step::limit:
            if (!counted && stats != nullptr) {
                stats->segments++;
                stats->bytes += size;
            }
            return 0;

        case SegmentWalker::Step::failed:
            return report(ReportKind::unreadable, id, walker_.position(), 0,
                          -walker_.error())
                       ? 0
                       : -ENOMEM;
        }
    }
}

} // namespace

int scan_spool(Files &files, const char *dir, Array<TargetStats> *targets,
               Array<SpoolReport> *reports)
{
    Array<uint64_t> ids, replaced;
    Scan scan(files, dir, targets, reports);

    int rc = list_segments(files, dir, &ids);
    if (rc == 0) {
        rc = scan.replaced(ids, &replaced);
    }
    for (size_t i = 0; rc == 0 && i < ids.size(); i++) {
        rc = scan.segment(ids[i], replaced);
    }
    return rc;
}

} // namespace esputnik
