#include <check.h>

#include <cerrno>
#include <map>
#include <string>

#include "esputnik_crc32c.h"
#include "spool_records.h"

using namespace esputnik;

namespace {

struct Spool {
    SpoolDisk disk;
    SpoolProcess process{&disk, 1};
    JournalWriter writer;
    JournalReader reader;

    explicit Spool(uint64_t segment_size = 1 << 20)
    {
        ck_assert(writer.init(&process, kDir, kTarget, nullptr, segment_size));
        ck_assert(reader.init(&process, kDir, kTarget, nullptr));
    }

    /* Records of 1,000 bytes from that sequence to 50, the segment's last. */
    void fill(uint64_t first)
    {
        for (uint64_t i = first; i <= 50; i++) {
            ck_assert(append(&writer, i, "k", std::string(1000, 'x')));
        }
        writer.close();
    }

    void fill_behind_stuck()
    {
        ck_assert(append(&writer, 1, "bad", "stuck"));
        fill(2);
    }

    /* All that is there, of which one is held back. */
    void read_but(size_t held)
    {
        ck_assert(reader.read(UINT64_MAX, 100000) == ReadResult::records);
        for (size_t i = 0; i < reader.items().size(); i++) {
            ck_assert(i == held ? reader.hold(i) : reader.done(i));
        }
    }

    size_t reports(ReportKind kind) const
    {
        size_t n = 0;
        for (const SpoolReport &r : reader.reports()) {
            n += r.kind == kind;
        }
        return n;
    }
};

} // namespace

START_TEST(in_order_over_segments)
{
    Spool s;
    SpoolProcess process(&s.disk, 2);
    JournalWriter other;
    ck_assert(other.init(&process, kDir, kTarget, nullptr));
    for (uint64_t i = 1; i <= 20; i++) {
        ck_assert(append(i % 3 ? &s.writer : &other, i, "k", "v"));
    }

    /* too new for this read */
    std::string expected;
    same(drain(&s.reader, 1), "");
    ck_assert(s.reader.read(1, 1000) == ReadResult::waiting);
    for (int i = 1; i <= 12; i++) {
        expected += std::to_string(i) + ":v ";
    }
    same(drain(&s.reader, 13), expected);
    ck_assert_uint_eq(drain(&s.reader).size(), 8 * 5);
    ck_assert(s.reader.read(UINT64_MAX, 1000) == ReadResult::empty);

    /* removed when their writers have closed them, or died */
    CommitReport report;
    ck_assert_uint_gt(s.disk.names().size(), 0);
    s.writer.close();
    process.kill();
    ck_assert(s.reader.read(UINT64_MAX, 1000) == ReadResult::empty);
    ck_assert(s.reader.commit(&report));
    ck_assert_uint_gt(report.freed, 0);
    ck_assert_uint_eq(s.disk.names().size(), 0);
}
END_TEST

START_TEST(only_synced_of_a_live_segment)
{
    Spool s;
    auto shared = std::make_unique<SpoolShared>();
    shared->init(1, 0, 0);
    JournalWriter w;
    JournalReader r;
    ck_assert(w.init(&s.process, kDir, kTarget, shared.get()));
    ck_assert(r.init(&s.process, kDir, kTarget, shared.get()));

    /* the second append is written, its sync is under way */
    ck_assert(append(&w, 1, "k", "a"));
    std::string before_sync = "not read";
    bool armed = true;
    s.disk.fault = [&](const char *op) {
        if (armed && std::string(op) == "fdatasync") {
            armed = false;
            before_sync = drain(&r);
        }
        return 0;
    };
    ck_assert(append(&w, 2, "k", "b"));
    same(before_sync, "1:a ");
    same(drain(&r), "2:b ");
}
END_TEST

START_TEST(not_done_comes_again)
{
    Spool s;
    for (uint64_t i = 1; i <= 4; i++) {
        ck_assert(append(&s.writer, i, "k", "v"));
    }
    ck_assert(s.reader.read(UINT64_MAX, 100000) == ReadResult::records);
    ck_assert_uint_eq(s.reader.items().size(), 4);
    ck_assert(s.reader.done(1));
    ck_assert(s.reader.done(3));
    CommitReport report;
    ck_assert(s.reader.commit(&report));
    ck_assert_uint_eq(report.records, 2);

    /* the next process knows it too */
    JournalReader next;
    ck_assert(next.init(&s.process, kDir, kTarget, nullptr));
    same(drain(&next), "1:v 3:v ");
    ck_assert_uint_eq(s.reader.items().size(), 4);
}
END_TEST

