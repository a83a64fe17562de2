#include <check.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "esputnik_spool_account.h"

using esputnik::SpoolAccount;

namespace {

SpoolAccount *account;

void setup()
{
    account = new SpoolAccount();
}

void teardown()
{
    delete account;
}

/* As the module does it, with one caller's task under way. */
bool at_rest(size_t mine)
{
    for (size_t i = 0; i < SpoolAccount::kShares; i++) {
        const uint64_t own = i == mine ? SpoolAccount::kTask : 0;
        if (account->under_way(i) != own) {
            return false;
        }
    }
    return true;
}

} // namespace

START_TEST(test_limit)
{
    ck_assert(account->reserve(0, 60, 100));
    ck_assert(!account->reserve(1, 41, 100));
    ck_assert_uint_eq(account->used(), 60);
    ck_assert_uint_eq(account->under_way(1), 0);
    ck_assert(account->reserve(1, 40, 100));
    ck_assert(account->reserve(1, 1000, 0));
    account->give_back(1, 1040);

    account->begin(0);
    account->end(0, 52, 60);
    ck_assert_uint_eq(account->used(), 52);
    ck_assert_uint_eq(account->under_way(0), 0);

    account->begin(3);
    account->end(3, -52, 0);
    ck_assert_uint_eq(account->used(), 0);
}
END_TEST

/* more was taken than was ever added: nothing is used, and nothing more free */
START_TEST(test_below_nothing)
{
    account->begin(1);
    account->end(1, -500, 0);
    ck_assert_uint_eq(account->used(), 0);
    ck_assert_int_eq(account->sum(), -500);
    ck_assert(!account->reserve(0, 101, 100));
    ck_assert(account->reserve(0, 100, 100));
    ck_assert_uint_eq(account->used(), 0);
}
END_TEST

START_TEST(test_killed_with_what_it_had)
{
    ck_assert(account->reserve(7, 30, 100));
    account->begin(7);
    ck_assert(account->reserve(7, 20, 100));
    account->begin(7);
    ck_assert(account->reserve(8, 5, 100));

    const uint64_t had = account->under_way(7);
    account->abandon(7, had);
    ck_assert_uint_eq(account->used(), 5);
    ck_assert_uint_eq(account->under_way(7), 0);

    /* somebody else has found it, too */
    account->abandon(7, had);
    ck_assert_uint_eq(account->used(), 5);
}
END_TEST

START_TEST(test_counted_anew)
{
    account->found(123);
    account->begin(2);
    ck_assert(at_rest(2));

    /* an append that begins after the count has begun, and ends before it does
     */
    SpoolAccount::Mark mark = account->mark();
    ck_assert(account->reserve(4, 50, 0));
    ck_assert(!at_rest(2));
    account->begin(4);
    ck_assert(!at_rest(2));
    account->end(4, 40, 50);
    ck_assert(at_rest(2));
    ck_assert(!account->correct(mark, 40));

    /* two that cancel each other */
    mark = account->mark();
    account->begin(4);
    account->end(4, 60, 0);
    account->begin(5);
    account->end(5, -60, 0);
    ck_assert(at_rest(2));
    ck_assert(!account->correct(mark, 100));

    mark = account->mark();
    ck_assert(account->correct(mark, 40));
    account->end(2, 0, 0);
    ck_assert_uint_eq(account->used(), 40);
}
END_TEST

START_TEST(test_without_a_share)
{
    ck_assert(account->reserve(SpoolAccount::kNoShare, 50, 0));
    account->begin(SpoolAccount::kNoShare);
    account->end(SpoolAccount::kNoShare, 30, 50);
    ck_assert_uint_eq(account->used(), 30);
    for (size_t i = 0; i < SpoolAccount::kShares; i++) {
        ck_assert_uint_eq(account->under_way(i), 0);
    }
}
END_TEST

/* Workers that append, one that removes, and one that counts all the time: a
 * count that is taken never makes a right account wrong. */
START_TEST(test_counts_beside_changes)
{
    std::atomic<int64_t> files{0};
    std::atomic<int> running{3};
    std::vector<std::thread> threads;
    int taken = 0;

    for (size_t share = 0; share < 2; share++) {
        threads.emplace_back([&, share] {
            for (int n = 0; n < 20000; n++) {
                if (n % 64 == 0) {
                    std::this_thread::yield();
                }
                account->reserve(share, 50, 0);
                account->begin(share);
                files += 41;
                account->end(share, 41, 50);
            }
            running--;
        });
    }
    threads.emplace_back([&] {
        for (int n = 0; n < 20000; n++) {
            std::this_thread::yield();
            account->begin(2);
            const int64_t some = files.exchange(0);
            account->end(2, -some, 0);
        }
        running--;
    });

    while (running > 0) {
        account->begin(3);
        const SpoolAccount::Mark mark = account->mark();
        if (at_rest(3)) {
            const int64_t counted = files;
            std::this_thread::yield();
            taken += at_rest(3)
                     && account->correct(mark, static_cast<uint64_t>(counted));
        }
        account->end(3, 0, 0);
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    ck_assert_msg(account->sum() == files, "%lld of %lld after %d counts",
                  static_cast<long long>(account->sum()),
                  static_cast<long long>(files.load()), taken);
}
END_TEST

int main()
{
    Suite *suite = suite_create("spool_account");
    TCase *tc = tcase_create("spool_account");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_limit);
    tcase_add_test(tc, test_below_nothing);
    tcase_add_test(tc, test_killed_with_what_it_had);
    tcase_add_test(tc, test_counted_anew);
    tcase_add_test(tc, test_without_a_share);
    tcase_add_test(tc, test_counts_beside_changes);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
