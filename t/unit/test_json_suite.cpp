/*
 * RFC 8259, production by production: texts that must be taken and texts that
 * must be refused, each as the value of an unknown field and as a whole body.
 */

#include <check.h>

#include <cstdlib>
#include <string>

#include "parsing.h"

using namespace esputnik;
using namespace std::string_view_literals;

namespace {

const std::string_view kGood[] = {
    /* literals, white space */
    "null",
    "true",
    "false",
    " \t\n\rnull\r\n\t ",
    "[ ]",
    "{ }",
    "[\n1\t,\r2 ]",
    "{ \"a\" :\n1 , \"b\"\t: 2 }",

    /* numbers */
    "0",
    "-0",
    "1",
    "-1",
    "10",
    "1234567890",
    "0.0",
    "-0.0",
    "0.5",
    "1.5",
    "1.50",
    "1e1",
    "1E1",
    "1e+1",
    "1E-1",
    "0e0",
    "0E+00",
    "-0e-1",
    "1.5e10",
    "1E+2",
    "1e0001",
    "20e1",
    "123456789012345678901234567890",
    "-123456789012345678901234567890",
    "1e400",
    "-1e400",
    "1e-400",
    "123.456e78",
    "0.00000000000000000000000000000000000000001",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "1.7976931348623157e309",
    "123e65",
    "0e+1",
    "0e1",
    "-123",
    "123.456789",

    /* strings */
    R"("")",
    R"("a")",
    R"(" ")",
    R"("\"")",
    R"("\\")",
    R"("\/")",
    R"("/")",
    R"("\b\f\n\r\t")",
    R"("\u0000")",
    R"("\u0041")",
    R"("\uABCD\uabcd")",
    R"("\uFFFF")",
    R"("\u0012")",
    R"("\\u0041")",
    R"("\\\\")",
    R"("\"\"")",
    R"("\ud83d\ude00")",
    R"("\uD800\uDC00")",
    R"("\uDBFF\uDFFF")",
    R"("\ud800")",
    R"("\uDFFF")",
    R"("\uD800\uD800\n")",
    R"("\ud800abc")",
    R"("\uDC00\uD800")",
    R"("\uD800\u0041")",
    R"("\uD800\\")",
    R"("\uD800\"")",
    R"("\uFEFF")",
    R"("\uFDD0")",
    R"("\uDBFF\uDFFE")",
    "\"\x7F\"",
    "\"\xC2\x80\"",
    "\"\xC2\x85\"",
    "\"\xDF\xBF\"",
    "\"\xE0\xA0\x80\"",
    "\"\xE2\x80\xA8\xE2\x80\xA9\"",
    "\"\xED\x9F\xBF\"",
    "\"\xEE\x80\x80\"",
    "\"\xEF\xBB\xBF\"",
    "\"\xEF\xBF\xBE\"",
    "\"\xEF\xBF\xBF\"",
    "\"\xF0\x90\x80\x80\"",
    "\"\xF4\x8F\xBF\xBF\"",
    "\"\xF0\x9F\x98\x80\"",
    "\"\xD1\x82\xD0\xB5\xD1\x81\xD1\x82\"",
    R"("// no comment /* here */ # either")",
    R"("a,b]c}d:e[f{g")",

    /* arrays */
    "[]",
    "[[]]",
    "[[],[]]",
    "[1]",
    "[null]",
    "[\"\"]",
    "[1,2,3]",
    "[1,null,true,false,\"x\",{},[]]",
    "[[[[[[]]]]]]",
    "[1 ]",
    "[ 1]",
    "[null, 1, \"1\", {}]",

    /* objects */
    "{}",
    R"({"a":1})",
    R"({"":0})",
    R"({"a":{"b":{"c":{}}}})",
    R"({"a":1,"a":1})",
    R"({"a":1,"a":2})",
    R"({"\u0061":1,"a":2})",
    R"({"a":[],"b":{}})",
    R"({"\u0000":1})",
    R"({"a":"b","c":"d"})",
    R"({"contactId":"nested: of no concern","contactId":null})",
    R"({"x":[{"id":"xxxx"}],"id":"xxxx"})",
};

const std::string_view kBad[] = {
    /* nothing, or no value at all */
    "",
    " ",
    "\n",
    "\0"sv,
    ",",
    ":",
    "]",
    "}",
    "x",
    "\\",
    "'",
    "\"",
    "_",
    "$",
    "*",
    "<null>",
    "\xEF\xBB\xBF",
    "\xEF\xBB\xBFnull",
    "\xEF\xBB\xBF{}",
    "\xFF\xFE\x6E\0"sv,

    /* literals */
    "nul",
    "tru",
    "fals",
    "nulll",
    "truee",
    "falsee",
    "Null",
    "TRUE",
    "False",
    "nil",
    "undefined",
    "NaN",
    "-NaN",
    "Inf",
    "Infinity",
    "-Infinity",
    "+Infinity",
    "n",
    "t",
    "f",
    "tr ue",
    "nu\0ll"sv,
    "true false",
    "truefalse",
    "null1",
    "t\rue",

    /* numbers */
    "-",
    "+1",
    "+0",
    "--1",
    "-+1",
    "01",
    "-01",
    "00",
    "-00",
    "012",
    "0123.4",
    "1.",
    "1.e1",
    ".5",
    "-.5",
    ".",
    "-.",
    "1e",
    "1E",
    "1e+",
    "1e-",
    "1.5e",
    "1.5e+",
    "1e1.5",
    "1ee1",
    "1e+-1",
    "1.2.3",
    "1..2",
    "1 000",
    "1_000",
    "1,000.",
    "0x1F",
    "0b1",
    "0o7",
    "1f",
    "1L",
    "1a",
    "- 1",
    "-1x",
    "-a",
    "1e 1",
    "1 e1",
    "1. 5",
    "0e",
    "0e+",
    "0.e1",
    "2.e3",
    "9.e+",
    "-2.",
    "1eE2",
    "0.3e",
    "0.3e+",
    "0.1.2",
    "1.0e",
    "1.0e-",
    "-foo",
    "-0x1",
    "\xEF\xBC\x91",
    "1\xE2\x88\x92",
    "1\x80",
    "1\0"sv,
    "1+2",
    "0-1",

    /* strings */
    "\"abc",
    "abc\"",
    "'abc'",
    "\"\\\"",
    "\"\\\\\\\"",
    R"("\a")",
    R"("\v")",
    R"("\0")",
    R"("\x41")",
    R"("\'")",
    R"("\U0041")",
    R"("\u")",
    R"("\u0")",
    R"("\u00")",
    R"("\u004")",
    R"("\u004G")",
    R"("\u00 41")",
    R"("\u+041")",
    R"("\u-041")",
    R"("\u{41}")",
    R"("\ud83d\u")",
    R"("\ud83d\u1")",
    R"("\ud83d\ude0")",
    R"("\ud83d\x")",
    R"("\ )",
    "\"\\\n\"",
    "\"\\\0\""sv,
    "\"\\\xD0\xBF\"",
    "\"\\u00\xD0\xBF\"",
    R"("a" "b")",
    R"("a"b)",
    R"("a"1)",
    "\"\0\""sv,
    "\"a\0b\""sv,
    "\"\x01\"",
    "\"\t\"",
    "\"\n\"",
    "\"\r\"",
    "\"\v\"",
    "\"\f\"",
    "\"\b\"",
    "\"\x1B\"",
    "\"\x1F\"",
    "\"a\nb\"",

    /* UTF-8 */
    "\"\x80\"",
    "\"\xBF\"",
    "\"\xFF\"",
    "\"\xFE\"",
    "\"\xC0\x80\"",
    "\"\xC0\xAF\"",
    "\"\xC1\xBF\"",
    "\"\xC2\"",
    "\"\xC2\x41\"",
    "\"\xDF\xC0\"",
    "\"\xE0\x80\x80\"",
    "\"\xE0\x9F\xBF\"",
    "\"\xE2\x82\"",
    "\"\xE2\"",
    "\"\xE2\x28\xA1\"",
    "\"\xE2\x82\x28\"",
    "\"\xED\xA0\x80\"",
    "\"\xED\xBF\xBF\"",
    "\"\xED\xA0\xBD\xED\xB8\x80\"",
    "\"\xF0\x80\x80\x80\"",
    "\"\xF0\x8F\xBF\xBF\"",
    "\"\xF0\x9F\x98\"",
    "\"\xF0\x28\x8C\xBC\"",
    "\"\xF4\x90\x80\x80\"",
    "\"\xF5\x80\x80\x80\"",
    "\"\xF8\x88\x80\x80\x80\"",
    "\"\xFC\x84\x80\x80\x80\x80\"",
    "\"\xE9\"",
    "\"\xD0\xBF\xBF\"",
    "\xE9",
    "{\"\xE9\":1}",
    "[\xC3\xA9]",
    "\xE2\x80\x83[]",
    "\xC2\xA0"
    "1",
    "\xC2\x85[]",

    /* white space and comments that JSON does not know */
    "\v1",
    "1\v",
    "\f1",
    "1\f",
    "[\v]",
    "[\f]",
    "[1,\v2]",
    "[1\f,2]",
    "{\v}",
    "{\"a\"\v:1}",
    "{\"a\":\f1}",
    "{\"a\":1\v}",
    "[1,\x01"
    "2]",
    "[\x1C]",
    "[\xE2\x81\xA0]",
    "[\xE2\x80\xA8]",
    "// x\n1",
    "1 // x",
    "/* x */ 1",
    "1 /* x */",
    "# x\n1",
    "[1,/**/2]",
    "{\"a\":/**/1}",
    "/",
    "/*",
    "1/**/",

    /* arrays */
    "[",
    "[1",
    "[1,",
    "[,",
    "[,1]",
    "[1,]",
    "[1,,2]",
    "[,]",
    "[1 2]",
    "[1 true]",
    "[\"a\" 1]",
    "[\"a\",\n4\n,1,",
    "[1:2]",
    "[\"a\":1]",
    "[1}",
    "[{]",
    "[{}",
    "[[]",
    "[]]",
    "[1]x",
    "[1],",
    "[x]",
    "[x",
    "[3[4]]",
    "[1]1",
    "[\"\"],",
    "[1,\n1\n,1",
    "[a",
    "[-]",
    "[-",
    "[1;2]",
    "[=1]",
    "[*]",
    "[\"a",
    "[\"\\",
    "[\"\\u12",
    "[tru",
    "[1e",
    "[1.",
    "[[[[[",
    "[}",
    "[1,2}",

    /* objects */
    "{",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "{,",
    "{\"a\"}",
    "{\"a\":}",
    "{:1}",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{null:1}",
    "{[]:1}",
    "{{}:1}",
    "{\"a\" 1}",
    "{\"a\"=1}",
    "{\"a\",1}",
    "{\"a\":1,}",
    "{\"a\":1,,\"b\":2}",
    "{,\"a\":1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":1]",
    "{\"a\":1}}",
    "{}}",
    "{\"a\":1:2}",
    "{\"a\"::1}",
    "{\"a\":1;\"b\":2}",
    "{\"a\":\"b\"}#",
    "{\"a\":\"b\"}/**/",
    "{\"a\":/**/\"b\"}",
    "{\"a\"",
    "{\"",
    "{\"a",
    "{\"\\",
    "{\"a\":\"",
    "{\"a\":\"b\",\"c\"}",
    "{true}",
    "{[",
    "{]",
    "{\"a\":1,1}",
    "{\"a\":1,true}",
    "{\"a\":tru",
    "{\"a\": 01}",
    "{\"a\":[}",
    "{\"a\":[1}]",
    "{\"a\" b}",
    "{}x",
    "{} {}",
    "[] []",
    "{\"a\":\x01"
    "1}",
    "{\"a\nb\":1}",
    "{\"a\":1,\"\xFF\":2}",
};

