#include <check.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "esputnik_parser.h"
#include "parsing.h"

using namespace esputnik;
using namespace parsing;
using namespace std::string_view_literals;

namespace {

/* What the contract asks of every event. */
const std::string kRequired =
    "\"activityStatus\":\"READ\","
    "\"activityDateTime\":\"2023-09-14T08:30:03\",\"contactId\":7";

std::string repeat(const char *s, size_t times)
{
    std::string out;
    while (times-- > 0) {
        out += s;
    }
    return out;
}

/* An event of these members, nothing required; offset 2 is their first. */
void is(const std::string &members, const char *want)
{
    ASSERT_TEXT(outcome("[{" + members + "}]", lenient()), want);
}

ParseOptions want(FieldSet fields)
{
    ParseOptions o = lenient();
    o.wanted = fields;
    return o;
}

ParseOptions keep_going()
{
    ParseOptions o;
    o.keep_going = true;
    return o;
}

std::string value(const Parser &p, Field f, size_t event = 0)
{
    const Value v = p.batch().value(event, f);
    return v.data ? std::string(v.data, v.length) : "(none)";
}

} // namespace

START_TEST(events_are_slices)
{
    const std::string a = "{" + kRequired + "}";
    const std::string b = "{ \"x\" : [ 1 , {} ] , " + kRequired + " }";
    const std::string body = " [\n" + a + " , " + b + "\t]\r\n";
    Parser parser;
    ck_assert(parser.parse(body.data(), body.size(), {}) == ParseResult::ok);

    const Batch &batch = parser.batch();
    ck_assert_uint_eq(batch.events.size(), 2);
    ASSERT_TEXT(std::string(batch.bytes(batch.events[0])), a);
    ASSERT_TEXT(std::string(batch.bytes(batch.events[1])), b);
    ck_assert_uint_eq(batch.events[0].offset, 3);
    ck_assert_uint_eq(batch.events[0].problem, 0);
    ck_assert(batch.events[0].status == Status::read);
    ck_assert(batch.problems.empty());
    ck_assert(parser.problem().reason == Reason::none);
}
END_TEST

START_TEST(empty_array)
{
    ASSERT_TEXT(outcome("[]"), "ok 0");
    ASSERT_TEXT(outcome(" [ \n] "), "ok 0");
}
END_TEST

START_TEST(body_level)
{
    ASSERT_TEXT(outcome(""), "empty_body @0");
    ASSERT_TEXT(outcome("  \r\n\t"), "empty_body @5");
    ASSERT_TEXT(outcome("{}"), "not_an_array @0");
    ASSERT_TEXT(outcome("  {\"a\":["), "not_an_array @2");
    ASSERT_TEXT(outcome(" null"), "not_an_array @1");
    ASSERT_TEXT(outcome("\ttrue"), "not_an_array @1");
    ASSERT_TEXT(outcome("false "), "not_an_array @0");
    ASSERT_TEXT(outcome("\"x\""), "not_an_array @0");
    ASSERT_TEXT(outcome(" \"\\n\" "), "not_an_array @1");
    ASSERT_TEXT(outcome(" 12"), "not_an_array @1");
    ASSERT_TEXT(outcome(" 12 "), "not_an_array @1");
    ASSERT_TEXT(outcome("-1.5e3"), "not_an_array @0");
    ASSERT_TEXT(outcome("12 x"), "not_an_array @0");
    ASSERT_TEXT(outcome("tru"), "not_json @3");
    ASSERT_TEXT(outcome(" -"), "not_json @2");
    ASSERT_TEXT(outcome("\"x"), "not_json @2");
    ASSERT_TEXT(outcome(" hello"), "not_json @1");
    ASSERT_TEXT(outcome(" trux"), "not_json @1");
    ASSERT_TEXT(outcome(" ]"), "not_json @1");
    ASSERT_TEXT(outcome("\0"sv), "not_json @0");
    ASSERT_TEXT(outcome(" \xEF\xBB\xBF[]"), "not_json @1");
}
END_TEST

START_TEST(byte_order_mark)
{
    const std::string body = "\xEF\xBB\xBF[]";
    Parser parser;
    ASSERT_TEXT(outcome(parser, body, {}), "not_json @0");
    ASSERT_TEXT(parser.problem().note, "it starts with a byte order mark");
}
END_TEST

START_TEST(elements)
{
    ASSERT_TEXT(outcome("[1]"), "not_an_object @1 #0");
    ASSERT_TEXT(outcome("[ -12.5 ]"), "not_an_object @2 #0");
    ASSERT_TEXT(outcome("[null]"), "not_an_object @1 #0");
    ASSERT_TEXT(outcome("[true]"), "not_an_object @1 #0");
    ASSERT_TEXT(outcome("[ false]"), "not_an_object @2 #0");
    ASSERT_TEXT(outcome("[\"x\"]"), "not_an_object @1 #0");
    ASSERT_TEXT(outcome("[\"\\\"\\\\\"]"), "not_an_object @1 #0");
    ASSERT_TEXT(outcome("[[]]"), "not_an_object @1 #0");
    ASSERT_TEXT(outcome("[{}, [{}]]", lenient()), "not_an_object @5 #1");
    ParseOptions o = keep_going();
    ASSERT_TEXT(outcome("[{}, 7, {}]", o), "not_an_object @5 #1");
}
END_TEST

