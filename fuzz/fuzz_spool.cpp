/*
 * The journal as a whole: writers, a drain, kills, power cuts, failing disks and
 * memory, rotten bytes, in whatever order the input has them.
 *
 * Input: a byte of settings, and pairs of bytes, what happens and how.  Setting
 * 1 makes segments long, 2 lets the folder's name be too long, 4 leaves out the
 * shared memory.
 *
 * Oracle: what an append acknowledged is delivered in the end, unless its bytes
 * were spoiled; what is delivered is what was appended, in ascending order in
 * each read; what a commit() has marked does not come again while the power
 * stays on.
 */

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "esputnik_journal_reader.h"
#include "esputnik_journal_writer.h"
#include "esputnik_spool_dir.h"
#include "shortage.h"
#include "spool_disk.h"

using namespace esputnik;
using shortage::Plenty;
using shortage::Shortage;

namespace {

constexpr char kTarget[] = "main";
constexpr size_t kMostSteps = 300;
constexpr size_t kMostBytes = 2 << 20; /* of values in one run */
constexpr unsigned kWriters = 3;
constexpr unsigned kOther = 2; /* this one writes for another target */

void check(bool ok, const char *what)
{
    if (!ok) {
        std::fprintf(stderr, "violated: %s\n", what);
        std::abort();
    }
}

/* The next operations that fail. */
struct Faults {
    unsigned skip = 0; /* so many are well before */
    unsigned fail = 0;
    int kind = 0;

    int next(const char *operation)
    {
        if (fail == 0) {
            return 0;
        }
        if (skip > 0) {
            skip--;
            return 0;
        }
        fail--;
        if (kind == 3 && std::string(operation) == "pwrite") {
            return 100; /* so many bytes are written */
        }
        return kind == 1 ? -ENOSPC : kind == 2 ? -ENOENT : -EIO;
    }
};

/* The disk for the code under test: what it takes itself is no allocation of
 * that code, and the two calls that it lets nobody spoil may fail too. */
class Disk final : public Files {
public:
    Disk(SpoolDisk *disk, uint32_t id, Faults *faults, bool listing)
        : process_(disk, id), faults_(faults), listing_(listing)
    {
    }

    void kill() { process_.kill(); }

    int open(const char *path, OpenMode mode) override
    {
        const Plenty plenty;
        return process_.open(path, mode);
    }
    int close(int fd) override
    {
        const Plenty plenty;
        return process_.close(fd);
    }
    ssize_t pread(int fd, void *out, size_t n, uint64_t offset) override
    {
        const Plenty plenty;
        return process_.pread(fd, out, n, offset);
    }
    ssize_t pwrite(int fd, const void *in, size_t n, uint64_t offset) override
    {
        const Plenty plenty;
        return process_.pwrite(fd, in, n, offset);
    }
    int64_t size(int fd) override
    {
        const Plenty plenty;
        const int rc = faults_->next("size");
        return rc < 0 ? rc : process_.size(fd);
    }
    int ftruncate(int fd, uint64_t n) override
    {
        const Plenty plenty;
        return process_.ftruncate(fd, n);
    }
    int fdatasync(int fd) override
    {
        const Plenty plenty;
        return process_.fdatasync(fd);
    }
    int fsync_dir(const char *path) override
    {
        const Plenty plenty;
        return process_.fsync_dir(path);
    }
    int rename(const char *from, const char *to) override
    {
        const Plenty plenty;
        return process_.rename(from, to);
    }
    int unlink(const char *path) override
    {
        const Plenty plenty;
        return process_.unlink(path);
    }
    bool exists(const char *path) override
    {
        const Plenty plenty;
        return process_.exists(path);
    }
    int list(const char *dir, void (*entry)(void *, const char *),
             void *data) override
    {
        std::vector<std::string> names;
        int rc;
        {
            const Plenty plenty;
            rc = process_.list(
                dir,
                [](void *out, const char *name) {
                    static_cast<std::vector<std::string> *>(out)->push_back(
                        name);
                },
                &names);
            if (listing_) {
                names.push_back("0123456789abcdef.seg");
                names.push_back("0123456789abcdef.tmp");
                names.push_back("0123456789abcde.seg");
                names.push_back("0123456789abcdeg.seg");
            }
        }
        for (const std::string &name : names) {
            entry(data, name.c_str());
        }
        return rc;
    }
    int lock(int fd) override
    {
        const Plenty plenty;
        const int rc = faults_->next("lock");
        return rc < 0 ? rc : process_.lock(fd);
    }
    int unlock(int fd) override
    {
        const Plenty plenty;
        return process_.unlock(fd);
    }
    uint64_t now_ms() override { return process_.now_ms(); }
    uint32_t process_id() override { return process_.process_id(); }

private:
    SpoolProcess process_;
    Faults *faults_;
    bool listing_; /* what is in a folder that cannot be */
};

struct Appended {
    std::string payload;
    bool acknowledged = false;
    bool done = false;    /* sent */
    bool marked = false;  /* a commit() has said so */
    bool spoiled = false; /* need not come */
    bool again = false;   /* may come though it is marked */
};

struct Worker {
    std::unique_ptr<Disk> disk;
    std::unique_ptr<JournalWriter> writer;
    Buffer batch;
    std::vector<uint64_t> sequences;
};

class Run {
public:
    explicit Run(uint8_t settings) : settings_(settings)
    {
        dir_ = settings & 2 ? "/" + std::string(kSpoolPathMax - 10, 'f')
                            : "/spool";
        shared_.init(1, 0, 0);
        disk_ = std::make_unique<SpoolDisk>();
        boot();
    }

