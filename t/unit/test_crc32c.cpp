#include <check.h>

#include <cstring>
#include <string>

#include "esputnik_crc32c.h"

using namespace esputnik;

/* RFC 3720, appendix B.4, and the check value of the catalogue of CRCs. */
START_TEST(vectors)
{
    char bytes[32];
    std::memset(bytes, 0, sizeof(bytes));
    ck_assert_uint_eq(crc32c(0, bytes, sizeof(bytes)), 0x8a9136aa);
    std::memset(bytes, 0xff, sizeof(bytes));
    ck_assert_uint_eq(crc32c(0, bytes, sizeof(bytes)), 0x62a8ab43);
    for (int i = 0; i < 32; i++) {
        bytes[i] = static_cast<char>(i);
    }
    ck_assert_uint_eq(crc32c(0, bytes, sizeof(bytes)), 0x46dd794e);
    for (int i = 0; i < 32; i++) {
        bytes[i] = static_cast<char>(31 - i);
    }
    ck_assert_uint_eq(crc32c(0, bytes, sizeof(bytes)), 0x113fdb5c);
    ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
    ck_assert_uint_eq(crc32c(0, "", 0), 0);
}
END_TEST

START_TEST(both_ways_agree)
{
    std::string bytes;
    unsigned state = 1;
    for (int i = 0; i < 300; i++) {
        state = state * 1103515245 + 12345;
        bytes += static_cast<char>(state >> 16);
    }
    for (size_t from = 0; from < 9; from++) {
        for (size_t n = 0; n + from <= bytes.size(); n++) {
            ck_assert_uint_eq(crc32c(7, bytes.data() + from, n),
                              crc32c_portable(7, bytes.data() + from, n));
        }
    }
}
END_TEST

START_TEST(in_pieces)
{
    const std::string bytes(100, 'x');
    const uint32_t whole = crc32c(0, bytes.data(), bytes.size());
    for (size_t cut = 0; cut <= bytes.size(); cut++) {
        const uint32_t first = crc32c(0, bytes.data(), cut);
        ck_assert_uint_eq(crc32c(first, bytes.data() + cut, bytes.size() - cut),
                          whole);
        const uint32_t slow = crc32c_portable(0, bytes.data(), cut);
        ck_assert_uint_eq(
            crc32c_portable(slow, bytes.data() + cut, bytes.size() - cut),
            whole);
    }
}
END_TEST

int main()
{
    Suite *s = suite_create("crc32c");
    TCase *t = tcase_create("crc32c");
    tcase_add_test(t, vectors);
    tcase_add_test(t, both_ways_agree);
    tcase_add_test(t, in_pieces);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
