#include <check.h>

#include <yajl/yajl_parse.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "esputnik_arena.h"

using namespace esputnik;

/* AddressSanitizer ends the program at a failed allocation unless told. */
extern "C" const char *__asan_default_options();
extern "C" const char *__asan_default_options()
{
    return "allocator_may_return_null=1";
}

namespace {

void *take(void *arena, size_t size)
{
    void *p = static_cast<Arena *>(arena)->allocate(size);
    ck_assert_ptr_nonnull(p);
    return p;
}

void *grow(void *arena, void *p, size_t size)
{
    void *q = static_cast<Arena *>(arena)->reallocate(p, size);
    ck_assert_ptr_nonnull(q);
    return q;
}

void give(void *arena, void *p)
{
    static_cast<Arena *>(arena)->release(p);
}

int on_value(void *)
{
    return 1;
}
int on_boolean(void *, int)
{
    return 1;
}
int on_number(void *, const char *, size_t)
{
    return 1;
}
int on_text(void *, const unsigned char *, size_t)
{
    return 1;
}

const yajl_callbacks kCallbacks = {
    on_value, on_boolean, nullptr,  nullptr,  on_number, on_text,
    on_value, on_text,    on_value, on_value, on_value,
};

/* A whole parse, without the parser's own limits, in an arena of exactly the
 * bound: an allocation that fails fails the test. */
void fits(const std::string &body)
{
    const size_t bound = Arena::yajl_bound(body.size(), body.size());
    Arena arena;
    ck_assert(arena.reset(bound));
    ck_assert_uint_eq(arena.capacity(), bound);

    yajl_alloc_funcs memory = {take, grow, give, &arena};
    yajl_handle h = yajl_alloc(&kCallbacks, &memory, nullptr);
    yajl_config(h, yajl_dont_validate_strings, 1);
    yajl_parse(h, reinterpret_cast<const unsigned char *>(body.data()),
               body.size());
    yajl_complete_parse(h);
    ck_assert_uint_le(arena.used(), bound);
}

std::string repeat(const char *s, size_t times)
{
    std::string out;
    for (size_t i = 0; i < times; i++) {
        out += s;
    }
    return out;
}

} // namespace

START_TEST(allocations)
{
    Arena arena;
    ck_assert(arena.reset(1024));
    ck_assert_uint_eq(arena.used(), 0);

    char *a = static_cast<char *>(arena.allocate(3));
    char *b = static_cast<char *>(arena.allocate(100));
    ck_assert_ptr_nonnull(a);
    ck_assert(b >= a + 3);
    ck_assert_uint_eq(
        reinterpret_cast<uintptr_t>(a) % alignof(std::max_align_t), 0);
    ck_assert_uint_eq(
        reinterpret_cast<uintptr_t>(b) % alignof(std::max_align_t), 0);
    std::memcpy(a, "abc", 3);
    std::memset(b, 'b', 100);

    /* the newest one grows and shrinks where it is */
    const size_t used = arena.used();
    ck_assert_ptr_eq(arena.reallocate(b, 200), b);
    ck_assert_uint_gt(arena.used(), used);
    ck_assert_ptr_eq(arena.reallocate(b, 100), b);
    ck_assert_uint_eq(arena.used(), used);

    /* an older one moves, its bytes with it */
    char *c = static_cast<char *>(arena.reallocate(a, 300));
    ck_assert_ptr_ne(c, a);
    ck_assert_int_eq(std::memcmp(c, "abc", 3), 0);
    ck_assert_int_eq(b[0] == 'b' && b[99] == 'b', 1);

    /* only the newest one's room comes back at once */
    arena.release(b);
    arena.release(nullptr);
    const size_t before = arena.used();
    arena.release(c);
    ck_assert_uint_lt(arena.used(), before);
    ck_assert_ptr_nonnull(arena.reallocate(nullptr, 8));
}
END_TEST

START_TEST(limits)
{
    Arena arena;
    ck_assert_ptr_null(arena.allocate(1));
    ck_assert(arena.reset(64));
    ck_assert_ptr_null(arena.allocate(65));
    ck_assert_ptr_null(arena.allocate(SIZE_MAX));
    void *p = arena.allocate(64);
    ck_assert_ptr_nonnull(p);
    ck_assert_ptr_null(arena.allocate(1));
    ck_assert_ptr_null(arena.reallocate(p, 65));
    ck_assert_ptr_null(arena.reallocate(p, SIZE_MAX - 3));
    ck_assert_ptr_eq(arena.reallocate(p, 64), p);

    /* more than there is: an answer, no crash, and the next one works */
    ck_assert(!arena.reset(size_t{1} << 50));
    ck_assert_uint_eq(arena.capacity(), 0);
    ck_assert_ptr_null(arena.allocate(1));
    ck_assert(arena.reset(64));
    ck_assert_ptr_nonnull(arena.allocate(64));
}
END_TEST