    ~Run()
    {
        for (Worker &w : workers_) {
            stop(&w);
        }
        stop_drain();
    }

    void step(uint8_t what, uint8_t how);
    void recover();

private:
    void boot();
    void start(unsigned i);
    void stop(Worker *w);
    void start_drain();
    void stop_drain();
    void post(Worker *w, uint8_t how, size_t size, unsigned key);
    void append(Worker *w);
    void read(uint8_t how);
    void commit();
    void arrive(const JournalReader::Item &item, uint64_t *last);
    void spoil();
    void forget_marks();
    void scan();

    /* memory may be short while it runs */
    template <class Call>
    auto poor(Call call)
    {
        const Shortage shortage(&allocations_);
        return call();
    }

    SpoolShared *shared() { return settings_ & 4 ? nullptr : &shared_; }

    uint8_t settings_;
    std::string dir_;
    Faults faults_;
    size_t allocations_ = 0;
    size_t bytes_ = 0;
    SpoolShared shared_;
    std::unique_ptr<SpoolDisk> disk_;
    Worker workers_[kWriters];
    std::unique_ptr<Disk> drain_disk_;
    std::unique_ptr<JournalReader> reader_;
    std::map<uint64_t, Appended> appended_;
    std::vector<uint64_t> unmarked_;
    uint32_t next_process_ = 10;
    bool spoiled_ = false;
};

/* Processes over the disk as it is. */
void Run::boot()
{
    disk_->fault = [this](const char *operation) {
        return faults_.next(operation);
    };
    for (unsigned i = 0; i < kWriters; i++) {
        start(i);
    }
    start_drain();
}

void Run::start(unsigned i)
{
    Worker *w = &workers_[i];
    w->disk = std::make_unique<Disk>(disk_.get(), next_process_++, &faults_,
                                     settings_ & 2);
    w->writer = std::make_unique<JournalWriter>();
    check(w->writer->init(w->disk.get(), dir_, i == kOther ? "other" : kTarget,
                          shared(), settings_ & 1 ? 1 << 20 : 4096),
          "a writer starts");
}

void Run::stop(Worker *w)
{
    w->disk->kill();
    w->writer.reset();
    w->disk.reset();
    w->batch.clear();
    w->sequences.clear();
}

void Run::start_drain()
{
    drain_disk_ = std::make_unique<Disk>(disk_.get(), next_process_++, &faults_,
                                         settings_ & 2);
    reader_ = std::make_unique<JournalReader>();
    check(reader_->init(drain_disk_.get(), dir_, kTarget, shared()),
          "a drain starts");
}

void Run::stop_drain()
{
    drain_disk_->kill();
    reader_.reset();
    drain_disk_.reset();
    unmarked_.clear();
}

void Run::spoil()
{
    spoiled_ = true;
    for (auto &entry : appended_) {
        entry.second.spoiled = true;
        entry.second.again = true;
    }
}

void Run::forget_marks()
{
    for (auto &entry : appended_) {
        entry.second.again |= entry.second.done;
    }
}

void Run::post(Worker *w, uint8_t how, size_t size, unsigned key)
{
    if (bytes_ + size > kMostBytes) {
        return;
    }
    bytes_ += size;

    const uint64_t sequence = shared_.take(1);
    const std::string value(size, static_cast<char>('a' + sequence % 26));
    const std::string name = "key" + std::to_string(key);
    const std::string second = "key" + std::to_string(how >> 6);
    const bool ours = w != &workers_[kOther];
    RecordBuilder r(&w->batch);
    const size_t before = w->batch.size();

    const bool built = poor([&] {
        bool ok = r.begin(ours ? kTarget : "other", disk_->clock_ms)
                  && r.operation({OperationKind::rpush, name})
                  && r.value(value);
        if (ok && how & 4) {
            ok = r.operation({OperationKind::xadd, second, 1000, 60})
                 && r.value("second", "its id") && r.value("third");
        }
        return ok && r.finish();
    });
    if (!built) {
        check(w->batch.size() == before, "a record that failed leaves nothing");
        check(!r.value("x") && !r.finish(), "and stays so");
        return;
    }
    check(r.offset() == before && r.offset() + r.size() == w->batch.size(),
          "a record is where it says");

    set_record_sequence(w->batch.data() + before, sequence);
    RecordHeader h;
    check(peek_record_header(w->batch.data() + before, &h), "a header");
    w->sequences.push_back(sequence);
    if (ours) {
        appended_[sequence].payload.assign(
            w->batch.data() + before + kRecordHeaderSize + h.target_length,
            h.payload_length);
    }
}

void Run::append(Worker *w)
{
    AppendReport report;
    if (w->sequences.empty()) {
        check(!w->writer->append(w->batch.data(), 0, &report)
                  && report.error == EINVAL && report.records == 0,
              "nothing is no batch");
        return;
    }
    check(!w->writer->append(w->batch.data(), w->batch.size() - 8, &report)
              && report.error == EINVAL && report.records == 0,
          "half a record is no batch");

    const bool ok = poor([&] {
        return w->writer->append(w->batch.data(), w->batch.size(), &report);
    });
    check(ok == (report.error == 0), "a reason");
    if (ok) {
        check(report.records == w->sequences.size(), "all of them");
        check(report.bytes >= w->batch.size(), "the spool has grown");
        shared_.appended(report.records, report.events);
    }
    for (uint64_t sequence : w->sequences) {
        const auto it = appended_.find(sequence);
        if (it != appended_.end()) {
            it->second.acknowledged = ok;
        }
    }
    w->batch.clear();
    w->sequences.clear();
}

void Run::arrive(const JournalReader::Item &item, uint64_t *last)
{
    /* a rotten header does not say which segment it replaces: should that still
     * be there, its records come from both */
    check(item.record.sequence > *last
              || (spoiled_ && item.record.sequence == *last),
          "ascending");
    *last = item.record.sequence;
    const auto it = appended_.find(*last);
    check(it != appended_.end(), "somebody has appended it");
    check(item.record.payload == it->second.payload, "its bytes");
    check(item.record.target == kTarget, "its target");
    check(!it->second.marked || it->second.again, "not again after its mark");
}

void Run::read(uint8_t how)
{
    const SpoolShared::Ticket ticket = shared_.begin_read();
    /* the last record may be too new */
    const uint64_t before = settings_ & 4 ? UINT64_MAX
                                          : ticket.before - (how == 7);
    const ReadResult result = poor(
        [&] { return reader_->read(before, size_t{how} << (how & 7)); });
    check((result == ReadResult::records) == !reader_->items().empty(),
          "records or none");
    check(result != ReadResult::failed || reader_->error() != 0, "a reason");
    if (result == ReadResult::empty) {
        shared_.finish_read(ticket);
    }

    uint64_t last = 0;
    for (size_t i = 0; i < reader_->items().size(); i++) {
        const JournalReader::Item &item = reader_->items()[i];
        arrive(item, &last);
        check(last < before, "not too new");

        OperationReader operations(item.record.payload);
        Operation op;
        check(operations.next(&op), "an operation");
        const unsigned key = static_cast<unsigned>(op.key.back()) & 3;
        if (how >> (4 + key) & 1) {
            poor([&] { return reader_->hold(i); });
            continue;
        }
        if (how & 8 && i == (how & 7)) {
            break; /* Redis is gone */
        }
        Appended &a = appended_[item.record.sequence];
        a.done = true;
        if (poor([&] { return reader_->done(i); })) {
            unmarked_.push_back(item.record.sequence);
        }
    }
    reader_->clear_reports();
}

void Run::commit()
{
    CommitReport report;
    if (!poor([&] { return reader_->commit(&report); })) {
        check(report.error != 0, "a reason");
        return;
    }
    shared_.delivered(report.records, report.events);
    for (uint64_t sequence : unmarked_) {
        appended_[sequence].marked = true;
    }
    unmarked_.clear();
}

void Run::scan()
{
    Array<TargetStats> targets;
    Array<SpoolReport> reports;
    poor([&] {
        return scan_spool(*drain_disk_, dir_.c_str(), &targets, &reports);
    });
    for (const SpoolReport &r : reports) {
        check(*report_text(r.kind) != '\0', "a report has a text");
    }

    /* what has no name, or too long a one, is no target */
    const std::string names[] = {"", std::string(kTargetMax + 1, 't')};
    for (const std::string &name : names) {
        JournalWriter writer;
        JournalReader reader;
        Buffer out;
        RecordBuilder r(&out);
        check(!writer.init(drain_disk_.get(), dir_, name, nullptr)
                  && !reader.init(drain_disk_.get(), dir_, name, nullptr)
                  && !r.begin(name, 0)
                  && !r.operation({OperationKind::rpush, "key"}) && out.empty(),
              "no target");
    }
}

void Run::step(uint8_t what, uint8_t how)
{
    const unsigned which = how % kWriters;
    Worker *w = &workers_[which];

    switch (what % 20) {
    case 0:
    case 1:
    case 2:
        post(w, how, size_t{how} * 4, how >> 3 & 3);
        break;
    case 3:
        append(w);
        break;
    case 4:
        post(w, how, size_t{how} * 4, how >> 3 & 3);
        append(w);
        break;
    case 5:
        /* many small ones */
        for (unsigned i = 0; i < how * 4u; i++) {
            post(w, 0, 1, i);
        }
        append(w);
        break;
    case 6:
        /* more than what is read or written at once */
        post(w, how, 60000 + size_t{how} * 100, how >> 3 & 3);
        append(w);
        break;
    case 7:
        w->writer->close();
        break;
    case 8:
    case 9:
        read(how);
        break;
    case 10:
        commit();
        break;
    case 11:
        poor([&] { return reader_->sync_marks(); });
        break;
    case 12:
        reader_->release();
        break;
    case 13:
        if (how & 0x80) {
            stop_drain();
            start_drain();
        } else {
            stop(w);
            start(which);
        }
        break;
    case 14: {
        Random random(how);
        for (Worker &each : workers_) {
            stop(&each);
        }
        stop_drain();
        forget_marks();
        auto after = std::make_unique<SpoolDisk>(disk_->power_cut(&random));
        disk_ = std::move(after);
        shared_.init(shared_.take(0), 0, 0);
        boot();
        break;
    }
    case 15:
        faults_ = {how & 31u, (how >> 5 & 1) + 1u, how >> 6};
        break;
    case 16:
        allocations_ = how & 63;
        break;
    case 17:
    case 18: {
        /* a byte rots, or a file goes */
        std::vector<std::string> names = disk_->names();
        if (names.empty()) {
            break;
        }
        const std::string name = names[how % names.size()];
        spoil();
        if (what % 20 == 18) {
            /* not under a writer: it would go on in a file without a name */
            for (unsigned i = 0; i < kWriters; i++) {
                stop(&workers_[i]);
                start(i);
            }
            SpoolProcess by_hand(disk_.get(), 1);
            disk_->fault = nullptr;
            by_hand.unlink(name.c_str());
            disk_->fault = [this](const char *operation) {
                return faults_.next(operation);
            };
            break;
        }
        std::string *bytes = disk_->durable_content(name);
        if (!bytes->empty()) {
            const size_t at = how < 128 ? how : size_t{how} * 37;
            (*bytes)[at % bytes->size()] ^= static_cast<char>(1 + how % 255);
        }
        break;
    }
    case 19:
        if (how & 1) {
            scan();
        } else if (how & 2) {
            poor([&] { return clean_spool(*drain_disk_, dir_.c_str()); });
        } else {
            disk_->clock_ms += how;
        }
        break;
    }
}

/* All is well again: what was acknowledged and not sent comes now. */
void Run::recover()
{
    faults_ = {};
    allocations_ = 0;
    for (Worker &w : workers_) {
        stop(&w);
    }
    stop_drain();
    if (settings_ & 2) {
        boot();
        return;
    }
    settings_ |= 4;
    boot();

    Array<TargetStats> targets;
    Array<SpoolReport> reports;
    check(clean_spool(*drain_disk_, dir_.c_str()) == 0, "cleaned");
    check(scan_spool(*drain_disk_, dir_.c_str(), &targets, &reports) == 0,
          "scanned");
    uint64_t found = 0;
    for (const TargetStats &t : targets) {
        found += t.target_name() == kTarget ? t.records : 0;
    }

    std::map<uint64_t, bool> seen;
    uint64_t last = 0;
    CommitReport report;
    ReadResult result;
    while ((result = reader_->read(UINT64_MAX, 3000)) == ReadResult::records) {
        for (size_t i = 0; i < reader_->items().size(); i++) {
            arrive(reader_->items()[i], &last);
            seen[last] = true;
            check(reader_->done(i), "done");
        }
        check(reader_->commit(&report), "committed");
    }
    check(result == ReadResult::empty, "nothing is left");
    check(reader_->commit(&report), "committed");
    check(spoiled_ || seen.size() == found, "as many as were found");

    for (const auto &entry : appended_) {
        const Appended &a = entry.second;
        check(!a.acknowledged || a.done || a.spoiled || seen.count(entry.first),
              "nothing is lost");
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    Run run(data[0]);
    for (size_t i = 1, n = 0; i + 1 < size && n < kMostSteps; i += 2, n++) {
        run.step(data[i], data[i + 1]);
    }
    run.recover();
    return 0;
}
