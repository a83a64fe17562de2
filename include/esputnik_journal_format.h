/*
 * The bytes of a segment file; docs/spool.md shows them as tables.
 *
 * A segment is a header of 512 bytes, then records.  Records start at
 * multiples of 8.  What one append writes starts at a multiple of 512, the
 * gap is zeros: a sector torn by a power cut never holds anything that had been
 * acknowledged before.  All numbers are little-endian.
 *
 * The sums of a record start from the segment's id, so that blocks of a deleted
 * segment, which a file system may expose after a crash, are not taken for
 * records of this one.
 *
 * All functions are reentrant; no memory is allocated.
 */

#ifndef ESPUTNIK_JOURNAL_FORMAT_H
#define ESPUTNIK_JOURNAL_FORMAT_H

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace esputnik {

constexpr uint32_t kJournalVersion = 1;
constexpr size_t kSectorSize = 512;
constexpr size_t kSegmentHeaderSize = kSectorSize;
constexpr size_t kRecordHeaderSize = 40;
constexpr size_t kTargetMax = 255;

/* The largest record, header included; a larger one is never written, and a
 * length above it is corruption. */
constexpr size_t kRecordMax = 256u * 1024 * 1024;

/* Offsets in a segment fit 32 bits. */
constexpr uint64_t kSegmentMax = 0xfffff000u;

constexpr uint64_t kSegmentSizeDefault = 64u * 1024 * 1024;

constexpr uint64_t round_up(uint64_t n, uint64_t step)
{
    return (n + step - 1) / step * step;
}

/* What a record of this size takes of the spool at most, with the gap to the
 * next sector: for the account against max_size, before the append.  A new
 * segment takes kSegmentHeaderSize and its end mark kSectorSize more. */
constexpr uint64_t record_charge(size_t record_size)
{
    return round_up(record_size, kSectorSize);
}

struct SegmentHeader {
    uint64_t id;
    uint64_t replaces;        /* the segment whose undelivered records this
                                 one has taken over, or 0 */
    uint64_t first_sequence;
    uint64_t created_ms;
    uint32_t process_id;
    uint8_t target_length;
    char target[kTargetMax];

    std::string_view target_name() const { return {target, target_length}; }
};

void write_segment_header(const SegmentHeader &h, char *out);

enum class HeaderState : uint8_t {
    good,
    corrupt,
    unknown_version, /* sound, but of a version that is not ours */
};

/* in has kSegmentHeaderSize bytes. */
HeaderState read_segment_header(const char *in, SegmentHeader *out);

enum class RecordKind : uint8_t {
    operations = 1,
    end = 2,    /* the writer closed the segment; nothing follows */
};

struct RecordHeader {
    uint64_t sequence;
    uint64_t time_ms;
    uint32_t payload_length; /* without the target name */
    uint32_t events;
    RecordKind kind;
    uint8_t target_length;

    /* Header, target, payload; and with the gap to the next record. */
    size_t size() const
    {
        return kRecordHeaderSize + target_length + payload_length;
    }
    size_t padded_size() const { return round_up(size(), 8); }
};

/* Writes the header with both sums zero: seal_record() fills them. */
void write_record_header(const RecordHeader &h, char *out);

/* The sums depend on the segment, which is known when the record is written
 * only.  record is whole: header, target, payload. */
void seal_record(char *record, size_t size, uint64_t segment_id);

/* The fields, without a look at the sums: for records in memory. */
bool peek_record_header(const char *in, RecordHeader *out);

/* True when the kRecordHeaderSize bytes are a record header of this segment:
 * its own sum is right, so that its lengths can be trusted. */
bool check_record_header(const char *in, uint64_t segment_id,
                         RecordHeader *out);

/* True when all of the record is as it was written; in has out->size() bytes,
 * and its header was checked. */
bool check_record_body(const char *in, const RecordHeader &h,
                       uint64_t segment_id);

void set_record_sequence(char *record, uint64_t sequence);

} // namespace esputnik

#endif