START_TEST(stuck_key_holds_only_its_own)
{
    Spool s;
    ck_assert(append(&s.writer, 1, "a", "1"));
    ck_assert(append(&s.writer, 2, "bad", "2"));
    ck_assert(append(&s.writer, 3, "b", "3"));
    ck_assert(append(&s.writer, 4, "bad", "4"));

    /* 5 needs both: it waits for bad, and then c waits for it */
    Buffer batch;
    RecordBuilder r(&batch);
    AppendReport report;
    ck_assert(r.begin(kTarget, 1));
    ck_assert(r.operation({OperationKind::rpush, "c"}) && r.value("5"));
    ck_assert(r.operation({OperationKind::rpush, "bad"}) && r.value("5"));
    ck_assert(r.finish());
    set_record_sequence(batch.data(), 5);
    ck_assert(s.writer.append(batch.data(), batch.size(), &report));
    ck_assert(append(&s.writer, 6, "c", "6"));
    ck_assert(append(&s.writer, 7, "d", "7"));

    same(drain(&s.reader, UINT64_MAX, "bad"), "1:1 3:3 7:7 ");
    ck_assert(s.reader.read(UINT64_MAX, 1000) == ReadResult::waiting);
    ck_assert(s.reader.holds());
    s.reader.release();
    same(drain(&s.reader), "2:2 4:4 5:5 6:6 ");
}
END_TEST

/* Among the items of one read as well. */
START_TEST(items_at_hand_wait_for_a_held_one)
{
    Spool s;
    Buffer batch;
    RecordBuilder r(&batch);
    AppendReport report;
    ck_assert(append(&s.writer, 1, "a", "1"));
    ck_assert(append(&s.writer, 2, "bad", "2"));
    ck_assert(r.begin(kTarget, 1));
    ck_assert(r.operation({OperationKind::rpush, "c"}) && r.value("3"));
    ck_assert(r.operation({OperationKind::rpush, "bad"}) && r.value("3"));
    ck_assert(r.finish());
    set_record_sequence(batch.data(), 3);
    ck_assert(s.writer.append(batch.data(), batch.size(), &report));
    ck_assert(append(&s.writer, 4, "c", "4"));
    ck_assert(append(&s.writer, 5, "a", "5"));

    ck_assert(s.reader.read(UINT64_MAX, 100000) == ReadResult::records);
    ck_assert_uint_eq(s.reader.items().size(), 5);
    ck_assert(!s.reader.waits(1));
    ck_assert(s.reader.done(0) && s.reader.hold(1));
    ck_assert(s.reader.waits(2));
    ck_assert(!s.reader.waits(3) && !s.reader.waits(4));
    ck_assert(s.reader.hold(2));
    ck_assert(s.reader.waits(3) && !s.reader.waits(4));
    ck_assert(s.reader.hold(3) && s.reader.done(4));
    ck_assert(s.reader.read(UINT64_MAX, 1000) == ReadResult::waiting);
    s.reader.release();
    same(drain(&s.reader), "2:2 3:3 4:4 ");
}
END_TEST

/* A long way of stuck records is not read again with each try. */
START_TEST(held_again_goes_on_where_it_was)
{
    Spool s;
    size_t reads = 0;
    s.disk.fault = [&](const char *op) {
        reads += std::string(op) == "pread";
        return 0;
    };
    std::string stuck;
    for (uint64_t i = 1; i <= 400; i++) {
        const std::string value(1000, 's');
        ck_assert(append(&s.writer, i, "bad", value));
        stuck += std::to_string(i) + ":" + value + " ";
    }
    ck_assert(append(&s.writer, 401, "k", "v"));
    same(drain(&s.reader, UINT64_MAX, "bad"), "401:v ");

    reads = 0;
    s.reader.release();
    ck_assert(s.reader.read(UINT64_MAX, 100) == ReadResult::records);
    const size_t head = reads;
    ck_assert(s.reader.hold(0));
    reads = 0;
    ck_assert(append(&s.writer, 402, "k", "w"));
    same(drain(&s.reader, UINT64_MAX, "bad"), "402:w ");
    ck_assert_uint_le(reads, head + 2);

    /* taken in part, then stuck again: the same */
    std::string got;
    s.reader.release();
    ck_assert(s.reader.read(UINT64_MAX, 3000) == ReadResult::records);
    ck_assert_uint_eq(s.reader.items().size(), 2);
    ck_assert(s.reader.done(0) && s.reader.hold(1));
    reads = 0;
    same(drain(&s.reader, UINT64_MAX, "bad"), "");
    ck_assert_uint_le(reads, head + 2);

    /* free: all of it, in order */
    s.reader.release();
    same(drain(&s.reader), stuck.substr(stuck.find("2:")));
    ck_assert(s.reader.read(UINT64_MAX, 1000) == ReadResult::empty);
}
END_TEST

