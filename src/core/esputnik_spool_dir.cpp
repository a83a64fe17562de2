#include "esputnik_spool_dir.h"

#include <stdarg.h>
#include <stdio.h>

#include <cerrno>
#include <cinttypes>
#include <cstring>

#include "esputnik_fnv.h"

namespace esputnik {

namespace {

constexpr size_t kIdDigits = 16;
constexpr int kIdAttempts = 64;

__attribute__((format(printf, 2, 3))) bool print_path(char *out,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(out, kSpoolPathMax, format, args);
    va_end(args);
    return n > 0 && static_cast<size_t>(n) < kSpoolPathMax;
}

/* "<id><suffix>" */
bool id_of(const char *name, const char *suffix, uint64_t *id)
{
    if (std::strlen(name) != kIdDigits + std::strlen(suffix)
        || std::strcmp(name + kIdDigits, suffix) != 0)
    {
        return false;
    }

    *id = 0;
    for (size_t i = 0; i < kIdDigits; i++) {
        const char c = name[i];
        if (c >= '0' && c <= '9') {
            *id = *id << 4 | static_cast<uint64_t>(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            *id = *id << 4 | static_cast<uint64_t>(c - 'a' + 10);
        } else {
            return false;
        }
    }
    return true;
}

int compare_ids(const void *a, const void *b)
{
    const uint64_t x = *static_cast<const uint64_t *>(a);
    const uint64_t y = *static_cast<const uint64_t *>(b);
    return x < y ? -1 : x > y;
}

struct Listing {
    Array<uint64_t> *ids;
    const char *suffix;
    bool failed;
};

int list_ids(Files &files, const char *dir, const char *suffix,
             Array<uint64_t> *ids)
{
    Listing listing = {ids, suffix, false};

    ids->clear();
    const int rc = files.list(
        dir,
        [](void *data, const char *name) {
            Listing *l = static_cast<Listing *>(data);
            uint64_t id;
            if (id_of(name, l->suffix, &id) && !l->ids->push(id)) {
                l->failed = true;
            }
        },
        &listing);

    if (rc < 0 || listing.failed) {
        return rc < 0 ? rc : -ENOMEM;
    }
    if (!ids->empty()) {
        qsort(ids->data(), ids->size(), sizeof(uint64_t), compare_ids);
    }
    return 0;
}

} // namespace

bool SpoolPath::segment(const char *dir, uint64_t id)
{
    return print_path(text, "%s/%016" PRIx64 ".seg", dir, id);
}

bool SpoolPath::temporary(const char *dir, uint64_t id)
{
    return print_path(text, "%s/%016" PRIx64 ".tmp", dir, id);
}

bool SpoolPath::marks(const char *dir, uint64_t id)
{
    return print_path(text, "%s/%016" PRIx64 ".done", dir, id);
}

bool SpoolPath::corrupt(const char *dir, uint64_t id, uint64_t offset)
{
    return print_path(text, "%s/corrupt-%016" PRIx64 "-%" PRIu64, dir, id,
                      offset);
}

bool segment_id_of(const char *name, uint64_t *id)
{
    return id_of(name, ".seg", id);
}

int list_segments(Files &files, const char *dir, Array<uint64_t> *ids)
{
    return list_ids(files, dir, ".seg", ids);
}

int64_t spool_bytes(Files &files, const char *dir)
{
    Array<uint64_t> ids;
    int64_t sum = 0;

    int64_t rc = list_segments(files, dir, &ids);
    for (size_t i = 0; rc >= 0 && i < ids.size(); i++) {
        SpoolPath path;
        if (!path.segment(dir, ids[i])) {
            return -ENAMETOOLONG;
        }
        const int fd = files.open(path.text, OpenMode::read);
        if (fd == -ENOENT) {
            continue;  /* delivered and removed meanwhile */
        }
        rc = fd < 0 ? fd : files.size(fd);
        if (fd >= 0) {
            files.close(fd);
        }
        sum += rc;
    }
    return rc < 0 ? rc : sum;
}

int clean_spool(Files &files, const char *dir)
{
    Array<uint64_t> ids, segments;
    SpoolPath path;
    bool any = false;

    int rc = list_ids(files, dir, ".tmp", &ids);
    for (size_t i = 0; rc == 0 && i < ids.size(); i++) {
        if (path.temporary(dir, ids[i])) {
            rc = files.unlink(path.text);
            any = true;
        }
    }
    if (rc == 0) {
        rc = list_segments(files, dir, &segments);
    }
    if (rc == 0) {
        rc = list_ids(files, dir, ".done", &ids);
    }

    size_t s = 0;
    for (size_t i = 0; rc == 0 && i < ids.size(); i++) {
        while (s < segments.size() && segments[s] < ids[i]) {
            s++;
        }
        if (s == segments.size() || segments[s] != ids[i]) {
            if (path.marks(dir, ids[i])) {
                rc = files.unlink(path.text);
                any = true;
            }
        }
    }

    if (rc == 0 && any) {
        rc = files.fsync_dir(dir);
    }
    return rc;
}

int make_temporary(Files &files, const char *dir, SegmentHeader *header,
                   uint64_t *last_ms)
{
    SpoolPath temporary, final;

    for (int i = 0; i < kIdAttempts; i++) {
        /* ids rise though the clock may be set back */
        const uint64_t now = files.now_ms();
        *last_ms = now > *last_ms ? now : *last_ms + 1;
        header->created_ms = *last_ms;
        header->process_id = files.process_id();
        header->id = make_segment_id(*last_ms, header->process_id);

        if (!temporary.temporary(dir, header->id)
            || !final.segment(dir, header->id)) {
            return -ENAMETOOLONG;
        }

        const int fd = files.open(temporary.text, OpenMode::create);
        if (fd >= 0 && !files.exists(final.text)) {
            return fd;
        }
        if (fd >= 0) {
            /* another writer of this process had this millisecond: looked up
             * after the create, which lets no two of them be here at once */
            files.unlink(temporary.text);
            files.close(fd);
        } else if (fd != -EEXIST) {
            return fd;
        }
    }
    return -EEXIST;
}

int lock_drain(Files &files, const char *dir, std::string_view target)
{
    /* two targets of one sum only wait for each other */
    SpoolPath path;
    if (!print_path(path.text, "%s/drain-%016" PRIx64, dir, fnv1a(target))) {
        return -ENAMETOOLONG;
    }

    const int fd = files.open(path.text, OpenMode::create_or_open);
    if (fd < 0) {
        return fd;
    }
    const int rc = files.lock(fd);
    if (rc < 0) {
        files.close(fd);
        return rc;
    }
    return fd;
}

const char *report_text(ReportKind kind)
{
    switch (kind) {
    case ReportKind::torn_tail:
        return "torn tail of an unfinished append cut off";
    case ReportKind::corrupt:
        return "corrupt bytes set aside";
    case ReportKind::unknown_version:
        return "segment of an unknown version left alone";
    case ReportKind::no_target:
        return "segment without a readable record set aside";
    case ReportKind::unreadable:
        return "file operation failed";
    case ReportKind::malformed:
        return "record without sensible content set aside";
    }
    return "";
}

} // namespace esputnik
