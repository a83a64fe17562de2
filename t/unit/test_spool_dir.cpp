#include <check.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "spool_records.h"

using namespace esputnik;

START_TEST(names)
{
    SpoolPath path;
    uint64_t id;
    ck_assert(path.segment("/d", 0x123456789abcdef0));
    same(path.text, "/d/123456789abcdef0.seg");
    ck_assert(segment_id_of("123456789abcdef0.seg", &id));
    ck_assert_uint_eq(id, 0x123456789abcdef0);
    ck_assert(path.corrupt("/d", 1, 512));
    same(path.text, "/d/corrupt-0000000000000001-512");

    for (const char *bad :
         {"123456789abcdef0.tmp", "123456789ABCDEF0.seg", "123456789abcdef.seg",
          "123456789abcdef0.seg~", "lock", "", "123456789abcdeg0.seg"})
    {
        ck_assert_msg(!segment_id_of(bad, &id), "%s", bad);
    }
    ck_assert(!path.segment(std::string(5000, 'x').c_str(), 1));
}
END_TEST

START_TEST(locks)
{
    char parent[] = "/tmp/spool-lock-XXXXXX";
    ck_assert(mkdtemp(parent) != nullptr);
    const std::string dir = std::string(parent) + "/spool";
    const char *step = "";
    const uid_t nobody = static_cast<uid_t>(-1);
    const gid_t no_group = static_cast<gid_t>(-1);

    ck_assert_int_eq(
        lock_spool((dir + "/no/parent").c_str(), nobody, no_group, &step),
        -ENOENT);
    same(step, "mkdir");
    const int fd = lock_spool(dir.c_str(), nobody, no_group, &step);
    ck_assert_int_ge(fd, 0);
    struct stat st;
    ck_assert_int_eq(stat(dir.c_str(), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0700);

    /* A child that has lost the descriptor is a stranger; one that kept it
     * is a new master after a binary upgrade, and finds it. */
    for (bool kept : {false, true}) {
        const pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            if (!kept) {
                close(fd);
            }
            const int got = lock_spool(dir.c_str(), nobody, no_group, &step);
            _exit(got == (kept ? fd : -EWOULDBLOCK) ? 0 : 1);
        }
        int status;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
    }

    /* it survives exec() */
    ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);

    /* the drain's goes with its process */
    const int drain = lock_drain(posix_files(), dir.c_str(), "one");
    ck_assert_int_ge(drain, 0);
    ck_assert_int_eq(lock_drain(posix_files(), dir.c_str(), "one"),
                     -EWOULDBLOCK);

    /* another target does not wait for it */
    const int other = lock_drain(posix_files(), dir.c_str(), "two");
    ck_assert_int_ge(other, 0);
    close(other);

    close(drain);
    const int again = lock_drain(posix_files(), dir.c_str(), "one");
    ck_assert_int_ge(again, 0);
    close(again);

    close(fd);
    const int free = lock_spool(dir.c_str(), nobody, no_group, &step);
    ck_assert_int_ge(free, 0);
    close(free);

    ck_assert_int_eq(unlink((dir + "/lock").c_str()), 0);
    for (const char *name :
         {"drain-1a08aa1921ca5caf", "drain-5714d319447c9709"}) {
        ck_assert_int_eq(unlink((dir + "/" + name).c_str()), 0);
    }
    ck_assert_int_eq(rmdir(dir.c_str()), 0);
    const int file = open(dir.c_str(), O_CREAT | O_WRONLY, 0600);
    close(file);
    ck_assert_int_eq(lock_spool(dir.c_str(), nobody, no_group, &step),
                     -ENOTDIR);
    ck_assert_int_eq(unlink(dir.c_str()), 0);
    ck_assert_int_eq(rmdir(parent), 0);
}
END_TEST

START_TEST(clean)
{
    SpoolDisk disk;
    SpoolProcess process(&disk, 1);
    JournalWriter w;
    ck_assert(w.init(&process, kDir, kTarget, nullptr));
    ck_assert(append(&w, 1, "k", "v"));
    const std::string segment = only_segment(disk);
    const std::string marks = segment.substr(0, segment.size() - 3) + "done";
    for (const std::string &name : {std::string("/spool/000000000000000a.tmp"),
                                    std::string("/spool/000000000000000a.done"),
                                    std::string("/spool/lock"), marks})
    {
        process.close(process.open(name.c_str(), OpenMode::create));
    }
    ck_assert_int_eq(clean_spool(process, kDir), 0);
    ck_assert_uint_eq(disk.names().size(), 3);
    ck_assert(disk.has(segment) && disk.has(marks) && disk.has("/spool/lock"));
}
END_TEST

