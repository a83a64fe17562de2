#include <check.h>

#include <cstdint>

#include "esputnik_backoff.h"

using namespace esputnik;

namespace {

const uint32_t kRandoms[] = {0,           1,          0x7fffffff,
                             0x80000000u, 0xdeadbeef, UINT32_MAX};

} // namespace

START_TEST(doubles_up_to_a_second)
{
    const uint32_t steps[] = {10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000};
    Backoff longest, shortest;

    for (uint32_t step : steps) {
        ck_assert_uint_eq(longest.ceiling(), step);
        ck_assert_uint_eq(longest.next(UINT32_MAX), step);
        ck_assert_uint_eq(shortest.next(0), step / 2);
    }
}
END_TEST

START_TEST(never_above_a_second)
{
    for (uint32_t random : kRandoms) {
        Backoff b;
        for (int i = 0; i < 10000; i++) {
            const uint32_t ceiling = b.ceiling();
            const uint32_t ms = b.next(random * 2654435761u + i);
            ck_assert_uint_le(ms, kBackoffMax);
            ck_assert_uint_le(ms, ceiling);
            ck_assert_uint_ge(ms, ceiling / 2);
        }
    }
}
END_TEST

/* The same random bits give the same delays; the bits spread over the range. */
START_TEST(jitter)
{
    Backoff a, b;
    bool seen[1001] = {};
    uint32_t random = 12345;

    for (int i = 0; i < 20000; i++) {
        random = random * 1664525u + 1013904223u;
        const uint32_t ms = a.next(random);
        ck_assert_uint_eq(ms, b.next(random));
        seen[ms] = true;
    }
    for (uint32_t ms = 500; ms <= 1000; ms++) {
        ck_assert_msg(seen[ms], "%u ms never came", ms);
    }
}
END_TEST

START_TEST(after_a_link_that_lasted)
{
    for (uint32_t random : kRandoms) {
        Backoff b;
        for (int i = 0; i < 12; i++) {
            b.next(random);
        }
        b.lost(1000);
        ck_assert_uint_eq(b.ceiling(), 0);
        ck_assert_uint_eq(b.next(random), 0);
        ck_assert_uint_eq(b.ceiling(), 10);
        ck_assert_uint_ge(b.next(random), 5);
        ck_assert_uint_eq(b.ceiling(), 20);
        b.lost(UINT64_MAX);
        ck_assert_uint_eq(b.next(random), 0);
    }
}
END_TEST

/* A Redis that takes connections and drops them is met by no storm. */
START_TEST(after_links_that_did_not_last)
{
    Backoff b;
    uint32_t total = 0;

    for (int i = 0; i < 20; i++) {
        b.lost(i % 2 ? 999 : 0);
        const uint32_t ms = b.next(0);
        ck_assert_uint_gt(ms, 0);
        total += ms;
    }
    ck_assert_uint_eq(b.ceiling(), 1000);
    ck_assert_uint_ge(total, 5 + 10 + 20 + 40 + 80 + 160 + 320 + 13 * 500);
}
END_TEST

int main()
{
    Suite *s = suite_create("backoff");
    TCase *t = tcase_create("backoff");
    tcase_add_test(t, doubles_up_to_a_second);
    tcase_add_test(t, never_above_a_second);
    tcase_add_test(t, jitter);
    tcase_add_test(t, after_a_link_that_lasted);
    tcase_add_test(t, after_links_that_did_not_last);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
