#include <check.h>

#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "esputnik_reply.h"

using namespace esputnik;
using Result = ReplyDecoder::Result;

namespace {

/* A reply written out, so that two can be compared. */
void print(const Reply &r, std::string *out)
{
    char number[32];

    switch (r.type()) {
    case ReplyType::status:
        *out += "+" + std::string(r.text());
        break;
    case ReplyType::error:
        *out += "-" + std::string(r.text());
        break;
    case ReplyType::integer:
        std::snprintf(number, sizeof(number), ":%lld", r.integer());
        *out += number;
        break;
    case ReplyType::string:
        *out += "\"" + std::string(r.text()) + "\"";
        break;
    case ReplyType::nil:
        *out += "nil";
        break;
    case ReplyType::array: {
        *out += "[";
        Reply child = r.first();
        for (size_t i = 0; i < r.elements(); i++, child = child.next()) {
            if (i) {
                *out += " ";
            }
            print(child, out);
        }
        *out += "]";
        break;
    }
    }
}

/* All replies that are there, one a line; the last line is the end. */
Result drain(ReplyDecoder &d, std::string *out)
{
    for (;;) {
        Reply r;
        const Result result = d.next(&r);
        if (result != Result::reply) {
            return result;
        }
        print(r, out);
        *out += "\n";
    }
}

std::string ending(ReplyDecoder &d, Result result)
{
    switch (result) {
    case Result::need_more:
        return d.partial() ? "partial" : "end";
    case Result::broken:
        return "broken";
    default:
        return "no memory";
    }
}

std::string decode(ReplyDecoder &d, std::string_view in,
                   const std::vector<size_t> &cuts)
{
    std::string out;
    size_t at = 0;
    Result result = Result::need_more;

    ck_assert(d.reset());
    for (size_t i = 0; i <= cuts.size(); i++) {
        const size_t end = i < cuts.size() ? cuts[i] : in.size();
        result = d.feed(in.data() + at, end - at);
        if (result == Result::need_more) {
            result = drain(d, &out);
        }
        at = end;
    }
    return out + ending(d, result);
}

std::vector<size_t> every_byte(size_t length)
{
    std::vector<size_t> cuts;
    for (size_t i = 1; i < length; i++) {
        cuts.push_back(i);
    }
    return cuts;
}

/* Whole, in two at every byte, and byte by byte: always the same. */
void expect(std::string_view in, const char *what)
{
    ReplyDecoder d;

    std::string got = decode(d, in, {});
    ck_assert_str_eq(got.c_str(), what);
    for (size_t cut = 0; cut <= in.size(); cut++) {
        got = decode(d, in, {cut});
        ck_assert_msg(got == what, "cut at %zu: %s", cut, got.c_str());
    }
    got = decode(d, in, every_byte(in.size()));
    ck_assert_str_eq(got.c_str(), what);
}

void expect_broken(std::string_view in)
{
    ReplyDecoder d;

    expect(in, "broken");
    decode(d, in, {});
    ck_assert_str_ne(d.error(), "");
}

std::string_view bytes(const char *s, size_t n)
{
    return {s, n};
}

#define BYTES(s) bytes(s, sizeof(s) - 1)

std::string nested(unsigned depth)
{
    std::string s;
    for (unsigned i = 0; i < depth; i++) {
        s += "*1\r\n";
    }
    return s + ":1\r\n";
}

} // namespace

START_TEST(every_type)
{
    expect("+OK\r\n", "+OK\nend");
    expect("+\r\n", "+\nend");
    expect("-OOM command not allowed\r\n", "-OOM command not allowed\nend");
    expect(":0\r\n", ":0\nend");
    expect(":1000\r\n", ":1000\nend");
    expect(":-1\r\n", ":-1\nend");
    expect(":9223372036854775807\r\n", ":9223372036854775807\nend");
    expect(":-9223372036854775808\r\n", ":-9223372036854775808\nend");
    expect("$0\r\n\r\n", "\"\"\nend");
    expect("$2\r\nhi\r\n", "\"hi\"\nend");
    expect("$4\r\n\r\n\r\n\r\n", "\"\r\n\r\n\"\nend");
    expect("$-1\r\n", "nil\nend");
    expect("*-1\r\n", "nil\nend");
    expect("*0\r\n", "[]\nend");
    expect("", "end");
}
END_TEST