START_TEST(behind_the_array)
{
    ASSERT_TEXT(outcome("[] x"), "trailing_garbage @3");
    ASSERT_TEXT(outcome("[]tru"), "trailing_garbage @2");
    ASSERT_TEXT(outcome("[]-"), "trailing_garbage @2");
    ASSERT_TEXT(outcome("[] \""), "trailing_garbage @3");
    ASSERT_TEXT(outcome("[]\n[]"), "trailing_garbage @3");
    ASSERT_TEXT(outcome("[]]"), "trailing_garbage @2");
    ASSERT_TEXT(outcome("[],"), "trailing_garbage @2");
    ASSERT_TEXT(outcome("[]\0"sv), "trailing_garbage @2");
    ASSERT_TEXT(outcome("[]/**/"), "trailing_garbage @2");
    ASSERT_TEXT(outcome("[{}] x", lenient()), "trailing_garbage @5");
}
END_TEST

/* The offending token's first byte; the event when inside one. */
START_TEST(syntax_offsets)
{
    ASSERT_TEXT(outcome("[,]"), "not_json @1");
    ASSERT_TEXT(outcome("[{},]", lenient()), "not_json @4");
    ASSERT_TEXT(outcome("[{} {}]", lenient()), "not_json @4");
    ASSERT_TEXT(outcome("[}"), "not_json @1");
    ASSERT_TEXT(outcome("[ trux]"), "not_json @2");
    ASSERT_TEXT(outcome("[x"), "not_json @1");
    is("\"a\":01", "not_json @6 #0");
    is("\"a\":1.", "not_json @6 #0");
    is("\"a\": 1.x", "not_json @7 #0");
    is("\"a\":-", "not_json @6 #0");
    is("\"a\":+1", "not_json @6 #0");
    is("\"a\":1e+", "not_json @6 #0");
    is("\"a\":.5", "not_json @6 #0");
    is("\"a\":nulx", "not_json @6 #0");
    is("\"a\":NaN", "not_json @6 #0");
    is("\"a\":\"bc\\x\"", "not_json @6 #0");
    is("\"a\":\"\\\"\\u12G4\"", "not_json @6 #0");
    is("\"a\":\"tab\there\"", "not_json @6 #0");
    is("\"a\\q\":1", "not_json @2 #0");
    is("\"a\":'x'", "not_json @6 #0");
    is("\"a\" 1", "not_json @6 #0");
    is("\"a\":1,", "not_json @8 #0");
    is("a:1", "not_json @2 #0");
    is("\"a\":1 \"b\":2", "not_json @8 #0");
    is("\"a\":\"b\" \"c\"", "not_json @10 #0");
    is("\"a\":[1 2]", "not_json @9 #0");
    is("\"a\":[1}", "not_json @8 #0");
    is("\"a\":/**/1", "not_json @6 #0");
    is("\"a\": /**/1", "not_json @7 #0");
    is("\"a\"/**/:1", "not_json @5 #0");
    is("\"a\":1,/**/\"b\":1", "not_json @8 #0");
    is("\"a\":[,/**/]", "not_json @7 #0");
    is("\"a\"::/**/1", "not_json @6 #0");
    is("\"a\":,/**/1", "not_json @6 #0");
    is("/**/", "not_json @2 #0");
    ASSERT_TEXT(outcome("/**/[]"), "not_json @0");
    ASSERT_TEXT(outcome("[/**/]"), "not_json @1");
    ASSERT_TEXT(outcome("[{},/**/{}]", lenient()), "not_json @4");
    is("\"a\":1\"\"", "not_json @7 #0");
    is("\"a\":1\"b\"", "not_json @7 #0");
    is("\"a\":\"\"]", "not_json @8 #0");
    is("\"a\":1]", "not_json @7 #0");
    is("\"a\"]", "not_json @5 #0");
    is("\"\"\"\"", "not_json @4 #0");
    is("\"a\":[]1", "not_json @8 #0");
    is("\"a\":[1,2}", "not_json @10 #0");
    is("\"a\":1,2", "not_json @8 #0");
    is("\"a\":1,:", "not_json @8 #0");
    is("\"a\":1::", "not_json @7 #0");
    is("\"a\"::", "not_json @6 #0");
    is("\"a\",", "not_json @5 #0");
    is("\"a\":,", "not_json @6 #0");
    is("\"a\":]", "not_json @6 #0");
    is("]", "not_json @2 #0");
    is(",", "not_json @2 #0");
    is("\"a\":{}{}", "not_json @8 #0");
    is("\"a\":\"x\"y", "not_json @9 #0");
    is("\"a\":\"\\n\"\"\\n\"", "not_json @10 #0");
    ASSERT_TEXT(outcome("[{}{}]", lenient()), "not_json @3");
    ASSERT_TEXT(outcome("[{}\"\"]", lenient()), "not_json @3");
    ASSERT_TEXT(outcome("[{}}", lenient()), "not_json @3");
    ASSERT_TEXT(outcome("[{},,]", lenient()), "not_json @4");
    ASSERT_TEXT(outcome("[{}::]", lenient()), "not_json @3");
    is("\"a\":\x80", "bad_utf8 @6 #0");
    ASSERT_TEXT(outcome("[{\"a\":1},{\"b\":x}]", lenient()), "not_json @14 #1");
}
END_TEST

