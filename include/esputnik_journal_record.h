/*
 * What a record says: the logical operations of one POST (which values go to
 * which key, and how), not the commands.  The one who drains encodes them for
 * what the target is by then: plain, a script, a cluster's slot.
 *
 * A record is delivered as a whole.  In a cluster, where one POST may need
 * several slots, each slot's operations are one record, all of them appended in
 * one batch.
 *
 * Writing:
 *
 *     RecordBuilder r(&batch);
 *     ok = r.begin(target, now_ms)
 *          && r.operation({OperationKind::rpush, key}, n) && r.value(event) …
 *          && r.finish();
 *     set_record_sequence(batch.data() + r.offset(), sequence);
 *
 * Reading, without copies:
 *
 *     OperationReader ops(record.payload);
 *     for (Operation op; ops.next(&op);) {
 *         for (OperationValue v; ops.value(&v);) { … }
 *     }
 *     if (ops.malformed()) …
 */

#ifndef ESPUTNIK_JOURNAL_RECORD_H
#define ESPUTNIK_JOURNAL_RECORD_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_array.h"
#include "esputnik_journal_format.h"

namespace esputnik {

enum class OperationKind : uint8_t {
    rpush = 1,
    lpush = 2,
    xadd = 3,
};

struct Operation {
    OperationKind kind;
    std::string_view key;
    uint64_t maxlen = 0;       /* xadd: about so many entries; 0: all */
    uint32_t dedup_window = 0; /* seconds; 0: no dedup, values have no id */
    uint32_t values = 0;       /* how many follow: set by the reader */
};

struct OperationValue {
    std::string_view bytes; /* what is pushed */
    std::string_view id;    /* its identity for dedup, may be empty */
};

/* The size of a record before it is built: all keys, values and ids with
 * these per-item costs. */
constexpr size_t kOperationOverhead = 24;
constexpr size_t kValueOverhead = 8;

constexpr size_t record_size(size_t target_length, size_t operations,
                             size_t key_bytes, size_t values,
                             size_t value_bytes, size_t id_bytes)
{
    return round_up(kRecordHeaderSize + target_length
                        + operations * kOperationOverhead + key_bytes
                        + values * kValueOverhead + value_bytes + id_bytes,
                    8);
}

/* Appends one record to a buffer.  When a call fails (memory, or a size limit)
 * the buffer is cut back to where the record began, and the later calls fail
 * too. */
class RecordBuilder {
public:
    explicit RecordBuilder(Buffer *out) : out_(out) {}

    /* target: 1 to kTargetMax bytes. */
    bool begin(std::string_view target, uint64_t time_ms);

    /* op.values is not looked at. */
    bool operation(const Operation &op);
    bool value(std::string_view bytes, std::string_view id = {});

    /* The record now ends at a multiple of 8 from its offset.  Its number of
     * events is the number of values unless given. */
    bool finish();
    bool finish(uint32_t events);

    size_t offset() const { return start_; }
    size_t size() const { return out_->size() - start_; }

private:
    bool put(const void *p, size_t n);
    bool give_up();
    void close_operation();

    Buffer *out_;
    size_t start_ = 0;
    size_t operation_ = 0; /* offset of the open operation, 0: none */
    uint64_t time_ms_ = 0;
    uint32_t values_ = 0; /* of the open operation */
    uint32_t events_ = 0;
    uint8_t target_length_ = 0;
    bool failed_ = false;
};

/* The views point into the payload. */
class OperationReader {
public:
    explicit OperationReader(std::string_view payload)
        : p_(payload.data()), end_(payload.data() + payload.size())
    {
    }

    /* Skips values of the last operation that were not read. */
    bool next(Operation *out);
    bool value(OperationValue *out);

    /* True when the bytes are no operations: next() and value() have stopped
     * short. */
    bool malformed() const { return malformed_; }

private:
    bool give_up();

    const char *p_;
    const char *end_;
    uint32_t left_ = 0;
    bool malformed_ = false;
};

/* True when the payload is sound operations to its last byte, at least one. */
bool valid_operations(std::string_view payload);

/* A record as it is read; the views live as long as what they were read
 * from. */
struct Record {
    uint64_t sequence;
    uint64_t time_ms;
    uint32_t events;
    std::string_view target;
    std::string_view payload;
};

} // namespace esputnik

#endif
