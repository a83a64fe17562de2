#include <check.h>

#include <cstdio>

#include "esputnik_full_lists.h"

using esputnik::FullLists;

START_TEST(test_one_list)
{
    FullLists lists;

    ck_assert(!lists.full("a", 10));
    lists.note("a", 9, 10);
    ck_assert(!lists.full("a", 10));
    lists.note("a", 10, 10);
    ck_assert(lists.full("a", 10));
    ck_assert(lists.full("a", 5));
    ck_assert(!lists.full("a", 11));    /* another location allows more */
    ck_assert(!lists.full("b", 10));
    lists.note("a", 9, 10);
    ck_assert(!lists.full("a", 10));
}
END_TEST

START_TEST(test_no_limit)
{
    FullLists lists;

    lists.note("a", UINT64_MAX, 0);
    ck_assert(!lists.full("a", 0));
    ck_assert(!lists.full("a", 1));
}
END_TEST

START_TEST(test_more_lists_than_places)
{
    FullLists lists;
    char key[16];

    for (size_t i = 0; i <= FullLists::kLists; i++) {
        const int n = std::snprintf(key, sizeof(key), "list:%zu", i);
        lists.note({key, static_cast<size_t>(n)}, 100, 100);
    }

    /* the first gave way, and takes one more push before it is known again */
    ck_assert(!lists.full("list:0", 100));
    ck_assert(lists.full("list:1", 100));
    ck_assert(lists.full("list:64", 100));

    lists.note("list:0", 101, 100);
    ck_assert(lists.full("list:0", 100));
    ck_assert(!lists.full("list:1", 100));
}
END_TEST

START_TEST(test_place_is_used_again)
{
    FullLists lists;
    char key[16];

    for (size_t i = 0; i < 10 * FullLists::kLists; i++) {
        const int n = std::snprintf(key, sizeof(key), "list:%zu", i);
        const std::string_view name = {key, static_cast<size_t>(n)};
        lists.note(name, 1, 1);
        ck_assert(lists.full(name, 1));
        lists.note(name, 0, 1);
        ck_assert(!lists.full(name, 1));
    }
    lists.note("kept", 1, 1);
    ck_assert(lists.full("kept", 1));
}
END_TEST

/* locations with other limits, or none, have the same list */
START_TEST(test_several_limits)
{
    FullLists lists;

    lists.note("a", 60, 50);
    lists.note("a", 61, 0);
    ck_assert(lists.full("a", 50));
    lists.note("a", 62, 100);
    ck_assert(lists.full("a", 50));
    ck_assert(!lists.full("a", 100));
    lists.note("a", 100, 100);
    ck_assert(lists.full("a", 50));
    ck_assert(lists.full("a", 100));
    lists.note("a", 50, 0);
    ck_assert(lists.full("a", 50));
    ck_assert(!lists.full("a", 100));

    lists.note("a", 49, 0);
    ck_assert(!lists.full("a", 50));
    ck_assert(!lists.full("a", 49));        /* forgotten: nobody's limit */

    lists.note("a", 100, 100);
    lists.note("a", 99, 50);
    ck_assert(lists.full("a", 50));
    ck_assert(!lists.full("a", 100));
    lists.note("a", 50, 100);
    ck_assert(lists.full("a", 50));
}
END_TEST

START_TEST(test_looks)
{
    const uint64_t interval = FullLists::kLookInterval;
    FullLists lists;
    uint64_t now = 7;

    ck_assert(!lists.look("a", now));
    lists.note("a", 9, 9);
    lists.note("b", 9, 9);

    /* some at once, then one an interval */
    for (unsigned i = 0; i < FullLists::kLooks; i++) {
        ck_assert(lists.look("a", now));
    }
    ck_assert(!lists.look("a", now));
    ck_assert(lists.look("b", now));
    for (unsigned i = 0; i < 50; i++) {
        lists.note("a", 9, 9);
        ck_assert(!lists.look("a", now + interval - 1));
        now += interval;
        ck_assert(lists.look("a", now));
        ck_assert(!lists.look("a", now));
    }

    /* after a pause some at once again, and no more than that */
    now += 1000 * interval;
    for (unsigned i = 0; i < FullLists::kLooks; i++) {
        ck_assert(lists.look("a", now));
    }
    ck_assert(!lists.look("a", now));

    /* as for one that was not full meanwhile */
    lists.note("a", 0, 9);
    ck_assert(!lists.look("a", now));
    lists.note("a", 9, 9);
    ck_assert(lists.look("a", now));
}
END_TEST

int main()
{
    Suite *suite = suite_create("full_lists");
    TCase *tc = tcase_create("full_lists");
    tcase_add_test(tc, test_one_list);
    tcase_add_test(tc, test_no_limit);
    tcase_add_test(tc, test_more_lists_than_places);
    tcase_add_test(tc, test_place_is_used_again);
    tcase_add_test(tc, test_several_limits);
    tcase_add_test(tc, test_looks);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
