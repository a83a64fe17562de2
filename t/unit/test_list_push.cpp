#include <check.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "esputnik_command.h"
#include "esputnik_list_push.h"
#include "parsing.h"

using namespace esputnik;
using namespace std::string_view_literals;

namespace {

constexpr char kGuard = '\x5a';

/* What write() puts into memory of exactly this size between two guards. */
template <class Write>
std::string guarded(size_t size, Write write)
{
    std::string out(size + 16, kGuard);
    char *const begin = out.data() + 8;

    ck_assert_ptr_eq(write(begin), begin + size);
    for (size_t i = 0; i < 8; i++) {
        ck_assert_int_eq(out[i], kGuard);
        ck_assert_int_eq(out[8 + size + i], kGuard);
    }
    return out.substr(8, size);
}

/* The command, at once and from the slices of its events. */
std::string pushed(std::string_view verb, std::string_view key,
                   const Batch &batch)
{
    const size_t size = list_push_size(verb, key, batch);
    std::vector<EventSlice> slices(batch.events.size());
    slice_events(batch, slices.data());

    const std::string at_once = guarded(size, [&](char *out) {
        return write_list_push(out, verb, key, batch);
    });
    const std::string later = guarded(size, [&](char *out) {
        return write_list_push(out, verb, key, batch.body, slices.data(),
                               slices.size());
    });
    ck_assert(at_once == later);
    return at_once;
}

/* What a POST of this body becomes. */
std::string push_of(std::string_view body, std::string_view key = "k",
                    std::string_view verb = "RPUSH")
{
    const parsing::Guarded bytes(body);
    Parser parser;
    ck_assert(parser.parse(bytes.data(), bytes.size(), parsing::lenient())
              == ParseResult::ok);
    return pushed(verb, key, parser.batch());
}

std::string bulk(std::string_view text)
{
    std::string s = "$" + std::to_string(text.size()) + "\r\n";
    s += text;
    return s + "\r\n";
}

std::string resp(const std::vector<std::string> &words)
{
    std::string s = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string &word : words) {
        s += bulk(word);
    }
    return s;
}

} // namespace

START_TEST(one_event)
{
    ASSERT_TEXT(push_of("[{}]"),
                "*3\r\n$5\r\nRPUSH\r\n$1\r\nk\r\n$2\r\n{}\r\n");
    ASSERT_TEXT(push_of("[{}]", "esputnik:events", "LPUSH"),
                "*3\r\n$5\r\nLPUSH\r\n$15\r\nesputnik:events\r\n$2\r\n{}\r\n");
}
END_TEST

/* As they were received: with their blanks, escapes and order of members, and
 * without what is around them. */
START_TEST(events_as_received)
{
    const std::string a =
        "{ \"contactId\" :\t9007199254740993,\r\n\"x\":[ 1 ]}";
    const std::string b =
        "{\"b\":\"\\u0000\\ud83d\\ude00 \xd0\xbf\",\"a\":1e400}";
    const std::string c = "{}";

    ASSERT_TEXT(push_of("\n[ " + a + " ,\t" + b + "\r\n," + c + " ] \n"),
                resp({"RPUSH", "k", a, b, c}));
    ASSERT_TEXT(push_of("[" + c + "," + b + "," + a + "]", "k", "LPUSH"),
                resp({"LPUSH", "k", c, b, a}));
}
END_TEST

/* Lengths stand before the bytes: nothing in them can end the word. */
START_TEST(keys_of_any_bytes)
{
    std::string all;
    for (int i = 0; i < 256; i++) {
        all += static_cast<char>(i);
    }
    for (const std::string &key :
         {std::string("k"), std::string("\r\n$1\r\nx\r\n"),
          std::string("a\0b", 3), all, std::string(1024, 'k')})
    {
        ck_assert(push_of("[{\"a\":1}]", key)
                  == resp({"RPUSH", key, "{\"a\":1}"}));
    }
}
END_TEST

/* Where the numbers of the framing get one more digit. */
START_TEST(numbers_of_any_length)
{
    for (size_t events : {7u, 8u, 97u, 98u, 997u, 998u, 9999u}) {
        std::string body = "[";
        std::vector<std::string> words = {"RPUSH", "k"};
        for (size_t i = 0; i < events; i++) {
            words.push_back("{\"n\":" + std::to_string(i) + "}");
            body += (i ? "," : "") + words.back();
        }
        ck_assert_msg(push_of(body + "]") == resp(words), "%zu events", events);
    }

    for (size_t length : {9u, 10u, 99u, 100u, 999u, 1000u, 9999u, 10000u,
                          99999u, 100000u, 1000000u})
    {
        const std::string event = "{\"a\":\"" + std::string(length - 8, 'x')
                                  + "\"}";
        ck_assert_uint_eq(event.size(), length);
        ck_assert_msg(push_of("[" + event + ",{}]")
                          == resp({"RPUSH", "k", event, "{}"}),
                      "an event of %zu bytes", length);
    }

    for (size_t length : {1u, 9u, 10u, 99u, 100u, 999u, 1000u, 1024u}) {
        const std::string key(length, 'k');
        ck_assert_msg(push_of("[{}]", key) == resp({"RPUSH", key, "{}"}),
                      "a key of %zu bytes", length);
    }
}
END_TEST

/* One command after the other, with one parser: nothing of the last is left. */
START_TEST(one_parser_for_all)
{
    Parser parser;

    for (size_t i = 0; i < 200; i++) {
        std::string body = "[";
        std::vector<std::string> words = {"RPUSH", "key" + std::to_string(i)};
        for (size_t n = 0; n < 1 + i * 37 % 50; n++) {
            words.push_back("{\"n\":\"" + std::string(i * n % 91, 'x') + "\"}");
            body += (n ? " , " : "") + words.back();
        }
        body += "]";
        ck_assert(parser.parse(body.data(), body.size(), parsing::lenient())
                  == ParseResult::ok);
        ck_assert(pushed("RPUSH", words[1], parser.batch()) == resp(words));
        parser.trim();
    }
}
END_TEST

/* The same as the general encoder makes of it. */
START_TEST(as_the_general_encoder)
{
    Buffer buffer;
    ck_assert(append_command(
        buffer, {"RPUSH", "esputnik:events", "{\"a\":1}", "{\"b\":2}"}));
    ck_assert(push_of("[{\"a\":1}, {\"b\":2}]", "esputnik:events")
              == std::string_view(buffer.data(), buffer.size()));
}
END_TEST

int main()
{
    Suite *s = suite_create("list_push");
    TCase *t = tcase_create("list_push");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, one_event);
    tcase_add_test(t, events_as_received);
    tcase_add_test(t, keys_of_any_bytes);
    tcase_add_test(t, numbers_of_any_length);
    tcase_add_test(t, one_parser_for_all);
    tcase_add_test(t, as_the_general_encoder);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