START_TEST(bytes_of_a_string)
{
    std::string all;
    for (int i = 0; i < 256; i++) {
        all += static_cast<char>(i);
    }
    ReplyDecoder d;
    Reply r;
    const std::string in = "$256\r\n" + all + "\r\n";

    ck_assert(d.reset());
    ck_assert(d.feed(in.data(), in.size()) == Result::need_more);
    ck_assert(d.next(&r) == Result::reply);
    ck_assert(r.is(ReplyType::string));
    ck_assert(!r.is_error() && !r.is_array());
    ck_assert(r.text() == all);
    ck_assert_uint_eq(r.elements(), 0);
}
END_TEST

START_TEST(arrays)
{
    expect("*3\r\n:1\r\n$1\r\nx\r\n+OK\r\n", "[:1 \"x\" +OK]\nend");
    expect("*2\r\n*2\r\n:1\r\n*0\r\n*1\r\n$-1\r\n", "[[:1 []] [nil]]\nend");
    expect("*2\r\n*-1\r\n:5\r\n", "[nil :5]\nend");
    expect("*2\r\n-ERR a\r\n-ERR b\r\n:7\r\n", "[-ERR a -ERR b]\n:7\nend");
    expect("*1\r\n*1\r\n*1\r\n*2\r\n:1\r\n:2\r\n+z\r\n",
           "[[[[:1 :2]]]]\n+z\nend");
}
END_TEST

START_TEST(children_by_index)
{
    const char *in = "*4\r\n*2\r\n:1\r\n:2\r\n:3\r\n*1\r\n*1\r\n:4\r\n+e\r\n";
    ReplyDecoder d;
    Reply r;

    ck_assert(d.reset());
    ck_assert(d.feed(in, std::strlen(in)) == Result::need_more);
    ck_assert(d.next(&r) == Result::reply);
    ck_assert_uint_eq(r.elements(), 4);
    ck_assert_int_eq(r.at(0).at(1).integer(), 2);
    ck_assert_int_eq(r.at(1).integer(), 3);
    ck_assert_int_eq(r.at(2).at(0).at(0).integer(), 4);
    ck_assert(r.at(3).is_status("e"));
    ck_assert(!r.at(3).is_status("E"));
    ck_assert(d.next(&r) == Result::need_more);
    ck_assert(!d.partial());
}
END_TEST

START_TEST(several_replies)
{
    expect("+OK\r\n:1\r\n:2\r\n$3\r\nabc\r\n*1\r\n:1\r\n-ERR\r\n",
           "+OK\n:1\n:2\n\"abc\"\n[:1]\n-ERR\nend");
}
END_TEST

START_TEST(unfinished)
{
    expect("+OK", "partial");
    expect("+OK\r", "partial");
    expect("+OK\n", "partial");     /* a line ends in CRLF only */
    expect(":", "partial");
    expect("$3\r\nab", "partial");
    expect("$3\r\nabc\r", "partial");
    expect("*2\r\n:1\r\n", "partial");
    expect(":1\r\n:2", ":1\npartial");
}
END_TEST

/* F08: what is no RESP2, each also at every split. */
START_TEST(garbage)
{
    expect_broken(":abc\r\n");
    expect_broken(":\r\n");
    expect_broken(":1x\r\n");
    expect_broken(": 1\r\n");
    expect_broken(":1 \r\n");
    expect_broken(":+1\r\n");
    expect_broken(":-\r\n");
    expect_broken(":-0\r\n");
    expect_broken(":01\r\n");
    expect_broken(":1.5\r\n");
    expect_broken(":9223372036854775808\r\n");
    expect_broken(":18446744073709551617\r\n");
    expect_broken(":-9223372036854775809\r\n");
    expect_broken("$-5\r\n");
    expect_broken("$-2\r\n");
    expect_broken("$\r\n\r\n");
    expect_broken("$x\r\n");
    expect_broken("$1x\r\na\r\n");
    expect_broken("$01\r\na\r\n");
    expect_broken("$99999999999999999999\r\n");
    expect_broken("*-2\r\n");
    expect_broken("*x\r\n");
    expect_broken("*\r\n");
    expect_broken("*1x\r\n:1\r\n");
    expect_broken("HTTP/1.1 400 Bad Request\r\n\r\n");
    expect_broken("\r\n");
    expect_broken("\n");
    expect_broken(" :1\r\n");
    expect_broken("OK\r\n");
    expect_broken(BYTES("\0\0\0\0"));
    expect_broken(BYTES("\0"));
    expect_broken(BYTES("\x15\x03\x03\0\x02\x02\x28"));     /* a TLS alert */
    expect_broken(BYTES("\xff\xfe"));
    expect_broken("*2\r\n:1\r\nxyz");
}
END_TEST

