#include <check.h>

#include <string>

#include "spool_records.h"

using namespace esputnik;

START_TEST(segment_header)
{
    SegmentHeader h = {};
    h.id = make_segment_id(1700000000123, 4194303);
    h.replaces = 7;
    h.first_sequence = UINT64_MAX;
    h.created_ms = 1700000000123;
    h.process_id = 4194303;
    h.target_length = 255;
    memset(h.target, 'x', sizeof(h.target));

    char bytes[kSegmentHeaderSize];
    write_segment_header(h, bytes);
    SegmentHeader got;
    ck_assert(read_segment_header(bytes, &got) == HeaderState::good);
    ck_assert_uint_eq(got.id, h.id);
    ck_assert_uint_eq(segment_id_ms(got.id), 1700000000123);
    ck_assert_uint_eq(got.replaces, 7);
    ck_assert_uint_eq(got.first_sequence, UINT64_MAX);
    ck_assert_uint_eq(got.process_id, 4194303);
    ck_assert(got.target_name() == std::string(255, 'x'));

    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] ^= 4;
        ck_assert(read_segment_header(bytes, &got) == HeaderState::corrupt);
        bytes[i] ^= 4;
    }
}
END_TEST

START_TEST(record_any_bit)
{
    Buffer batch;
    add_record(&batch, 42, "a key", "a value");
    RecordHeader h;
    ck_assert(peek_record_header(batch.data(), &h));
    ck_assert_uint_eq(batch.size(), h.padded_size());
    ck_assert_uint_eq(h.sequence, 42);
    ck_assert_uint_eq(h.events, 1);
    ck_assert_uint_eq(h.size(), record_size(4, 1, 5, 1, 7, 0));

    seal_record(batch.data(), h.size(), 99);
    ck_assert(check_record_header(batch.data(), 99, &h));
    ck_assert(check_record_body(batch.data(), h, 99));

    /* of another segment it is none */
    ck_assert(!check_record_header(batch.data(), 98, &h));
    check_record_header(batch.data(), 99, &h);
    ck_assert(!check_record_body(batch.data(), h, 98));

    for (size_t i = 0; i < h.size(); i++) {
        for (int bit = 0; bit < 8; bit++) {
            batch[i] ^= 1 << bit;
            RecordHeader seen;
            const bool ok = check_record_header(batch.data(), 99, &seen)
                            && check_record_body(batch.data(), seen, 99);
            ck_assert_msg(!ok, "byte %zu bit %d", i, bit);
            batch[i] ^= 1 << bit;
        }
    }
}
END_TEST

START_TEST(operations)
{
    const std::string binary("\0\r\n$5\r\n\xff", 8);
    Buffer batch;
    RecordBuilder r(&batch);
    ck_assert(r.begin("t", 5));
    ck_assert(r.operation({OperationKind::rpush, "k1"}));
    ck_assert(r.value(binary));
    ck_assert(r.value(""));
    ck_assert(r.operation({OperationKind::xadd, binary, 1000, 86400}));
    ck_assert(r.value("v", "id"));
    ck_assert(r.finish());

    RecordHeader h;
    ck_assert(peek_record_header(batch.data(), &h));
    ck_assert_uint_eq(h.events, 3);
    ck_assert_uint_eq(h.time_ms, 5);
    ck_assert_uint_eq(batch.size() % 8, 0);
    const std::string_view payload(batch.data() + kRecordHeaderSize + 1,
                                   h.payload_length);
    ck_assert(valid_operations(payload));

    OperationReader ops(payload);
    Operation op;
    OperationValue v;
    ck_assert(ops.next(&op));
    ck_assert(op.kind == OperationKind::rpush && op.key == "k1");
    ck_assert_uint_eq(op.values, 2);
    ck_assert(ops.value(&v) && v.bytes == binary && v.id.empty());
    ck_assert(ops.next(&op)); /* steps over the second value */
    ck_assert(op.kind == OperationKind::xadd && op.key == binary);
    ck_assert_uint_eq(op.maxlen, 1000);
    ck_assert_uint_eq(op.dedup_window, 86400);
    ck_assert(ops.value(&v) && v.bytes == "v" && v.id == "id");
    ck_assert(!ops.value(&v) && !ops.next(&op) && !ops.malformed());

    /* cut at every byte: never sound, but between two operations */
    for (size_t n = 0; n < payload.size(); n++) {
        const bool between = n
                             == kOperationOverhead + 2 + 2 * kValueOverhead
                                    + binary.size();
        ck_assert_msg(valid_operations(payload.substr(0, n)) == between, "%zu",
                      n);
    }
}
END_TEST

START_TEST(builder_refuses)
{
    Buffer batch;
    add_record(&batch, 1, "k", "v");
    const size_t before = batch.size();

    RecordBuilder none(&batch);
    ck_assert(!none.begin("", 1));
    RecordBuilder longer(&batch);
    ck_assert(!longer.begin(std::string(256, 'x'), 1));
    ck_assert(!longer.operation({OperationKind::rpush, "k"}));
    ck_assert(!longer.finish());

    RecordBuilder early(&batch);
    ck_assert(early.begin("t", 1));
    ck_assert(!early.value("no operation yet"));
    ck_assert(!early.finish());

    RecordBuilder huge(&batch);
    ck_assert(huge.begin("t", 1));
    ck_assert(huge.operation({OperationKind::rpush, "k"}));
    const std::string big(kRecordMax / 2 + 1, 'x');
    ck_assert(huge.value(big));
    ck_assert(!huge.value(big));
    ck_assert_uint_eq(batch.size(), before);
}
END_TEST

START_TEST(marks)
{
    char bytes[kMarkSize];
    Range r;
    write_mark({512, 4096}, 77, bytes);
    ck_assert(read_mark(bytes, 77, &r));
    ck_assert_uint_eq(r.from, 512);
    ck_assert_uint_eq(r.to, 4096);
    ck_assert(!read_mark(bytes, 78, &r));
    for (size_t i = 0; i < sizeof(bytes) * 8; i++) {
        bytes[i / 8] ^= 1 << i % 8;
        ck_assert(!read_mark(bytes, 77, &r));
        bytes[i / 8] ^= 1 << i % 8;
    }
}
END_TEST

/* Against a plain set of bytes. */
START_TEST(ranges)
{
    for (uint64_t seed = 1; seed < 50; seed++) {
        Random random(seed);
        RangeSet set;
        bool plain[200] = {};
        for (int i = 0; i < 60; i++) {
            const uint32_t from = random.below(199);
            const uint32_t to = from + random.below(200 - from);
            ck_assert(set.add({from, to}));
            for (uint32_t k = from; k < to; k++) {
                plain[k] = true;
            }

            uint64_t total = 0;
            for (uint32_t k = 0; k < 200; k++) {
                total += plain[k];
                ck_assert_int_eq(set.covers(k, k + 1), plain[k]);
            }
            ck_assert_uint_eq(set.bytes(), total);
            for (size_t k = 1; k < set.ranges().size(); k++) {
                ck_assert_uint_gt(set.ranges()[k].from, set.ranges()[k - 1].to);
            }
        }
    }
}
END_TEST

int main()
{
    Suite *s = suite_create("journal format");
    TCase *t = tcase_create("journal format");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, segment_header);
    tcase_add_test(t, record_any_bit);
    tcase_add_test(t, operations);
    tcase_add_test(t, builder_refuses);
    tcase_add_test(t, marks);
    tcase_add_test(t, ranges);
    suite_add_tcase(s, t);
    return run_suite(s);
}
