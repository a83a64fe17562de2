#include "esputnik_problem.h"

#include <cstring>

#include "esputnik_utf8.h"

namespace esputnik {

namespace {

struct ReasonInfo {
    std::string_view name;
    std::string_view title;
    std::string_view detail; /* a whole sentence, or the start of one */
    unsigned status;
};

/* in the order of Reason */
constexpr ReasonInfo kReasons[] = {
    {"none", "Nothing is wrong", "nothing is wrong", 200},
    {"empty_body", "The body is empty",
     "the body is empty, expected a JSON array of events", 400},
    {"not_json", "The body is not JSON", "the body is not JSON (RFC 8259)",
     400},
    {"bad_utf8", "The body is not UTF-8", "the body is not valid UTF-8", 400},
    {"not_an_array", "The body is not an array",
     "the body must be a JSON array of events", 400},
    {"not_an_object", "An event is not an object",
     "each element of the array must be an object", 400},
    {"trailing_garbage", "Something follows the array",
     "nothing but white space may follow the array", 400},
    {"too_deep", "An event is nested too deep", "an event is nested deeper",
     400},
    {"missing_field", "A required field is missing",
     "a required field is missing", 400},
    {"wrong_type", "A field has the wrong type", "a field has the wrong type",
     400},
    {"out_of_range", "A number is out of range",
     "an integer does not fit 64 bits", 400},
    {"duplicate_field", "A field is there twice", "a field is there twice",
     400},
    {"unknown_status", "The status is unknown",
     "activityStatus is none of the documented values", 400},
    {"bad_key", "The event gives no usable key",
     "the list's key made from the event is empty or too long", 400},
    {"too_many_events", "Too many events", "the body holds more events", 413},
    {"body_too_large", "The body is too large", "the body is too large", 413},
    {"unsupported_encoding", "The content encoding is not supported",
     "the body must come without a Content-Encoding", 415},
    {"body_timeout", "The body took too long",
     "the body did not arrive in time", 408},
    {"unauthorized", "Not authorized", "the token is missing or wrong", 401},
    {"method_not_allowed", "The method is not allowed",
     "POST delivers events, GET and HEAD check the URL", 405},
    {"unavailable", "The events cannot be stored now",
     "the events cannot be stored now, send them again later", 503},
};

static_assert(sizeof(kReasons) / sizeof(kReasons[0])
                  == static_cast<size_t>(Reason::count),
              "a row for each reason");

constexpr ReasonInfo kNoReason = {"", "", "", 500};

const ReasonInfo &info(Reason r)
{
    return r < Reason::count ? kReasons[static_cast<size_t>(r)] : kNoReason;
}

/* Writes what fits and drops the rest. */
class Writer {
public:
    Writer(char *out, size_t size) : out_(out), size_(size) {}

    void text(std::string_view s)
    {
        const size_t n = s.size() < room() ? s.size() : room();
        if (n != 0) {
            std::memcpy(out_ + length_, s.data(), n);
            length_ += n;
        }
        cut_ |= n < s.size();
    }

    void number(uint64_t n)
    {
        char digits[20];
        size_t at = sizeof(digits);
        do {
            digits[--at] = static_cast<char>('0' + n % 10);
            n /= 10;
        } while (n != 0);
        text({digits + at, sizeof(digits) - at});
    }

    void escaped(std::string_view s, size_t most)
    {
        length_ += json_escape(s, out_ + length_,
                               most < room() ? most : room());
    }