/* What hiredis lets pass. */
START_TEST(gaps_of_the_reader)
{
    expect_broken("$2\r\nabcd");
    expect_broken("$2\r\nab\n\r");
    expect_broken("$0\r\n:1");
    expect_broken("$3\r\nab\r\n:1\r\n");
    expect_broken("+O\nK\r\n");
    expect_broken("+O\rK\r\n");
    expect_broken("+OK\r\r\n");
    expect_broken("-ERR\n+OK\r\n");
    expect_broken("*1\r\n+a\nb\r\n");
    expect_broken("*1\r\n$1\r\nab\r\n");
}
END_TEST

START_TEST(resp3)
{
    expect_broken("%1\r\n+a\r\n+b\r\n");
    expect_broken("~1\r\n+a\r\n");
    expect_broken(">2\r\n+a\r\n+b\r\n");
    expect_broken("_\r\n");
    expect_broken("#t\r\n");
    expect_broken(",1.5\r\n");
    expect_broken("(123\r\n");
    expect_broken("=7\r\ntxt:abc\r\n");
    expect_broken("|1\r\n+a\r\n+b\r\n");
    expect_broken("!3\r\nabc\r\n");
}
END_TEST

START_TEST(whole_replies_before_the_fault)
{
    expect(":1\r\n+OK\r\n:x\r\n:2\r\n", ":1\n+OK\nbroken");
    expect(":1\r\nHTTP", ":1\nbroken");
    expect("*1\r\n:1\r\n*1\r\n*-3\r\n", "[:1]\nbroken");
}
END_TEST

START_TEST(broken_lasts)
{
    ReplyDecoder d;
    Reply r;

    ck_assert(d.reset());
    ck_assert(d.feed("?\r\n", 3) == Result::need_more);
    ck_assert(d.next(&r) == Result::broken);
    ck_assert(d.next(&r) == Result::broken);
    ck_assert(d.feed(":1\r\n", 4) == Result::broken);
    ck_assert(d.next(&r) == Result::broken);
    ck_assert(d.reset());
    ck_assert_str_eq(d.error(), "");
    ck_assert(d.feed(":1\r\n", 4) == Result::need_more);
    ck_assert(d.next(&r) == Result::reply);
    ck_assert_int_eq(r.integer(), 1);
}
END_TEST

START_TEST(reset_forgets)
{
    ReplyDecoder d;
    Reply r;

    for (const char *half :
         {"*2\r\n:1\r\n", "$10\r\nabc", "+O", ":1\r\n:2\r\n"}) {
        ck_assert(d.reset());
        ck_assert(d.feed(half, std::strlen(half)) == Result::need_more);
        ck_assert(d.reset());
        ck_assert(!d.partial());
        ck_assert(d.next(&r) == Result::need_more);
        ck_assert(d.feed("+new\r\n", 6) == Result::need_more);
        ck_assert(d.next(&r) == Result::reply);
        ck_assert(r.is_status("new"));
        ck_assert(d.next(&r) == Result::need_more);
    }
}
END_TEST

/* Whatever has not been looked at yet is forgotten too. */
START_TEST(reset_amid_many)
{
    std::string in;
    ReplyDecoder d;
    Reply r;

    for (int i = 0; i < 20000; i++) {
        in += ":7\r\n";
    }
    for (int taken = 0; taken < 20000; taken += 3333) {
        ck_assert(d.reset());
        ck_assert(d.feed(in.data(), in.size()) == Result::need_more);
        for (int i = 0; i < taken; i++) {
            ck_assert(d.next(&r) == Result::reply);
        }
        ck_assert(d.reset());
        ck_assert(d.feed(in.data(), in.size()) == Result::need_more);
        for (int i = 0; i < 20000; i++) {
            ck_assert(d.next(&r) == Result::reply);
        }
        ck_assert(d.next(&r) == Result::need_more);
    }
}
END_TEST

