/*
 * The crash test of the journal: random work of several writers and one drain
 * on a disk in memory.  After every single operation that changes the disk, the
 * power is cut (and, on a second copy, all processes are killed), and what the
 * next boot finds is recovered and compared with what was promised.
 */

#include <check.h>

#include <malloc.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "esputnik_journal_reader.h"
#include "esputnik_journal_writer.h"
#include "esputnik_spool_dir.h"
#include "spool_disk.h"

using namespace esputnik;

namespace {

constexpr char kDir[] = "/spool";
constexpr char kTarget[] = "redis://127.0.0.1:6379/0";
constexpr uint64_t kSegmentSize = 8192;
constexpr unsigned kSenders = 5;
constexpr unsigned kWriters = 3;

/* One attempt of a sender to have one POST stored. */
struct Attempt {
    unsigned sender;
    unsigned index; /* of the POST among its sender's */
    std::string payload;
    bool acknowledged = false;
    bool done = false;   /* the drain has sent it */
    bool marked = false; /* a commit() was told so, and succeeded */
    bool gone = false;   /* its segment was removed, durably */
    uint64_t segment = 0;
};

struct Sender {
    unsigned index = 0;   /* of the POST that is under way or comes next */
    uint64_t waiting = 0; /* sequence of its attempt in a queue, or 0 */
    unsigned arrived = 0; /* how many of its POSTs Redis has seen */
    bool unknown = false; /* the POST has had an attempt of unknown end */
};

struct Worker {
    std::unique_ptr<SpoolProcess> process;
    std::unique_ptr<JournalWriter> writer;
    Buffer batch;
    std::vector<uint64_t> sequences;
};

class Run {
public:
    Run(uint64_t seed, bool faults) : random_(seed), cuts_(seed + 1000000)
    {
        shared_ = std::make_unique<SpoolShared>();
        shared_->init(1, 0, 0);
        workers_.resize(kWriters);
        for (Worker &w : workers_) {
            start(&w);
        }
        start_drain();

        if (faults) {
            disk_.fault = [this](const char *op) { return fault(op); };
        }
        disk_.changed = [this] { cut(); };
    }

    ~Run() { disk_.changed = nullptr; }

    void work(unsigned steps);

    size_t points = 0;
    size_t recovered = 0;
    size_t acknowledged = 0;
    size_t refused = 0;
    size_t set_aside = 0;

private:
    void start(Worker *w);
    void kill(Worker *w);
    void start_drain();
    void post();
    void append(Worker *w);
    void drain();
    void arrive(const Attempt &a, const char *how);
    int fault(const char *op);
    void cut();
    void recover(SpoolDisk *disk, bool power);
    std::string payload_of(uint64_t sequence, unsigned sender, unsigned index,
                           Buffer *batch);

