#include <check.h>
#include <yajl/yajl_tree.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>

#include "esputnik_quarantine.h"
#include "parsing.h"

using namespace esputnik;

namespace {

constexpr time_t kTime = 1795455725;   /* 2026-11-23T17:42:05Z */

std::string head(const Problem &problem, time_t now = kTime,
                 size_t size = kQuarantineHeadMax)
{
    std::string out(size + 8, '#');
    const size_t n = quarantine_head(problem, now, out.data(), size);
    ck_assert_uint_le(n, size);
    ck_assert(out.substr(size) == "########");
    out.resize(n);
    return out;
}

Problem with(Reason reason)
{
    Problem p;
    p.reason = reason;
    return p;
}

/* A member of the line, which must be JSON: its text, or "absent". */
std::string member(const std::string &line, const char *name)
{
    char error[256];
    yajl_val tree = yajl_tree_parse(line.c_str(), error, sizeof(error));
    ck_assert_msg(tree != nullptr, "%s\n%s", line.c_str(), error);

    const char *path[] = {name, nullptr};
    yajl_val v = yajl_tree_get(tree, path, yajl_t_any);
    std::string s = "absent";
    if (v != nullptr) {
        s = YAJL_IS_STRING(v) ? YAJL_GET_STRING(v) : YAJL_GET_NUMBER(v);
    }
    yajl_tree_free(tree);
    return s;
}

std::string detail(const Problem &problem)
{
    char out[256];
    return {out, problem_detail(problem, out, sizeof(out))};
}

/* One line: a line feed at its end, and no control byte before. */
void is_a_line(const std::string &line)
{
    ck_assert_uint_gt(line.size(), 2);
    ck_assert_int_eq(line.back(), '\n');
    ck_assert_int_eq(line[line.size() - 2], '}');
    for (size_t i = 0; i + 1 < line.size(); i++) {
        ck_assert_uint_ge(static_cast<unsigned char>(line[i]), 0x20);
    }
}

} // namespace

START_TEST(as_documented)
{
    Problem p = with(Reason::wrong_type);
    p.field = Field::contact_id;
    p.offset = 17;
    p.event = 0;

    ASSERT_TEXT(head(p), "{\"reason\":\"wrong_type\",\"detail\":\"" + detail(p)
                             + "\",\"offset\":17,\"event\":0,"
                               "\"field\":\"contactId\","
                               "\"time\":\"2026-11-23T17:42:05Z\"}\n");
}
END_TEST

START_TEST(what_is_not_known_is_not_there)
{
    ASSERT_TEXT(head(with(Reason::empty_body)),
                "{\"reason\":\"empty_body\",\"detail\":\""
                    + detail(with(Reason::empty_body))
                    + "\",\"time\":\"2026-11-23T17:42:05Z\"}\n");

    for (int known = 0; known < 8; known++) {
        Problem p = with(Reason::missing_field);
        p.offset = known & 1 ? 0 : Problem::kUnknown;
        p.event = known & 2 ? 3 : Problem::kUnknown;
        p.field = known & 4 ? Field::contact_id : Field::none;
        const std::string line = head(p);
        ASSERT_TEXT(member(line, "offset"), known & 1 ? "0" : "absent");
        ASSERT_TEXT(member(line, "event"), known & 2 ? "3" : "absent");
        ASSERT_TEXT(member(line, "field"), known & 4 ? "contactId" : "absent");
    }
}
END_TEST

/* Every reason with every field, and numbers as long as they come. */
START_TEST(any_problem)
{
    size_t longest = 0;

    for (int r = 0; r < static_cast<int>(Reason::count); r++) {
        for (size_t f = 0; f <= kFieldCount; f++) {
            Problem p = with(static_cast<Reason>(r));
            p.field = static_cast<Field>(f);   /* the last one is none */
            p.limit = UINT32_MAX;
            p.offset = Problem::kUnknown - 1;
            p.event = Problem::kUnknown - 1;
            p.note = "a note with \"quotes\", a \\ and \x01\xff";

            const std::string line = head(p);
            is_a_line(line);
            longest = std::max(longest, line.size());
            ASSERT_TEXT(member(line, "reason"),
                        std::string(reason_name(p.reason)));
            ASSERT_TEXT(member(line, "offset"), "18446744073709551614");
            ASSERT_TEXT(member(line, "event"), "18446744073709551614");
            ASSERT_TEXT(member(line, "field"),
                        p.field == Field::none
                            ? "absent"
                            : std::string(field_info(p.field).name));
            ASSERT_TEXT(member(line, "time"), "2026-11-23T17:42:05Z");
        }
    }
    ck_assert_uint_lt(longest, kQuarantineHeadMax);
}
END_TEST

START_TEST(the_detail_is_escaped)
{
    Problem p = with(Reason::not_json);
    p.note = "\"\\\n";
    const std::string line = head(p);
    is_a_line(line);
    ASSERT_TEXT(member(line, "detail"), detail(p));
}
END_TEST

START_TEST(times)
{
    const struct {
        time_t at;
        const char *text;
    } times[] = {
        {0, "1970-01-01T00:00:00Z"},
        {951782399, "2000-02-28T23:59:59Z"},
        {951782400, "2000-02-29T00:00:00Z"},
        {1767225599, "2025-12-31T23:59:59Z"},
        {2147483648, "2038-01-19T03:14:08Z"},
        {4102444800, "2100-01-01T00:00:00Z"},
    };

    /* in UTC, wherever the machine stands */
    for (const char *zone : {"UTC", "Europe/Kyiv", "XXX-5:45"}) {
        setenv("TZ", zone, 1);
        tzset();
        for (const auto &time : times) {
            ASSERT_TEXT(member(head(with(Reason::not_json), time.at), "time"),
                        time.text);
        }
    }
}
END_TEST

/* Memory that is too small is never overrun. */
START_TEST(too_small)
{
    Problem p = with(Reason::wrong_type);
    p.field = Field::contact_id;
    p.offset = 17;
    p.event = 0;
    const size_t whole = head(p).size();

    for (size_t size = 1; size <= whole + 1; size++) {
        const std::string line = head(p, kTime, size);
        ck_assert_uint_le(line.size(), size);
        if (size > whole) {
            ck_assert_uint_eq(line.size(), whole);
        }
    }
}
END_TEST

/* The offending bytes begin behind the first line feed, whatever they are. */
START_TEST(the_bytes_follow)
{
    for (const std::string &bytes :
         {std::string(), std::string("\n"), std::string("\n\n{}\n"),
          std::string("\0\xff\r\n", 4), std::string("[{\"contactId\":\"x\"")})
    {
        const std::string element = head(with(Reason::not_json)) + bytes;
        const size_t end = element.find('\n');
        ASSERT_TEXT(member(element.substr(0, end), "reason"), "not_json");
        ck_assert(element.substr(end + 1) == bytes);
    }
}
END_TEST

int main()
{
    Suite *s = suite_create("quarantine");
    TCase *t = tcase_create("quarantine");
    tcase_add_test(t, as_documented);
    tcase_add_test(t, what_is_not_known_is_not_there);
    tcase_add_test(t, any_problem);
    tcase_add_test(t, the_detail_is_escaped);
    tcase_add_test(t, times);
    tcase_add_test(t, too_small);
    tcase_add_test(t, the_bytes_follow);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
