#include <check.h>

#include <cstdint>
#include <cstring>
#include <utility>

#include "esputnik_array.h"

using namespace esputnik;

START_TEST(grows_and_keeps)
{
    Array<uint32_t> a;

    ck_assert(a.empty());
    ck_assert_ptr_null(a.data());
    for (uint32_t i = 0; i < 10000; i++) {
        ck_assert(a.push(i * 3));
        ck_assert_uint_eq(a.size(), i + 1);
        ck_assert_uint_eq(a.back(), i * 3);
    }
    for (uint32_t i = 0; i < 10000; i++) {
        ck_assert_uint_eq(a[i], i * 3);
    }
    uint32_t next = 0;
    for (uint32_t n : a) {
        ck_assert_uint_eq(n, next);
        next += 3;
    }
    a.pop();
    ck_assert_uint_eq(a.back(), 9998 * 3);
}
END_TEST

/* An element of the array itself, pushed just when the storage moves. */
START_TEST(pushes_its_own_element)
{
    Array<uint64_t> a;

    ck_assert(a.push(42));
    while (a.size() < 5000) {
        ck_assert(a.push(a[0]));
        ck_assert_uint_eq(a.back(), 42);
    }
}
END_TEST

START_TEST(append_and_resize)
{
    Buffer b;

    ck_assert(b.append(nullptr, 0));
    ck_assert(b.append("hello", 5));
    ck_assert(b.append(" world", 6));
    ck_assert(std::memcmp(b.data(), "hello world", 11) == 0);
    b.truncate(5);
    b.truncate(50);
    ck_assert_uint_eq(b.size(), 5);
    ck_assert(b.resize(100));
    ck_assert(std::memcmp(b.data(), "hello", 5) == 0);
    for (size_t i = 5; i < 100; i++) {
        ck_assert_int_eq(b[i], 0);
    }
    ck_assert(b.resize(3));
    ck_assert_uint_eq(b.size(), 3);
    b.clear();
    ck_assert(b.empty());
    ck_assert_uint_ge(b.capacity(), 100);
}
END_TEST

START_TEST(shrinks)
{
    Buffer b;

    ck_assert(b.resize(10));
    b.shrink(1000);
    ck_assert_uint_eq(b.size(), 10);
    ck_assert(b.resize(100000));
    b.shrink(1000);
    ck_assert_uint_eq(b.size(), 0);
    ck_assert_uint_eq(b.capacity(), 0);
    ck_assert(b.push('x'));
    ck_assert_int_eq(b[0], 'x');
}
END_TEST

START_TEST(moves)
{
    Buffer a;
    ck_assert(a.append("abc", 3));

    Buffer b(std::move(a));
    ck_assert_uint_eq(a.size(), 0);
    ck_assert_ptr_null(a.data());
    ck_assert(std::memcmp(b.data(), "abc", 3) == 0);

    Buffer c;
    ck_assert(c.append("zz", 2));
    c = std::move(b);
    ck_assert_uint_eq(b.capacity(), 0);
    ck_assert_uint_eq(c.size(), 3);
    ck_assert(std::memcmp(c.data(), "abc", 3) == 0);
    Buffer &same = c;
    c = std::move(same);
    ck_assert_uint_eq(c.size(), 3);
}
END_TEST

START_TEST(sizes_that_cannot_be)
{
    Array<uint64_t> a;

    ck_assert(a.push(1));
    ck_assert(!a.reserve(SIZE_MAX));
    ck_assert(!a.reserve(SIZE_MAX / 2));
    ck_assert(!a.reserve(SIZE_MAX / 2 / sizeof(uint64_t) + 1));
    ck_assert(!a.resize(SIZE_MAX / 4));
    ck_assert_uint_eq(a.size(), 1);
    ck_assert_uint_eq(a[0], 1);
}
END_TEST

int main()
{
    Suite *s = suite_create("array");
    TCase *t = tcase_create("array");
    tcase_add_test(t, grows_and_keeps);
    tcase_add_test(t, pushes_its_own_element);
    tcase_add_test(t, append_and_resize);
    tcase_add_test(t, shrinks);
    tcase_add_test(t, moves);
    tcase_add_test(t, sizes_that_cannot_be);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
