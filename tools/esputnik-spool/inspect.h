/*
 * esputnik-spool list, print and verify: these look, and change nothing.
 */

#ifndef ESPUTNIK_SPOOL_INSPECT_H
#define ESPUTNIK_SPOOL_INSPECT_H

#include <time.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "options.h"

namespace spool_tool {

using namespace esputnik;

/* "2023-09-14T08:30:03.125Z"; "-" for 0. */
struct Time {
    char text[40];

    explicit Time(uint64_t ms)
    {
        const time_t s = static_cast<time_t>(ms / 1000);
        struct tm tm;
        if (ms == 0 || gmtime_r(&s, &tm) == nullptr) {
            snprintf(text, sizeof(text), "-");
            return;
        }
        const size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(text + n, sizeof(text) - n, ".%03uZ",
                 static_cast<unsigned>(ms % 1000));
    }
};

/* On one line whatever the bytes are, and back again by printf(1). */
inline void print_escaped(std::string_view bytes)
{
    for (const char c : bytes) {
        const unsigned char u = static_cast<unsigned char>(c);
        if (c == '\\') {
            fputs("\\\\", stdout);
        } else if (u < 0x20 || u == 0x7f) {
            printf("\\x%02x", u);
        } else {
            putchar(c);
        }
    }
}

inline const char *operation_name(OperationKind kind)
{
    switch (kind) {
    case OperationKind::rpush:
        return "rpush";
    case OperationKind::lpush:
        return "lpush";
    case OperationKind::xadd:
        return "xadd";
    }
    return "?";
}

struct Segment {
    uint64_t id;
    uint64_t size;
    uint64_t records;   /* all of them */
    uint64_t pending;   /* records not delivered */
    uint64_t events;    /* not delivered */
    uint64_t oldest_ms; /* not delivered */
    uint64_t newest_ms;
    bool locked;
    HeaderState header;
    uint8_t target_length;
    char target[kTargetMax];

    std::string_view target_name() const { return {target, target_length}; }

    void set_target(std::string_view name)
    {
        target_length = static_cast<uint8_t>(name.size());
        memcpy(target, name.data(), name.size());
    }

    const char *state() const
    {
        if (header == HeaderState::unknown_version) {
            return "unknown";
        }
        if (header == HeaderState::corrupt) {
            return "damaged";
        }
        return locked ? "writing" : pending > 0 ? "waiting" : "delivered";
    }
};

/* Walks one segment; problems go to stdout when verify is on, and events when
 * print is. */
class Inspector {
public:
    explicit Inspector(const Options &o) : o_(o) {}

    bool segment(uint64_t id, Segment *out);

    uint64_t problems = 0;
    uint64_t printed = 0;

private:
    void problem(uint64_t id, uint64_t offset, uint64_t length,
                 const char *what)
    {
        problems++;
        if (o_.command == Command::verify) {
            printf("%016" PRIx64 "  offset %" PRIu64 "  %" PRIu64
                   " bytes  %s\n",
                   id, offset, length, what);
        }
    }
    bool walk(int fd, Segment *s);
    void record(const Segment &s, const Record &r, bool delivered);
    void take(Segment *s, const SegmentWalker &w, const RangeSet &delivered);

