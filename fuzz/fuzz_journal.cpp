/*
 * A segment file, and its marks, of arbitrary bytes: read without a crash, to
 * an end, and nothing is delivered whose sums are not right.
 *
 * Input: a byte of flags, a byte that says how many marks of 16 bytes come
 * first, the marks, the segment.  Flag 1 makes the sums of what looks
 * like records right, so that the fuzzer gets behind them; flag 2 says that the
 * writer lives; flag 4 makes the header's sum right,
 * flag 8 holds every other record back at first, flag 16 lets file operations fail
 * now and then, flag 32 says how much of the segment is synced.  The segment's
 * bytes are read as a record's payload, too.
 */

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "esputnik_crc32c.h"
#include "esputnik_journal_reader.h"
#include "esputnik_spool_dir.h"

using namespace esputnik;

namespace {

constexpr char kDir[] = "/f";
constexpr char kTarget[] = "main";
constexpr uint64_t kId = 0x0123456789abcdef;

void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* A folder with one segment and its marks; all else goes to a sink. */
class Folder final : public Files {
public:
    enum { segment_fd = 3, marks_fd, sink_fd };

    Buffer segment, marks;
    bool locked = false;
    bool there = true;
    unsigned faults = 0; /* so many operations more, each third fails */

    bool fails() { return faults > 0 && --faults % 3 == 1; }

    Buffer *file(int fd)
    {
        return fd == segment_fd ? &segment : fd == marks_fd ? &marks : nullptr;
    }
    static bool ends(const char *path, const char *suffix)
    {
        const size_t n = strlen(path), k = strlen(suffix);
        return n >= k && strcmp(path + n - k, suffix) == 0;
    }

    int open(const char *path, OpenMode) override
    {
        if (fails()) {
            return -EIO;
        }
        if (ends(path, ".seg")) {
            return there ? segment_fd : -ENOENT;
        }
        return ends(path, ".done") ? int{marks_fd} : int{sink_fd};
    }
    int close(int) override { return 0; }
    ssize_t pread(int fd, void *out, size_t n, uint64_t offset) override
    {
        if (fails()) {
            return -EIO;
        }
        Buffer *b = file(fd);
        if (b == nullptr || offset >= b->size()) {
            return 0;
        }
        n = n < b->size() - offset ? n : b->size() - offset;
        memcpy(out, b->data() + offset, n);
        return static_cast<ssize_t>(n);
    }
    ssize_t pwrite(int fd, const void *in, size_t n, uint64_t offset) override
    {
        if (fails()) {
            return -EIO;
        }
        check(fd != segment_fd);
        if (fd == marks_fd) {
            check(marks.size() >= offset);
            marks.truncate(offset);
            marks.append(static_cast<const char *>(in), n);
        }
        return static_cast<ssize_t>(n);
    }
    int64_t size(int fd) override
    {
        if (fails()) {
            return -EIO;
        }
        Buffer *b = file(fd);
        return b == nullptr ? 0 : static_cast<int64_t>(b->size());
    }
    int ftruncate(int fd, uint64_t n) override
    {
        if (fd == segment_fd) {
            check(n <= segment.size());
            segment.truncate(n);
        }
        return 0;
    }
    int fdatasync(int) override { return fails() ? -EIO : 0; }
    int fsync_dir(const char *) override { return fails() ? -EIO : 0; }
    int rename(const char *from, const char *) override
    {
        if (ends(from, ".seg")) {
            there = false;
        }
        return fails() ? -EIO : 0;
    }
    int unlink(const char *path) override
    {
        if (fails()) {
            return -EIO;
        }
        if (ends(path, ".seg")) {
            there = false;
        }
        return 0;
    }
    bool exists(const char *) override { return false; }
    int list(const char *, void (*entry)(void *, const char *),
             void *data) override
    {
        if (fails()) {
            return -EIO;
        }
        if (there) {
            entry(data, "0123456789abcdef.seg");
        }
        return 0;
    }
    int lock(int) override { return locked ? -EWOULDBLOCK : 0; }
    int unlock(int) override { return 0; }
    uint64_t now_ms() override { return 1700000000000; }
    uint32_t process_id() override { return 1; }
};

void repair_header(Buffer *segment)
{
    if (segment->size() >= kSegmentHeaderSize) {
        char *p = segment->data();
        const uint32_t sum = crc32c(0, p, kSegmentHeaderSize - 4);
        for (size_t i = 0; i < 4; i++) {
            p[kSegmentHeaderSize - 4 + i] = static_cast<char>(sum >> (8 * i));
        }
    }
}

void repair_records(Buffer *segment)
{
    for (size_t at = kSegmentHeaderSize;
         at + kRecordHeaderSize <= segment->size(); at += 8)
    {
        RecordHeader h;
        char *p = segment->data() + at;
        if (peek_record_header(p, &h) && h.size() <= segment->size() - at) {
            seal_record(p, h.size(), kId);
        }
    }
}

/* What a reader sees of a payload is inside of it, and if it is sound, all of
 * it. */
void check_operations(std::string_view payload)
{
    OperationReader reader(payload);
    size_t used = 0;
    bool any = false, empty = false;
    auto inside = [&](std::string_view s) {
        check(s.data() >= payload.data()
              && s.data() + s.size() <= payload.data() + payload.size());
        used += s.size();
    };

    for (Operation op; reader.next(&op);) {
        any = true;
        empty = empty || op.values == 0;
        inside(op.key);
        used += kOperationOverhead;
        for (OperationValue v; reader.value(&v);) {
            inside(v.bytes);
            inside(v.id);
            used += kValueOverhead;
        }
    }
    check(reader.malformed() || used == payload.size());
    check(valid_operations(payload) == (any && !empty && !reader.malformed()));

    /* values that nobody reads are skipped */
    OperationReader skipping(payload);
    for (Operation op; skipping.next(&op);) {
    }
    check(skipping.malformed() == reader.malformed());
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) {
        return 0;
    }

