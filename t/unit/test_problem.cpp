#include <check.h>

#include <yajl/yajl_tree.h>

#include <cstdlib>
#include <string>

#include "esputnik_problem.h"
#include "parsing.h"

using namespace esputnik;
using namespace std::string_view_literals;

namespace {

std::string detail(const Problem &p)
{
    char out[kProblemMax];
    return {out, problem_detail(p, out, sizeof(out))};
}

std::string json(const Problem &p, std::string_view text = {},
                 size_t size = kProblemMax)
{
    std::string out(size, '#');
    const size_t n = problem_json(p, text, out.data(), size);
    ck_assert_uint_le(n, size);
    out.resize(n);
    return out;
}

Problem with(Reason r, Field f = Field::none, uint32_t limit = 0)
{
    Problem p;
    p.reason = r;
    p.field = f;
    p.limit = limit;
    return p;
}

std::string escape(std::string_view in)
{
    std::string out(in.size() * 6, '#');
    out.resize(json_escape(in, out.data(), out.size()));
    return out;
}

void says(const Problem &p, const char *text)
{
    ASSERT_TEXT(detail(p), text);
}

/* The detail member, decoded by a JSON parser; the whole must be JSON. */
std::string decoded_detail(const std::string &text)
{
    char error[256];
    yajl_val tree = yajl_tree_parse(text.c_str(), error, sizeof(error));
    ck_assert_msg(tree != nullptr, "%s\n%s", text.c_str(), error);
    const char *path[] = {"detail", nullptr};
    const char *s = YAJL_GET_STRING(yajl_tree_get(tree, path, yajl_t_string));
    ck_assert_ptr_nonnull(s);
    std::string out = s;
    yajl_tree_free(tree);
    return out;
}

} // namespace

START_TEST(reasons)
{
    static const struct {
        Reason reason;
        const char *name;
        unsigned status;
        bool of_event;
    } kRows[] = {
        {Reason::empty_body, "empty_body", 400, false},
        {Reason::not_json, "not_json", 400, false},
        {Reason::bad_utf8, "bad_utf8", 400, false},
        {Reason::not_an_array, "not_an_array", 400, false},
        {Reason::not_an_object, "not_an_object", 400, false},
        {Reason::trailing_garbage, "trailing_garbage", 400, false},
        {Reason::too_deep, "too_deep", 400, false},
        {Reason::missing_field, "missing_field", 400, true},
        {Reason::wrong_type, "wrong_type", 400, true},
        {Reason::out_of_range, "out_of_range", 400, true},
        {Reason::duplicate_field, "duplicate_field", 400, true},
        {Reason::unknown_status, "unknown_status", 400, true},
        {Reason::bad_key, "bad_key", 400, true},
        {Reason::too_many_events, "too_many_events", 413, false},
        {Reason::body_too_large, "body_too_large", 413, false},
        {Reason::unsupported_encoding, "unsupported_encoding", 415, false},
        {Reason::body_timeout, "body_timeout", 408, false},
        {Reason::unauthorized, "unauthorized", 401, false},
        {Reason::method_not_allowed, "method_not_allowed", 405, false},
        {Reason::unavailable, "unavailable", 503, false},
    };
    ck_assert_uint_eq(sizeof(kRows) / sizeof(kRows[0]) + 1,
                      static_cast<size_t>(Reason::count));
    for (const auto &row : kRows) {
        ck_assert_str_eq(reason_name(row.reason).data(), row.name);
        ck_assert_uint_eq(reason_status(row.reason), row.status);
        ck_assert_int_eq(reason_of_event(row.reason), row.of_event);
        ck_assert(!reason_title(row.reason).empty());
    }
    ck_assert_str_eq(reason_name(Reason::none).data(), "none");
    ck_assert(!reason_of_event(Reason::none));
    ck_assert_str_eq(reason_title(Reason::missing_field).data(),
                     "A required field is missing");
}
END_TEST

START_TEST(details)
{
    says(with(Reason::wrong_type, Field::contact_id),
         "contactId must be an integer");
    says(with(Reason::wrong_type, Field::email), "email must be a string");
    says(with(Reason::wrong_type, Field::hard_bounce),
         "hardBounce must be true or false");
    says(with(Reason::wrong_type, Field::status_data),
         "statusData must be an object or an array");
    says(with(Reason::wrong_type, Field::subscriptions),
         "subscriptions must be an array of strings");
    says(with(Reason::wrong_type), "a field has the wrong type");
    says(with(Reason::missing_field, Field::contact_id),
         "a required field is missing: contactId");
    says(with(Reason::missing_field), "a required field is missing");
    says(with(Reason::out_of_range, Field::workflow_id),
         "workflowId must be an integer of at most 64 bits");
    says(with(Reason::out_of_range), "an integer does not fit 64 bits");
    says(with(Reason::duplicate_field, Field::iid), "iid is there twice");
    says(with(Reason::duplicate_field), "a field is there twice");
    says(with(Reason::unknown_status, Field::activity_status),
         "activityStatus is none of the documented values");
    says(with(Reason::too_deep, Field::none, 16),
         "an event is nested deeper than the limit of 16");
    says(with(Reason::too_many_events, Field::none, 4294967295u),
         "the body holds more events than the limit of 4294967295");
    says(with(Reason::empty_body),
         "the body is empty, expected a JSON array of events");
    Problem p = with(Reason::not_json);
    says(p, "the body is not JSON (RFC 8259)");
    p.note = "it ends too early";
    says(p, "the body is not JSON (RFC 8259): it ends too early");
    for (size_t r = 0; r < static_cast<size_t>(Reason::count); r++) {
        ck_assert(!detail(with(static_cast<Reason>(r))).empty());
    }
}
END_TEST

