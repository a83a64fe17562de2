/*
 * What simdjson would bring: the job of include/esputnik_parser.h (events as
 * slices, documented fields, RFC 8259 with full UTF-8 validation) done with
 * simdjson's On-Demand API, beside the parser of the module.
 *
 *   simdjson [--check] FILE …     one line of JSON a file: µs a body of each
 *
 * On-Demand looks only at what it is asked for, so a strict parse has to visit
 * every scalar: skipping a value would let 01, nul or "\x" pass.
 */

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <simdjson.h>
#include <utility>

#include "esputnik_parser.h"

using namespace esputnik;

namespace {

namespace ondemand = simdjson::ondemand;
using simdjson::error_code;

bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A token comes with what follows it up to the next one. */
std::string_view trimmed(std::string_view token)
{
    while (!token.empty() && is_space(token.back())) {
        token.remove_suffix(1);
    }
    return token;
}

/* RFC 8259, section 6; numbers of any size are legal, which simdjson's own
 * get_number() does not have. */
bool is_number(std::string_view s, bool *integer)
{
    size_t i = 0;
    const auto digits = [&] {
        const size_t from = i;
        while (i < s.size() && is_digit(s[i])) {
            i++;
        }
        return i - from;
    };

    *integer = true;
    if (i < s.size() && s[i] == '-') {
        i++;
    }
    if (i < s.size() && s[i] == '0') {
        i++;
    } else if (digits() == 0) {
        return false;
    }
    if (i < s.size() && s[i] == '.') {
        *integer = false;
        i++;
        if (digits() == 0) {
            return false;
        }
    }
    if (i < s.size() && (s[i] == 'e' || s[i] == 'E')) {
        *integer = false;
        i++;
        if (i < s.size() && (s[i] == '+' || s[i] == '-')) {
            i++;
        }
        if (digits() == 0) {
            return false;
        }
    }
    return i == s.size();
}

bool fits_int64(std::string_view s)
{
    const bool negative = s[0] == '-';
    s.remove_prefix(negative);
    return s.size() < 19
           || (s.size() == 19
               && std::memcmp(s.data(), negative ? "9223372036854775808"
                                                 : "9223372036854775807",
                              19) <= 0);
}

class SimdParser {
public:
    /* The body needs simdjson::SIMDJSON_PADDING readable bytes behind it. */
    ParseResult parse(const char *body, size_t length, const ParseOptions &);

    const Array<Event> &events() const { return events_; }
    const size_t *status_count() const { return status_count_; }

private:
    bool refuse(Reason reason)
    {
        reason_ = reason;
        return false;
    }

    bool failed(error_code e)
    {
        return refuse(e == simdjson::UTF8_ERROR ? Reason::bad_utf8
                                                : Reason::not_json);
    }

    bool walk();
    bool event(ondemand::value element);
    bool field(Field f, ondemand::value v);
    bool visit(ondemand::value v, unsigned depth, bool strings_only);