START_TEST(ends_too_early)
{
    static const char *const kTexts[] = {
        "[",         "[ ",          "[{",         "[{\"",        "[{\"a",
        "[{\"a\\",   "[{\"a\\u00",  "[{\"a\"",    "[{\"a\":",    "[{\"a\":t",
        "[{\"a\":-", "[{\"a\":1",   "[{\"a\":1.", "[{\"a\":1e",  "[{\"a\":\"x",
        "[{\"a\":[", "[{\"a\":[1,", "[{\"a\":1}", "[{\"a\":1},", "[{\"a\":1} ",
    };
    for (std::string text : kTexts) {
        const size_t depth = text.find('{') != text.npos
                             && text.find('}') == text.npos;
        Parser parser;
        ASSERT_TEXT(outcome(parser, text, lenient()),
                    "not_json @" + std::to_string(text.size())
                        + (depth ? " #0" : ""));
        ASSERT_TEXT(parser.problem().note, "it ends too early");
    }
}
END_TEST

START_TEST(utf8_and_gaps)
{
    ASSERT_TEXT(outcome("\xFF"), "bad_utf8 @0");
    ASSERT_TEXT(outcome("[]\xFF"), "bad_utf8 @2");
    ASSERT_TEXT(outcome("[\xC0]"), "bad_utf8 @1");
    is("\"a\":\"\xC0\xAF\"", "bad_utf8 @7 #0");
    is("\"a\":\"\xD0\xBF\xED\xA0\x80\"", "bad_utf8 @9 #0");
    is("\"\xF4\x90\x80\x80\":1", "bad_utf8 @3 #0");
    is("\"a\":\"\xD0\"", "bad_utf8 @7 #0");
    ASSERT_TEXT(outcome("[{\"a\":\"\xD0"), "bad_utf8 @7 #0");
    ASSERT_TEXT(outcome("[{\"a\":\"\xF0\x9F\x98"), "bad_utf8 @7 #0");
    ASSERT_TEXT(outcome("\v"), "not_json @0");
    ASSERT_TEXT(outcome(" \f"), "not_json @1");
    ASSERT_TEXT(outcome("[\v]"), "not_json @1");
    ASSERT_TEXT(outcome("[]\f"), "not_json @2");
    ASSERT_TEXT(outcome("[{}\v,{}]", lenient()), "not_json @3");
    is("\"a\":\v1", "not_json @6 #0");
    is("\"a\":tr\vue", "not_json @6 #0");
    is("\"a\":\"x\vy\"", "not_json @6 #0");
    /* in the second of three events */
    ASSERT_TEXT(outcome("[{},{\"a\":\"\xFF\"},{}]", lenient()),
                "bad_utf8 @10 #1");
    ASSERT_TEXT(outcome("[{},\xFF{}]", lenient()), "bad_utf8 @4");
}
END_TEST

/* Of two faults the earlier one. */
START_TEST(first_fault)
{
    is("\"a\":01,\"b\":\"\xFF\"", "not_json @6 #0");
    is("\"b\":\"\xFF\",\"a\":01", "bad_utf8 @7 #0");
    is("\"b\":\v1,\"a\":01", "not_json @6 #0");
    is("\"contactId\":\"\",\"b\":\"\xFF\"", "wrong_type @14 #0 contactId");
    is("\"b\":\"\xFF\",\"contactId\":\"\"", "bad_utf8 @7 #0");
    /* a field is missing only when its event is whole */
    ASSERT_TEXT(outcome("[{\"b\":\"\xFF\"}]"), "bad_utf8 @7 #0");
    ASSERT_TEXT(outcome("[{\"b\":\"\"},{\"b\":\"\xFF\"}]"),
                "missing_field @1 #0 activityDateTime");
    ASSERT_TEXT(outcome("[{\"b\":1] x \xFF"), "not_json @7 #0");
    ASSERT_TEXT(outcome("[] x \xFF"), "trailing_garbage @3");
    ASSERT_TEXT(outcome("12 \xFF"), "not_an_array @0");
}
END_TEST

START_TEST(depth)
{
    const auto nested = [](size_t n) {
        return "[{\"a\":" + std::string(n, '[') + std::string(n, ']') + "}]";
    };
    ASSERT_TEXT(outcome(nested(16), lenient()), "ok 1");
    ASSERT_TEXT(outcome(nested(17), lenient()), "too_deep @22 #0 limit 16");
    const std::string maps = "[{\"a\":" + repeat("{\"b\":", 16) + "{}"
                             + std::string(16, '}') + "}]";
    ASSERT_TEXT(outcome(maps, lenient()), "too_deep @86 #0 limit 16");

    ParseOptions o = lenient();
    o.keep_going = true;
    ASSERT_TEXT(outcome("[{},{\"a\":[[1]]}]", o), "ok 2");
    o.max_depth = 1;
    ASSERT_TEXT(outcome("[{},{\"a\":[],\"b\":{}}]", o), "ok 2");
    ASSERT_TEXT(outcome("[{},{\"a\":[[1]]}]", o), "too_deep @10 #1 limit 1");
    o.max_depth = 0;
    ASSERT_TEXT(outcome("[{\"a\":1}]", o), "ok 1");
    ASSERT_TEXT(outcome("[{\"a\": {}}]", o), "too_deep @7 #0");
    o.max_depth = 100000;
    ASSERT_TEXT(outcome(nested(100000), o), "ok 1");
    ASSERT_TEXT(outcome(nested(100001), o), "too_deep @100006 #0 limit 100000");
    o.max_depth = 4294967295u;
    ASSERT_TEXT(outcome(nested(1 << 20), o), "ok 1");
}
END_TEST