/* With one of two keys free again, all of the way is looked at. */
START_TEST(a_freed_key_is_not_passed_over)
{
    Spool s;
    for (uint64_t i = 1; i <= 40; i++) {
        ck_assert(append(&s.writer, i, i % 2 ? "one" : "two", "v"));
    }
    ck_assert(s.reader.read(UINT64_MAX, 100000) == ReadResult::records);
    for (size_t i = 0; i < s.reader.items().size(); i++) {
        ck_assert(s.reader.hold(i));
    }
    ck_assert(s.reader.read(UINT64_MAX, 1000) == ReadResult::waiting);

    std::string two;
    for (uint64_t i = 2; i <= 40; i += 2) {
        two += std::to_string(i) + ":v ";
    }
    s.reader.release();
    same(drain(&s.reader, UINT64_MAX, "one"), two);
}
END_TEST

/* Keys that are stuck now and then, records of several keys, releases in the
 * middle: each key's records come once and in order. */
START_TEST(order_over_many_tries)
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        Spool s(16 * 1024);
        Random random(seed);
        std::map<std::string, uint64_t> last;
        uint64_t sequence = 0;
        size_t delivered = 0;
        bool stuck[6] = {};
        CommitReport report;

        for (int turn = 0; turn < 200 || delivered < sequence; turn++) {
            const bool ends = turn >= 200;
            s.disk.clock_ms++;
            for (uint64_t n = random.below(4); n > 0 && !ends; n--) {
                Buffer batch;
                RecordBuilder r(&batch);
                ck_assert(r.begin(kTarget, 1));
                for (int k = 0; k < 6; k++) {
                    if (k == int(sequence % 6) || random.chance(10)) {
                        const std::string key(1, char('a' + k));
                        ck_assert(
                            r.operation({OperationKind::rpush, key})
                            && r.value(std::string(random.below(300), 'v')));
                    }
                }
                AppendReport appended;
                ck_assert(r.finish());
                set_record_sequence(batch.data(), ++sequence);
                ck_assert(
                    s.writer.append(batch.data(), batch.size(), &appended));
            }
            for (bool &b : stuck) {
                b = random.chance(ends ? 0 : b ? 80 : 15);
            }
            if (random.chance(30)) {
                s.reader.release();
            }
            const ReadResult result = s.reader.read(UINT64_MAX,
                                                    random.below(3000));
            ck_assert(result != ReadResult::failed);
            const size_t items = result == ReadResult::records
                                     ? s.reader.items().size()
                                     : 0;
            for (size_t i = 0; i < items; i++) {
                const Record &record = s.reader.items()[i].record;
                OperationReader ops(record.payload);
                bool held = s.reader.waits(i);
                for (Operation op; ops.next(&op);) {
                    held = held || stuck[op.key[0] - 'a'];
                }
                if (random.chance(3)) {
                    break; /* the batch failed for another reason */
                }
                if (held) {
                    ck_assert(s.reader.hold(i));
                    continue;
                }
                ck_assert(s.reader.done(i));
                delivered++;
                OperationReader again(record.payload);
                for (Operation op; again.next(&op);) {
                    uint64_t &before = last[std::string(op.key)];
                    ck_assert_uint_lt(before, record.sequence);
                    before = record.sequence;
                }
            }
            if (random.chance(50)) {
                ck_assert(s.reader.commit(&report));
            }
        }
        ck_assert_uint_eq(delivered, sequence);
    }
}
END_TEST