START_TEST(detail_cut)
{
    const Problem p = with(Reason::missing_field, Field::contact_id);
    const std::string whole = detail(p);
    for (size_t size = 0; size <= whole.size() + 1; size++) {
        std::string out(size + 1, '#');
        const size_t n = problem_detail(p, out.data(), size);
        ck_assert_uint_eq(n, size < whole.size() ? size : whole.size());
        ck_assert(out.compare(0, n, whole, 0, n) == 0);
        ck_assert_int_eq(out[n], '#');
    }
}
END_TEST

START_TEST(members)
{
    Problem p = with(Reason::missing_field, Field::contact_id);
    p.offset = 17;
    p.event = 3;
    ASSERT_TEXT(json(p),
                "{\"type\":\"urn:esputnik:problem:missing-field\","
                "\"title\":\"A required field is missing\",\"status\":400,"
                "\"detail\":\"a required field is missing: contactId\","
                "\"offset\":17,\"event\":3,\"field\":\"contactId\"}");
    ASSERT_TEXT(json(with(Reason::unavailable), "Redis is \"down\""),
                "{\"type\":\"urn:esputnik:problem:unavailable\","
                "\"title\":\"The events cannot be stored now\",\"status\":503,"
                "\"detail\":\"Redis is \\\"down\\\"\"}");
    p = with(Reason::not_json);
    p.offset = 0;
    ASSERT_TEXT(json(p),
                "{\"type\":\"urn:esputnik:problem:not-json\","
                "\"title\":\"The body is not JSON\",\"status\":400,"
                "\"detail\":\"the body is not JSON (RFC 8259)\",\"offset\":0}");
}
END_TEST

/* The longest of each member at once. */
START_TEST(largest)
{
    for (size_t r = 0; r < static_cast<size_t>(Reason::count); r++) {
        Problem p = with(static_cast<Reason>(r), Field::message_language_code,
                         UINT32_MAX);
        p.offset = SIZE_MAX - 1;
        p.event = SIZE_MAX - 1;
        ASSERT_TEXT(decoded_detail(json(p)), detail(p));

        const std::string text(5000, 'x');
        const std::string got = decoded_detail(json(p, text));
        ck_assert_uint_gt(got.size(), 500);
        ck_assert(text.compare(0, got.size(), got) == 0);
    }
}
END_TEST

/* Whatever the size: nothing, or JSON that fits. */
START_TEST(every_size)
{
    Problem p = with(Reason::wrong_type, Field::subscriptions);
    p.offset = 12345;
    p.event = 67;
    const std::string text = "\xD0\xBF\"\\\n\x01\xFF\xF0\x9F\x98\x80 end";
    size_t taken = 0;
    for (size_t size = 0; size <= 400; size++) {
        const std::string got = json(p, text, size);
        if (!got.empty()) {
            decoded_detail(got);
            taken++;
        }
    }
    ck_assert_uint_gt(taken, 100);
    ck_assert_uint_lt(taken, 400);
}
END_TEST

START_TEST(any_detail)
{
    std::string all;
    for (int c = 1; c < 256; c++) {
        all += static_cast<char>(c);
    }
    const std::string got = decoded_detail(json(with(Reason::bad_key), all));
    ck_assert(got.compare(0, 127, all, 0, 127) == 0);
    for (size_t i = 127; i < got.size();) {
        ASSERT_TEXT(got.substr(i, 3), "\xEF\xBF\xBD");
        i += 3;
    }
}
END_TEST

START_TEST(escaping)
{
    ASSERT_TEXT(escape(""), "");
    ASSERT_TEXT(escape("plain / \x7F"), "plain / \x7F");
    ASSERT_TEXT(escape("\"\\\b\f\n\r\t"), R"(\"\\\b\f\n\r\t)");
    ASSERT_TEXT(escape("\0\x01\x0B\x1F"sv), R"(\u0000\u0001\u000b\u001f)");
    ASSERT_TEXT(escape("\xD0\xBF\xF0\x9F\x98\x80"), "\xD0\xBF\xF0\x9F\x98\x80");
    ASSERT_TEXT(escape("a\xC0\xAF"
                       "b\xD0"),
                "a\xEF\xBF\xBD\xEF\xBF\xBD"
                "b\xEF\xBF\xBD");
}
END_TEST

/* It stops before what would not fit, and never half way. */
START_TEST(escaping_cut)
{
    const std::string in = "a\"\xD0\xBF\x01\xFF";
    const std::string whole = escape(in);
    ck_assert_uint_eq(whole.size(), 1 + 2 + 2 + 6 + 3);
    static const size_t kEnds[] = {0, 1, 1, 3,  3,  5,  5, 5,
                                   5, 5, 5, 11, 11, 11, 14};
    for (size_t size = 0; size <= whole.size(); size++) {
        std::string out(size, '#');
        ck_assert_uint_eq(json_escape(in, out.data(), size), kEnds[size]);
        ck_assert(out.compare(0, kEnds[size], whole, 0, kEnds[size]) == 0);
    }
}
END_TEST

int main()
{
    Suite *suite = suite_create("problem");
    TCase *tcase = tcase_create("problem");
    tcase_add_test(tcase, reasons);
    tcase_add_test(tcase, details);
    tcase_add_test(tcase, detail_cut);
    tcase_add_test(tcase, members);
    tcase_add_test(tcase, largest);
    tcase_add_test(tcase, every_size);
    tcase_add_test(tcase, any_detail);
    tcase_add_test(tcase, escaping);
    tcase_add_test(tcase, escaping_cut);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
