/*
 * Two writers and a drain on the real file system, killed with SIGKILL at
 * random moments, again and again: 10,000 processes, in several spools side by
 * side, as most of the time is spent waiting.  What a writer acknowledged over
 * its pipe is delivered by one of the drains; twice only what a killed drain had
 * sent and not marked yet.
 */

#include <check.h>

#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <map>
#include <new>
#include <set>
#include <string>

#include "spool_records.h"

using namespace esputnik;

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr unsigned kKills = 900;
#else
constexpr unsigned kKills = 10000;
#endif

constexpr unsigned kSpools = 4;
constexpr unsigned kProcesses = 3; /* of a spool: two writers and a drain */
constexpr unsigned kRounds = (kKills + kSpools * kProcesses - 1)
                             / (kSpools * kProcesses);
constexpr unsigned kLife = 1500; /* us at most, from the first word or so */

/* What a drain says beside the sequences it has sent. */
constexpr uint64_t kMarked = uint64_t{1} << 63; /* its commit() ended */
constexpr uint64_t kEven = kMarked + 1;         /* the next is of this writer */
constexpr uint64_t kOdd = kMarked + 2;

struct Child {
    pid_t pid = 0;
    int pipe = -1;
};

/* What a spool's process tells the test. */
struct Totals {
    unsigned killed;
    size_t acknowledged;
    size_t delivered;
    size_t twice;
};

/* add_record() without ck_assert: each of these writes to a file that Check
 * shares with all processes, and a kill in the midst leaves it torn. */
void put_record(Buffer *batch, uint64_t sequence, const char *key,
                const std::string &value)
{
    RecordBuilder r(batch);
    if (!r.begin(kTarget, 1700000000000 + sequence)
        || !r.operation({OperationKind::rpush, key}) || !r.value(value)
        || !r.finish())
    {
        _exit(9);
    }
    set_record_sequence(batch->data() + r.offset(), sequence);
}

void tell(int fd, uint64_t word)
{
    if (write(fd, &word, sizeof(word)) != sizeof(word)) {
        _exit(2);
    }
}

void write_for_ever(const char *dir, SpoolShared *shared, int pipe,
                    uint64_t seed)
{
    Random random(seed);
    JournalWriter w;
    if (!w.init(&posix_files(), dir, kTarget, shared, 32768)) {
        _exit(3);
    }
    for (;;) {
        Buffer batch;
        AppendReport report;
        const uint64_t n = 1 + random.below(5);
        const uint64_t first = shared->take(n);
        for (uint64_t i = 0; i < n; i++) {
            put_record(&batch, first + i, seed % 2 ? "odd" : "even",
                       std::string(random.below(3000), 'v'));
        }
        if (!w.append(batch.data(), batch.size(), &report)) {
            _exit(4);
        }
        shared->appended(report.records, report.events);
        for (uint64_t i = 0; i < n; i++) {
            tell(pipe, first + i);
        }
    }
}

/* Ends when there is nothing left, if it is told to. */
void drain_for_ever(const char *dir, SpoolShared *shared, int pipe, bool end)
{
    JournalReader r;
    CommitReport report;
    if (!r.init(&posix_files(), dir, kTarget, shared)) {
        _exit(3);
    }
    for (;;) {
        const SpoolShared::Ticket t = shared->begin_read();
        const ReadResult result = r.read(t.before, 10000);
        if (result == ReadResult::failed) {
            _exit(5);
        }
        for (size_t i = 0; i < r.items().size(); i++) {
            const Record &record = r.items()[i].record;
            tell(pipe, record.payload.find("odd") < record.payload.size()
                           ? kOdd
                           : kEven);
            tell(pipe, record.sequence);
            if (!r.done(i)) {
                _exit(6);
            }
        }
        if (!r.commit(&report)) {
            _exit(7);
        }
        for (const SpoolReport &s : r.reports()) {
            if (s.kind != ReportKind::torn_tail) {
                _exit(8);
            }
        }
        r.clear_reports();
        tell(pipe, kMarked);
        if (end && result == ReadResult::empty && shared->finish_read(t)) {
            _exit(0);
        }
    }
}

template <class F>
Child start(F run)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    Child c;
    c.pid = fork();
    ck_assert_int_ge(c.pid, 0);
    if (c.pid == 0) {
        close(ends[0]);
        run(ends[1]);
    }
    close(ends[1]);
    c.pipe = ends[0];
    return c;
}

/* Its words up to its end; a pipe that is full stops it, which is no harm. */
template <class F>
int finish(Child *c, F word)
{
    uint64_t w;
    ssize_t n;
    while ((n = read(c->pipe, &w, sizeof(w))) == sizeof(w)) {
        word(w);
    }
    ck_assert_int_eq(n, 0);
    close(c->pipe);
    int status;
    ck_assert_int_eq(waitpid(c->pid, &status, 0), c->pid);
    return status;
}