    ondemand::parser parser_;
    ondemand::document document_;
    ParseOptions options_;
    Array<Event> events_;
    size_t status_count_[kStatusCount];
    const char *body_ = nullptr;
    size_t length_ = 0;
    Reason reason_ = Reason::none;
    FieldSet seen_ = 0, present_ = 0;
};

ParseResult SimdParser::parse(const char *body, size_t length,
                              const ParseOptions &options)
{
    body_ = body;
    length_ = length;
    options_ = options;
    events_.clear();
    std::memset(status_count_, 0, sizeof(status_count_));
    reason_ = Reason::none;
    return walk() ? ParseResult::ok : ParseResult::refused;
}

bool SimdParser::walk()
{
    error_code e = parser_.iterate(body_, length_,
                                   length_ + simdjson::SIMDJSON_PADDING)
                       .get(document_);
    if (e) {
        return failed(e);
    }

    ondemand::array array;
    e = document_.get_array().get(array);
    if (e) {
        return e == simdjson::INCORRECT_TYPE ? refuse(Reason::not_an_array)
                                             : failed(e);
    }

    for (auto item : array) {
        ondemand::value element;
        if ((e = item.get(element))) {
            return failed(e);
        }
        if (events_.size() >= options_.max_events) {
            return refuse(Reason::too_many_events);
        }
        if (!event(element)) {
            return false;
        }
    }

    const char *rest;
    e = document_.current_location().get(rest);
    return e == simdjson::OUT_OF_BOUNDS || refuse(Reason::trailing_garbage);
}

bool SimdParser::event(ondemand::value element)
{
    const char *const start = element.raw_json_token().data();
    ondemand::object object;
    error_code e = element.get_object().get(object);
    if (e) {
        return e == simdjson::INCORRECT_TYPE ? refuse(Reason::not_an_object)
                                             : failed(e);
    }
    if (!events_.push({static_cast<size_t>(start - body_), 0, 0,
                       Status::absent})) {
        return refuse(Reason::unavailable);
    }

    seen_ = present_ = 0;
    for (auto item : object) {
        ondemand::field pair;
        std::string_view key;
        if ((e = std::move(item).get(pair)) || (e = pair.unescaped_key().get(key))) {
            return failed(e);
        }
        const Field f = find_field(key.data(), key.size());
        if (f == Field::none) {
            if (!visit(pair.value(), 1, false)) {
                return false;
            }
            continue;
        }
        if (seen_ & field_bit(f)) {
            return refuse(Reason::duplicate_field);
        }
        seen_ |= field_bit(f);
        if (!field(f, pair.value())) {
            return false;
        }
    }
    if (options_.required & ~present_) {
        return refuse(Reason::missing_field);
    }

    /* the next token; the event ends before it and before white space */
    const char *end;
    if ((e = document_.current_location().get(end))) {
        return failed(e);
    }
    while (is_space(end[-1])) {
        end--;
    }
    Event &event = events_.back();
    event.length = end - start;
    status_count_[static_cast<size_t>(event.status)]++;
    return true;
}

bool SimdParser::field(Field f, ondemand::value v)
{
    ondemand::json_type type;
    error_code e = v.type().get(type);
    if (e) {
        return failed(e);
    }
    if (type == ondemand::json_type::null) {
        return visit(v, 1, false);
    }
    present_ |= field_bit(f);

    switch (field_info(f).type) {
    case FieldType::string: {
        std::string_view s;
        if (type != ondemand::json_type::string) {
            return refuse(Reason::wrong_type);
        }
        if ((e = v.get_string().get(s))) {
            return failed(e);
        }
        if (f == Field::activity_status) {
            Event &event = events_.back();
            event.status = find_status(s.data(), s.size());
            if (event.status == Status::unknown
                && options_.reject_unknown_status) {
                return refuse(Reason::unknown_status);
            }
        }
        return true;
    }
    case FieldType::integer: {
        bool integer;
        if (type != ondemand::json_type::number) {
            return refuse(Reason::wrong_type);
        }
        const std::string_view token = trimmed(v.raw_json_token());
        if (!is_number(token, &integer)) {
            return refuse(Reason::not_json);
        }
        if (!integer) {
            return refuse(Reason::wrong_type);
        }
        if (!fits_int64(token)) {
            return refuse(Reason::out_of_range);
        }
        return true;
    }
    case FieldType::boolean:
        if (type != ondemand::json_type::boolean) {
            return refuse(Reason::wrong_type);
        }
        return visit(v, 1, false);
    case FieldType::container:
        if (type != ondemand::json_type::object
            && type != ondemand::json_type::array) {
            return refuse(Reason::wrong_type);
        }
        return visit(v, 1, false);
    default:
        if (type != ondemand::json_type::array) {
            return refuse(Reason::wrong_type);
        }
        return visit(v, 1, true);
    }
}

/* depth containers are open around v in the array: the event, and so on. */
bool SimdParser::visit(ondemand::value v, unsigned depth, bool strings_only)
{
    ondemand::json_type type;
    error_code e = v.type().get(type);
    if (e) {
        return failed(e);
    }

    switch (type) {
    case ondemand::json_type::object: {
        ondemand::object object;
        if (depth > options_.max_depth) {
            return refuse(Reason::too_deep);
        }
        if ((e = v.get_object().get(object))) {
            return failed(e);
        }
        for (auto item : object) {
            ondemand::field pair;
            if ((e = std::move(item).get(pair)) || (e = pair.unescaped_key().error())) {
                return failed(e);
            }
            if (!visit(pair.value(), depth + 1, false)) {
                return false;
            }
        }
        return true;
    }
    case ondemand::json_type::array: {
        ondemand::array array;
        if (depth > options_.max_depth) {
            return refuse(Reason::too_deep);
        }
        if ((e = v.get_array().get(array))) {
            return failed(e);
        }
        for (auto item : array) {
            ondemand::value element;
            ondemand::json_type kind;
            if ((e = item.get(element)) || (e = element.type().get(kind))) {
                return failed(e);
            }
            if (strings_only && kind != ondemand::json_type::string) {
                return refuse(Reason::wrong_type);
            }
            if (!visit(element, depth + 1, false)) {
                return false;
            }
        }
        return true;
    }
    case ondemand::json_type::string:
        return !(e = v.get_string().error()) || failed(e);
    case ondemand::json_type::number: {
        /* what is not consumed is skipped by the iterator around it */
        bool integer;
        return is_number(trimmed(v.raw_json_token()), &integer)
               || refuse(Reason::not_json);
    }
    case ondemand::json_type::boolean:
        return !(e = v.get_bool().error()) || failed(e);
    default: {
        bool null;
        e = v.is_null().get(null);
        return (!e && null) || failed(e);
    }
    }
}

double seconds()
{
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

/* Best of some runs: the least disturbed one. */
template <class P>
double microseconds(P &parser, const char *body, size_t length, unsigned runs)
{
    const ParseOptions options;
    const size_t times = 1 + 4000000 / (length + 400);
    double best = 1e9;

    for (unsigned r = 0; r < runs; r++) {
        const double start = seconds();
        for (size_t i = 0; i < times; i++) {
            if (parser.parse(body, length, options) != ParseResult::ok) {
                std::fprintf(stderr, "a body was refused\n");
                std::exit(1);
            }
        }
        const double each = (seconds() - start) / static_cast<double>(times);
        best = each < best ? each : best;
    }
    return best * 1e6;
}

#define NAME_(x) #x
#define NAME(x) NAME_(x)

/* The body with simdjson's padding behind it. */
bool load(const char *path, Buffer *out, size_t *length)
{
    std::FILE *f = std::fopen(path, "rb");
    if (f == nullptr) {
        return false;
    }
    char block[65536];
    size_t n;
    bool ok = true;
    while (ok && (n = std::fread(block, 1, sizeof(block), f)) > 0) {
        ok = out->append(block, n);
    }
    std::fclose(f);
    *length = out->size();
    return ok && out->resize(*length + simdjson::SIMDJSON_PADDING);
}

bool same(Parser &a, const SimdParser &b)
{
    const Batch &batch = a.batch();
    if (batch.events.size() != b.events().size()
        || std::memcmp(batch.status_count, b.status_count(),
                       sizeof(batch.status_count)) != 0) {
        return false;
    }
    for (size_t i = 0; i < batch.events.size(); i++) {
        const Event &x = batch.events[i], &y = b.events()[i];
        if (x.offset != y.offset || x.length != y.length
            || x.status != y.status) {
            return false;
        }
    }
    return true;
}

/* Bodies of which a careless use of On-Demand gets some wrong: both parsers
 * must say the same. */
#define OK(extra) \
    "[{\"activityStatus\":\"READ\",\"activityDateTime\":\"x\"," \
    "\"contactId\":1" extra "}]"

const char *const kCases[] = {
    "[]", " [ ] ", "[] x", "[]]", "", "{}", "[1]", "[{}]", "[null]", "[[]]",
    OK(""), OK(" "), OK(",\"x\":01"), OK(",\"x\":nul"), OK(",\"x\":truex"),
    OK(",\"x\":\"\\x\""), OK(",\"\\x\":1"), OK(",\"x\":\"\\u12\""),
    OK(",\"x\":1e999"), OK(",\"x\":-"), OK(",\"x\":-0"), OK(",\"x\":1."),
    OK(",\"x\":123456789012345678901234567890"),
    OK(",\"messageId\":9223372036854775807"),
    OK(",\"messageId\":9223372036854775808"),
    OK(",\"messageId\":-9223372036854775808"),
    OK(",\"messageId\":1.0"), OK(",\"messageId\":1e2"),
    OK(",\"messageId\":\"1\""), OK(",\"messageId\":null"),
    OK(",\"messageId\":1,\"messageId\":1"), OK(",\"x\":1,\"x\":1"),
    OK(",\"email\":\"a\nb\""), OK(",\"email\":\"\xC0\x80\""),
    OK(",\"email\":\"\xED\xA0\x80\""), OK(",\"email\":\"\xF4\x90\x80\x80\""),
    OK(",\"email\":\"\xE2\x82\xAC\""), OK(",\"email\":\"\\ud83d\\ude00\""),
    OK(",\"email\":\"\\ud83d\""), OK(",\"x\":\"\\ude00\""),
    OK(",\"x\":\"\\ud83dx\""), OK(",\"hardBounce\":1"),
    OK(",\"hardBounce\":false"), OK(",\"hardBounce\":falsy"),
    OK(",\"statusData\":{}"), OK(",\"statusData\":[]"),
    OK(",\"statusData\":\"\""), OK(",\"subscriptions\":[\"a\",\"b\"]"),
    OK(",\"subscriptions\":[\"a\",1]"), OK(",\"subscriptions\":{}"),
    OK(",\"x\":[1,2,{\"y\":[true,false,null]}]"), OK(",\"x\":[1,]"),
    OK(",\"x\":[1 2]"), OK(",\"x\":{\"a\":1,}"), OK(",\"x\":{1:1}"), OK(","),
    OK(",\"x\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]"),
    OK(",\"x\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]"),
    OK(",\"x\":[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]"),
    OK(",\"x\":1\v"), OK(",\"x\":1\f"), OK("") "\v", OK("") " ",
    "[{\"activityStatus\":\"READ\",\"activityDateTime\":\"x\"}]",
    "[{\"activityStatus\":null,\"activityDateTime\":\"x\",\"contactId\":1}]",
    "[{\"activityStatus\":\"READ\"", "[\"", "[{", "[{\"a\"", "[}", "\xEF\xBB\xBF[]",
};

int check()
{
    Parser yajl;
    SimdParser simd;
    const ParseOptions options;
    unsigned differ = 0;

    for (const char *text : kCases) {
        Buffer body;
        const size_t length = std::strlen(text);
        if (!body.append(text, length)
            || !body.resize(length + simdjson::SIMDJSON_PADDING)) {
            return 1;
        }
        const bool a = yajl.parse(body.data(), length, options)
                       == ParseResult::ok;
        const bool b = simd.parse(body.data(), length, options)
                       == ParseResult::ok;
        if (a != b || (a && !same(yajl, simd))) {
            std::printf("yajl %s, simdjson %s: %s\n", a ? "takes" : "refuses",
                        b ? "takes" : "refuses", text);
            differ++;
        }
    }
    std::printf("%u of %zu bodies are judged differently\n", differ,
                sizeof(kCases) / sizeof(kCases[0]));
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    constexpr unsigned kRuns = 7;

    if (argc > 1 && std::strcmp(argv[1], "--check") == 0) {
        return check();
    }

    Parser yajl;
    SimdParser simd;
    for (int i = 1; i < argc; i++) {
        Buffer body;
        size_t length;
        if (!load(argv[i], &body, &length)) {
            std::perror(argv[i]);
            return 1;
        }
        const ParseOptions options;
        if (yajl.parse(body.data(), length, options) != ParseResult::ok
            || simd.parse(body.data(), length, options) != ParseResult::ok
            || !same(yajl, simd)) {
            std::fprintf(stderr, "%s: the parsers differ\n", argv[i]);
            return 1;
        }
        const double b = microseconds(simd, body.data(), length, kRuns);
        const double a = microseconds(yajl, body.data(), length, kRuns);
        std::printf("{\"events\":%zu,\"bytes\":%zu,\"yajl_us\":%.3f,"
                    "\"simdjson_us\":%.3f,\"runs\":%u,\"stage1\":\"%s\","
                    "\"walk\":\"%s\"}\n", simd.events().size(), length, a, b,
                    kRuns,
                    simdjson::get_active_implementation()->name().c_str(),
                    NAME(SIMDJSON_BUILTIN_IMPLEMENTATION));
    }
    return 0;
}
