#include "esputnik_journal_record.h"

#include <cstring>

namespace esputnik {

namespace {

/* offsets in an operation: kind, 3 zeros, dedup window, maxlen, values, key
 * length */
constexpr size_t kWindowAt = 4;
constexpr size_t kMaxlenAt = 8;
constexpr size_t kValuesAt = 16;
constexpr size_t kKeyLengthAt = 20;

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

} // namespace

bool RecordBuilder::give_up()
{
    if (!failed_) {
        failed_ = true;
        out_->truncate(start_);
    }
    return false;
}

bool RecordBuilder::put(const void *p, size_t n)
{
    if (failed_) {
        return false;
    }
    if (n > kRecordMax - size()
        || !out_->append(static_cast<const char *>(p), n)) {
        return give_up();
    }
    return true;
}

bool RecordBuilder::begin(std::string_view target, uint64_t time_ms)
{
    start_ = out_->size();
    operation_ = 0;
    values_ = events_ = 0;
    time_ms_ = time_ms;
    failed_ = false;

    if (target.empty() || target.size() > kTargetMax) {
        return give_up();
    }
    target_length_ = static_cast<uint8_t>(target.size());

    /* the header is written by finish(), which knows the lengths */
    const char header[kRecordHeaderSize] = {};
    return put(header, sizeof(header)) && put(target.data(), target.size());
}

void RecordBuilder::close_operation()
{
    if (operation_ != 0) {
        esputnik::put(out_->data() + start_ + operation_ + kValuesAt, values_,
                      4);
        operation_ = 0;
    }
}

bool RecordBuilder::operation(const Operation &op)
{
    if (failed_) {
        return false;
    }
    close_operation();

    if (op.key.size() > kRecordMax) {
        return give_up();
    }

    char head[kOperationOverhead] = {};
    esputnik::put(head, static_cast<uint8_t>(op.kind), 1);
    esputnik::put(head + kWindowAt, op.dedup_window, 4);
    esputnik::put(head + kMaxlenAt, op.maxlen, 8);
    esputnik::put(head + kKeyLengthAt, op.key.size(), 4);

    const size_t at = size();
    if (!put(head, sizeof(head)) || !put(op.key.data(), op.key.size())) {
        return false;
    }
    operation_ = at;
    values_ = 0;
    return true;
}

bool RecordBuilder::value(std::string_view bytes, std::string_view id)
{
    if (failed_ || operation_ == 0 || bytes.size() > kRecordMax
        || id.size() > kRecordMax)
    {
        return give_up();
    }

    char head[kValueOverhead];
    esputnik::put(head, bytes.size(), 4);
    esputnik::put(head + 4, id.size(), 4);
    if (!put(head, sizeof(head)) || !put(bytes.data(), bytes.size())
        || !put(id.data(), id.size()))
    {
        return false;
    }
    values_++;
    events_++;
    return true;
}

bool RecordBuilder::finish()
{
    return finish(events_);
}

bool RecordBuilder::finish(uint32_t events)
{
    if (failed_) {
        return false;
    }
    close_operation();

    RecordHeader h = {};
    h.time_ms = time_ms_;
    h.events = events;
    h.kind = RecordKind::operations;
    h.target_length = target_length_;
    h.payload_length = static_cast<uint32_t>(size() - kRecordHeaderSize
                                             - target_length_);

    const char gap[8] = {};
    if (!put(gap, h.padded_size() - h.size())) {
        return false;
    }
    write_record_header(h, out_->data() + start_);
    return true;
}

bool OperationReader::give_up()
{
    malformed_ = true;
    return false;
}

bool OperationReader::next(Operation *out)
{
    for (OperationValue skipped; left_ > 0;) {
        if (!value(&skipped)) {
            return false;
        }
    }
    if (malformed_ || p_ == end_) {
        return false;
    }
    if (static_cast<size_t>(end_ - p_) < kOperationOverhead) {
        return give_up();
    }

    const uint8_t kind = static_cast<uint8_t>(*p_);
    const size_t key_length = get(p_ + kKeyLengthAt, 4);
    if (kind < static_cast<uint8_t>(OperationKind::rpush)
        || kind > static_cast<uint8_t>(OperationKind::xadd)
        || key_length > static_cast<size_t>(end_ - p_) - kOperationOverhead)
    {
        return give_up();
    }

    out->kind = static_cast<OperationKind>(kind);
    out->dedup_window = static_cast<uint32_t>(get(p_ + kWindowAt, 4));
    out->maxlen = get(p_ + kMaxlenAt, 8);
    out->values = static_cast<uint32_t>(get(p_ + kValuesAt, 4));
    out->key = {p_ + kOperationOverhead, key_length};
    p_ += kOperationOverhead + key_length;
    left_ = out->values;
    return true;
}

bool OperationReader::value(OperationValue *out)
{
    if (left_ == 0 || malformed_) {
        return false;
    }
    if (static_cast<size_t>(end_ - p_) < kValueOverhead) {
        return give_up();
    }

    const size_t length = get(p_, 4);
    const size_t id_length = get(p_ + 4, 4);
    const size_t room = static_cast<size_t>(end_ - p_) - kValueOverhead;
    if (length > room || id_length > room - length) {
        return give_up();
    }

    out->bytes = {p_ + kValueOverhead, length};
    out->id = {p_ + kValueOverhead + length, id_length};
    p_ += kValueOverhead + length + id_length;
    left_--;
    return true;
}

bool valid_operations(std::string_view payload)
{
    OperationReader reader(payload);
    Operation op;
    bool any = false;

    while (reader.next(&op)) {
        if (op.values == 0) {
            return false;
        }
        any = true;
    }
    return any && !reader.malformed();
}

} // namespace esputnik
