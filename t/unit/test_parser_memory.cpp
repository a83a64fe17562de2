/*
 * The parser's memory: none is asked for in the steady state, and every single
 * allocation may fail.
 *
 * This program's malloc takes the place of the C library's, also for yajl, and
 * passes on to it or to the sanitizer's.  Under valgrind it needs
 * --soname-synonyms=somalloc=nouserintercepts.
 */

#include <check.h>

#include <cstddef>
#include <cstdlib>
#include <string>

#include "esputnik_parser.h"

#if defined(__SANITIZE_ADDRESS__)
#define REAL(name) __interceptor_##name
#else
#define REAL(name) __libc_##name
#endif

namespace {

bool armed = false;
size_t allowed = SIZE_MAX; /* allocations before the one that fails */
size_t asked = 0;
size_t bytes = 0;

bool fails(size_t size)
{
    if (!armed) {
        return false;
    }
    bytes += size;
    return asked++ == allowed;
}

} // namespace

extern "C" {

void *REAL(malloc)(size_t);
void *REAL(calloc)(size_t, size_t);
void *REAL(realloc)(void *, size_t);

void *malloc(size_t size) noexcept
{
    return fails(size) ? nullptr : REAL(malloc)(size);
}

void *calloc(size_t n, size_t size) noexcept
{
    return fails(n * size) ? nullptr : REAL(calloc)(n, size);
}

void *realloc(void *p, size_t size) noexcept
{
    return fails(size) ? nullptr : REAL(realloc)(p, size);
}

} // extern "C"

using namespace esputnik;

namespace {

/* Good and bad events with everything that takes memory. */
std::string body_of(size_t events)
{
    std::string s = "[";
    for (size_t i = 0; i < events; i++) {
        s += i ? "," : "";
        s += "{\"contactId\":" + std::to_string(i) + ",\"email\":\"\\u0041"
             + std::string(i % 100, 'x')
             + "\",\"activityStatus\":\"READ\",\"activityDateTime\":"
             + (i % 3 ? "\"2023\"" : "7")
             + ",\"a\\nb\":{\"c\":[[\"\\\"\",1.5],{\"d\":null}]}}";
    }
    return s + "]";
}

ParseOptions all_options()
{
    ParseOptions o;
    o.wanted = ~FieldSet{0};
    o.keep_going = true;
    return o;
}

/* Counts what a parse asks for. */
ParseResult counted(Parser &parser, const std::string &body,
                    const ParseOptions &o)
{
    asked = bytes = 0;
    armed = true;
    const ParseResult result = parser.parse(body.data(), body.size(), o);
    armed = false;
    return result;
}

} // namespace

START_TEST(every_allocation_fails)
{
    const std::string body = body_of(200);
    const ParseOptions o = all_options();
    size_t failures = 0;

    for (allowed = 0;; allowed++) {
        Parser parser;
        const ParseResult result = counted(parser, body, o);
        if (asked <= allowed) {
            ck_assert(result == ParseResult::ok);
            break;
        }
        failures++;
        ck_assert(result == ParseResult::no_memory);

        /* the same parser goes on when there is memory again */
        const size_t which = allowed;
        allowed = SIZE_MAX;
        ck_assert(counted(parser, body, o) == ParseResult::ok);
        ck_assert_uint_eq(parser.batch().events.size(), 200);
        const Value email = parser.batch().value(199, Field::email);
        ck_assert_uint_eq(email.length, 100);
        ck_assert_int_eq(email.data[0], 'A');
        allowed = which;
    }
    allowed = SIZE_MAX;

    /* the arena, the text, and growing events, values and problems */
    ck_assert_uint_ge(failures, 8);
}
END_TEST

/* A parser that has seen a body takes others of that size for nothing, good
 * or bad. */
START_TEST(steady_state)
{
    const std::string body = body_of(100);
    const ParseOptions o = all_options();
    const ParseOptions strict;
    Parser parser;
    ck_assert(counted(parser, body, o) == ParseResult::ok);
    ck_assert_uint_gt(asked, 0);

    const std::string cut = body.substr(0, body.size() - 1);
    const std::string bad = cut + "}";
    const std::string number = body.substr(0, body.size() - 5) + ",01}]";
    for (int i = 0; i < 3; i++) {
        ck_assert(counted(parser, body, o) == ParseResult::ok);
        ck_assert_uint_eq(asked, 0);
        ck_assert(counted(parser, body, strict) == ParseResult::refused);
        ck_assert_uint_eq(asked, 0);
        ck_assert(counted(parser, cut, o) == ParseResult::refused);
        ck_assert_uint_eq(asked, 0);
        ck_assert(counted(parser, bad, o) == ParseResult::refused);
        ck_assert_uint_eq(asked, 0);
        ck_assert(counted(parser, number, o) == ParseResult::refused);
        ck_assert_uint_eq(asked, 0);
        parser.trim();
    }
}
END_TEST

/* What a large body took goes back, what a usual one takes stays. */
START_TEST(trimmed)
{
    const std::string usual = body_of(100);
    const std::string large = body_of(20000);
    ParseOptions o = all_options();
    o.max_events = 100000;
    Parser parser;

    ck_assert(counted(parser, large, o) == ParseResult::ok);
    ck_assert(counted(parser, large, o) == ParseResult::ok);
    ck_assert_uint_eq(asked, 0);
    parser.trim();
    ck_assert(counted(parser, large, o) == ParseResult::ok);
    ck_assert_uint_gt(bytes, large.size());
    parser.trim();
    ck_assert(counted(parser, usual, o) == ParseResult::ok);
    parser.trim();
    ck_assert(counted(parser, usual, o) == ParseResult::ok);
    ck_assert_uint_eq(asked, 0);
}
END_TEST

/* A body takes a known multiple of its length, whatever is in it. */
START_TEST(bounded)
{
    const size_t n = 1 << 20;
    const std::string bodies[] = {
        "[{\"email\":\"\\n" + std::string(n, 'x') + "\"}]",
        "[{\"a\":\"\\n" + std::string(n / 2, 'x') + "\",\"b\":\""
            + std::string(n / 2, 'y'),
        std::string(n, '['),
        "[{\"a\":" + std::string(n, '['),
        "[{\"a\":" + std::string(n, '1') + "}]",
    };
    for (const std::string &body : bodies) {
        ParseOptions o = all_options();
        o.required = 0;
        Parser parser;
        counted(parser, body, o);
        ck_assert_uint_le(bytes, 7 * n);
    }
}
END_TEST

int main()
{
    Suite *suite = suite_create("parser_memory");
    TCase *tcase = tcase_create("parser_memory");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, every_allocation_fails);
    tcase_add_test(tcase, steady_state);
    tcase_add_test(tcase, trimmed);
    tcase_add_test(tcase, bounded);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