START_TEST(compacts_around_stuck_records)
{
    Spool s;
    s.fill_behind_stuck();
    const size_t before = s.disk.content(only_segment(s.disk)).size();
    ck_assert_uint_gt(before, 49000);
    drain(&s.reader, UINT64_MAX, "bad");
    const std::string compacted = only_segment(s.disk);
    ck_assert_uint_lt(s.disk.content(compacted).size(), 1024);
    ck_assert_uint_eq(s.disk.names().size(), 1);

    s.reader.release();
    same(drain(&s.reader), "1:stuck ");
    ck_assert_uint_eq(s.disk.names().size(), 0);
}
END_TEST

/* The disk fails when the compacted segment is to take the place of the old one:
 * no second one is made, and what is stuck comes once. */
START_TEST(compacts_once)
{
    for (const int failures : {1, 2, 5}) {
        Spool s;
        s.fill_behind_stuck();
        int left = failures;
        s.disk.fault = [&left](const char *operation) {
            return std::string(operation) == "unlink" && left > 0 && left--
                       ? -EIO
                       : 0;
        };

        s.read_but(0);
        CommitReport report;
        ck_assert(s.reader.read(UINT64_MAX, 100000) == ReadResult::waiting);
        ck_assert(!s.reader.commit(&report));
        for (int i = 0; i < 3; i++) {
            (void) s.reader.commit(&report);
            size_t segments = 0;
            for (const std::string &name : s.disk.names()) {
                segments += name.find(".seg") != name.npos;
            }
            ck_assert_uint_eq(segments, 2);
        }

        s.reader.release();
        for (int i = 1; i < failures; i++) {
            ck_assert(s.reader.read(UINT64_MAX, 1000) == ReadResult::failed);
        }
        same(drain(&s.reader), "1:stuck ");
        ck_assert_uint_eq(s.disk.names().size(), 0);
    }
}
END_TEST

/* The same; that process is killed, and the power is cut while the next one sorts
 * the two out. */
START_TEST(compacts_durably)
{
    Spool s;
    s.fill_behind_stuck();

    /* the new segment has its name, which is not durable */
    std::string failing;
    s.disk.fault = [&failing](const char *operation) {
        if (std::string(operation) == "rename") {
            failing = "fsync_dir";
        } else if (operation == failing) {
            failing = failing == "fsync_dir" ? "unlink" : "";
            return -EIO;
        }
        return 0;
    };
    s.read_but(0);
    CommitReport report;
    ck_assert(s.reader.read(UINT64_MAX, 100000) == ReadResult::waiting);
    ck_assert(!s.reader.commit(&report));
    ck_assert_uint_eq(s.disk.names().size(), 2);

    size_t cuts = 0;
    bool delivered = false;
    s.process.kill();
    s.disk.fault = nullptr;
    s.disk.changed = [&] {
        /* until it is delivered */
        for (uint64_t seed = 0; seed < 20 && !delivered; seed++) {
            Random random(seed + 100 * cuts);
            SpoolDisk after = s.disk.power_cut(&random);
            SpoolProcess process(&after, 9);
            JournalReader reader;
            ck_assert(reader.init(&process, kDir, kTarget, nullptr));
            const std::string found = drain(&reader);
            ck_assert_msg(found.find("1:stuck ") != found.npos, "it is lost");
        }
        cuts++;
    };
    SpoolProcess process(&s.disk, 2);
    JournalReader next;
    ck_assert(next.init(&process, kDir, kTarget, nullptr));
    ck_assert(next.read(UINT64_MAX, 1000) == ReadResult::records);
    ck_assert_uint_ge(cuts, 2);
    delivered = true;
    same(drain(&next), "1:stuck ");
    s.disk.changed = nullptr;
}
END_TEST

/* At the end of a worker there is time for marks only. */
START_TEST(commits_without_compacting)
{
    Spool s;
    s.fill_behind_stuck();
    const std::string segment = only_segment(s.disk);
    ck_assert(s.reader.read(UINT64_MAX, 100000) == ReadResult::records);
    ck_assert(!s.reader.uncommitted());
    ck_assert(s.reader.hold(0));
    for (size_t i = 1; i < s.reader.items().size(); i++) {
        ck_assert(s.reader.done(i));
    }
    ck_assert(s.reader.read(UINT64_MAX, 100000) == ReadResult::waiting);
    ck_assert(s.reader.uncommitted());

    CommitReport report;
    ck_assert(s.reader.commit(&report, false));
    ck_assert(!s.reader.uncommitted());
    ck_assert_uint_eq(report.records, 49);
    ck_assert_uint_eq(report.freed, 0);
    same(only_segment(s.disk), segment);

    JournalReader next;
    ck_assert(next.init(&s.process, kDir, kTarget, nullptr));
    same(drain(&next), "1:stuck ");
}
END_TEST