START_TEST(nesting)
{
    expect(nested(7), "[[[[[[[:1]]]]]]]\nend");
    expect_broken(nested(8));
    expect_broken(nested(9));
    expect_broken(nested(1000));
}
END_TEST

START_TEST(announced_counts)
{
    expect_broken("*2147483647\r\n");
    expect_broken("*2147483648\r\n");
    expect_broken("*4294967297\r\n");
    expect_broken("*9223372036854775807\r\n");
    expect_broken("*1\r\n*2147483647\r\n:1\r\n");
    expect("*21845\r\n", "partial");
    expect_broken("*21846\r\n");
    expect("$536870911\r\nabc", "partial");
    expect("$9223372036854775807\r\nabc", "partial");
}
END_TEST

START_TEST(limit_of_a_string)
{
    const size_t limit = 1000;
    ReplyDecoder d;

    for (size_t wire = limit - 3; wire <= limit + 3; wire++) {
        const size_t n = wire - 8;      /* "$nnn\r\n" and "\r\n" */
        std::string in = "$" + std::to_string(n) + "\r\n" + std::string(n, 'x')
                         + "\r\n";
        ck_assert_uint_eq(in.size(), wire);
        for (size_t step : {size_t{1}, size_t{7}, size_t{999}, in.size()}) {
            std::string out;
            Result result = Result::need_more;
            ck_assert(d.reset());
            d.set_limit(limit);
            for (size_t at = 0; at < in.size(); at += step) {
                const size_t left = in.size() - at;
                result = d.feed(in.data() + at, step < left ? step : left);
                if (result == Result::need_more) {
                    result = drain(d, &out);
                }
            }
            ck_assert(result
                      == (wire <= limit ? Result::need_more : Result::broken));
            ck_assert(out.empty() == (wire > limit));
        }
    }
}
END_TEST

/* Feeds until the decoder refuses; returns how many bytes that took. */
static size_t stream(std::string_view head, std::string_view unit, size_t chunk)
{
    ReplyDecoder d;
    Reply r;
    std::string body(head);
    size_t fed = 0;

    ck_assert(d.reset());
    while (fed < 1024 * 1024) {
        while (body.size() < chunk) {
            body += unit;
        }
        fed += chunk;
        if (d.feed(body.data(), chunk) != Result::need_more
            || d.next(&r) != Result::need_more)
        {
            ck_assert(d.next(&r) == Result::broken);
            return fed;
        }
        body.erase(0, chunk);
    }
    return fed;
}

/* F09: each ends at the limit, whatever the packets' sizes. */
START_TEST(endless)
{
    const size_t limit = ReplyDecoder::kDefaultLimit;

    for (size_t chunk : {size_t{1}, size_t{100}, size_t{4096}, size_t{70000}}) {
        const size_t most = limit + chunk;
        ck_assert_uint_le(stream("+", "x", chunk), most);
        ck_assert_uint_le(stream("-ERR ", "e", chunk), most);
        ck_assert_uint_le(stream(":", "1", chunk), most);
        ck_assert_uint_le(stream("$536870911\r\n", "abc", chunk), most);
        ck_assert_uint_le(stream("$60000\r\n", "a", chunk), most);
        ck_assert_uint_le(stream("*21845\r\n", "$1\r\na\r\n", chunk), most);
        ck_assert_uint_le(stream("*", "1", chunk), most);
    }
}
END_TEST

START_TEST(limit_counts_one_reply)
{
    /* forty times the limit in all, each reply within it */
    std::string in;
    const std::string one = "$6400\r\n" + std::string(6400, 'y') + "\r\n";
    ReplyDecoder d;
    Reply r;
    size_t replies = 0;

    for (int i = 0; i < 400; i++) {
        in += one;
    }
    ck_assert(d.reset());
    ck_assert(d.feed(in.data(), in.size()) == Result::need_more);
    while (d.next(&r) == Result::reply) {
        ck_assert_uint_eq(r.text().size(), 6400);
        replies++;
    }
    ck_assert_uint_eq(replies, 400);
    ck_assert(!d.partial());
}
END_TEST

