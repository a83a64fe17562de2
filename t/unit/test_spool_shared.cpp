#include <check.h>

#include <memory>

#include "esputnik_spool_shared.h"

using esputnik::SpoolShared;

namespace {

SpoolShared *shared;

void setup()
{
    shared = new SpoolShared;
    shared->init(100, 0, 0);
}

void teardown()
{
    delete shared;
}

} // namespace

/* what is left of an earlier run is read before anybody pushes past it */
START_TEST(test_begins_spooling)
{
    ck_assert(shared->spooling());
    ck_assert(shared->finish_read(shared->begin_read()));
    ck_assert(!shared->spooling());
}
END_TEST

START_TEST(test_sequences_count_on)
{
    ck_assert_uint_eq(shared->take(1, 0), 100);
    ck_assert_uint_eq(shared->take(3, 0), 101);
    ck_assert_uint_eq(shared->take(1, 0), 104);
}
END_TEST

START_TEST(test_sequences_follow_the_clock)
{
    ck_assert_uint_eq(shared->take(2, 5000), 5000);
    ck_assert_uint_eq(shared->take(1, 5001), 5002);
    ck_assert_uint_eq(shared->take(1, 4000), 5003);   /* set back */
    ck_assert_uint_eq(shared->take(1, 9000), 9000);
}
END_TEST

START_TEST(test_take_closes_the_direct_way)
{
    (void) shared->finish_read(shared->begin_read());
    (void) shared->take(1, 0);
    ck_assert(shared->spooling());
}
END_TEST

/* an append that ended after the read began may have been missed by it */
START_TEST(test_append_during_a_read)
{
    const SpoolShared::Ticket before = shared->begin_read();
    (void) shared->take(1, 0);
    shared->appended(1, 7);
    ck_assert(!shared->finish_read(before));
    ck_assert(shared->spooling());
    ck_assert_uint_eq(shared->records(), 1);
    ck_assert_uint_eq(shared->events(), 7);

    shared->delivered(1, 7);
    ck_assert(shared->finish_read(shared->begin_read()));
    ck_assert_uint_eq(shared->records(), 0);
}
END_TEST

/* The drain counts what it has delivered after it began the read that finds
 * nothing more: it must not be taken off twice, or the next outage shows too
 * little. */
START_TEST(test_counts_over_two_outages)
{
    for (int outage = 0; outage < 2; outage++) {
        (void) shared->take(2, 0);
        shared->appended(2, 20);
        ck_assert_uint_eq(shared->records(), 2);
        ck_assert_uint_eq(shared->events(), 20);

        const SpoolShared::Ticket ticket = shared->begin_read();
        shared->delivered(2, 20);
        ck_assert(shared->finish_read(ticket));
        ck_assert_uint_eq(shared->records(), 0);
        ck_assert_uint_eq(shared->events(), 0);
    }

    /* one of three is corrupt, and never counted as delivered */
    (void) shared->take(3, 0);
    shared->appended(3, 30);
    const SpoolShared::Ticket ticket = shared->begin_read();
    shared->delivered(2, 20);
    ck_assert(shared->finish_read(ticket));

    /* a killed worker has counted none of what is delivered */
    (void) shared->take(1, 0);
    const SpoolShared::Ticket next = shared->begin_read();
    shared->delivered(1, 10);
    ck_assert(shared->finish_read(next));
    (void) shared->take(1, 0);
    shared->appended(1, 10);
    ck_assert_uint_eq(shared->records(), 1);
    ck_assert_uint_eq(shared->events(), 10);
}
END_TEST

/* of workers with another zone */
START_TEST(test_found)
{
    (void) shared->finish_read(shared->begin_read());
    const SpoolShared::Ticket before = shared->begin_read();
    shared->found();
    ck_assert(shared->spooling());
    ck_assert(!shared->finish_read(before));

    const SpoolShared::Ticket ticket = shared->begin_read();
    shared->delivered(5, 50);
    ck_assert_uint_eq(shared->records(), 0);
    ck_assert(shared->finish_read(ticket));
    ck_assert(!shared->spooling());

    (void) shared->take(1, 0);
    shared->appended(1, 10);
    ck_assert_uint_eq(shared->records(), 1);
    ck_assert_uint_eq(shared->events(), 10);
}
END_TEST

START_TEST(test_ticket_is_below_what_is_taken_later)
{
    const uint64_t first = shared->take(1, 0);
    const SpoolShared::Ticket ticket = shared->begin_read();
    ck_assert_uint_gt(ticket.before, first);
    ck_assert_uint_ge(shared->take(1, 0), ticket.before);
}
END_TEST

START_TEST(test_ticket_follows_the_clock)
{
    ck_assert_uint_eq(shared->begin_read(5000).before, 5000);
    ck_assert_uint_eq(shared->begin_read(4000).before, 5000);
    ck_assert_uint_eq(shared->begin_read().before, 5000);
    ck_assert_uint_eq(shared->take(1, 4000), 5000);   /* set back */
    ck_assert_uint_eq(shared->take(1, 6000), 6000);
    ck_assert_uint_eq(shared->begin_read(6000).before, 6001);
}
END_TEST

START_TEST(test_synced_lengths)
{
    uint64_t synced = 0;

    ck_assert(!shared->synced(1, &synced));
    for (uint64_t id = 1; id <= SpoolShared::kSlots; id++) {
        ck_assert(shared->publish(id, id * 10));
    }
    ck_assert(!shared->publish(SpoolShared::kSlots + 1, 1));
    ck_assert(shared->publish(1, 11));
    ck_assert(shared->synced(1, &synced));
    ck_assert_uint_eq(synced, 11);

    shared->retract(1);
    ck_assert(!shared->synced(1, &synced));
    ck_assert(shared->publish(SpoolShared::kSlots + 1, 1));
}
END_TEST

int main()
{
    Suite *suite = suite_create("spool_shared");
    TCase *tc = tcase_create("spool_shared");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_begins_spooling);
    tcase_add_test(tc, test_sequences_count_on);
    tcase_add_test(tc, test_sequences_follow_the_clock);
    tcase_add_test(tc, test_take_closes_the_direct_way);
    tcase_add_test(tc, test_append_during_a_read);
    tcase_add_test(tc, test_counts_over_two_outages);
    tcase_add_test(tc, test_found);
    tcase_add_test(tc, test_ticket_is_below_what_is_taken_later);
    tcase_add_test(tc, test_ticket_follows_the_clock);
    tcase_add_test(tc, test_synced_lengths);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