/* One in four as it starts, the others in the midst of their work, however
 * busy the machine is. */
void kill_soon(const Child &c, Random *random)
{
    if (!random->chance(25)) {
        struct pollfd word = {c.pipe, POLLIN, 0};
        ck_assert_int_ge(poll(&word, 1, 100), 0);
    }
    usleep(static_cast<useconds_t>(random->below(kLife)));
    ck_assert_int_eq(kill(c.pid, SIGKILL), 0);
}

/* All rounds of one spool. */
void run_spool(unsigned which, Totals *totals)
{
    char dir[] = "/tmp/spool-kill-XXXXXX";
    ck_assert(mkdtemp(dir) != nullptr);
    void *p = mmap(nullptr, sizeof(SpoolShared), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(p != MAP_FAILED);
    SpoolShared *shared = new (p) SpoolShared;
    shared->init(1, 0, 0);

    Random random(2024 + which);
    std::set<uint64_t> acknowledged;
    std::map<uint64_t, int> delivered;
    std::set<uint64_t> unmarked; /* sent by drains killed before a mark */

    for (unsigned round = 0; round <= kRounds; round++) {
        const bool last = round == kRounds;
        Child children[kProcesses];
        for (unsigned i = 0; i < 2 && !last; i++) {
            const uint64_t seed = round * 2 + i;
            children[i] = start(
                [&](int fd) { write_for_ever(dir, shared, fd, seed); });
        }
        children[2] = start(
            [&](int fd) { drain_for_ever(dir, shared, fd, last); });

        if (!last) {
            for (const Child &c : children) {
                kill_soon(c, &random);
            }
        }

        for (unsigned i = 0; i < 2 && !last; i++) {
            const int status = finish(&children[i], [&](uint64_t sequence) {
                acknowledged.insert(sequence);
            });
            ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
            totals->killed++;
        }

        std::set<uint64_t> fresh;
        uint64_t before[2] = {0, 0};
        unsigned writer = 0;
        const int status = finish(&children[2], [&](uint64_t word) {
            if (word == kMarked) {
                fresh.clear();
                return;
            }
            if (word == kEven || word == kOdd) {
                writer = word == kOdd;
                return;
            }
            ck_assert_uint_gt(word, before[writer]);
            before[writer] = word;
            delivered[word]++;
            fresh.insert(word);
        });
        if (last) {
            ck_assert_int_eq(status, 0);
        } else {
            ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
            totals->killed++;
        }
        unmarked.insert(fresh.begin(), fresh.end());
    }

    for (uint64_t sequence : acknowledged) {
        ck_assert_msg(delivered.count(sequence) > 0, "%lu is lost",
                      (unsigned long) sequence);
    }
    for (const auto &entry : delivered) {
        if (entry.second > 1) {
            totals->twice++;
            ck_assert_msg(unmarked.count(entry.first) > 0,
                          "%lu again after its mark",
                          (unsigned long) entry.first);
        }
    }
    totals->acknowledged = acknowledged.size();
    totals->delivered = delivered.size();
    ck_assert(!shared->spooling());

    /* all is gone but a new segment's unfinished file now and then */
    ck_assert_int_eq(clean_spool(posix_files(), dir), 0);
    ck_assert_int_eq(rmdir(dir), 0);
    munmap(p, sizeof(SpoolShared));
}

} // namespace

START_TEST(killed)
{
    void *p = mmap(nullptr, kSpools * sizeof(Totals), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(p != MAP_FAILED);
    Totals *totals = static_cast<Totals *>(p);
    pid_t pids[kSpools];

    for (unsigned i = 0; i < kSpools; i++) {
        pids[i] = fork();
        ck_assert_int_ge(pids[i], 0);
        if (pids[i] == 0) {
            run_spool(i, &totals[i]);
            _exit(0);
        }
    }

    bool good = true;
    Totals sum = {};
    for (unsigned i = 0; i < kSpools; i++) {
        int status;
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        good = good && status == 0;
        sum.killed += totals[i].killed;
        sum.acknowledged += totals[i].acknowledged;
        sum.delivered += totals[i].delivered;
        sum.twice += totals[i].twice;
    }
    printf("%u processes killed, %zu records acknowledged, %zu delivered, "
           "%zu of them twice\n",
           sum.killed, sum.acknowledged, sum.delivered, sum.twice);
    ck_assert_msg(good, "one of the spools was wrong");
    ck_assert_uint_ge(sum.killed, kKills);
    ck_assert_uint_ge(sum.acknowledged, kKills / 4);
    munmap(p, kSpools * sizeof(Totals));
}
END_TEST

int main()
{
    Suite *s = suite_create("journal kill");
    TCase *t = tcase_create("journal kill");
    tcase_set_timeout(t, 180);
    tcase_add_test(t, killed);
    suite_add_tcase(s, t);
    return run_suite(s);
}
