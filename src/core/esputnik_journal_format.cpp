#include "esputnik_journal_format.h"

#include <cstring>

#include "esputnik_crc32c.h"

namespace esputnik {

namespace {

constexpr char kSegmentMagic[8] = {'E', 'S', 'P', 'S', 'P', 'O', 'O', 'L'};
constexpr char kRecordMagic[4] = {'E', 'S', 'P', 'R'};

/* offsets in a segment header */
constexpr size_t kVersionAt = 8;
constexpr size_t kHeaderSizeAt = 12;
constexpr size_t kIdAt = 16;
constexpr size_t kReplacesAt = 24;
constexpr size_t kFirstAt = 32;
constexpr size_t kCreatedAt = 40;
constexpr size_t kProcessAt = 48;
constexpr size_t kTargetLengthAt = 52;
constexpr size_t kTargetAt = 53;
constexpr size_t kHeaderSumAt = kSegmentHeaderSize - 4;

static_assert(kTargetAt + kTargetMax <= kHeaderSumAt, "the target fits");

/* offsets in a record header */
constexpr size_t kLengthAt = 4;
constexpr size_t kSequenceAt = 8;
constexpr size_t kTimeAt = 16;
constexpr size_t kEventsAt = 24;
constexpr size_t kKindAt = 28;
constexpr size_t kRecordTargetAt = 29;
constexpr size_t kRecordSumAt = 32;
constexpr size_t kRecordHeaderSumAt = 36;

void put(char *out, uint64_t n, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        out[i] = static_cast<char>(n >> (8 * i));
    }
}

uint64_t get(const char *in, size_t bytes)
{
    uint64_t n = 0;
    for (size_t i = 0; i < bytes; i++) {
        n |= uint64_t{static_cast<unsigned char>(in[i])} << (8 * i);
    }
    return n;
}

uint32_t get32(const char *in)
{
    return static_cast<uint32_t>(get(in, 4));
}

uint32_t seed(uint64_t segment_id)
{
    char id[8];
    put(id, segment_id, sizeof(id));
    return crc32c(0, id, sizeof(id));
}

/* Of all but the two sums themselves. */
uint32_t record_sum(const char *record, size_t size, uint64_t segment_id)
{
    const uint32_t sum = crc32c(seed(segment_id), record, kRecordSumAt);
    return crc32c(sum, record + kRecordHeaderSize, size - kRecordHeaderSize);
}

/* Of the header and the record's sum. */
uint32_t header_sum(const char *record, uint64_t segment_id)
{
    return crc32c(seed(segment_id), record, kRecordHeaderSumAt);
}

} // namespace

void write_segment_header(const SegmentHeader &h, char *out)
{
    std::memset(out, 0, kSegmentHeaderSize);
    std::memcpy(out, kSegmentMagic, sizeof(kSegmentMagic));
    put(out + kVersionAt, kJournalVersion, 4);
    put(out + kHeaderSizeAt, kSegmentHeaderSize, 4);
    put(out + kIdAt, h.id, 8);
    put(out + kReplacesAt, h.replaces, 8);
    put(out + kFirstAt, h.first_sequence, 8);
    put(out + kCreatedAt, h.created_ms, 8);
    put(out + kProcessAt, h.process_id, 4);
    put(out + kTargetLengthAt, h.target_length, 1);
    std::memcpy(out + kTargetAt, h.target, h.target_length);
    put(out + kHeaderSumAt, crc32c(0, out, kHeaderSumAt), 4);
}

HeaderState read_segment_header(const char *in, SegmentHeader *out)
{
    if (std::memcmp(in, kSegmentMagic, sizeof(kSegmentMagic)) != 0
        || get32(in + kHeaderSumAt) != crc32c(0, in, kHeaderSumAt))
    {
        return HeaderState::corrupt;
    }
    if (get32(in + kVersionAt) != kJournalVersion
        || get32(in + kHeaderSizeAt) != kSegmentHeaderSize)
    {
        return HeaderState::unknown_version;
    }

    out->id = get(in + kIdAt, 8);
    out->replaces = get(in + kReplacesAt, 8);
    out->first_sequence = get(in + kFirstAt, 8);
    out->created_ms = get(in + kCreatedAt, 8);
    out->process_id = get32(in + kProcessAt);
    out->target_length = static_cast<uint8_t>(in[kTargetLengthAt]);
    std::memcpy(out->target, in + kTargetAt, kTargetMax);

    return out->target_length > 0 ? HeaderState::good : HeaderState::corrupt;
}

void write_record_header(const RecordHeader &h, char *out)
{
    std::memset(out, 0, kRecordHeaderSize);
    std::memcpy(out, kRecordMagic, sizeof(kRecordMagic));
    put(out + kLengthAt, h.payload_length, 4);
    put(out + kSequenceAt, h.sequence, 8);
    put(out + kTimeAt, h.time_ms, 8);
    put(out + kEventsAt, h.events, 4);
    put(out + kKindAt, static_cast<uint8_t>(h.kind), 1);
    put(out + kRecordTargetAt, h.target_length, 1);
}

void seal_record(char *record, size_t size, uint64_t segment_id)
{
    put(record + kRecordSumAt, record_sum(record, size, segment_id), 4);
    put(record + kRecordHeaderSumAt, header_sum(record, segment_id), 4);
}

bool peek_record_header(const char *in, RecordHeader *out)
{
    if (std::memcmp(in, kRecordMagic, sizeof(kRecordMagic)) != 0) {
        return false;
    }

    out->payload_length = get32(in + kLengthAt);
    out->sequence = get(in + kSequenceAt, 8);
    out->time_ms = get(in + kTimeAt, 8);
    out->events = get32(in + kEventsAt);
    out->kind = static_cast<RecordKind>(in[kKindAt]);
    out->target_length = static_cast<uint8_t>(in[kRecordTargetAt]);

    return (out->kind == RecordKind::operations || out->kind == RecordKind::end)
           && out->size() <= kRecordMax;
}

bool check_record_header(const char *in, uint64_t segment_id, RecordHeader *out)
{
    return peek_record_header(in, out)
           && get32(in + kRecordHeaderSumAt) == header_sum(in, segment_id);
}

bool check_record_body(const char *in, const RecordHeader &h,
                       uint64_t segment_id)
{
    return get32(in + kRecordSumAt) == record_sum(in, h.size(), segment_id);
}

void set_record_sequence(char *record, uint64_t sequence)
{
    put(record + kSequenceAt, sequence, 8);
}

} // namespace esputnik