START_TEST(kept_and_given_back)
{
    Arena arena;
    ck_assert(arena.reset(1000));
    arena.allocate(500);
    ck_assert(arena.reset(10));
    ck_assert_uint_eq(arena.capacity(), 1000);
    ck_assert_uint_eq(arena.used(), 0);
    arena.trim(1000);
    ck_assert_uint_eq(arena.capacity(), 1000);
    arena.trim(999);
    ck_assert_uint_eq(arena.capacity(), 0);
    ck_assert(arena.reset(10));
}
END_TEST

START_TEST(small_bodies)
{
    static const char *const kBodies[] = {
        "",         " ",  "[",   "]",         "{",
        "\"",       "1",  "-",   "t",         "[\"",
        "[\"\\",    "[1", "[tr", "[\"\\n\"]", "{\"\\u0041\":\"\\u0042\"}",
        "[[[[]]]]",
    };
    for (const char *body : kBodies) {
        fits(body);
    }
}
END_TEST

/* The decode buffer: one string with an escape, around each doubling. */
START_TEST(long_strings)
{
    for (size_t n = 1024; n <= 1 << 20; n *= 2) {
        for (int by = -3; by <= 3; by++) {
            const std::string text(n + by, 'x');
            fits("[\"\\n" + text + "\"]");
            fits("[\"" + text + "\\n\"]");
            fits("[\"\\n" + text); /* cut off */
            fits("[\"" + text + "\\");
            fits("{\"\\n" + text + "\":1}");
        }
    }
    fits("[\"" + repeat("\\n", 1 << 19) + "\"]");
    fits("[\"" + repeat("\\u20ac", 1 << 18) + "\"]");
    fits("[\"" + repeat("\\ud800", 1 << 18) + "\"]");
    fits("[\"" + repeat("\\u0000", 1 << 18) + "\"]");
}
END_TEST

/* Both buffers: a decoded string, then one that the end cuts. */
START_TEST(decoded_and_cut)
{
    for (size_t n = 1 << 11; n <= 1 << 19; n *= 2) {
        const std::string text(n + 1, 'x');
        fits("[\"\\n" + text + "\",\"\\n" + text);
        fits("[\"\\n" + text + "\",\"" + std::string(8 * n, 'y'));
        fits("[\"\\n" + std::string(8 * n, 'y') + "\",\"" + text);
        fits("[\"\\n" + text + "\"," + std::string(n, '1'));
    }
    /* a decode buffer that grows step by step */
    std::string steps = "[";
    for (size_t n = 16; n <= 1 << 18; n += n / 2) {
        steps += "\"\\n" + std::string(n, 'x') + "\",";
    }
    fits(steps + "1]");
    fits(steps + "\"" + steps);
}
END_TEST

/* The state stack: nesting, alone and while the decode buffer grows, which
 * makes the two move around each other. */
START_TEST(nesting)
{
    fits(std::string(1 << 20, '['));
    fits(repeat("{\"a\":", 1 << 18));
    fits(std::string(1 << 18, '[') + std::string(1 << 18, ']'));

    for (size_t levels : {100, 124, 125, 126, 127, 128, 129, 1000, 100000}) {
        std::string body;
        for (size_t n = 1024; n <= 1 << 18; n *= 2) {
            body += std::string(levels, '[') + "\"\\n" + std::string(n, 'x')
                    + "\",";
        }
        fits(body);
        fits(body + "\"" + std::string(1 << 16, 'y'));
    }
}
END_TEST

/* The bound is no excuse to take much: a body of 45 KB takes 256 KB. */
START_TEST(modest)
{
    ck_assert_uint_le(Arena::yajl_bound(45000, 16), 256 * 1024);
    ck_assert_uint_le(Arena::yajl_bound(1 << 20, 16), 5 << 20);
    ck_assert_uint_le(Arena::yajl_bound(0, 16), 16 * 1024);
    ck_assert_uint_ge(Arena::yajl_bound(1 << 20, 1000),
                      Arena::yajl_bound(1 << 20, 16));
}
END_TEST

int main()
{
    Suite *suite = suite_create("arena");
    TCase *tcase = tcase_create("arena");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, allocations);
    tcase_add_test(tcase, limits);
    tcase_add_test(tcase, kept_and_given_back);
    tcase_add_test(tcase, small_bodies);
    tcase_add_test(tcase, long_strings);
    tcase_add_test(tcase, decoded_and_cut);
    tcase_add_test(tcase, nesting);
    tcase_add_test(tcase, modest);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
