#include <check.h>

#include <cstdlib>
#include <string>

#include "esputnik_utf8.h"
#include "parsing.h"

using namespace esputnik;
using namespace std::string_view_literals;

namespace {

/* The length that RFC 3629's table of ranges gives, written down anew. */
size_t expected(const unsigned char *p, size_t n)
{
    static const struct {
        unsigned char low[4];
        unsigned char high[4];
        size_t length;
    } kRows[] = {
        {{0x00}, {0x7F}, 1},
        {{0xC2, 0x80}, {0xDF, 0xBF}, 2},
        {{0xE0, 0xA0, 0x80}, {0xE0, 0xBF, 0xBF}, 3},
        {{0xE1, 0x80, 0x80}, {0xEC, 0xBF, 0xBF}, 3},
        {{0xED, 0x80, 0x80}, {0xED, 0x9F, 0xBF}, 3},
        {{0xEE, 0x80, 0x80}, {0xEF, 0xBF, 0xBF}, 3},
        {{0xF0, 0x90, 0x80, 0x80}, {0xF0, 0xBF, 0xBF, 0xBF}, 4},
        {{0xF1, 0x80, 0x80, 0x80}, {0xF3, 0xBF, 0xBF, 0xBF}, 4},
        {{0xF4, 0x80, 0x80, 0x80}, {0xF4, 0x8F, 0xBF, 0xBF}, 4},
    };
    for (const auto &row : kRows) {
        size_t i = 0;
        while (i < row.length && i < n && p[i] >= row.low[i]
               && p[i] <= row.high[i]) {
            i++;
        }
        if (i == row.length) {
            return i;
        }
    }
    return 0;
}

std::string scan(std::string_view text)
{
    const parsing::Guarded bytes(text);
    size_t offset = 0;
    switch (scan_body(bytes.data(), bytes.size(), &offset)) {
    case ScanResult::bad_utf8:
        return "utf8 @" + std::to_string(offset);
    case ScanResult::bad_space:
        return "space @" + std::to_string(offset);
    default:
        return "clean";
    }
}

void unescape(std::string_view raw, std::string_view want)
{
    const parsing::Guarded bytes(raw);
    std::string out(raw.size(), '#');
    out.resize(json_unescape(bytes.data(), bytes.size(), out.data()));
    ck_assert_msg(out == want, "%s became %s", raw.data(), out.c_str());
}

} // namespace

/* All first and second bytes, and the edges of the third and fourth. */
START_TEST(sequences)
{
    static const unsigned char kEdges[] = {0x00, 0x22, 0x7F, 0x80, 0x8F,
                                           0x9F, 0xA0, 0xBF, 0xC0, 0xFF};
    unsigned char p[4];
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            for (unsigned char c : kEdges) {
                for (unsigned char d : kEdges) {
                    p[0] = static_cast<unsigned char>(a);
                    p[1] = static_cast<unsigned char>(b);
                    p[2] = c;
                    p[3] = d;
                    const char *s = reinterpret_cast<const char *>(p);
                    for (size_t n = 1; n <= 4; n++) {
                        /* an assertion for each would take a minute */
                        if (utf8_sequence(s, n) != expected(p, n)) {
                            ck_abort_msg("%02X %02X %02X %02X, %zu", a, b, c, d,
                                         n);
                        }
                    }
                }
            }
        }
    }
}
END_TEST

/* What is written for a code point is one sequence, and each its own. */
START_TEST(code_points)
{
    uint32_t before = 0;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        if (c >= 0xD800 && c <= 0xDFFF) {
            continue;
        }
        char out[4];
        const size_t n = utf8_write(out, c) - out;
        const size_t want = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        /* UTF-8 sorts as its code points do */
        uint32_t order = 0;
        for (size_t i = 0; i < 4; i++) {
            order = order << 8
                    | (i < n ? static_cast<unsigned char>(out[i]) : 0u);
        }
        if (n != want || utf8_sequence(out, n) != n
            || (c != 0 && order <= before)) {
            ck_abort_msg("U+%04X", c);
        }
        before = order;
    }
}
END_TEST