START_TEST(bytes)
{
    SpoolDisk disk;
    SpoolProcess process(&disk, 1);
    ck_assert_int_eq(spool_bytes(process, kDir), 0);

    /* of all targets, without marks and what was set aside */
    JournalWriter one, two;
    AppendReport report;
    ck_assert(one.init(&process, kDir, kTarget, nullptr));
    ck_assert(two.init(&process, kDir, "other", nullptr));
    ck_assert(append(&one, 1, "k", "v", &report));
    uint64_t expected = report.bytes;
    Buffer batch;
    add_record(&batch, 2, "k", "v", "other");
    ck_assert(two.append(batch.data(), batch.size(), &report));
    expected += report.bytes;
    for (const char *name : {"/spool/000000000000000a.done",
                             "/spool/corrupt-000000000000000a-512"})
    {
        const int fd = process.open(name, OpenMode::create);
        ck_assert_int_eq(write_all(process, fd, name, 10, 0), 0);
        process.close(fd);
    }
    ck_assert_int_eq(spool_bytes(process, kDir),
                     static_cast<int64_t>(expected));

    /* what close() says that it has written is all of it */
    expected += one.close();
    expected += two.close();
    ck_assert_int_eq(spool_bytes(process, kDir),
                     static_cast<int64_t>(expected));
    ck_assert_uint_eq(process.open_files(), 0);
}
END_TEST

/* The rule that keeps the order: an append that ends between begin_read() and
 * finish_read() keeps the target spooling. */
START_TEST(order_rule)
{
    auto shared = std::make_unique<SpoolShared>();
    shared->init(0, 0, 0);
    ck_assert(shared->spooling());
    SpoolShared::Ticket t = shared->begin_read();
    ck_assert_uint_eq(t.before, 1);
    ck_assert(shared->finish_read(t));
    ck_assert(!shared->spooling());

    ck_assert_uint_eq(shared->take(2), 1);
    ck_assert(shared->spooling());
    t = shared->begin_read();
    shared->appended(2, 5);
    ck_assert(!shared->finish_read(t));
    ck_assert(shared->spooling());
    ck_assert_uint_eq(shared->events(), 5);

    /* under way, seen by nobody: the way opens, and closes again */
    shared->delivered(2, 5);
    ck_assert_uint_eq(shared->take(1), 3);
    t = shared->begin_read();
    ck_assert_uint_eq(t.before, 4);
    ck_assert(shared->finish_read(t));
    ck_assert(!shared->spooling());
    shared->appended(1, 1);
    ck_assert(shared->spooling());

    /* what was set aside is not counted for ever */
    t = shared->begin_read();
    ck_assert(shared->finish_read(t));
    ck_assert_uint_eq(shared->records(), 0);
    shared->delivered(1, 1);
    ck_assert_uint_eq(shared->records(), 0);
    t = shared->begin_read();
    ck_assert(shared->finish_read(t));
    shared->appended(1, 1);
    ck_assert_uint_eq(shared->records(), 1);
}
END_TEST

START_TEST(slots)
{
    auto shared = std::make_unique<SpoolShared>();
    shared->init(1, 0, 0);
    uint64_t length;
    for (uint64_t id = 1; id <= SpoolShared::kSlots; id++) {
        ck_assert(shared->publish(id, id * 10));
    }
    ck_assert(!shared->publish(999, 1));
    ck_assert(shared->publish(7, 71));
    ck_assert(shared->synced(7, &length));
    ck_assert_uint_eq(length, 71);
    shared->retract(7);
    ck_assert(!shared->synced(7, &length));
    ck_assert(shared->publish(999, 1));
    ck_assert(shared->synced(999, &length));
}
END_TEST

/* Writers and a drain at once: when the way is open, nothing whose append had
 * ended is left. */
START_TEST(threads)
{
    auto shared = std::make_unique<SpoolShared>();
    shared->init(1, 0, 0);
    std::atomic<uint64_t> stored{0}; /* on the disk, undelivered */
    std::atomic<int> running{3};
    std::vector<std::thread> threads;

    for (int i = 0; i < 3; i++) {
        threads.emplace_back([&] {
            for (int n = 0; n < 20000; n++) {
                shared->take(1);
                stored.fetch_add(1);
                shared->appended(1, 1);
            }
            running--;
        });
    }

    uint64_t opened = 0;
    for (;;) {
        const bool last = running == 0;
        const SpoolShared::Ticket t = shared->begin_read();
        const uint64_t n = stored.exchange(0);
        if (n > 0) {
            shared->delivered(n, n);
        } else if (shared->finish_read(t)) {
            opened++;
            if (last) {
                break;
            }
        }
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    ck_assert_uint_ge(opened, 1);
    ck_assert_uint_eq(stored, 0);
    ck_assert(!shared->spooling());
    ck_assert_uint_eq(shared->records(), 0);
    ck_assert_uint_eq(shared->take(1), 60001);
}
END_TEST

int main()
{
    Suite *s = suite_create("spool folder");
    TCase *t = tcase_create("spool folder");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, names);
    tcase_add_test(t, locks);
    tcase_add_test(t, clean);
    tcase_add_test(t, bytes);
    tcase_add_test(t, order_rule);
    tcase_add_test(t, slots);
    tcase_add_test(t, threads);
    suite_add_tcase(s, t);
    return run_suite(s);
}