    Random random_;
    Random cuts_;
    SpoolDisk disk_;
    std::unique_ptr<SpoolShared> shared_;
    std::vector<Worker> workers_;
    std::vector<std::unique_ptr<SpoolProcess>> dead_processes_;
    std::vector<std::unique_ptr<JournalWriter>> dead_writers_;
    std::unique_ptr<SpoolProcess> drain_process_;
    std::unique_ptr<JournalReader> reader_;
    std::map<uint64_t, Attempt> attempts_; /* by sequence */
    Sender senders_[kSenders];
    std::vector<uint64_t> unmarked_; /* done since the last commit */
    std::set<uint64_t> unsure_;      /* removed, perhaps not durably */
    std::set<std::string> stuck_;    /* keys */
    uint32_t next_process_ = 10;
    bool down_ = true; /* Redis */
    bool committing_ = false;
};

int Run::fault(const char *op)
{
    if (!random_.chance(3)) {
        return 0;
    }
    if (std::string(op) == "pwrite") {
        const uint64_t kind = random_.below(3);
        return kind == 0   ? -EIO
               : kind == 1 ? -ENOSPC
                           : 1 + int(random_.below(700));
    }
    if (std::string(op) == "pread") {
        return random_.chance(20) ? -EIO : 0;
    }
    return random_.chance(50) ? -EIO : -ENOSPC;
}

void Run::start(Worker *w)
{
    w->process = std::make_unique<SpoolProcess>(&disk_, next_process_++);
    w->writer = std::make_unique<JournalWriter>();
    ck_assert(w->writer->init(w->process.get(), kDir, kTarget, shared_.get(),
                              kSegmentSize));
    w->batch.clear();
    w->sequences.clear();
}

/* kill -9: what was queued ends without an answer, the sender comes again. */
void Run::kill(Worker *w)
{
    w->process->kill();
    for (uint64_t sequence : w->sequences) {
        senders_[attempts_[sequence].sender].waiting = 0;
        senders_[attempts_[sequence].sender].unknown = true;
    }
    dead_processes_.push_back(std::move(w->process));
    dead_writers_.push_back(std::move(w->writer));
    start(w);
}

void Run::start_drain()
{
    if (drain_process_) {
        drain_process_->kill();
        dead_processes_.push_back(std::move(drain_process_));
    }
    unmarked_.clear();
    reader_ = std::make_unique<JournalReader>();
    drain_process_ = std::make_unique<SpoolProcess>(&disk_, next_process_++);
    ck_assert(
        reader_->init(drain_process_.get(), kDir, kTarget, shared_.get()));
}

std::string Run::payload_of(uint64_t sequence, unsigned sender, unsigned index,
                            Buffer *batch)
{
    RecordBuilder r(batch);
    std::string value = "s" + std::to_string(sender) + " i"
                        + std::to_string(index) + " ";
    const size_t length = random_.chance(10) ? random_.below(3000)
                                             : random_.below(400);
    for (size_t i = 0; i < length; i++) {
        value += static_cast<char>(random_.next());
    }

    ck_assert(r.begin(kTarget, disk_.clock_ms));
    const std::string key = "key" + std::to_string(sender);
    ck_assert(r.operation({OperationKind::rpush, key}));
    ck_assert(r.value(value));
    if (random_.chance(20)) {
        ck_assert(r.operation({OperationKind::xadd, key, 1000, 60}));
        ck_assert(r.value("second", "id"));
    }
    ck_assert(r.finish());
    set_record_sequence(batch->data() + r.offset(), sequence);

    RecordHeader h;
    ck_assert(peek_record_header(batch->data() + r.offset(), &h));
    return {batch->data() + r.offset() + kRecordHeaderSize + h.target_length,
            h.payload_length};
}

/* First occurrences come in the sender's order. */
void Run::arrive(const Attempt &a, const char *how)
{
    Sender &s = senders_[a.sender];
    ck_assert_msg(a.index <= s.arrived, "%s: sender %u: %u before %u", how,
                  a.sender, a.index, s.arrived);
    if (a.index == s.arrived) {
        s.arrived++;
    }
}

void Run::post()
{
    const unsigned n = random_.below(kSenders);
    Sender &s = senders_[n];
    if (s.waiting != 0) {
        return; /* it sends one after another */
    }

    if (!shared_->spooling() && !down_) {
        Attempt direct = {};
        direct.sender = n;
        direct.index = s.index;
        arrive(direct, "direct");
        s.index++;
        s.unknown = false;
        return;
    }

    Worker &w = workers_[random_.below(workers_.size())];
    const uint64_t sequence = shared_->take(1);
    Attempt a = {};
    a.sender = n;
    a.index = s.index;
    a.payload = payload_of(sequence, n, s.index, &w.batch);
    attempts_[sequence] = a;
    w.sequences.push_back(sequence);
    s.waiting = sequence;
}

void Run::append(Worker *w)
{
    if (w->sequences.empty()) {
        return;
    }

    AppendReport report;
    const bool ok = w->writer->append(w->batch.data(), w->batch.size(),
                                      &report);
    if (ok) {
        ck_assert_uint_eq(report.records, w->sequences.size());
        shared_->appended(report.records, report.events);
    } else {
        ck_assert_int_ne(report.error, 0);
        refused++;
    }
    for (uint64_t sequence : w->sequences) {
        Attempt &a = attempts_[sequence];
        Sender &s = senders_[a.sender];
        s.waiting = 0;
        s.unknown = !ok;
        if (ok) {
            a.acknowledged = true;
            acknowledged++;
            s.index++;
        }
    }
    w->batch.clear();
    w->sequences.clear();
}

void Run::drain()
{
    if (random_.chance(10)) {
        reader_->release();
        stuck_.clear();
    }
    if (random_.chance(10)) {
        stuck_.insert("key" + std::to_string(random_.below(kSenders)));
    }

    const SpoolShared::Ticket ticket = shared_->begin_read();
    const ReadResult result = reader_->read(ticket.before, random_.below(4000));
    if (result == ReadResult::empty) {
        shared_->finish_read(ticket);
    }

    uint64_t last = 0;
    for (size_t i = 0; i < reader_->items().size(); i++) {
        const JournalReader::Item &item = reader_->items()[i];
        ck_assert_uint_gt(item.record.sequence, last);
        last = item.record.sequence;
        ck_assert(attempts_.count(last) == 1);
        Attempt &a = attempts_[last];
        ck_assert(item.record.payload == a.payload);
        ck_assert(!a.marked || !a.acknowledged);

        OperationReader ops(item.record.payload);
        Operation op;
        ck_assert(ops.next(&op));
        if (stuck_.count(std::string(op.key)) > 0) {
            ck_assert(reader_->hold(i));
            continue;
        }
        if (down_ || random_.chance(5)) {
            break; /* the link to Redis is broken */
        }
        arrive(a, "drained");
        a.segment = item.segment_id;
        a.done = true;
        unmarked_.push_back(last);
        ck_assert(reader_->done(i));
    }

    if (random_.chance(80)) {
        CommitReport report;
        committing_ = true;
        const bool ok = reader_->commit(&report);
        committing_ = false;
        if (ok) {
            for (uint64_t sequence : unmarked_) {
                attempts_[sequence].marked = true;
            }
            unmarked_.clear();
        }
        for (auto &entry : attempts_) {
            Attempt &a = entry.second;
            SpoolPath path;
            if (!a.done || !path.segment(kDir, a.segment)
                || disk_.has(path.text)) {
                continue;
            }
            if (ok && a.marked && unsure_.count(a.segment) == 0) {
                a.gone = true;
            } else if (!a.gone) {
                unsure_.insert(a.segment);
            }
        }
    }
    reader_->clear_reports();
}

void Run::work(unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        disk_.clock_ms += random_.below(3);
        Worker &w = workers_[random_.below(workers_.size())];
        if (random_.chance(4)) {
            down_ = !down_;
        }

        switch (random_.below(16)) {
        case 0:
            kill(&w);
            break;
        case 1:
            if (random_.chance(50)) {
                w.writer->close();
            }
            break;
        case 2:
            if (random_.chance(20)) {
                start_drain();
                stuck_.clear();
            }
            break;
        case 3:
        case 4:
        case 5:
            drain();
            break;
        case 6:
            if (random_.chance(20)) {
                reader_->sync_marks();
            }
            break;
        case 7:
        case 8:
        case 9:
            append(&w);
            break;
        default:
            post();
            break;
        }
    }
}

