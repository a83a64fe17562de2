#include <check.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "esputnik_command.h"

using namespace esputnik;

namespace {

std::string text(const Buffer &b)
{
    return {b.data(), b.size()};
}

/* The arguments back out of the wire format; false when it is no command. */
bool read_back(const std::string &in, std::string *joined, size_t *count)
{
    size_t at = 0;
    auto number = [&](char mark, size_t *n) {
        if (at >= in.size() || in[at] != mark) {
            return false;
        }
        const size_t end = in.find("\r\n", at);
        if (end == in.npos) {
            return false;
        }
        *n = std::stoul(in.substr(at + 1, end - at - 1));
        at = end + 2;
        return true;
    };

    if (!number('*', count)) {
        return false;
    }
    for (size_t i = 0; i < *count; i++) {
        size_t length;
        if (!number('$', &length) || in.size() - at < length + 2
            || in.compare(at + length, 2, "\r\n") != 0)
        {
            return false;
        }
        *joined += "<" + in.substr(at, length) + ">";
        at += length + 2;
    }
    return at == in.size();
}

} // namespace

START_TEST(decimals)
{
    const uint64_t numbers[] = {0,
                                1,
                                9,
                                10,
                                11,
                                99,
                                100,
                                999,
                                1000,
                                12345,
                                4294967295u,
                                4294967296u,
                                9999999999999999999u,
                                10000000000000000000u,
                                UINT64_MAX};
    for (uint64_t n : numbers) {
        char out[32];
        const std::string want = std::to_string(n);
        char *end = write_decimal(out, n);
        ck_assert_uint_eq(decimal_length(n), want.size());
        ck_assert(std::string(out, end) == want);
    }
}
END_TEST

START_TEST(sizes)
{
    char out[64];

    for (size_t n : {0u, 1u, 9u, 10u, 999u, 10000u, 1u << 31}) {
        const std::string array = "*" + std::to_string(n) + "\r\n";
        const std::string bulk = "$" + std::to_string(n) + "\r\n";
        ck_assert(std::string(out, write_array(out, n)) == array);
        ck_assert_uint_eq(array_size(n), array.size());
        ck_assert(std::string(out, write_bulk_header(out, n)) == bulk);
        ck_assert_uint_eq(bulk_size(n), bulk.size() + n + 2);
    }
    ck_assert(std::string(out, write_bulk(out, "hello")) == "$5\r\nhello\r\n");
    ck_assert(std::string(out, write_bulk(out, {})) == "$0\r\n\r\n");
}
END_TEST

START_TEST(command)
{
    Buffer b;

    ck_assert(append_command(b, {"RPUSH", "key", "value"}));
    ck_assert(text(b) == "*3\r\n$5\r\nRPUSH\r\n$3\r\nkey\r\n$5\r\nvalue\r\n");
    ck_assert(append_command(b, {"PING"}));
    ck_assert(text(b)
              == "*3\r\n$5\r\nRPUSH\r\n$3\r\nkey\r\n$5\r\nvalue\r\n"
                 "*1\r\n$4\r\nPING\r\n");
    b.clear();
    ck_assert(append_array(b, 2));
    ck_assert(append_bulk(b, "AUTH"));
    ck_assert(append_bulk(b, ""));
    ck_assert(text(b) == "*2\r\n$4\r\nAUTH\r\n$0\r\n\r\n");
}
END_TEST

START_TEST(any_bytes)
{
    std::string all;
    for (int i = 0; i < 256; i++) {
        all += static_cast<char>(i);
    }
    const std::string tricky[] = {
        all,      "\r\n", "\r\n*1\r\n$8\r\nFLUSHALL\r\n", std::string(3, '\0'),
        "$5\r\n", "",     std::string(100000, 'x')};
    for (const std::string &key : tricky) {
        for (const std::string &value : tricky) {
            Buffer b;
            std::string joined;
            size_t count = 0;
            ck_assert(append_command(b, {"RPUSH", key, value}));
            ck_assert(read_back(text(b), &joined, &count));
            ck_assert_uint_eq(count, 3);
            ck_assert(joined == "<RPUSH><" + key + "><" + value + ">");
            ck_assert_uint_eq(b.size(), array_size(3) + bulk_size(5)
                                            + bulk_size(key.size())
                                            + bulk_size(value.size()));
        }
    }
}
END_TEST

int main()
{
    Suite *s = suite_create("command");
    TCase *t = tcase_create("command");
    tcase_add_test(t, decimals);
    tcase_add_test(t, sizes);
    tcase_add_test(t, command);
    tcase_add_test(t, any_bytes);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
