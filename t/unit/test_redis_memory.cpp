/*
 * Every allocation of the Redis codec fails once, hiredis' own included: the
 * process lives, says "no memory", and works again afterwards.
 *
 * This program's malloc takes the place of the C library's, also for shared
 * libraries, and passes on to it or to the sanitizer's.  Under valgrind it
 * needs --soname-synonyms=somalloc=nouserintercepts.
 */

#include <check.h>

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

#include "esputnik_command.h"
#include "esputnik_redis_look.h"
#include "esputnik_reply.h"
#include "esputnik_token.h"
#include "esputnik_url.h"

#if defined(__SANITIZE_ADDRESS__)
#define REAL(name) __interceptor_##name
#else
#define REAL(name) __libc_##name
#endif

namespace {

bool armed = false;
size_t allowed = 0;     /* allocations before the one that fails */
size_t asked = 0;
size_t largest = 0;     /* bytes asked for at once */

bool fails(size_t size)
{
    if (!armed) {
        return false;
    }
    if (size > largest) {
        largest = size;
    }
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
using Result = ReplyDecoder::Result;

namespace {

/* Runs the scenario with its first, second, third … allocation failing, until
 * one run needs none further.  It says whether it went through; it may do so
 * although an allocation failed, where that one could be done without. */
template <class Scenario>
size_t fail_each(Scenario scenario)
{
    for (allowed = 0;; allowed++) {
        ck_assert_uint_lt(allowed, 100000);
        asked = 0;
        armed = true;
        const bool through = scenario();
        armed = false;
        if (asked <= allowed) {
            ck_assert(through);
            return allowed;
        }
    }
}

/* Replies of each kind, some larger than what is kept. */
std::string replies()
{
    std::string s = "+OK\r\n:7\r\n$-1\r\n-ERR x\r\n*0\r\n*300\r\n";
    for (int i = 0; i < 300; i++) {
        s += i % 2 ? ":5\r\n" : "$3\r\nabc\r\n";
    }
    s += "$40000\r\n" + std::string(40000, 'x') + "\r\n";
    for (int i = 0; i < 2000; i++) {
        s += ":1\r\n";
    }
    return s;
}

enum class Outcome { whole, no_memory, wrong };

Outcome read_all(ReplyDecoder &d, const std::string &in, size_t chunk,
                 size_t want)
{
    size_t seen = 0;

    for (size_t at = 0; at < in.size(); at += chunk) {
        const size_t left = in.size() - at;
        Result r = d.feed(in.data() + at, chunk < left ? chunk : left);
        Reply reply;
        while (r == Result::need_more && (r = d.next(&reply)) == Result::reply)
        {
            seen++;
            r = Result::need_more;
        }
        if (r == Result::no_memory) {
            /* it lasts, as half a reply may be lost */
            return d.next(&reply) == Result::no_memory
                           && d.feed(":1\r\n", 4) == Result::no_memory
                       ? Outcome::no_memory
                       : Outcome::wrong;
        }
        if (r != Result::need_more) {
            return Outcome::wrong;
        }
    }
    return seen == want ? Outcome::whole : Outcome::wrong;
}

} // namespace

START_TEST(injection_works)
{
    /* volatile: the compiler may leave out a malloc that is not used */
    void *volatile p = malloc(10);
    ck_assert_ptr_nonnull(p);
    free(p);
    asked = allowed = 0;
    armed = true;
    p = malloc(10);
    armed = false;
    ck_assert_ptr_null(p);
}
END_TEST

START_TEST(decoder)
{
    const std::string in = replies();

    for (size_t chunk : {size_t{100}, size_t{5000}, in.size()}) {
        const size_t failed = fail_each([&] {
            ReplyDecoder d;
            if (!d.reset()) {
                const bool told = d.feed(":1\r\n", 4) == Result::no_memory;
                armed = false;
                ck_assert(told);
                return false;
            }
            const Outcome outcome = read_all(d, in, chunk, 2007);
            armed = false;
            ck_assert(outcome != Outcome::wrong);

            /* the same decoder on a new connection */
            ck_assert(d.reset());
            ck_assert_str_eq(d.error(), "");
            ck_assert(read_all(d, in, chunk, 2007) == Outcome::whole);
            return outcome == Outcome::whole;
        });
        ck_assert_uint_gt(failed, 10);
    }
}
END_TEST

/* Its buffer has grown and is empty: hiredis would trade it in for a small one
 * with the next bytes, and end the process when that fails. */
START_TEST(empty_large_buffer)
{
    const std::string in = "$12000\r\n" + std::string(12000, 'x') + "\r\n";

    const size_t failed = fail_each([&] {
        ReplyDecoder d;
        const Outcome outcome = d.reset() ? read_all(d, in, in.size(), 1)
                                          : Outcome::no_memory;
        const Outcome next = outcome == Outcome::whole
                                 ? read_all(d, ":1\r\n", 4, 1)
                                 : outcome;
        armed = false;
        ck_assert(outcome != Outcome::wrong && next != Outcome::wrong);
        return next == Outcome::whole;
    });
    ck_assert_uint_gt(failed, 4);
}
END_TEST

START_TEST(steady_state)
{
    std::string in;
    ReplyDecoder d;

    for (int i = 0; i < 100; i++) {
        in += ":12345\r\n+QUEUED\r\n*2\r\n:1\r\n:2\r\n";
    }
    ck_assert(d.reset());
    for (int i = 0; i < 500; i++) {
        ck_assert(read_all(d, in, 1000, 300) == Outcome::whole);
    }

    /* no allocation for a reply once the buffers have grown */
    asked = 0;
    allowed = SIZE_MAX;
    armed = true;
    Outcome outcome = Outcome::whole;
    for (int i = 0; i < 1000 && outcome == Outcome::whole; i++) {
        outcome = read_all(d, in, 1000, 300);
    }
    armed = false;
    ck_assert(outcome == Outcome::whole);
    ck_assert_uint_eq(asked, 0);
}
END_TEST

/* A large reply's memory is not kept for the life of the connection. */
START_TEST(large_buffer_is_traded_in)
{
    const std::string in = "$40000\r\n" + std::string(40000, 'x') + "\r\n";
    ReplyDecoder d;
    Reply r;

    ck_assert(d.reset());
    for (int round = 0; round < 3; round++) {
        ck_assert(d.feed(in.data(), in.size()) == Result::need_more);
        ck_assert(d.next(&r) == Result::reply);
        asked = largest = 0;
        allowed = SIZE_MAX;
        armed = true;
        const Result end = d.next(&r);
        armed = false;
        ck_assert(end == Result::need_more);
        ck_assert_uint_ge(asked, 2);    /* a new reader and its buffer */
        ck_assert_uint_lt(largest, 1024);
    }
}
END_TEST

/* F09: what a peer announces is not allocated, and what it sends only up to
 * the limit. */
START_TEST(hostile)
{
    const std::pair<const char *, const char *> rows[] = {
        {"*2147483647\r\n", ":1\r\n"},
        {"*21845\r\n", "+\r\n"},
        {"*1\r\n*9999999\r\n", ":1\r\n"},
        {"$536870911\r\n", "abc"},
        {"$9223372036854775807\r\n", "abc"},
        {"+", "x"},
        {"-ERR ", "\n"},
        {":", "1"},
        {"*", "1"},
        {"$", "1"},
        {"*20000\r\n", "$1\r\na\r\n"},
    };
    for (const auto &row : rows) {
        ReplyDecoder d;
        Reply r;
        std::string in = row.first;
        while (in.size() < 200000) {
            in += row.second;
        }

        ck_assert(d.reset());
        asked = largest = 0;
        allowed = SIZE_MAX;
        armed = true;
        Result result = Result::need_more;
        size_t at = 0;
        for (; result != Result::broken && at < in.size(); at += 1000) {
            d.feed(in.data() + at, 1000);
            result = d.next(&r);
        }
        armed = false;
        ck_assert_uint_lt(largest, 800 * 1024);
        ck_assert_msg(result == Result::broken && at <= 67000, "%s: %zu",
                      row.first, at);
    }
}
END_TEST

START_TEST(encoder)
{
    const std::string value(5000, 'v');
    const size_t failed = fail_each([&] {
        Buffer b;
        if (!append_command(b, {"PING"})) {
            return b.empty();
        }
        const size_t before = b.size();
        const bool ok = append_command(b, {"RPUSH", "key", value})
                        && append_look(b);
        if (!ok) {
            const bool known = b.size() == before || b.size() > 5000;
            armed = false;
            ck_assert(known);
            ck_assert(std::memcmp(b.data(), "*1\r\n$4\r\nPING\r\n", 14) == 0);
        }
        return ok;
    });
    ck_assert_uint_ge(failed, 2);
}
END_TEST

START_TEST(url)
{
    for (const char *text : {"redis://us%65r:passw%6frd@h",
                             "redis+unix://:p@/run/r%65dis.sock?db=1"})
    {
        const size_t failed = fail_each([&] {
            Url u;
            const char *error = parse_url(text, &u);
            if (error == nullptr) {
                return true;
            }
            armed = false;
            ck_assert_str_eq(error, "no memory");
            return false;
        });
        ck_assert_uint_ge(failed, 2);
    }
}
END_TEST

START_TEST(tokens)
{
    std::string text;
    for (int i = 0; i < 40; i++) {
        text += "token-" + std::to_string(i) + "\n";
    }
    const size_t failed = fail_each([&] {
        TokenList list;
        size_t line;
        const char *error = list.load(text, &line);
        if (error == nullptr) {
            return token_matches(list, "token-39");
        }
        armed = false;
        ck_assert_str_eq(error, "no memory");
        ck_assert_uint_eq(list.size(), 0);
        return false;
    });
    ck_assert_uint_ge(failed, 2);
}
END_TEST

int main()
{
    Suite *s = suite_create("redis_memory");
    TCase *t = tcase_create("redis_memory");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, injection_works);
    tcase_add_test(t, decoder);
    tcase_add_test(t, empty_large_buffer);
    tcase_add_test(t, steady_state);
    tcase_add_test(t, large_buffer_is_traded_in);
    tcase_add_test(t, hostile);
    tcase_add_test(t, encoder);
    tcase_add_test(t, url);
    tcase_add_test(t, tokens);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