    const Options &o_;
    Files &files_ = posix_files();
};

inline void Inspector::record(const Segment &s, const Record &r, bool delivered)
{
    if ((delivered && !o_.all)
        || (o_.target != nullptr && r.target != o_.target)
        || (o_.limit > 0 && printed >= o_.limit))
    {
        return;
    }

    OperationReader ops(r.payload);
    for (Operation op; ops.next(&op);) {
        for (OperationValue v; ops.value(&v);) {
            if (o_.limit > 0 && printed >= o_.limit) {
                return;
            }
            printed++;
            if (o_.values) {
                print_escaped(v.bytes);
                putchar('\n');
                continue;
            }
            printf("%" PRIu64 "  %s  %016" PRIx64 "%s  ", r.sequence,
                   Time(r.time_ms).text, s.id, delivered ? "  delivered" : "");
            print_escaped(r.target);
            printf("  %s ", operation_name(op.kind));
            print_escaped(op.key);
            fputs("  ", stdout);
            print_escaped(v.bytes);
            putchar('\n');
        }
    }
}

inline void Inspector::take(Segment *s, const SegmentWalker &w,
                            const RangeSet &delivered)
{
    const Record &r = w.record();
    const bool done = delivered.covers(static_cast<uint32_t>(w.offset()),
                                       static_cast<uint32_t>(w.end()));

    if (s->target_length == 0) {
        s->set_target(r.target);
    }
    if (!valid_operations(r.payload) || r.target != s->target_name()) {
        problem(s->id, w.offset(), w.end() - w.offset(), "malformed record");
        return;
    }

    s->records++;
    if (!done) {
        s->pending++;
        s->events += r.events;
        if (s->oldest_ms == 0 || r.time_ms < s->oldest_ms) {
            s->oldest_ms = r.time_ms;
        }
        if (r.time_ms > s->newest_ms) {
            s->newest_ms = r.time_ms;
        }
    }
    if (o_.command == Command::print) {
        record(*s, r, done);
    }
}

inline bool Inspector::walk(int fd, Segment *s)
{
    Cursor cursor;
    const int rc = cursor.load(&files_, o_.dir, s->id);
    if (rc < 0) {
        fprintf(stderr, "esputnik-spool: %016" PRIx64 ".done: %s\n", s->id,
                strerror(-rc));
        return false;
    }

    SegmentWalker w;
    uint64_t last = 0;
    w.start(&files_, fd, s->id, &cursor.delivered(), kSegmentHeaderSize,
            s->size);
    for (;;) {
        switch (w.next()) {
        case SegmentWalker::Step::record:
            if (w.record().sequence <= last) {
                problem(s->id, w.offset(), w.end() - w.offset(),
                        "sequence out of order");
            }
            last = w.record().sequence;
            take(s, w, cursor.delivered());
            break;
        case SegmentWalker::Step::end_mark:
            break;
        case SegmentWalker::Step::corrupt:
            problem(s->id, w.offset(), w.end() - w.offset(),
                    "corrupt, good records follow");
            break;
        case SegmentWalker::Step::bad_tail:
            if (!s->locked) {
                problem(s->id, w.offset(), s->size - w.offset(), "torn tail");
            }
            return true;
        case SegmentWalker::Step::limit:
            return true;
        case SegmentWalker::Step::failed:
            fprintf(stderr,
                    "esputnik-spool: %016" PRIx64 ".seg at %" PRIu64 ": %s\n",
                    s->id, w.position(), strerror(-w.error()));
            return false;
        }
    }
}

/* False when it could not be read. */
inline bool Inspector::segment(uint64_t id, Segment *out)
{
    *out = {};
    out->id = id;

    SpoolPath path;
    path.segment(o_.dir, id);
    const int fd = files_.open(path.text, OpenMode::read);
    if (fd < 0) {
        fprintf(stderr, "esputnik-spool: %s: %s\n", path.text, strerror(-fd));
        return false;
    }

    /* a look at the lock, let go at once */
    out->locked = files_.lock(fd) == -EWOULDBLOCK;
    if (!out->locked) {
        files_.unlock(fd);
    }

    char bytes[kSegmentHeaderSize] = {};
    SegmentHeader h = {};
    const int64_t size = files_.size(fd);
    const ssize_t got = read_all(files_, fd, bytes, sizeof(bytes), 0);
    bool ok = size >= 0 && got >= 0;
    if (!ok) {
        fprintf(stderr, "esputnik-spool: %s: %s\n", path.text,
                strerror(static_cast<int>(size < 0 ? -size : -got)));
    } else {
        out->size = static_cast<uint64_t>(size);
        out->header = read_segment_header(bytes, &h);
        if (out->header == HeaderState::good) {
            out->set_target(h.target_name());
        }
        if (out->header == HeaderState::unknown_version) {
            problem(id, 0, out->size, "unknown version");
        } else {
            if (out->header == HeaderState::corrupt) {
                problem(id, 0, kSegmentHeaderSize, "corrupt header");
            }
            ok = walk(fd, out);
        }
    }

    files_.close(fd);
    return ok;
}

inline int inspect(const Options &o)
{
    Array<uint64_t> ids;
    const int rc = list_segments(posix_files(), o.dir, &ids);
    if (rc < 0) {
        fprintf(stderr, "esputnik-spool: %s: %s\n", o.dir, strerror(-rc));
        return kExitFailed;
    }

    Inspector inspector(o);
    Segment total = {};
    bool ok = true;

    if (o.command == Command::list) {
        printf("%-16s  %-9s  %9s  %9s  %9s  %11s  %-24s  %-24s  %s\n",
               "SEGMENT", "STATE", "RECORDS", "WAITING", "EVENTS", "BYTES",
               "OLDEST", "NEWEST", "TARGET");
    }
    for (const uint64_t id : ids) {
        Segment s;
        if (!inspector.segment(id, &s)) {
            ok = false;
            continue;
        }
        if (o.target != nullptr && s.target_name() != o.target) {
            continue;
        }
        total.records += s.records;
        total.pending += s.pending;
        total.events += s.events;
        total.size += s.size;
        if (o.command == Command::list) {
            printf("%016" PRIx64 "  %-9s  %9" PRIu64 "  %9" PRIu64 "  %9" PRIu64
                   "  %11" PRIu64 "  %-24s  %-24s  ",
                   s.id, s.state(), s.records, s.pending, s.events, s.size,
                   Time(s.oldest_ms).text, Time(s.newest_ms).text);
            print_escaped(s.target_name());
            putchar('\n');
        }
    }

    if (o.command == Command::list) {
        printf("%zu segments, %" PRIu64 " bytes, %" PRIu64 " records (%" PRIu64
               " waiting with %" PRIu64 " events)\n",
               ids.size(), total.size, total.records, total.pending,
               total.events);
    }
    if (o.command == Command::verify) {
        printf("%zu segments, %" PRIu64 " good records, %" PRIu64 " problems\n",
               ids.size(), total.records, inspector.problems);
        if (ok && inspector.problems > 0) {
            return kExitWrong;
        }
    }
    return ok ? kExitOk : kExitFailed;
}

} // namespace spool_tool

#endif