START_TEST(nesting_attacks)
{
    const size_t n = 1 << 20;
    ASSERT_TEXT(outcome(std::string(n, '[')), "not_an_object @1 #0");
    ASSERT_TEXT(outcome(std::string(n, '{')), "not_an_array @0");
    ASSERT_TEXT(outcome("[{\"a\":" + std::string(n, '[')),
                "too_deep @22 #0 limit 16");
    ASSERT_TEXT(outcome("[" + repeat("{\"a\":", n / 8)),
                "too_deep @86 #0 limit 16");
    ASSERT_TEXT(outcome("[{\"a\":\"" + std::string(n, 'x')),
                "not_json @" + std::to_string(n + 7) + " #0");
    ASSERT_TEXT(outcome("[{\"a\":\"\\n" + std::string(n, 'x')),
                "not_json @" + std::to_string(n + 9) + " #0");
    ASSERT_TEXT(outcome("[{\"a\":" + std::string(n, '1')),
                "not_json @" + std::to_string(n + 6) + " #0");
    is("\"a\":" + std::string(n, '1'), "ok 1");
    is("\"a\":\"" + repeat("\\n", n) + "\"", "ok 1");
    is("\"" + repeat("\\\"", n) + "\":1", "ok 1");
    is("\"email\":\"" + std::string(n, '\\') + "\",\"email\":1",
       "duplicate_field @1048589 #0 email");
}
END_TEST

START_TEST(how_many_events)
{
    ParseOptions o = lenient();
    o.max_events = 2;
    ASSERT_TEXT(outcome("[{},{}]", o), "ok 2");
    ASSERT_TEXT(outcome("[{},{}, {}]", o), "too_many_events @8 #2 limit 2");
    o.keep_going = true;
    ASSERT_TEXT(outcome("[{},{},{},x", o), "too_many_events @7 #2 limit 2");
    const std::string full = "[" + repeat("{},", 9999) + "{}";
    ASSERT_TEXT(outcome(full + "]", lenient()), "ok 10000");
    ASSERT_TEXT(outcome(full + ",{}]", lenient()),
                "too_many_events @30001 #10000 limit 10000");
}
END_TEST

START_TEST(required_fields)
{
    ASSERT_TEXT(outcome("[{" + kRequired + "}]"), "ok 1");
    ASSERT_TEXT(outcome("[ {\"activityStatus\":\"READ\",\"contactId\":7}]"),
                "missing_field @2 #0 activityDateTime");
    ASSERT_TEXT(outcome("[{\"activityDateTime\":\"\",\"contactId\":7}]"),
                "missing_field @1 #0 activityStatus");
    ASSERT_TEXT(outcome("[{" + kRequired + "},{}]"),
                "missing_field @82 #1 activityDateTime");
    /* nested ones do not count, null ones neither */
    ASSERT_TEXT(outcome("[{\"a\":{" + kRequired + "}}]"),
                "missing_field @1 #0 activityDateTime");
    ASSERT_TEXT(outcome("[{\"activityStatus\":\"READ\",\"contactId\":null,"
                        "\"activityDateTime\":\"\"}]"),
                "missing_field @1 #0 contactId");

    ParseOptions o = lenient();
    o.required = field_bit(Field::iid) | field_bit(Field::subscriptions)
                 | field_bit(Field::status_data)
                 | field_bit(Field::hard_bounce);
    ASSERT_TEXT(outcome("[{\"iid\":\"\",\"subscriptions\":[],"
                        "\"statusData\":{},\"hardBounce\":false}]",
                        o),
                "ok 1");
    ASSERT_TEXT(outcome("[{\"iid\":\"\",\"subscriptions\":null,"
                        "\"statusData\":{},\"hardBounce\":false}]",
                        o),
                "missing_field @1 #0 subscriptions");
    /* an unknown status is one */
    o.required = field_bit(Field::activity_status);
    ASSERT_TEXT(outcome("[{\"activityStatus\":\"\"}]", o), "ok 1");
}
END_TEST

/* Every documented field against every kind of value. */
START_TEST(types)
{
    static const struct {
        const char *text;
        FieldType types[2];
        size_t count;
    } kValues[] = {
        {"\"x\"", {FieldType::string}, 1},
        {"\"\"", {FieldType::string}, 1},
        {"\"\\u0041\\n\"", {FieldType::string}, 1},
        {"12", {FieldType::integer}, 1},
        {"-0", {FieldType::integer}, 1},
        {"1.0", {}, 0},
        {"1e3", {}, 0},
        {"1E+2", {}, 0},
        {"true", {FieldType::boolean}, 1},
        {"false", {FieldType::boolean}, 1},
        {"{}", {FieldType::container}, 1},
        {"{\"a\":1}", {FieldType::container}, 1},
        {"[]", {FieldType::container, FieldType::string_array}, 2},
        {"[\"a\",\"\\n\"]", {FieldType::container, FieldType::string_array}, 2},
        {"[1]", {FieldType::container}, 1},
    };
    for (size_t i = 0; i < kFieldCount; i++) {
        const FieldInfo &info = field_info(static_cast<Field>(i));
        const std::string name(info.name);
        const std::string start = "[{\"" + name + "\": ";

        for (const auto &v : kValues) {
            bool right = false;
            for (size_t t = 0; t < v.count; t++) {
                right |= v.types[t] == info.type;
            }
            size_t at = start.size();
            if (info.type == FieldType::string_array
                && std::string_view(v.text) == "[1]") {
                at++; /* the element is what is wrong */
            }
            const std::string bad = "wrong_type @" + std::to_string(at) + " #0 "
                                    + name;
            for (FieldSet wanted : {FieldSet{0}, ~FieldSet{0}}) {
                ASSERT_TEXT(outcome(start + v.text + "}]", want(wanted)),
                            right ? "ok 1" : bad);
            }
        }
        ASSERT_TEXT(outcome(start + "null}]", want(~FieldSet{0})), "ok 1");
        ASSERT_TEXT(outcome(start + "null,\"" + name + "\":null}]", lenient()),
                    "duplicate_field @" + std::to_string(start.size() + 5)
                        + " #0 " + name);
    }
}
END_TEST