/* Each byte of the second of three records, of the gap behind it, and some of
 * the segment's header. */
START_TEST(corrupt_in_the_middle)
{
    const size_t record = 1024;
    const std::string b = "2:" + std::string(299, 'b') + " ";

    for (size_t at = 0; at < record + 512; at += at < record ? 3 : 1) {
        if (at > 512 && at < record) {
            at = record;
        }
        Spool s;
        ck_assert(append(&s.writer, 1, "k", "a"));
        ck_assert(append(&s.writer, 2, "k", std::string(299, 'b')));
        ck_assert(append(&s.writer, 3, "k", "c"));
        s.writer.close();

        std::string *bytes = s.disk.durable_content(only_segment(s.disk));
        (*bytes)[at] ^= 0x10;
        const std::string damaged = *bytes;

        const size_t end = record + record_size(4, 1, 1, 1, 299, 0);
        const bool of_record = at >= record && at < end;
        same(drain(&s.reader), of_record ? "1:a 3:c " : "1:a " + b + "3:c ");
        ck_assert_uint_eq(s.reports(ReportKind::corrupt), 1);
        ck_assert_uint_eq(s.reports(ReportKind::torn_tail), 0);

        /* what was set aside is the bytes as they were found */
        ck_assert_uint_eq(s.disk.names().size(), 1);
        const SpoolReport &r = s.reader.reports()[0];
        SpoolPath path;
        ck_assert(path.corrupt(kDir, r.segment_id, r.offset));
        ck_assert(s.disk.content(path.text)
                  == damaged.substr(r.offset, r.length));
        ck_assert(at >= r.offset && at < r.offset + r.length);
    }
}
END_TEST

/* The last record too, as the end mark behind it says that it was whole. */
START_TEST(corrupt_last_record_of_a_closed_segment)
{
    Spool s;
    ck_assert(append(&s.writer, 1, "k", "a"));
    ck_assert(append(&s.writer, 2, "k", "b"));
    s.writer.close();
    (*s.disk.durable_content(only_segment(s.disk)))[1024 + 50] ^= 1;
    same(drain(&s.reader), "1:a ");
    ck_assert_uint_eq(s.reports(ReportKind::corrupt), 1);
}
END_TEST

START_TEST(torn_tail_at_every_byte)
{
    size_t size = 0;
    for (size_t cut = 512; cut == 512 || cut <= size; cut++) {
        Spool s;
        ck_assert(append(&s.writer, 1, "k", "a"));
        ck_assert(append(&s.writer, 2, "k", "b"));
        s.process.kill();

        SpoolDisk after = s.disk.after_kill();
        SpoolProcess process(&after, 2);
        const std::string name = only_segment(after);
        std::string *bytes = after.durable_content(name);
        size = bytes->size();
        bytes->resize(cut);

        JournalReader r;
        ck_assert(r.init(&process, kDir, kTarget, nullptr));

        /* two bytes at a record's end only fill it up to a multiple of 8 */
        const size_t first = 512 + record_size(4, 1, 1, 1, 1, 0) - 2;
        const std::string got = drain(&r);
        same(got, cut >= size - 2 ? "1:a 2:b " : cut >= first ? "1:a " : "");
        ck_assert_uint_eq(after.names().size(), 0);
    }
}
END_TEST

/* A sender cannot plant records: what looks like one inside a value, sums and
 * all, is not delivered when the record around it breaks. */
START_TEST(planted_record)
{
    Spool s;
    ck_assert(append(&s.writer, 1, "k", "a"));
    const std::string name = only_segment(s.disk);
    uint64_t id;
    ck_assert(segment_id_of(name.c_str() + sizeof(kDir), &id));

    Buffer planted;
    add_record(&planted, 2, "k", "planted");
    RecordHeader h;
    ck_assert(peek_record_header(planted.data(), &h));
    seal_record(planted.data(), h.size(), id);
    for (size_t shift = 0; shift < 8; shift++) {
        ck_assert(append(&s.writer, 3 + shift, "k",
                         std::string(shift, ' ')
                             + std::string(planted.data(), planted.size())));
    }
    ck_assert(append(&s.writer, 20, "k", "z"));

    std::string *bytes = s.disk.durable_content(name);
    for (size_t at = 1024; at < 1024 + 8 * 512; at += 512) {
        (*bytes)[at + kRecordHeaderSize + 10] ^= 1;
    }
    same(drain(&s.reader), "1:a 20:z ");
    ck_assert_uint_eq(s.reports(ReportKind::corrupt), 1);
}
END_TEST

