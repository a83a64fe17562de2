/*
 * Shards: the numbers that zlib.crc32 of Python and Node and crc32 of PHP give.
 */

#include <check.h>

#include <cstdio>
#include <cstdlib>

#include "esputnik_shard.h"

using namespace esputnik;

static const struct {
    const char *text;
    uint32_t crc;
    unsigned of64;
    unsigned of7;
} kTable[] = {
    {"", 0x0, 0, 0},
    {"0", 0xf4dbdf21, 33, 4},
    {"1", 0x83dcefb7, 55, 2},
    {"123456789", 0xcbf43926, 38, 5},
    {"9876543", 0xa8a5cc4e, 14, 6},
    {"2147483648", 0x856f1b41, 1, 3},
    {"9223372036854775807", 0x42ea0ade, 30, 5},
    {"user@example.com", 0x616df5a1, 33, 0},
    {"\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd1\x96\xd1\x82", 0x2a5d2e45, 5, 5},
};

START_TEST(vectors)
{
    for (const auto &row : kTable) {
        ck_assert_uint_eq(crc32(row.text), row.crc);
        ck_assert_uint_eq(shard_of(row.text, 64), row.of64);
        ck_assert_uint_eq(shard_of(row.text, 7), row.of7);
    }
}
END_TEST

START_TEST(one_shard_and_none)
{
    ck_assert_uint_eq(shard_of("9876543", 1), 0);
    ck_assert_uint_eq(shard_of("9876543", 0), 0);
}
END_TEST

/* contact ids are numbers in sequence: the worst case for a weak hash */
START_TEST(ids_in_sequence_spread)
{
    static unsigned count[64];
    const unsigned ids = 200000;
    for (unsigned i = 0; i < ids; i++) {
        char id[24];
        const int n = snprintf(id, sizeof(id), "%u", 1000000000u + i);
        count[shard_of({id, static_cast<size_t>(n)}, 64)]++;
    }
    for (unsigned c : count) {
        ck_assert_uint_ge(c, ids / 64 * 98 / 100);
        ck_assert_uint_le(c, ids / 64 * 102 / 100);
    }
}
END_TEST

int main()
{
    Suite *s = suite_create("shard");
    TCase *t = tcase_create("shard");
    tcase_add_test(t, vectors);
    tcase_add_test(t, one_shard_and_none);
    tcase_add_test(t, ids_in_sequence_spread);
    suite_add_tcase(s, t);

    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