std::string as_value(std::string_view text)
{
    return "[{\"x\":" + std::string(text) + ",\"y\":0}]";
}

/* Not what JSON forbids, but what the contract does. */
bool contract(Reason r)
{
    return r == Reason::none || r == Reason::not_an_array
           || r == Reason::not_an_object;
}

std::string printable(std::string_view text)
{
    std::string s;
    for (char c : text) {
        if (c >= ' ' && c < 0x7F) {
            s += c;
        } else {
            char hex[8];
            std::snprintf(hex, sizeof(hex), "\\x%02X",
                          static_cast<unsigned char>(c));
            s += hex;
        }
    }
    return s;
}

Reason reason_of(const std::string &body)
{
    Parser parser;
    const parsing::Guarded bytes(body);
    const ParseResult result = parser.parse(bytes.data(), bytes.size(),
                                            parsing::lenient());
    ck_assert(result != ParseResult::no_memory);
    ck_assert_int_eq(result == ParseResult::ok,
                     parser.problem().reason == Reason::none);
    return parser.problem().reason;
}

} // namespace

START_TEST(good_values)
{
    for (std::string_view text : kGood) {
        const Reason r = reason_of(as_value(text));
        ck_assert_msg(r == Reason::none, "%s: %s", printable(text).c_str(),
                      reason_name(r).data());
    }
}
END_TEST