START_TEST(integers)
{
    static const char *const kGood[] = {
        "0",
        "-0",
        "1",
        "-1",
        "12",
        "123",
        "1234",
        "12345",
        "1234567",
        "12345678",
        "123456789",
        "1234567890123456",
        "12345678901234567",
        "999999999999999999",
        "-999999999999999999",
        "1967597908",
        "9223372036854775807",
        "-9223372036854775808",
        "1000000000000000000",
    };
    static const char *const kRange[] = {
        "9223372036854775808",   "-9223372036854775809",
        "9999999999999999999",   "10000000000000000000",
        "-10000000000000000000", "123456789012345678901234567890",
    };
    static const char *const kWrong[] = {
        "0.0",
        "1.5",
        "-1.0",
        "1e0",
        "1E5",
        "1e+5",
        "10e-1",
        "1234567.5",
        "12345678.5",
        "1234567890123456.7",
        "123456789012345678.9",
        "1234567890123456789.5",
        "12345678901234567890.5",
        "1e400",
        "0e0",
        "99999999999999999999999e9",
        "0.00000000000000000000",
    };
    for (const char *text : kGood) {
        is("\"contactId\":" + std::string(text), "ok 1");
    }
    for (const char *text : kRange) {
        is("\"contactId\":" + std::string(text),
           "out_of_range @14 #0 contactId");
        is("\"unknown\":" + std::string(text), "ok 1");
    }
    for (const char *text : kWrong) {
        is("\"contactId\":" + std::string(text), "wrong_type @14 #0 contactId");
        is("\"unknown\":" + std::string(text), "ok 1");
    }
    is("\"contactId\":" + std::string(5000, '9'),
       "out_of_range @14 #0 contactId");
    is("\"contactId\":" + std::string(5000, '9') + ".5",
       "wrong_type @14 #0 contactId");
}
END_TEST

START_TEST(containers)
{
    is("\"subscriptions\":[\"a\",null]", "wrong_type @23 #0 subscriptions");
    is("\"subscriptions\":[\"a\", true]", "wrong_type @24 #0 subscriptions");
    is("\"subscriptions\":[\"a\",12]", "wrong_type @23 #0 subscriptions");
    is("\"subscriptions\":[[]]", "wrong_type @19 #0 subscriptions");
    is("\"subscriptions\":[\"a\",{}]", "wrong_type @23 #0 subscriptions");
    is("\"subscriptions\":{}", "wrong_type @18 #0 subscriptions");
    is("\"subscriptions\":[\"a\"],\"x\":[1,{\"y\":null}]", "ok 1");
    is("\"statusData\":{\"contactId\":\"x\",\"a\":[1]}", "ok 1");
    is("\"statusData\":[1,[\"x\"],{}]", "ok 1");
    is("\"subscription\":[{\"subscriptions\":[1]}],\"iid\":\"x\"", "ok 1");
    is("\"statusData\":{},\"iid\":1", "wrong_type @24 #0 iid");
    is("\"subscription\":{},\"contactId\":{}", "wrong_type @32 #0 contactId");
    /* in an undocumented container after a documented key */
    is("\"contactId\":1,\"x\":[\"a\",true,null,1.5,{\"contactId\":\"\"}]",
       "ok 1");
}
END_TEST

START_TEST(duplicates)
{
    is("\"contactId\":1,\"contactId\":2", "duplicate_field @16 #0 contactId");
    is("\"contactId\":1, \"contact\\u0049d\":2",
       "duplicate_field @17 #0 contactId");
    is("\"\\u0063ontactId\":1,\"contactId\":2",
       "duplicate_field @21 #0 contactId");
    is("\"contactId\":null,\"contactId\":2",
       "duplicate_field @19 #0 contactId");
    is("\"a\":1,\"a\":2", "ok 1");
    is("\"contactId\":1,\"a\":{\"contactId\":2,\"contactId\":3}", "ok 1");
    is("\"contactid\":1,\"contactId\":2", "ok 1");
    ASSERT_TEXT(outcome("[{\"contactId\":1},{\"contactId\":1}]", lenient()),
                "ok 2");
    /* before the value is looked at */
    is("\"iid\":\"\",\"iid\":[", "duplicate_field @11 #0 iid");
}
END_TEST

/* Where an escaped string begins is found from its end. */
START_TEST(escaped_offsets)
{
    is("\"contactId\":\"\\n\"", "wrong_type @14 #0 contactId");
    is("\"contactId\":\"\\\"\"", "wrong_type @14 #0 contactId");
    is("\"contactId\":\"\\\\\"", "wrong_type @14 #0 contactId");
    is("\"contactId\":\"\\\\\\\"\"", "wrong_type @14 #0 contactId");
    is("\"contactId\":\"\\\"a\\\\\\\"\\\\\"", "wrong_type @14 #0 contactId");
    is("\"contactId\": \"x\\\\\\\\\\\"\\u0022\"",
       "wrong_type @15 #0 contactId");
    is("\"contactId\":\"\\ud800\"", "wrong_type @14 #0 contactId");
}
END_TEST

