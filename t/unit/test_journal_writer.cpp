#include <check.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <memory>
#include <string>

#include "spool_records.h"

using namespace esputnik;

START_TEST(syncs_before_it_says_so)
{
    std::string calls;
    SpoolDisk disk;
    SpoolProcess process(&disk, 1);
    JournalWriter w;
    ck_assert(w.init(&process, kDir, kTarget, nullptr));
    disk.fault = [&](const char *op) {
        calls += std::string(op) + " ";
        return 0;
    };

    AppendReport report;
    ck_assert(append(&w, 1, "k", "v", &report));
    same(calls, "open pwrite fdatasync rename fsync_dir pwrite fdatasync ");
    ck_assert_uint_eq(report.records, 1);
    ck_assert_uint_eq(report.bytes, disk.content(only_segment(disk)).size());

    /* a batch is one write and one sync */
    Buffer batch;
    calls.clear();
    for (uint64_t i = 2; i < 100; i++) {
        add_record(&batch, i, "k", "v");
    }
    ck_assert(w.append(batch.data(), batch.size(), &report));
    same(calls, "pwrite fdatasync ");
    ck_assert_uint_eq(report.records, 98);
    ck_assert_uint_eq(report.events, 98);
}
END_TEST

START_TEST(rotates)
{
    SpoolDisk disk;
    SpoolProcess process(&disk, 1);
    JournalWriter w;
    AppendReport report;
    uint64_t grown = 0;
    ck_assert(w.init(&process, kDir, kTarget, nullptr, 4096));
    for (uint64_t i = 1; i <= 20; i++) {
        ck_assert(append(&w, i, "k", std::string(900, 'v'), &report));
        grown += report.bytes;
    }
    grown += w.close();

    uint64_t bytes = 0;
    ck_assert_uint_eq(disk.names().size(), 7);
    for (const std::string &name : disk.names()) {
        bytes += disk.content(name).size();
        ck_assert_uint_le(disk.content(name).size(), 4096 + kSectorSize);
    }
    ck_assert_uint_eq(bytes, grown);
    ck_assert_uint_eq(process.open_files(), 0);
}
END_TEST

START_TEST(refuses_what_readers_would)
{
    SpoolDisk disk;
    SpoolProcess process(&disk, 1);
    JournalWriter w;
    AppendReport report;
    Buffer batch;

    ck_assert(!w.init(&process, kDir, "", nullptr));
    ck_assert(!w.init(&process, kDir, std::string(256, 'x'), nullptr));
    ck_assert(!w.init(&process, kDir, kTarget, nullptr, 4095));
    ck_assert(w.init(&process, kDir, kTarget, nullptr));

    ck_assert(!w.append(batch.data(), 0, &report));
    add_record(&batch, 0, "k", "v");
    ck_assert(!w.append(batch.data(), batch.size(), &report));
    set_record_sequence(batch.data(), 1);
    ck_assert(!w.append(batch.data(), batch.size() - 1, &report));
    ck_assert(!w.append(batch.data(), batch.size() - 8, &report));
    ck_assert(w.append(batch.data(), batch.size(), &report));
    ck_assert(!w.append(batch.data(), batch.size(), &report));
    ck_assert_int_eq(report.error, EINVAL);
    ck_assert_uint_eq(report.records, 0);

    batch.clear();
    add_record(&batch, 3, "k", "v");
    add_record(&batch, 2, "k", "v");
    ck_assert(!w.append(batch.data(), batch.size(), &report));
    batch.clear();
    add_record(&batch, 3, "k", "v", "other");
    ck_assert(!w.append(batch.data(), batch.size(), &report));
    ck_assert(append(&w, 3, "k", "v"));
}
END_TEST

/* Each operation of an append fails once: nothing is acknowledged, what was
 * before is intact, the segment is not touched again, and the next append is
 * safe. */