START_TEST(bad_values)
{
    for (std::string_view text : kBad) {
        ck_assert_msg(reason_of(as_value(text)) != Reason::none, "%s",
                      printable(text).c_str());
    }
}
END_TEST

START_TEST(good_elements)
{
    for (std::string_view text : kGood) {
        const std::string body = "[{\"x\":[" + std::string(text) + ","
                                 + std::string(text) + "]}]";
        ck_assert_msg(reason_of(body) == Reason::none, "%s",
                      printable(text).c_str());
    }
}
END_TEST

START_TEST(bad_elements)
{
    for (std::string_view text : kBad) {
        const std::string body = "[{\"x\":[0," + std::string(text) + "]}]";
        ck_assert_msg(reason_of(body) != Reason::none, "%s",
                      printable(text).c_str());
    }
}
END_TEST

/* As a body the contract may still refuse them, but not as bad JSON. */
START_TEST(good_bodies)
{
    for (std::string_view text : kGood) {
        const Reason r = reason_of(std::string(text));
        ck_assert_msg(contract(r), "%s: %s", printable(text).c_str(),
                      reason_name(r).data());
    }
}
END_TEST

START_TEST(bad_bodies)
{
    for (std::string_view text : kBad) {
        const std::string body(text);
        ck_assert_msg(reason_of(body) != Reason::none, "%s",
                      printable(text).c_str());
        /* white space only is where "[]" may begin and an empty array end */
        if (text.find_first_not_of(" \n") != text.npos) {
            ck_assert_msg(reason_of(body + " []") != Reason::none, "%s",
                          printable(text).c_str());
            ck_assert_msg(reason_of("[" + body + "]") != Reason::none, "%s",
                          printable(text).c_str());
        }
    }
}
END_TEST