START_TEST(other_targets_and_versions)
{
    Spool s;
    JournalWriter other;
    ck_assert(other.init(&s.process, kDir, "other", nullptr));
    Buffer batch;
    AppendReport report;
    add_record(&batch, 1, "k", "theirs", "other");
    ck_assert(other.append(batch.data(), batch.size(), &report));
    s.disk.clock_ms += 10;
    ck_assert(append(&s.writer, 1, "k", "ours"));
    s.writer.close();

    /* the version is in the header; its sum is made anew */
    std::string future = s.disk.content("/spool/"
                                        + std::string("0000000000000001.seg"));
    ck_assert(future.empty());
    SegmentHeader h = {};
    h.id = 1;
    h.target_length = 4;
    memcpy(h.target, kTarget, 4);
    char bytes[kSegmentHeaderSize];
    write_segment_header(h, bytes);
    bytes[8] = 2;
    const uint32_t sum = crc32c(0, bytes, 508);
    for (int i = 0; i < 4; i++) {
        bytes[508 + i] = static_cast<char>(sum >> 8 * i);
    }
    const int fd = s.process.open("/spool/0000000000000001.seg",
                                  OpenMode::create);
    ck_assert_int_eq(write_all(s.process, fd, bytes, sizeof(bytes), 0), 0);
    s.process.close(fd);

    same(drain(&s.reader), "1:ours ");
    ck_assert_uint_eq(s.reports(ReportKind::unknown_version), 1);
    ck_assert(s.disk.has("/spool/0000000000000001.seg"));

    Array<TargetStats> targets;
    Array<SpoolReport> reports;
    ck_assert_int_eq(scan_spool(s.process, kDir, &targets, &reports), 0);
    ck_assert_uint_eq(targets.size(), 1);
    ck_assert(targets[0].target_name() == "other");
    ck_assert_uint_eq(targets[0].records, 1);
    ck_assert_uint_eq(targets[0].events, 1);
    ck_assert_uint_eq(targets[0].max_sequence, 1);
    ck_assert_uint_eq(reports.size(), 1);
}
END_TEST

/* Damage in what is delivered, with a header in it (sums and all) that reaches
 * over the record behind: that one is seen by whoever begins before the damage,
 * too. */
START_TEST(damage_in_delivered)
{
    for (size_t shift = 0; shift < 8; shift++) {
        Spool s;
        ck_assert(append(&s.writer, 1, "k", "a"));
        const std::string first = only_segment(s.disk);
        uint64_t id;
        ck_assert(segment_id_of(first.c_str() + sizeof(kDir), &id));

        Buffer reaching;
        add_record(&reaching, 2, "k", std::string(1000, 'r'));
        RecordHeader h;
        ck_assert(peek_record_header(reaching.data(), &h));
        seal_record(reaching.data(), h.size(), id);
        ck_assert(append(&s.writer, 3, "k",
                         std::string(shift, ' ')
                             + std::string(reaching.data(), 100)));
        ck_assert(append(&s.writer, 4, "bad", "stuck"));
        s.fill(5);

        s.read_but(2);
        CommitReport report;
        ck_assert(s.reader.commit(&report, false));
        (*s.disk.durable_content(first))[1024] ^= 1;

        Array<TargetStats> targets;
        Array<SpoolReport> reports;
        ck_assert_int_eq(scan_spool(s.process, kDir, &targets, &reports), 0);
        ck_assert_uint_eq(targets.size(), 1);
        ck_assert_uint_eq(targets[0].records, 1);
        ck_assert_uint_eq(targets[0].max_sequence, 50);
        ck_assert_uint_eq(reports.size(), 0);

        /* nor does it get lost when the segment is written anew */
        JournalReader next;
        ck_assert(next.init(&s.process, kDir, kTarget, nullptr));
        same(drain(&next, UINT64_MAX, "bad"), "");
        ck_assert(only_segment(s.disk) != first);
        next.release();
        same(drain(&next), "4:stuck ");
        ck_assert_uint_eq(next.reports().size(), 0);
        ck_assert_uint_eq(s.disk.names().size(), 0);
    }
}
END_TEST