START_TEST(larger_limit)
{
    const std::string in = "$1000000\r\n" + std::string(1000000, 'z') + "\r\n";
    ReplyDecoder d;
    Reply r;

    for (int round = 0; round < 3; round++) {
        ck_assert(d.reset());
        d.set_limit(2 * 1024 * 1024);
        ck_assert(d.feed(in.data(), in.size()) == Result::need_more);
        ck_assert(d.next(&r) == Result::reply);
        ck_assert_uint_eq(r.text().size(), 1000000);
        ck_assert(d.next(&r) == Result::need_more);
        /* the large buffer has been given back; the stream goes on */
        ck_assert(d.feed("+OK\r\n", 5) == Result::need_more);
        ck_assert(d.next(&r) == Result::reply);
        ck_assert(r.is_status("OK"));
    }
    ck_assert(d.reset());
    ck_assert(d.feed(in.data(), in.size()) == Result::need_more);
    ck_assert(d.next(&r) == Result::broken);
}
END_TEST

/* F07 */
START_TEST(ten_thousand_in_one_feed)
{
    std::string in;
    ReplyDecoder d;
    Reply r;

    for (int i = 0; i < 10000; i++) {
        in += ":" + std::to_string(i) + "\r\n";
    }
    ck_assert(d.reset());
    ck_assert(d.feed(in.data(), in.size()) == Result::need_more);
    for (int i = 0; i < 10000; i++) {
        ck_assert(d.next(&r) == Result::reply);
        ck_assert_int_eq(r.integer(), i);
    }
    ck_assert(d.next(&r) == Result::need_more);
    ck_assert(!d.partial());
}
END_TEST

/* Eight times the bytes may not take much more than eight times as long. */
START_TEST(cost_is_linear)
{
    std::string in;
    ReplyDecoder d;
    Reply r;

    const std::string one = "$1000\r\n" + std::string(1000, 'x') + "\r\n";
    for (int i = 0; i < 4000; i++) {
        in += one;
    }
    double spent[2];
    const size_t sizes[2] = {in.size() / 8, in.size()};
    for (int i = 0; i < 2; i++) {
        spent[i] = 1e9;
        for (int round = 0; round < 5; round++) {
            timespec a, b;
            size_t replies = 0;
            ck_assert(d.reset());
            clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
            ck_assert(d.feed(in.data(), sizes[i]) == Result::need_more);
            while (d.next(&r) == Result::reply) {
                replies++;
            }
            clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
            ck_assert_uint_eq(replies, sizes[i] / one.size());
            const double s = static_cast<double>(b.tv_sec - a.tv_sec)
                             + static_cast<double>(b.tv_nsec - a.tv_nsec) / 1e9;
            spent[i] = s < spent[i] ? s : spent[i];
        }
    }
    ck_assert_double_lt(spent[1], 24 * spent[0]);
}
END_TEST

START_TEST(before_the_first_reset)
{
    ReplyDecoder d;
    Reply r;

    ck_assert(d.feed(":1\r\n", 4) == Result::no_memory);
    ck_assert(d.next(&r) == Result::no_memory);
    ck_assert(!d.partial());
}
END_TEST

int main()
{
    Suite *s = suite_create("reply");
    TCase *t = tcase_create("reply");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, every_type);
    tcase_add_test(t, bytes_of_a_string);
    tcase_add_test(t, arrays);
    tcase_add_test(t, children_by_index);
    tcase_add_test(t, several_replies);
    tcase_add_test(t, unfinished);
    tcase_add_test(t, garbage);
    tcase_add_test(t, gaps_of_the_reader);
    tcase_add_test(t, resp3);
    tcase_add_test(t, whole_replies_before_the_fault);
    tcase_add_test(t, broken_lasts);
    tcase_add_test(t, reset_forgets);
    tcase_add_test(t, reset_amid_many);
    tcase_add_test(t, nesting);
    tcase_add_test(t, announced_counts);
    tcase_add_test(t, limit_of_a_string);
    tcase_add_test(t, endless);
    tcase_add_test(t, limit_counts_one_reply);
    tcase_add_test(t, larger_limit);
    tcase_add_test(t, ten_thousand_in_one_feed);
    tcase_add_test(t, cost_is_linear);
    tcase_add_test(t, before_the_first_reset);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