/* Only the keys' own text may be sound here. */
START_TEST(good_and_bad_keys)
{
    for (std::string_view text : kGood) {
        if (text[0] == '"') {
            ck_assert_msg(reason_of("[{" + std::string(text) + ":1}]")
                              == Reason::none,
                          "%s", printable(text).c_str());
        }
    }
    for (std::string_view text : kBad) {
        ck_assert_msg(reason_of("[{" + std::string(text) + ":1}]")
                          != Reason::none,
                      "%s", printable(text).c_str());
    }
}
END_TEST

/* A sound text has no sound beginning: the array is still open. */
START_TEST(cut_at_every_byte)
{
    for (std::string_view text : kGood) {
        const std::string body = as_value(text);
        for (size_t n = 0; n < body.size(); n++) {
            const Reason r = reason_of(body.substr(0, n));
            ck_assert_msg(r
                              == (n == 0                  ? Reason::empty_body
                                  : r == Reason::bad_utf8 ? Reason::bad_utf8
                                                          : Reason::not_json),
                          "%s: %s", printable(body.substr(0, n)).c_str(),
                          reason_name(r).data());
        }
    }
    for (std::string_view text : kBad) {
        const std::string body = as_value(text);
        for (size_t n = 0; n < body.size(); n++) {
            ck_assert(reason_of(body.substr(0, n)) != Reason::none);
        }
    }
}
END_TEST

/* Every byte by itself: between tokens, in a string, behind a backslash. */
START_TEST(every_byte)
{
    for (int c = 0; c < 256; c++) {
        const std::string byte(1, static_cast<char>(c));
        const bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
        const bool escape = c != 0 && std::strchr("\"\\/bfnrt", c);
        const bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';

        ck_assert_int_eq(reason_of("[{\"x\":1" + byte + "}]") == Reason::none,
                         space || (c >= '0' && c <= '9'));
        ck_assert_int_eq(
            reason_of("[{\"x\":\"\"" + byte + "}]") == Reason::none, space);
        ck_assert_int_eq(reason_of("[{}]" + byte) == Reason::none, space);
        ck_assert_int_eq(reason_of(byte + "[{}]") == Reason::none, space);
        ck_assert_int_eq(
            reason_of("[{\"x\":\"" + byte + "\"}]") == Reason::none, plain);
        ck_assert_int_eq(
            reason_of("[{\"x\":\"\\" + byte + "\"}]") == Reason::none, escape);
    }
}
END_TEST

int main()
{
    Suite *suite = suite_create("json_suite");
    TCase *tcase = tcase_create("json_suite");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, good_values);
    tcase_add_test(tcase, bad_values);
    tcase_add_test(tcase, good_elements);
    tcase_add_test(tcase, bad_elements);
    tcase_add_test(tcase, good_bodies);
    tcase_add_test(tcase, bad_bodies);
    tcase_add_test(tcase, good_and_bad_keys);
    tcase_add_test(tcase, cut_at_every_byte);
    tcase_add_test(tcase, every_byte);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
