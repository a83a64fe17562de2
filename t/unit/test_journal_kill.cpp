/*
 * Two writers and a drain on the real file system, killed with SIGKILL at
 * random moments, a few hundred times.  What a writer acknowledged over its
 * pipe is delivered by one of the drains; twice only what a killed drain had
 * sent and not marked yet.
 */

#include <check.h>

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

constexpr int kRounds = 300;

/* What a drain says beside the sequences it has sent. */
constexpr uint64_t kMarked = uint64_t{1} << 63; /* its commit() ended */
constexpr uint64_t kEven = kMarked + 1;         /* the next is of this writer */
constexpr uint64_t kOdd = kMarked + 2;

struct Child {
    pid_t pid = 0;
    int pipe = -1;
};

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
            add_record(&batch, first + i, seed % 2 ? "odd" : "even",
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

} // namespace

START_TEST(killed)
{
    char dir[] = "/tmp/spool-kill-XXXXXX";
    ck_assert(mkdtemp(dir) != nullptr);
    void *p = mmap(nullptr, sizeof(SpoolShared), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(p != MAP_FAILED);
    SpoolShared *shared = new (p) SpoolShared;
    shared->init(1, 0, 0);

    Random random(2024);
    std::set<uint64_t> acknowledged;
    std::map<uint64_t, int> delivered;
    std::set<uint64_t> unmarked; /* sent by drains killed before a mark */
    size_t killed = 0;

    for (int round = 0; round <= kRounds; round++) {
        const bool last = round == kRounds;
        Child children[3];
        for (int i = 0; i < 2 && !last; i++) {
            const uint64_t seed = round * 2 + i;
            children[i] = start(
                [&](int fd) { write_for_ever(dir, shared, fd, seed); });
        }
        children[2] = start(
            [&](int fd) { drain_for_ever(dir, shared, fd, last); });

        if (!last) {
            for (Child &c : children) {
                usleep(random.below(5000));
                ck_assert_int_eq(kill(c.pid, SIGKILL), 0);
                killed++;
            }
        }

        for (int i = 0; i < 2 && !last; i++) {
            const int status = finish(&children[i], [&](uint64_t sequence) {
                acknowledged.insert(sequence);
            });
            ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
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
        }
        unmarked.insert(fresh.begin(), fresh.end());
    }

    size_t twice = 0;
    for (uint64_t sequence : acknowledged) {
        ck_assert_msg(delivered.count(sequence) > 0, "%lu is lost",
                      (unsigned long) sequence);
    }
    for (const auto &entry : delivered) {
        if (entry.second > 1) {
            twice++;
            ck_assert_msg(unmarked.count(entry.first) > 0,
                          "%lu again after its mark",
                          (unsigned long) entry.first);
        }
    }
    printf("%zu processes killed, %zu records acknowledged, %zu delivered, "
           "%zu of them twice\n",
           killed, acknowledged.size(), delivered.size(), twice);
    ck_assert_uint_ge(acknowledged.size(), kRounds);
    ck_assert(!shared->spooling());

    /* all is gone but a new segment's unfinished file now and then */
    ck_assert_int_eq(clean_spool(posix_files(), dir), 0);
    ck_assert_int_eq(rmdir(dir), 0);
    munmap(p, sizeof(SpoolShared));
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