void Run::cut()
{
    points++;
    SpoolDisk powerless = disk_.power_cut(&cuts_);
    recover(&powerless, true);
    SpoolDisk killed = disk_.after_kill();
    recover(&killed, false);
}

void Run::recover(SpoolDisk *disk, bool power)
{
    SpoolProcess process(disk, 5);
    Array<TargetStats> stats;
    Array<SpoolReport> reports;
    ck_assert_int_eq(clean_spool(process, kDir), 0);
    ck_assert_int_eq(scan_spool(process, kDir, &stats, &reports), 0);
    ck_assert_uint_le(stats.size(), 1);

    JournalReader reader;
    ck_assert(reader.init(&process, kDir, kTarget, nullptr));

    uint64_t last = 0;
    std::set<uint64_t> seen;
    CommitReport report;
    for (;;) {
        const ReadResult result = reader.read(UINT64_MAX, 3000);
        if (result != ReadResult::records) {
            ck_assert(result == ReadResult::empty);
            break;
        }
        for (size_t i = 0; i < reader.items().size(); i++) {
            const Record &r = reader.items()[i].record;
            ck_assert_uint_gt(r.sequence, last);
            last = r.sequence;

            const auto it = attempts_.find(r.sequence);
            ck_assert_msg(it != attempts_.end(), "a record nobody wrote");
            const Attempt &a = it->second;
            ck_assert(r.payload == a.payload);
            ck_assert_msg(!a.gone, "%lu again after its segment was removed",
                          (unsigned long) r.sequence);
            ck_assert_msg(power || !a.marked || committing_,
                          "%lu again after its mark",
                          (unsigned long) r.sequence);
            seen.insert(r.sequence);
            ck_assert(reader.done(i));
        }
        ck_assert(reader.commit(&report));
        recovered += report.records;
    }
    ck_assert(reader.commit(&report));

    for (const auto &entry : attempts_) {
        const Attempt &a = entry.second;
        ck_assert_msg(!a.acknowledged || a.done || seen.count(entry.first) > 0,
                      "%lu was acknowledged and is lost after %s",
                      (unsigned long) entry.first,
                      power ? "a power cut" : "a kill");
    }
    if (!stats.empty()) {
        ck_assert_uint_eq(stats[0].records, seen.size());
        ck_assert_uint_ge(stats[0].max_sequence, last);
    } else {
        ck_assert_uint_eq(seen.size(), 0);
    }

    for (const std::string &name : disk->names()) {
        ck_assert_msg(name.find("/corrupt-") != name.npos, "left behind: %s",
                      name.c_str());
        set_aside++;
    }
    ck_assert_uint_eq(process.open_files(), 0);
}