    Folder folder;
    const uint8_t flags = data[0];
    size_t marks = size_t{data[1]} * kMarkSize;
    data += 2;
    size -= 2;
    marks = marks < size ? marks : size;
    folder.locked = flags & 2;
    if (!folder.marks.append(reinterpret_cast<const char *>(data), marks)
        || !folder.segment.append(reinterpret_cast<const char *>(data) + marks,
                                  size - marks))
    {
        return 0;
    }
    check_operations({folder.segment.data(), folder.segment.size()});
    if (flags & 4) {
        repair_header(&folder.segment);
    }
    if (flags & 1) {
        repair_records(&folder.segment);
    }

    Buffer original;
    original.append(folder.segment.data(), folder.segment.size());

    Array<TargetStats> targets;
    Array<SpoolReport> reports;
    check(scan_spool(folder, kDir, &targets, &reports) == 0);
    uint64_t found = 0;
    for (const TargetStats &t : targets) {
        found += t.target_name() == kTarget ? t.records : 0;
    }

    JournalReader reader;
    CommitReport report;
    uint64_t delivered = 0;
    static SpoolShared shared;
    shared.init(1, 0, 0);
    if (flags & 32) {
        shared.publish(kId, original.size() * data[0] / 255);
    }
    folder.faults = flags & 16 ? 200 : 0;
    bool holding = flags & 8;
    check(reader.init(&folder, kDir, kTarget, flags & 32 ? &shared : nullptr));
    ReadResult result;
    for (;;) {
        result = reader.read(UINT64_MAX, 4096);
        if (result == ReadResult::failed && folder.faults > 0) {
            reader.clear_reports();
            continue;
        }
        if (result == ReadResult::waiting && holding) {
            holding = false;
            check(reader.holds());
            reader.release();
            continue;
        }
        if (result != ReadResult::records) {
            break;
        }
        for (size_t i = 0; i < reader.items().size(); i++) {
            const JournalReader::Item &item = reader.items()[i];
            const char *p = original.data() + item.offset;
            RecordHeader h;
            check(item.segment_id == kId);
            check(item.offset + kRecordHeaderSize <= original.size());
            check(check_record_header(p, kId, &h));
            check(item.offset + h.size() <= original.size());
            check(check_record_body(p, h, kId));
            check(h.sequence == item.record.sequence);
            check(item.record.payload
                  == std::string_view(p + kRecordHeaderSize + h.target_length,
                                      h.payload_length));
            check(item.record.target == kTarget);
            check(valid_operations(item.record.payload));
            if (holding && item.record.sequence % 2 == 0) {
                check(reader.hold(i));
                continue;
            }
            check(reader.done(i));
            delivered++;
        }
        check(reader.commit(&report) || (flags & 16));
        check(reader.sync_marks() == 0 || (flags & 16));
    }
    check(delivered <= found);
    folder.faults = 0;
    check(result == ReadResult::empty);
    check(reader.commit(&report));
    check(delivered == 0 || folder.locked || !folder.there);
    if (!folder.there) {
        check(reader.read(UINT64_MAX, 4096) == ReadResult::empty);
    }
    return 0;
}
