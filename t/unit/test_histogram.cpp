#include <check.h>

#include <cmath>
#include <cstdlib>
#include <memory>

#include "esputnik_histogram.h"

using namespace esputnik;

START_TEST(a_bound_is_the_last_of_its_bucket)
{
    for (size_t i = 0; i < kFiniteBuckets; i++) {
        const uint64_t bound = histogram_bound(i);
        ck_assert_uint_eq(histogram_bucket(bound), i);
        ck_assert_uint_eq(histogram_bucket(bound + 1), i + 1);
    }
    ck_assert_uint_eq(histogram_bucket(0), 0);
    ck_assert_uint_eq(histogram_bucket(UINT64_MAX), kFiniteBuckets);
}
END_TEST

START_TEST(bounds_are_round)
{
    /* every one digit and zeros, from 10 us to 100 s */
    uint64_t want = 10;
    uint64_t step = 10;
    for (size_t i = 0; i < kFiniteBuckets; i++) {
        ck_assert_uint_eq(histogram_bound(i), want);
        if (want == step * 10) {
            step *= 10;
        }
        want += step;
    }
    ck_assert_uint_eq(histogram_bound(kFiniteBuckets - 1), 100000000);
}
END_TEST

START_TEST(coarse_ones_are_1_2_and_5)
{
    size_t n = 0;
    for (size_t i = 0; i < kFiniteBuckets; i++) {
        n += histogram_is_coarse(i);
    }
    /* three in each of seven decades, and 100 s */
    ck_assert_uint_eq(n, 22);
    ck_assert(histogram_is_coarse(histogram_bucket(5000)));
    ck_assert(!histogram_is_coarse(histogram_bucket(6000)));
}
END_TEST

START_TEST(counts_and_adds_up)
{
    auto h = std::make_unique<Histogram[]>(1);
    h[0].add(10);
    h[0].add(11);
    h[0].add(3000000);
    h[0].add(500000000);

    HistogramCounts c = h[0].read();
    ck_assert_uint_eq(c.count(), 4);
    ck_assert_uint_eq(c.sum_us, 503000021);
    ck_assert_uint_eq(c.bucket[0], 1);
    ck_assert_uint_eq(c.bucket[1], 1);
    ck_assert_uint_eq(c.bucket[kFiniteBuckets], 1);

    const HistogramCounts earlier = c;
    h[0].add(10);
    c = h[0].read();
    c -= earlier;
    ck_assert_uint_eq(c.count(), 1);
    ck_assert_uint_eq(c.sum_us, 10);
    c += earlier;
    ck_assert_uint_eq(c.count(), 5);
    ck_assert_uint_eq(c.bucket[0], 2);
}
END_TEST

START_TEST(quantiles_lie_within_their_bucket)
{
    HistogramCounts c;
    ck_assert(c.quantile(0.5) == 0);

    /* a hundred each of 1 ms and 40 ms */
    c.bucket[histogram_bucket(1000)] = 100;
    c.bucket[histogram_bucket(40000)] = 100;
    ck_assert(c.quantile(0.25) > 900 && c.quantile(0.25) <= 1000);
    ck_assert(c.quantile(0.75) > 30000 && c.quantile(0.75) <= 40000);
    ck_assert(std::fabs(c.quantile(1) - 40000) < 1);

    /* beyond all bounds: the last one */
    HistogramCounts slow;
    slow.bucket[kFiniteBuckets] = 5;
    ck_assert(slow.quantile(0.5) == 100000000.0);

    /* it never falls */
    double before = 0;
    for (int i = 0; i <= 100; i++) {
        const double now = c.quantile(i / 100.0);
        ck_assert(now >= before);
        before = now;
    }
}
END_TEST

int main()
{
    Suite *s = suite_create("histogram");
    TCase *t = tcase_create("histogram");
    tcase_add_test(t, a_bound_is_the_last_of_its_bucket);
    tcase_add_test(t, bounds_are_round);
    tcase_add_test(t, coarse_ones_are_1_2_and_5);
    tcase_add_test(t, counts_and_adds_up);
    tcase_add_test(t, quantiles_lie_within_their_bucket);
    suite_add_tcase(s, t);

    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
