/*
 * LLEN: bytes, and what each kind of reply means for a list's limit.
 */

#include <check.h>

#include <string>
#include <string_view>

#include "decoded.h"
#include "esputnik_list_length.h"

using namespace esputnik;

static std::string asked(std::string_view key)
{
    std::string out(list_length_size(key) + 1, '#');
    ck_assert_ptr_eq(write_list_length(out.data(), key),
                     out.data() + out.size() - 1);
    ck_assert_int_eq(out.back(), '#');
    out.pop_back();
    return out;
}

START_TEST(writes_the_command)
{
    const std::string keys[] = {"k", "esputnik:events",
                                std::string("\r\n\0*", 4),
                                std::string(70000, 'x')};
    for (const std::string &key : keys) {
        ck_assert(asked(key) == array_of({bulk("LLEN"), bulk(key)}));
    }
}
END_TEST

START_TEST(reads_the_reply)
{
    static const struct {
        std::string wire;
        ListLength means;
        uint64_t length;
    } rows[] = {
        {number(0), ListLength::known, 0},
        {number(17), ListLength::known, 17},
        {number(INT64_MAX), ListLength::known, INT64_MAX},
        {"-WRONGTYPE Operation against a key\r\n", ListLength::refused, 0},
        {"-LOADING Redis is loading\r\n", ListLength::refused, 0},
        {"-NOPERM this user has no permissions\r\n", ListLength::denied, 0},
        {number(-1), ListLength::protocol, 0},
        {"+OK\r\n", ListLength::protocol, 0},
        {bulk("17"), ListLength::protocol, 0},
        {kNil, ListLength::protocol, 0},
        {array_of({number(17)}), ListLength::protocol, 0},
    };

    for (const auto &row : rows) {
        uint64_t length = 99;
        ck_assert_msg(read_list_length(Decoded(row.wire), &length) == row.means,
                      "%s", row.wire.c_str());
        ck_assert_uint_eq(length, row.length);
    }
}
END_TEST

int main()
{
    Suite *s = suite_create("list length");
    TCase *t = tcase_create("list length");
    tcase_add_test(t, writes_the_command);
    tcase_add_test(t, reads_the_reply);
    suite_add_tcase(s, t);

    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