    size_t room() const { return size_ - length_; }
    size_t length() const { return length_; }
    bool cut() const { return cut_; }

private:
    char *out_;
    size_t size_;
    size_t length_ = 0;
    bool cut_ = false;
};

void member(Writer &w, std::string_view name, size_t value)
{
    w.text(",\"");
    w.text(name);
    w.text("\":");
    w.number(value);
}

void sentence(Writer &w, const Problem &p)
{
    const FieldInfo &field = field_info(p.field);
    const bool named = p.field != Field::none;

    switch (p.reason) {
    case Reason::missing_field:
        w.text(info(p.reason).detail);
        if (named) {
            w.text(": ");
            w.text(field.name);
        }
        return;
    case Reason::wrong_type:
        if (named) {
            w.text(field.name);
            w.text(" must be ");
            w.text(field_type_name(field.type));
            return;
        }
        break;
    case Reason::out_of_range:
        if (named) {
            w.text(field.name);
            w.text(" must be an integer of at most 64 bits");
            return;
        }
        break;
    case Reason::duplicate_field:
        if (named) {
            w.text(field.name);
            w.text(" is there twice");
            return;
        }
        break;
    case Reason::too_deep:
    case Reason::too_many_events:
        w.text(info(p.reason).detail);
        w.text(" than the limit of ");
        w.number(p.limit);
        return;
    default:
        break;
    }
    w.text(info(p.reason).detail);
}

/* How many bytes of in, from its start, are one character; replaced is set
 * when they are none. */
size_t character(std::string_view in, bool *replaced)
{
    const size_t n = utf8_sequence(in.data(), in.size());
    *replaced = n == 0;
    return n == 0 ? 1 : n;
}

} // namespace

std::string_view reason_name(Reason r)
{
    return info(r).name;
}

std::string_view reason_title(Reason r)
{
    return info(r).title;
}

unsigned reason_status(Reason r)
{
    return info(r).status;
}

bool reason_of_event(Reason r)
{
    return r >= Reason::missing_field && r <= Reason::bad_key;
}

size_t problem_detail(const Problem &p, char *out, size_t size)
{
    Writer w(out, size);
    sentence(w, p);
    if (p.note != nullptr) {
        w.text(": ");
        w.text(p.note);
    }
    return w.length();
}

size_t problem_json(const Problem &p, std::string_view detail, char *out,
                    size_t size)
{
    /* what stands after the detail goes first into a buffer of its own, so
     * that a long detail is cut and the JSON stays whole */
    char end_bytes[192];
    Writer end(end_bytes, sizeof(end_bytes));
    end.text("\"");
    if (p.offset != Problem::kUnknown) {
        member(end, "offset", p.offset);
    }
    if (p.event != Problem::kUnknown) {
        member(end, "event", p.event);
    }
    if (p.field != Field::none) {
        end.text(",\"field\":\"");
        end.text(field_info(p.field).name);
        end.text("\"");
    }
    end.text("}");

    Writer w(out, size);
    w.text("{\"type\":\"urn:esputnik:problem:");
    for (char c : reason_name(p.reason)) {
        const char dash = c == '_' ? '-' : c;
        w.text({&dash, 1});
    }
    w.text("\",\"title\":\"");
    w.text(reason_title(p.reason));
    w.text("\",\"status\":");
    w.number(reason_status(p.reason));
    w.text(",\"detail\":\"");
    if (w.cut() || w.room() < end.length()) {
        return 0;
    }

    char own[256];
    if (detail.empty()) {
        detail = {own, problem_detail(p, own, sizeof(own))};
    }
    w.escaped(detail, w.room() - end.length());
    w.text({end_bytes, end.length()});
    return w.length();
}

size_t json_escape(std::string_view in, char *out, size_t size)
{
    static constexpr char kHex[] = "0123456789abcdef";
    size_t length = 0;

    while (!in.empty()) {
        char escape[6] = {'\\'};
        std::string_view put;
        bool replaced;
        const size_t taken = character(in, &replaced);
        const unsigned char c = static_cast<unsigned char>(in[0]);

        if (replaced) {
            put = "\xEF\xBF\xBD";
        } else if (c == '"' || c == '\\') {
            escape[1] = in[0];
            put = {escape, 2};
        } else if (c < 0x20) {
            const char *const at = std::strchr("\bb\ff\nn\rr\tt", c);
            if (c != 0 && at != nullptr) {
                escape[1] = at[1];
                put = {escape, 2};
            } else {
                std::memcpy(escape + 1, "u00", 3);
                escape[4] = kHex[c >> 4];
                escape[5] = kHex[c & 0xF];
                put = {escape, 6};
            }
        } else {
            put = in.substr(0, taken);
        }

        if (put.size() > size - length) {
            break;
        }
        std::memcpy(out + length, put.data(), put.size());
        length += put.size();
        in.remove_prefix(taken);
    }

    return length;
}

} // namespace esputnik