START_TEST(whole_bodies)
{
    ASSERT_TEXT(scan(""), "clean");
    ASSERT_TEXT(scan("\0\x01\t\n\r\x0E\x1F\x7F"sv), "clean");
    ASSERT_TEXT(scan("\xD0\xBF\xD1\x80\xF0\x9F\x98\x80"), "clean");
    ASSERT_TEXT(scan("\v"), "space @0");
    ASSERT_TEXT(scan("\f"), "space @0");
    ASSERT_TEXT(scan("a\f\xFF"), "space @1");
    ASSERT_TEXT(scan("a\xFF\f"), "utf8 @1");
    ASSERT_TEXT(scan("\xC0\xAF"), "utf8 @0");
    ASSERT_TEXT(scan("\xED\xA0\x80"), "utf8 @0");
    ASSERT_TEXT(scan("\xF4\x90\x80\x80"), "utf8 @0");
    ASSERT_TEXT(scan("x\xF0\x9F\x98"), "utf8 @1");
    ASSERT_TEXT(scan("x\xE2\x82\""), "utf8 @1");
}
END_TEST

/* Each fault at each place of the blocks that are looked at at once, and a
 * sound sequence over each of their edges. */
START_TEST(every_place)
{
    for (size_t length = 1; length <= 200; length++) {
        for (size_t at = 0; at < length; at++) {
            std::string text(length, 'x');
            const std::string place = std::to_string(at);

            text[at] = '\x0B';
            ASSERT_TEXT(scan(text), "space @" + place);
            text[at] = '\x0C';
            ASSERT_TEXT(scan(text), "space @" + place);
            text[at] = '\x80';
            ASSERT_TEXT(scan(text), "utf8 @" + place);
            text.replace(at, 1, "\xE2\x82\xAC");
            ASSERT_TEXT(scan(text), "clean");
            text.resize(at + 2);
            ASSERT_TEXT(scan(text), "utf8 @" + place);
        }
    }
}
END_TEST

/* No other byte below 0x80 is mistaken for one of the two. */
START_TEST(every_ascii_byte)
{
    for (int c = 0; c < 0x80; c++) {
        const std::string text(130, static_cast<char>(c));
        ASSERT_TEXT(scan(text), c == 0x0B || c == 0x0C ? "space @0" : "clean");
    }
}
END_TEST

START_TEST(escapes)
{
    unescape("", "");
    unescape("plain \xD0\xBF", "plain \xD0\xBF");
    unescape(R"(\"\\\/\b\f\n\r\t)", "\"\\/\b\f\n\r\t");
    unescape(R"(a\u0041b)", "aAb");
    unescape(R"(\u0000)", "\0"sv);
    unescape(R"(\u00e9\u00E9\u20ac\uABCD\uabcd)",
             "\xC3\xA9\xC3\xA9\xE2\x82\xAC\xEA\xAF\x8D\xEA\xAF\x8D");
    unescape(R"(\uFFFF)", "\xEF\xBF\xBF");
    unescape(R"(\ud83d\ude00)", "\xF0\x9F\x98\x80");
    unescape(R"(\uD800\uDC00\uDBFF\uDFFF)", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF");
    unescape(R"(\\u0041)", "\\u0041");
    unescape(R"(\\\u0041)", "\\A");
}
END_TEST

START_TEST(lone_surrogates)
{
    const std::string fffd = "\xEF\xBF\xBD";
    unescape(R"(\ud800)", fffd);
    unescape(R"(\udc00)", fffd);
    unescape(R"(\ud800x)", fffd + "x");
    unescape(R"(\ud800\n)", fffd + "\n");
    unescape(R"(\ud800\u0041)", fffd + "A");
    unescape(R"(\ud800\ud83d\ude00)", fffd + "\xF0\x9F\x98\x80");
    unescape(R"(\udc00\ud800)", fffd + fffd);
    unescape(R"(\ud800\\udc00)", fffd + "\\udc00");
}
END_TEST

int main()
{
    Suite *suite = suite_create("utf8");
    TCase *tcase = tcase_create("utf8");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, sequences);
    tcase_add_test(tcase, code_points);
    tcase_add_test(tcase, whole_bodies);
    tcase_add_test(tcase, every_place);
    tcase_add_test(tcase, every_ascii_byte);
    tcase_add_test(tcase, escapes);
    tcase_add_test(tcase, lone_surrogates);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