START_TEST(status)
{
    ParseOptions strict = lenient();
    strict.reject_unknown_status = true;
    const auto body = [](const char *value) {
        return "[{\"activityStatus\":" + std::string(value) + "}]";
    };
    ASSERT_TEXT(outcome(body("\"OPENED\""), lenient()), "ok 1");
    ASSERT_TEXT(outcome(body(" \"OPENED\""), strict),
                "unknown_status @20 #0 activityStatus");
    ASSERT_TEXT(outcome(body("\"\\u004fPENED\""), strict),
                "unknown_status @19 #0 activityStatus");
    ASSERT_TEXT(outcome(body("\"\""), strict),
                "unknown_status @19 #0 activityStatus");
    ASSERT_TEXT(outcome(body("\"R\\u0045AD\""), strict), "ok 1");
    ASSERT_TEXT(outcome(body("null"), strict), "ok 1");
    ASSERT_TEXT(outcome("[{}]", strict), "ok 1");
}
END_TEST

START_TEST(status_counts)
{
    const std::string text =
        "[{\"activityStatus\":\"READ\"},{\"activityStatus\":\"READ\"},"
        "{\"activityStatus\":\"SPAM\"},{\"activityStatus\":\"NEW\"},"
        "{\"activityStatus\":null},{},{\"activityStatus\":\"READ\",\"iid\":1}]";
    ParseOptions o = lenient();
    o.keep_going = true;
    Parser parser;
    ASSERT_TEXT(outcome(parser, text, o), "ok 7; wrong_type @"
                                              + std::to_string(text.size() - 3)
                                              + " #6 iid");
    const size_t *count = parser.batch().status_count;
    ck_assert_uint_eq(count[static_cast<size_t>(Status::read)], 2);
    ck_assert_uint_eq(count[static_cast<size_t>(Status::spam)], 1);
    ck_assert_uint_eq(count[static_cast<size_t>(Status::unknown)], 1);
    ck_assert_uint_eq(count[static_cast<size_t>(Status::absent)], 2);
    ck_assert_uint_eq(count[static_cast<size_t>(Status::sent)], 0);
    ck_assert(parser.batch().events[3].status == Status::unknown);
    ck_assert(parser.batch().events[4].status == Status::absent);

    ASSERT_TEXT(outcome(parser, "[1]", o), "not_an_object @1 #0");
    ck_assert_uint_eq(count[static_cast<size_t>(Status::read)], 0);
}
END_TEST

START_TEST(going_on)
{
    const std::string good = "{" + kRequired + "}";
    ParseOptions o = keep_going();
    o.reject_unknown_status = true;
    ASSERT_TEXT(outcome("[" + good + "]", o), "ok 1");
    ASSERT_TEXT(
        outcome("[{}," + good + ",{\"contactId\":\"x\"}," + good + "]", o),
        "ok 4; missing_field @1 #0 activityDateTime; "
        "wrong_type @98 #2 contactId");
    /* nulls of one event are not those of the next */
    ASSERT_TEXT(outcome("[{\"contactId\":null,\"iid\":null}," + good + "]", o),
                "ok 2; missing_field @1 #0 activityDateTime");
    /* the first one of an event is noted */
    ASSERT_TEXT(outcome("[{\"iid\":1,\"email\":2,\"iid\":3}]", o),
                "ok 1; wrong_type @8 #0 iid");
    ASSERT_TEXT(outcome("[{\"iid\":null,\"iid\":3}]", o),
                "ok 1; duplicate_field @13 #0 iid");
    ASSERT_TEXT(outcome("[{\"activityStatus\":\"X\",\"contactId\":1e5}]", o),
                "ok 1; unknown_status @19 #0 activityStatus");
    ASSERT_TEXT(outcome("[{\"contactId\":99999999999999999999}]", o),
                "ok 1; out_of_range @14 #0 contactId");
    ASSERT_TEXT(
        outcome("[{\"subscriptions\":[1,2,{\"a\":[]},\"x\"],\"a\":1}]", o),
        "ok 1; wrong_type @19 #0 subscriptions");
    ASSERT_TEXT(outcome("[{\"subscriptions\":{\"a\":[1]},\"iid\":1}]", o),
                "ok 1; wrong_type @18 #0 subscriptions");
    ASSERT_TEXT(outcome("[{\"contactId\":[{\"a\":[1]}]}]", o),
                "ok 1; wrong_type @14 #0 contactId");
    /* the rest of a bad event still has to be JSON, and UTF-8, and flat */
    ASSERT_TEXT(outcome("[{\"iid\":1,\"a\":x}]", o), "not_json @14 #0");
    ASSERT_TEXT(outcome("[{\"iid\":1,\"a\":\"\xFF\"}]", o), "bad_utf8 @15 #0");
    ASSERT_TEXT(outcome("[{\"iid\":1,\"a\":" + std::string(20, '['), o),
                "too_deep @30 #0 limit 16");
    ASSERT_TEXT(outcome("[{\"iid\":1}", o), "not_json @10");
    ASSERT_TEXT(outcome("[{\"iid\":1}]]", o), "trailing_garbage @11");
}
END_TEST

