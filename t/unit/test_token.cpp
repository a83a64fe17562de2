#include <check.h>

#include <cstring>
#include <string>

#include "esputnik_token.h"

using namespace esputnik;

namespace {

void load(TokenList *list, std::string_view text)
{
    size_t line = 99;
    const char *error = list->load(text, &line);
    ck_assert_msg(error == nullptr, "%s", error);
    ck_assert_uint_eq(line, 0);
}

void refuse(std::string_view text, size_t at, const char *words)
{
    TokenList list;
    size_t line = 99;
    load(&list, "old\n");
    const char *error = list.load(text, &line);
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(std::strstr(error, words) != nullptr, "%s", error);
    ck_assert_uint_eq(line, at);
    ck_assert_uint_eq(list.size(), 0);
    ck_assert(!token_matches(list, "old"));
    ck_assert(!token_matches(list, ""));
}

} // namespace

START_TEST(lines)
{
    TokenList list;

    load(&list, "one\ntwo\nthree");
    ck_assert_uint_eq(list.size(), 3);
    ck_assert(token_matches(list, "one"));
    ck_assert(token_matches(list, "two"));
    ck_assert(token_matches(list, "three"));

    load(&list, "# a comment\r\n\r\n\none\r\n#two\n\r\ntwo words\r\n\n");
    ck_assert_uint_eq(list.size(), 2);
    ck_assert(token_matches(list, "one"));
    ck_assert(token_matches(list, "two words"));
    ck_assert(!token_matches(list, "two"));
    ck_assert(!token_matches(list, "#two"));
    ck_assert(!token_matches(list, "three"));

    load(&list, "a#b");
    ck_assert(token_matches(list, "a#b"));
    ck_assert(!token_matches(list, "one"));
}
END_TEST

START_TEST(bad_files)
{
    refuse("", 0, "at least one");
    refuse("\n\r\n", 0, "at least one");
    refuse("# only\n# comments", 0, "at least one");
    refuse("good\n" + std::string(1025, 'x') + "\n", 2, "1024");
    refuse(std::string_view("a\0b\n", 4), 1, "control");
    refuse("a\nb\rc\n", 2, "control");
    refuse("a\n\nb\t\n", 3, "control");
    refuse("a\x7f", 1, "control");
    refuse(" a\n", 1, "blank");
    refuse("a \n", 1, "blank");
    refuse("# x\na \r\n", 2, "blank");

    std::string many;
    for (int i = 0; i < 65; i++) {
        many += "token" + std::to_string(i) + "\n";
    }
    refuse(many, 65, "64");
}
END_TEST

START_TEST(bounds_that_hold)
{
    TokenList list;
    const std::string longest(1024, 'L');
    std::string many;

    load(&list, "x\n" + longest + "\r\n");
    ck_assert(token_matches(list, "x"));
    ck_assert(token_matches(list, longest));
    ck_assert(!token_matches(list, longest + "L"));
    ck_assert(!token_matches(list, longest.substr(1)));

    for (int i = 0; i < 64; i++) {
        many += "token" + std::to_string(i) + "\n";
    }
    load(&list, many);
    ck_assert_uint_eq(list.size(), 64);
    ck_assert(token_matches(list, "token0"));
    ck_assert(token_matches(list, "token63"));
    ck_assert(!token_matches(list, "token64"));
}
END_TEST

/* Each bit, each byte, each length, in each place of the list. */
START_TEST(near_misses)
{
    const std::string secret = "s3cr\xc3\xa9t-\xff\x80-abcdefgh";

    for (const char *frame : {"", "other-token-of-length\n"}) {
        for (const char *behind : {"", "\nlast"}) {
            TokenList list;
            load(&list, frame + secret + behind);
            ck_assert(token_matches(list, secret));

            for (size_t i = 0; i < secret.size() * 8; i++) {
                std::string wrong = secret;
                wrong[i / 8] = static_cast<char>(wrong[i / 8] ^ (1 << i % 8));
                ck_assert(!token_matches(list, wrong));
            }
            for (size_t n = 0; n < secret.size(); n++) {
                ck_assert(!token_matches(list, secret.substr(0, n)));
                ck_assert(!token_matches(list, secret.substr(n + 1)));
            }
            /* lengths are compared, not just the bytes modulo a length */
            ck_assert(!token_matches(list, secret + secret));
            ck_assert(!token_matches(list, secret + std::string(1, '\0')));
            ck_assert(!token_matches(list, std::string(100000, 'x')));
        }
    }

    TokenList repeated;
    load(&repeated, "abab\n");
    for (const char *given : {"ab", "ababab", "abababab", "a", "aba", ""}) {
        ck_assert(!token_matches(repeated, given));
    }
    ck_assert(token_matches(repeated, "abab"));
}
END_TEST

START_TEST(empty_list)
{
    TokenList list;
    ck_assert(!token_matches(list, ""));
    ck_assert(!token_matches(list, "x"));
}
END_TEST

START_TEST(wiping)
{
    char secret[] = "very secret";
    wipe(secret, 4);
    ck_assert(std::memcmp(secret, "\0\0\0\0 secret", 11) == 0);
    wipe(secret, sizeof(secret));
    for (char c : secret) {
        ck_assert_int_eq(c, 0);
    }
    wipe(nullptr, 0);
}
END_TEST

int main()
{
    Suite *s = suite_create("token");
    TCase *t = tcase_create("token");
    tcase_add_test(t, lines);
    tcase_add_test(t, bad_files);
    tcase_add_test(t, bounds_that_hold);
    tcase_add_test(t, near_misses);
    tcase_add_test(t, empty_list);
    tcase_add_test(t, wiping);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