struct Totals {
    size_t points, recovered, acknowledged, refused, set_aside;
};

Totals run(uint64_t first_seed, uint64_t seeds, bool faults)
{
    Totals t = {};
    for (uint64_t seed = first_seed; seed < first_seed + seeds; seed++) {
        Run r(seed, faults);
        r.work(400);
        t.points += r.points;
        t.recovered += r.recovered;
        t.acknowledged += r.acknowledged;
        t.refused += r.refused;
        t.set_aside += r.set_aside;
    }
    printf("%zu points (each a power cut and a kill), %zu POSTs acknowledged, "
           "%zu appends refused, %zu records recovered, %zu set aside\n",
           t.points, t.acknowledged, t.refused, t.recovered, t.set_aside);
    return t;
}

uint64_t seeds()
{
    const char *text = getenv("SPOOL_CRASH_SEEDS");
    return text != nullptr ? strtoull(text, nullptr, 10) : 40;
}

} // namespace

START_TEST(sound_disk)
{
    const Totals t = run(1, seeds(), false);
    ck_assert_uint_ge(t.points, seeds() * 150);
    ck_assert_uint_ge(t.recovered, seeds() * 500);
    ck_assert_uint_eq(t.refused, 0);
}
END_TEST

START_TEST(failing_disk)
{
    const Totals t = run(100001, seeds(), true);
    ck_assert_uint_ge(t.points, seeds() * 150);
    ck_assert_uint_ge(t.recovered, seeds() * 500);
    ck_assert_uint_ge(t.refused, seeds());
}
END_TEST

int main()
{
    /* each recovery takes and frees the same buffers */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);

    Suite *suite = suite_create("journal crash");
    TCase *tc = tcase_create("cut at every operation");
    tcase_set_timeout(tc, 600);
    tcase_add_test(tc, sound_disk);
    tcase_add_test(tc, failing_disk);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