START_TEST(values)
{
    const std::string text =
        "[{\"email\":\"a@b\",\"contactId\":-12,\"hardBounce\":true,"
        "\"iid\":\"\",\"sms\":null,\"statusData\":{},\"messageId\":5},"
        "{\"hardBounce\": false,\"email\":\"x\\ty\",\"messageId\":6}]";
    Parser parser;
    const FieldSet wanted = ~field_bit(Field::message_id);
    ck_assert(parser.parse(text.data(), text.size(), want(wanted))
              == ParseResult::ok);
    ASSERT_TEXT(value(parser, Field::email), "a@b");
    ASSERT_TEXT(value(parser, Field::contact_id), "-12");
    ASSERT_TEXT(value(parser, Field::hard_bounce), "true");
    ASSERT_TEXT(value(parser, Field::iid), "");
    ASSERT_TEXT(value(parser, Field::sms), "(none)");
    ASSERT_TEXT(value(parser, Field::viber), "(none)");
    ASSERT_TEXT(value(parser, Field::status_data), "(none)");
    ASSERT_TEXT(value(parser, Field::message_id), "(none)");
    ASSERT_TEXT(value(parser, Field::none), "(none)");
    ASSERT_TEXT(value(parser, Field::hard_bounce, 1), "false");
    ASSERT_TEXT(value(parser, Field::email, 1), "x\ty");
    ASSERT_TEXT(value(parser, Field::contact_id, 1), "(none)");

    ck_assert(parser.parse(text.data(), text.size(), lenient())
              == ParseResult::ok);
    ASSERT_TEXT(value(parser, Field::email), "(none)");
    ck_assert(parser.batch().values.empty());
}
END_TEST

/* Each alone and all of them: the place in the batch follows the set. */
START_TEST(every_wanted_field)
{
    std::string text = "[{";
    for (size_t i = 0; i < kFieldCount; i++) {
        const FieldInfo &info = field_info(static_cast<Field>(i));
        text += i ? ",\"" : "\"";
        text += std::string(info.name) + "\":";
        text += info.type == FieldType::integer   ? std::to_string(i)
                : info.type == FieldType::boolean ? "true"
                : info.type == FieldType::string
                    ? "\"v" + std::to_string(i) + "\""
                    : "[]";
    }
    text += "},{}]";

    for (size_t only = 0; only <= kFieldCount; only++) {
        const FieldSet wanted = only == kFieldCount
                                    ? ~FieldSet{0}
                                    : field_bit(static_cast<Field>(only));
        Parser parser;
        ck_assert(parser.parse(text.data(), text.size(), want(wanted))
                  == ParseResult::ok);
        for (size_t i = 0; i < kFieldCount; i++) {
            const Field f = static_cast<Field>(i);
            const FieldInfo &info = field_info(f);
            const bool there = (only == i || only == kFieldCount)
                               && info.scalar();
            ASSERT_TEXT(value(parser, f), !there ? "(none)"
                                          : info.type == FieldType::integer
                                              ? std::to_string(i)
                                          : info.type == FieldType::boolean
                                              ? "true"
                                              : "v" + std::to_string(i));
            ASSERT_TEXT(value(parser, f, 1), "(none)");
        }
    }
}
END_TEST

/* Resolved strings of all events stay where they are until the next parse. */
START_TEST(escaped_values)
{
    std::string text = "[";
    for (size_t i = 0; i < 3000; i++) {
        text += (i ? "," : "");
        text +=
            "{\"email\":\"\\u0441\\\"" + std::to_string(i)
            + "\\\\\",\"messageName\":\"\\ud83d\\ude00\",\"from\":\"plain\"}";
    }
    text += "]";
    Parser parser;
    const Guarded bytes(text);
    ck_assert(parser.parse(bytes.data(), bytes.size(),
                           want(field_bit(Field::email)
                                | field_bit(Field::message_name)
                                | field_bit(Field::from)))
              == ParseResult::ok);
    for (size_t i = 0; i < 3000; i++) {
        ASSERT_TEXT(value(parser, Field::email, i),
                    "\xD1\x81\"" + std::to_string(i) + "\\");
        ASSERT_TEXT(value(parser, Field::message_name, i), "\xF0\x9F\x98\x80");
        ASSERT_TEXT(value(parser, Field::from, i), "plain");
    }
}
END_TEST

START_TEST(escaped_value_texts)
{
    static const struct {
        const char *raw;
        std::string_view text;
    } kRows[] = {
        {R"(\n)", "\n"},
        {R"(\u0000)", "\0"sv},
        {R"(a\/b)", "a/b"},
        {R"(\ud800)", "\xEF\xBF\xBD"},
        {R"(\ud800x\"y)", "\xEF\xBF\xBDx\"y"},
        {R"(\ud800\u0041)", "\xEF\xBF\xBD"
                            "A"},
        {R"(\\\")", "\\\""},
    };
    for (const auto &row : kRows) {
        const std::string text = "[{\"email\":\"" + std::string(row.raw)
                                 + "\",\"from\":\"" + row.raw + "\"}]";
        Parser parser;
        ck_assert(parser.parse(text.data(), text.size(), want(~FieldSet{0}))
                  == ParseResult::ok);
        ASSERT_TEXT(value(parser, Field::email), std::string(row.text));
        ASSERT_TEXT(value(parser, Field::from), std::string(row.text));
    }
}
END_TEST

/* With keep_going a bad event's values stay its own. */
START_TEST(values_beside_bad_events)
{
    ParseOptions o = want(field_bit(Field::email) | field_bit(Field::iid));
    o.keep_going = true;
    const std::string text = "[{\"email\":1,\"iid\":\"a\"},{\"email\":\"b\"}]";
    Parser parser;
    ck_assert(parser.parse(text.data(), text.size(), o) == ParseResult::ok);
    ASSERT_TEXT(value(parser, Field::email, 0), "(none)");
    ASSERT_TEXT(value(parser, Field::iid, 0), "a");
    ASSERT_TEXT(value(parser, Field::email, 1), "b");
    ASSERT_TEXT(value(parser, Field::iid, 1), "(none)");
}
END_TEST