START_TEST(every_failure)
{
    static const int errors[] = {-EIO, -ENOSPC, -EDQUOT, -EFBIG, 1, 100};

    for (int error : errors) {
        for (unsigned fails = 0;; fails++) {
            SpoolDisk disk;
            SpoolProcess process(&disk, 1);
            JournalWriter w;
            AppendReport report;
            unsigned call = 0;
            bool failed = false;
            std::string after;
            ck_assert(w.init(&process, kDir, kTarget, nullptr, 4096));
            ck_assert(append(&w, 1, "k", "a", &report));
            ck_assert(append(&w, 2, "k", std::string(3000, 'b'), &report));

            disk.fault = [&](const char *op) {
                if (failed) {
                    after += std::string(op) + " ";
                }
                const bool write = std::string(op) == "pwrite";
                if (call++ != fails || (error > 0 && !write)) {
                    return 0;
                }
                failed = error < 0;
                return error;
            };
            const std::string third(1000, 'c');
            const bool ok = append(&w, 3, "k", third, &report);
            disk.fault = nullptr;
            if (call <= fails) {
                ck_assert(ok);
                ck_assert_uint_ge(fails, 7);
                break;
            }
            /* a short write is carried on, and the end mark is not needed */
            if (failed) {
                ck_assert(ok || report.error == -error);
                ck_assert(ok == (fails == 0));
                if (!ok) {
                    ck_assert_msg(after.find("sync") == after.npos, "%s",
                                  after.c_str());
                    ck_assert_uint_eq(w.segment_id(), 0);
                }
            } else {
                ck_assert(ok);
            }
            ck_assert(append(&w, 4, "k", "d"));
            ck_assert_uint_le(process.open_files(), 1);

            JournalReader r;
            ck_assert(r.init(&process, kDir, kTarget, nullptr));
            same(drain(&r), "1:a 2:" + std::string(3000, 'b')
                                + (ok ? " 3:" + third : "") + " 4:d ");
        }
    }
}
END_TEST

/* The cut fails, too: the batch is of unknown outcome, the rest is not. */
START_TEST(cut_fails)
{
    SpoolDisk disk;
    SpoolProcess process(&disk, 1);
    JournalWriter w;
    ck_assert(w.init(&process, kDir, kTarget, nullptr));
    ck_assert(append(&w, 1, "k", "a"));
    disk.fault = [](const char *op) {
        const std::string name = op;
        return name == "fdatasync" || name == "ftruncate" ? -EIO : 0;
    };
    ck_assert(!append(&w, 2, "k", "b"));
    disk.fault = nullptr;
    ck_assert(append(&w, 3, "k", "c"));

    JournalReader r;
    ck_assert(r.init(&process, kDir, kTarget, nullptr));
    same(drain(&r), "1:a 2:b 3:c ");
}
END_TEST

START_TEST(ids_differ)
{
    SpoolDisk disk;
    SpoolProcess process(&disk, 1);
    JournalWriter writers[20];
    for (JournalWriter &w : writers) {
        ck_assert(w.init(&process, kDir, kTarget, nullptr));
        ck_assert(append(&w, 1, "k", "v"));
    }
    ck_assert_uint_eq(disk.names().size(), 20);
    disk.clock_ms -= 1000000;
    const uint64_t before = writers[0].segment_id();
    writers[0].close();
    ck_assert(append(&writers[0], 2, "k", "v"));
    ck_assert_uint_gt(writers[0].segment_id(), before);
}
END_TEST

/* On the real file system: RLIMIT_FSIZE, with SIGXFSZ ignored. */
START_TEST(file_size_limit)
{
    char dir[] = "/tmp/spool-limit-XXXXXX";
    ck_assert(mkdtemp(dir) != nullptr);

    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        const struct rlimit limit = {10000, 10000};
        JournalWriter w;
        AppendReport report;
        bool ok = setrlimit(RLIMIT_FSIZE, &limit) == 0
                  && w.init(&posix_files(), dir, kTarget, nullptr)
                  && append(&w, 1, "k", std::string(5000, 'a'), &report)
                  && !append(&w, 2, "k", std::string(5000, 'b'), &report)
                  && report.error == EFBIG
                  && append(&w, 3, "k", std::string(5000, 'c'), &report);
        _exit(ok ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);

    JournalReader r;
    ck_assert(r.init(&posix_files(), dir, kTarget, nullptr));
    same(drain(&r),
         "1:" + std::string(5000, 'a') + " 3:" + std::string(5000, 'c') + " ");
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

int main()
{
    Suite *s = suite_create("journal writer");
    TCase *t = tcase_create("journal writer");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, syncs_before_it_says_so);
    tcase_add_test(t, rotates);
    tcase_add_test(t, refuses_what_readers_would);
    tcase_add_test(t, every_failure);
    tcase_add_test(t, cut_fails);
    tcase_add_test(t, ids_differ);
    tcase_add_test(t, file_size_limit);
    suite_add_tcase(s, t);
    return run_suite(s);
}
