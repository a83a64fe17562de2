/*
 * Hash slots.
 */

#include <check.h>

#include <cstdlib>

#include "esputnik_slot.h"

using namespace esputnik;

START_TEST(crc16_is_xmodem)
{
    ck_assert_uint_eq(crc16("123456789"), 0x31c3);
    ck_assert_uint_eq(crc16(""), 0);
}
END_TEST

/* as CLUSTER KEYSLOT of Redis 7.0.15 answers */
static const struct {
    const char *key;
    unsigned slot;
} kTable[] = {
    {"123456789", 12739},
    {"foo", 12182},
    {"{user1000}.following", 3443},
    {"{user1000}.followers", 3443},
    {"foo{}{bar}", 8363},
    {"foo{{bar}}zap", 4015},
    {"foo{bar}{zap}", 5061},
    {"a}b", 7866},
    {"a{b", 13340},
    {"esputnik:events", 9471},
    {"{esputnik:events}:dedup", 9471},
    {"", 0},
    {"a{}b", 13694},
    {"{}", 15257},
};

START_TEST(slots_are_the_server_s)
{
    for (const auto &row : kTable) {
        ck_assert_msg(key_slot(row.key) == row.slot, "%s: %u, not %u", row.key,
                      key_slot(row.key), row.slot);
    }
}
END_TEST

START_TEST(only_the_first_tag_counts)
{
    ck_assert(hash_tag("foo{bar}{zap}") == "bar");
    ck_assert(hash_tag("foo{{bar}}zap") == "{bar");
    ck_assert(hash_tag("foo{}{bar}") == "foo{}{bar}");
    ck_assert(hash_tag("}{x}") == "x");
    ck_assert(hash_tag("{x") == "{x");
    ck_assert(hash_tag("{") == "{");
    ck_assert(hash_tag("") == "");
}
END_TEST

START_TEST(bytes_above_127_and_zero_count)
{
    /* as binascii.crc_hqx(…, 0) of Python gives */
    ck_assert_uint_eq(crc16("\xff"), 0x1ef0);
    ck_assert_uint_eq(crc16(std::string_view("\xff\0", 2)), 0x03ff);
    ck_assert_uint_eq(crc16(std::string_view("\0\xff", 2)), 0x1ef0);
}
END_TEST

int main()
{
    Suite *s = suite_create("slot");
    TCase *t = tcase_create("slot");
    tcase_add_test(t, crc16_is_xmodem);
    tcase_add_test(t, slots_are_the_server_s);
    tcase_add_test(t, only_the_first_tag_counts);
    tcase_add_test(t, bytes_above_127_and_zero_count);
    suite_add_tcase(s, t);

    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