/* Nothing of one body is seen in the next. */
START_TEST(used_again)
{
    Parser parser;
    const std::string good = "[{" + kRequired + ",\"email\":\"\\n\"}]";
    ParseOptions o;
    o.wanted = field_bit(Field::email);
    for (int i = 0; i < 3; i++) {
        ASSERT_TEXT(outcome(parser, "[{\"contactId\":\"", o),
                    "not_json @15 #0");
        ASSERT_TEXT(outcome(parser, good, o), "ok 1");
        ck_assert(parser.problem().reason == Reason::none);
        ck_assert(parser.problem().note == nullptr);
        ck_assert_uint_eq(parser.problem().offset, Problem::kUnknown);
        ASSERT_TEXT(outcome(parser, "[{\"contactId\":1.5}]", o),
                    "wrong_type @14 #0 contactId");
        ASSERT_TEXT(
            outcome(parser, "[" + repeat("{},", 5) + "{}]", keep_going()),
            "ok 6; missing_field @1 #0 activityDateTime; "
            "missing_field @4 #1 activityDateTime; "
            "missing_field @7 #2 activityDateTime; "
            "missing_field @10 #3 activityDateTime; "
            "missing_field @13 #4 activityDateTime; "
            "missing_field @16 #5 activityDateTime");
        ASSERT_TEXT(outcome(parser, "[]", o), "ok 0");
        ck_assert(parser.batch().problems.empty());
        parser.trim();
    }
}
END_TEST

/* Refused wherever it is cut, at the cut or at a character cut in two. */
START_TEST(cut_at_every_byte)
{
    const std::string text =
        " [ {" + kRequired
        + ",\"email\":\"\\u0041\xD0\xBF\xF0\x9F\x98\x80\","
          "\"hardBounce\":false,\"subscriptions\":[\"a\",\"b\"],"
          "\"statusData\":{\"x\":[1.5e+3,null,true]},\"unknown\":-0} ,"
          "{"
        + kRequired + "}]";
    ParseOptions o;
    o.wanted = ~FieldSet{0};
    ASSERT_TEXT(outcome(text, o), "ok 2");
    for (int keep = 0; keep < 2; keep++) {
        o.keep_going = keep;
        Parser parser;
        for (size_t n = 0; n < text.size(); n++) {
            outcome(parser, text.substr(0, n), o);
            const Problem &p = parser.problem();
            if (n < 2) {
                ck_assert(p.reason == Reason::empty_body);
            } else if (p.reason == Reason::bad_utf8) {
                ck_assert_uint_ge(static_cast<unsigned char>(text[p.offset]),
                                  0xC0);
                ck_assert_uint_lt(n - p.offset, 4);
            } else {
                ck_assert(p.reason == Reason::not_json);
                ck_assert_uint_eq(p.offset, n);
            }
        }
    }
}
END_TEST

/* Any byte changed into any of a few: never a crash, and when it is taken,
 * the slices are where they were. */
START_TEST(changed_at_every_byte)
{
    const std::string text =
        "[{" + kRequired
        + ",\"email\":\"\\u0041\\\\\","
          "\"subscriptions\":[\"a\"],\"statusData\":{\"x\":[1.5,null]}},{}]";
    ParseOptions o = want(~FieldSet{0});
    o.keep_going = true;
    static const char kBytes[] = "\"\\{}[]:,0-e.tu \v\x01\x80\xC3\xF4";
    size_t taken = 0;
    for (size_t i = 0; i < text.size(); i++) {
        for (size_t k = 0; k < sizeof(kBytes); k++) {
            std::string changed = text;
            changed[i] = kBytes[k];
            Parser parser;
            const Guarded bytes(changed);
            if (parser.parse(bytes.data(), bytes.size(), o) != ParseResult::ok)
            {
                ck_assert_uint_le(parser.problem().offset, changed.size());
                continue;
            }
            taken++;
            for (const Event &e : parser.batch().events) {
                const std::string_view slice = parser.batch().bytes(e);
                ck_assert(slice.front() == '{' && slice.back() == '}');
            }
        }
    }
    ck_assert_uint_gt(taken, 100);
}
END_TEST

int main()
{
    Suite *suite = suite_create("parser");
    TCase *tcase = tcase_create("parser");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, events_are_slices);
    tcase_add_test(tcase, empty_array);
    tcase_add_test(tcase, body_level);
    tcase_add_test(tcase, byte_order_mark);
    tcase_add_test(tcase, elements);
    tcase_add_test(tcase, behind_the_array);
    tcase_add_test(tcase, syntax_offsets);
    tcase_add_test(tcase, ends_too_early);
    tcase_add_test(tcase, utf8_and_gaps);
    tcase_add_test(tcase, first_fault);
    tcase_add_test(tcase, depth);
    tcase_add_test(tcase, nesting_attacks);
    tcase_add_test(tcase, how_many_events);
    tcase_add_test(tcase, required_fields);
    tcase_add_test(tcase, types);
    tcase_add_test(tcase, integers);
    tcase_add_test(tcase, containers);
    tcase_add_test(tcase, duplicates);
    tcase_add_test(tcase, escaped_offsets);
    tcase_add_test(tcase, status);
    tcase_add_test(tcase, status_counts);
    tcase_add_test(tcase, going_on);
    tcase_add_test(tcase, values);
    tcase_add_test(tcase, every_wanted_field);
    tcase_add_test(tcase, escaped_values);
    tcase_add_test(tcase, escaped_value_texts);
    tcase_add_test(tcase, values_beside_bad_events);
    tcase_add_test(tcase, used_again);
    tcase_add_test(tcase, cut_at_every_byte);
    tcase_add_test(tcase, changed_at_every_byte);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
