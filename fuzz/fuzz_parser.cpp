/*
 * libFuzzer target of the event parser.
 *
 * What it holds against the parser: an independent recognizer (strict_json.h)
 * takes exactly the same bodies; every event's slice parses alone to the same
 * event; stopping at the first fault and going on agree about that fault; all
 * offsets are in the body; what is said about a fault is JSON; an allocation that
 * fails is told, and the same parser then goes on.
 */

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "esputnik_parser.h"
#include "shortage.h"
#include "strict_json.h"

using namespace esputnik;

namespace {

void check(bool holds, const char *what)
{
    if (!holds) {
        std::fprintf(stderr, "does not hold: %s\n", what);
        std::abort();
    }
}

#define CHECK(condition) check((condition), #condition)

void check_problem(const Problem &p, std::string_view body)
{
    CHECK(p.reason != Reason::none);
    CHECK(p.offset <= body.size());
    CHECK((p.field != Field::none)
          == (p.reason >= Reason::missing_field
              && p.reason <= Reason::unknown_status));
    char out[kProblemMax];
    const size_t n = problem_json(p, {}, out, sizeof(out));
    CHECK(n > 0 && strict::Json({out, n}).valid());
    const size_t m = problem_json(p, body, out, sizeof(out));
    CHECK(m > 0 && strict::Json({out, m}).valid());
}

bool same_problem(const Problem &a, const Problem &b)
{
    return a.reason == b.reason && a.field == b.field && a.offset == b.offset
           && a.event == b.event;
}

/* A slice by itself is the same event, faults and values included. */
void check_slices(const Batch &batch, const ParseOptions &options)
{
    static Parser alone;
    size_t end = 1;

    for (size_t i = 0; i < batch.events.size(); i++) {
        const Event &e = batch.events[i];
        const std::string_view slice = batch.bytes(e);
        CHECK(e.offset >= end && slice.size() == e.length);
        end = e.offset + e.length;
        if (i % (batch.events.size() / 8 + 1) != 0) {
            continue; /* eight are enough for one input */
        }

        const std::string body = "[" + std::string(slice) + "]";
        CHECK(alone.parse(body.data(), body.size(), options)
              == ParseResult::ok);
        CHECK(alone.batch().events.size() == 1);
        const Event &other = alone.batch().events[0];
        CHECK(other.offset == 1 && other.length == e.length);
        CHECK(other.status == e.status);
        CHECK((other.problem == 0) == (e.problem == 0));
        if (e.problem != 0) {
            Problem p = alone.batch().problems[0];
            p.event += i;
            p.offset += e.offset - 1;
            CHECK(same_problem(p, batch.problems[e.problem - 1]));
        }
        for (size_t f = 0; f < kFieldCount; f++) {
            const Value a = batch.value(i, static_cast<Field>(f));
            const Value b = alone.batch().value(0, static_cast<Field>(f));
            CHECK((a.data == nullptr) == (b.data == nullptr));
            if (a.data != nullptr) {
                CHECK(std::string_view(a.data, a.length)
                      == std::string_view(b.data, b.length));
                /* decoded text stays UTF-8 */
                const std::string text(a.data, a.length);
                std::string quoted(6 * text.size() + 2, '"');
                const size_t n = json_escape(text, quoted.data() + 1,
                                             quoted.size() - 2);
                quoted.resize(n + 1);
                CHECK(strict::Json(quoted + "\"").valid());
            }
        }
    }
}

/* One of the first allocations fails; which, the body says. */
void check_shortage(std::string_view body, const ParseOptions &options,
                    ParseResult wanted)
{
    size_t allocations = 1;
    for (const char c : body) {
        allocations += static_cast<unsigned char>(c);
    }
    allocations = 1 + allocations % 8;

    Parser poor;
    ParseResult result;
    {
        const shortage::Shortage shortage(&allocations);
        result = poor.parse(body.data(), body.size(), options);
    }
    CHECK(result == (allocations == 0 ? ParseResult::no_memory : wanted));
    CHECK(poor.parse(body.data(), body.size(), options) == wanted);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Parser parser;
    const char *const bytes = reinterpret_cast<const char *>(data);
    const std::string_view body(bytes, size);
    strict::Json json(body);
    const bool valid = json.valid();

    /* no limits but JSON and the array of objects: both agree exactly */
    ParseOptions open;
    open.required = 0;
    open.max_events = SIZE_MAX;
    open.max_depth = UINT32_MAX;
    open.wanted = ~FieldSet{0};
    open.keep_going = true;
    ParseResult result = parser.parse(bytes, size, open);
    CHECK(result != ParseResult::no_memory);
    CHECK((result == ParseResult::ok) == (valid && json.objects()));
    check_shortage(body, open, result);
    if (result == ParseResult::ok) {
        CHECK(parser.batch().events.size() == json.elements());
        check_slices(parser.batch(), open);
    } else {
        check_problem(parser.problem(), body);
        CHECK(parser.batch().events.empty());
        const Reason r = parser.problem().reason;
        CHECK(!reason_of_event(r));
        CHECK(!valid || r == Reason::not_an_array
              || r == Reason::not_an_object);
    }

    /* the limits, and faults of events one by one */
    ParseOptions going;
    going.max_events = 3;
    going.max_depth = 2;
    going.reject_unknown_status = true;
    going.keep_going = true;
    going.wanted = field_bit(Field::email) | field_bit(Field::contact_id);
    Problem first;
    result = parser.parse(bytes, size, going);
    CHECK((result == ParseResult::ok)
          == (valid && json.objects() && json.elements() <= 3
              && json.depth() <= 2));
    if (result == ParseResult::ok) {
        size_t counted = 0;
        for (size_t n : parser.batch().status_count) {
            counted += n;
        }
        CHECK(counted + parser.batch().problems.size()
              == parser.batch().events.size());
        for (const Problem &p : parser.batch().problems) {
            CHECK(reason_of_event(p.reason));
            check_problem(p, body);
        }
        if (!parser.batch().problems.empty()) {
            first = parser.batch().problems[0];
        }
        check_slices(parser.batch(), going);
    } else {
        check_problem(parser.problem(), body);
    }

    /* the first fault ends it */
    ParseOptions strict = going;
    strict.keep_going = false;
    const ParseResult went = result;
    result = parser.parse(bytes, size, strict);
    if (went == ParseResult::ok) {
        CHECK((result == ParseResult::ok) == (first.reason == Reason::none));
        if (result == ParseResult::refused) {
            CHECK(same_problem(parser.problem(), first));
        }
    } else {
        CHECK(result == ParseResult::refused);
        check_problem(parser.problem(), body);
    }
    parser.trim();
    return 0;
}