/* A segment that comes back, as its removal was not durable yet, comes with its
 * marks: nothing is sent twice. */
START_TEST(removed_segment_comes_back_marked)
{
    Spool s;
    for (uint64_t i = 1; i <= 10; i++) {
        ck_assert(append(&s.writer, i, "k", "v"));
    }
    s.writer.close();
    const std::string name = only_segment(s.disk);
    ck_assert(s.reader.read(UINT64_MAX, 100000) == ReadResult::records);
    for (size_t i = 0; i < s.reader.items().size(); i++) {
        ck_assert(s.reader.done(i));
    }
    ck_assert(s.reader.read(UINT64_MAX, 100000) == ReadResult::empty);

    Random random(1);
    size_t came_back = 0;
    s.disk.changed = [&] {
        for (int i = 0; i < 50 && !s.disk.has(name); i++) {
            SpoolDisk after = s.disk.power_cut(&random);
            SpoolProcess process(&after, 2);
            JournalReader r;
            ck_assert(r.init(&process, kDir, kTarget, nullptr));
            came_back += after.has(name);
            same(drain(&r), "");
        }
    };
    CommitReport report;
    ck_assert(s.reader.commit(&report));
    ck_assert_uint_ge(came_back, 10);
    s.disk.changed = nullptr;
}
END_TEST

START_TEST(unreadable_waits)
{
    Spool s;
    ck_assert(append(&s.writer, 1, "k", "a"));
    s.disk.fault = [](const char *op) {
        return std::string(op) == "pread" ? -EIO : 0;
    };
    ck_assert(s.reader.read(UINT64_MAX, 1000) == ReadResult::failed);
    ck_assert_int_eq(s.reader.error(), EIO);
    ck_assert_uint_ge(s.reports(ReportKind::unreadable), 1);
    s.disk.fault = nullptr;
    same(drain(&s.reader), "1:a ");
}
END_TEST

/* Whatever the disk says of its marks: only a segment without a file is gone. */
START_TEST(unreadable_marks_wait)
{
    for (const int error : {-EIO, -ENOENT}) {
        Spool s;
        ck_assert(append(&s.writer, 1, "k", "a"));
        ck_assert(append(&s.writer, 2, "k", "b"));
        ck_assert(s.reader.read(UINT64_MAX, 1) == ReadResult::records);
        ck_assert_uint_eq(s.reader.items().size(), 1);
        CommitReport report;
        ck_assert(s.reader.done(0) && s.reader.commit(&report));

        /* the next drain reads the segment's header, and then its marks */
        JournalReader next;
        ck_assert(next.init(&s.process, kDir, kTarget, nullptr));
        int reads = 0;
        s.disk.fault = [&](const char *op) {
            return std::string(op) == "pread" && ++reads == 2 ? error : 0;
        };
        ck_assert(next.read(UINT64_MAX, 1000) == ReadResult::failed);
        ck_assert_int_eq(next.error(), -error);
        same(drain(&next), "2:b ");
    }
}
END_TEST

int main()
{
    Suite *s = suite_create("journal reader");
    TCase *t = tcase_create("journal reader");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, in_order_over_segments);
    tcase_add_test(t, only_synced_of_a_live_segment);
    tcase_add_test(t, not_done_comes_again);
    tcase_add_test(t, stuck_key_holds_only_its_own);
    tcase_add_test(t, items_at_hand_wait_for_a_held_one);
    tcase_add_test(t, held_again_goes_on_where_it_was);
    tcase_add_test(t, a_freed_key_is_not_passed_over);
    tcase_add_test(t, order_over_many_tries);
    tcase_add_test(t, compacts_around_stuck_records);
    tcase_add_test(t, compacts_once);
    tcase_add_test(t, compacts_durably);
    tcase_add_test(t, commits_without_compacting);
    tcase_add_test(t, corrupt_in_the_middle);
    tcase_add_test(t, corrupt_last_record_of_a_closed_segment);
    tcase_add_test(t, torn_tail_at_every_byte);
    tcase_add_test(t, planted_record);
    tcase_add_test(t, damage_in_delivered);
    tcase_add_test(t, other_targets_and_versions);
    tcase_add_test(t, removed_segment_comes_back_marked);
    tcase_add_test(t, unreadable_waits);
    tcase_add_test(t, unreadable_marks_wait);
    suite_add_tcase(s, t);
    return run_suite(s);
}
