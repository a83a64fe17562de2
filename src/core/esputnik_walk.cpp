/*
 * yajl calls back for every key and value.  Most of them are nested, or
 * undocumented, or strings that have only to be strings: they leave after one
 * comparison with accept.
 */

#include "esputnik_walk.h"

#include "esputnik_field_lookup.h"
#include "esputnik_syntax.h"
#include "esputnik_utf8.h"

namespace esputnik {

namespace {

using Walk = ParserCallbacks;

constexpr FieldSet kAllFields = field_bit(Field::none) - 1;

/* By FieldType: the scalars that such a field takes, and those of them that
 * need no further look. */
constexpr uint8_t kScalars[] = {
    Walk::kString, Walk::kNumber, Walk::kBoolean, 0, 0,
};
constexpr uint8_t kPlainScalars[] = {
    Walk::kString, 0, Walk::kBoolean, 0, 0,
};

uint8_t by_type(const uint8_t *table, Field f)
{
    return table[static_cast<size_t>(field_info(f).type)];
}

Walk &of(void *ctx)
{
    return *static_cast<Walk *>(ctx);
}

const char *chars(const unsigned char *s)
{
    return reinterpret_cast<const char *>(s);
}

int on_null(void *ctx)
{
    Walk &w = of(ctx);
    return w.accept & Walk::kNull || w.scalar(Walk::kNull, nullptr, 4);
}

int on_boolean(void *ctx, int value)
{
    Walk &w = of(ctx);
    return w.accept & Walk::kBoolean
           || w.scalar(Walk::kBoolean, nullptr, value ? 4 : 5);
}

int on_number(void *ctx, const char *s, size_t n)
{
    Walk &w = of(ctx);
    return w.accept & Walk::kNumber || w.scalar(Walk::kNumber, s, n);
}

int on_string(void *ctx, const unsigned char *s, size_t n)
{
    Walk &w = of(ctx);
    return w.accept & Walk::kString || w.scalar(Walk::kString, chars(s), n);
}

int on_key(void *ctx, const unsigned char *s, size_t n)
{
    Walk &w = of(ctx);
    return w.depth != 2 || w.key(chars(s), n);
}

int on_start_map(void *ctx)
{
    Walk &w = of(ctx);
    return w.depth > 1    ? w.open_nested(false)
           : w.depth == 1 ? w.open_event()
                          : w.refuse(Reason::not_an_array, w.here() - 1);
}

int on_end_map(void *ctx)
{
    Walk &w = of(ctx);
    if (w.depth == 2) {
        return w.close_event();
    }
    w.depth--;
    return 1;
}

int on_start_array(void *ctx)
{
    Walk &w = of(ctx);
    if (w.depth > 1) {
        return w.open_nested(true);
    }
    if (w.depth == 1) {
        return w.refuse_element(Reason::not_an_object, w.here() - 1);
    }
    w.expect(Walk::Place::array, 0);
    w.depth = 1;
    return 1;
}

int on_end_array(void *ctx)
{
    Walk &w = of(ctx);
    if (--w.depth > 0) {
        return 1;
    }
    /* what follows is looked at without yajl, which would take half a literal
     * there for the start of more to come */
    w.end = w.here();
    return 0;
}

} // namespace

const yajl_callbacks ParserCallbacks::kTable = {
    on_null,    on_boolean,     nullptr,      nullptr,
    on_number,  on_string,      on_start_map, on_key,
    on_end_map, on_start_array, on_end_array,
};

ParserCallbacks::ParserCallbacks(Parser &p, const ParseOptions &o)
    : parser(p), batch(p.batch_), options(o), body(p.batch_.body.data()),
      length(p.batch_.body.size()),
      checked(p.batch_.wanted | field_bit(Field::activity_status))
{
}

int ParserCallbacks::out_of_memory()
{
    no_memory = true;
    return 0;
}

int ParserCallbacks::refuse(Reason reason, size_t offset, uint32_t limit)
{
    Problem &p = parser.problem_;
    p.reason = reason;
    p.offset = offset;
    p.limit = limit;
    if (in_event()) {
        p.event = batch.events.size() - 1;
    }
    detected = offset;
    return 0;
}

int ParserCallbacks::refuse_element(Reason reason, size_t offset,
                                    uint32_t limit)
{
    parser.problem_.event = batch.events.size();
    return refuse(reason, offset, limit);
}

int ParserCallbacks::fault(Reason reason, size_t offset, Field f)
{
    if (!options.keep_going) {
        refuse(reason, offset);
        parser.problem_.field = f;
        if (reason == Reason::missing_field) {
            detected = here();
        }
        return 0;
    }

    Event &event = batch.events.back();
    if (event.problem == 0) {
        Problem p;
        p.reason = reason;
        p.field = f;
        p.offset = offset;
        p.event = batch.events.size() - 1;
        if (!batch.problems.push(p)) {
            return out_of_memory();
        }
        event.problem = static_cast<uint32_t>(batch.problems.size());
    }
    return 1;
}

/* The opening quote of the string just read: yajl gives a slice of the body,
 * or, when it had escapes, a copy. */
size_t ParserCallbacks::quote(const char *s) const
{
    return in_body(s) ? s - body - 1 : opening_quote(body, here() - 1);
}

size_t ParserCallbacks::value_start(uint8_t kind, const char *s, size_t n) const
{
    switch (kind) {
    case kString:
        return quote(s);
    case kNumber:
        return s - body;
    default:
        return here() - n;
    }
}

int ParserCallbacks::store(uint8_t kind, const char *s, size_t n)
{
    Value &value = batch.values[batch.slot(batch.events.size() - 1, field)];

    if (kind == kBoolean) {
        value = {body + here() - n, n};
        return 1;
    }
    if (in_body(s)) {
        value = {s, n};
        return 1;
    }

    /* yajl's own decoding loses characters around a lone surrogate; the room
     * is that of the whole body, so the text never moves */
    Buffer &text = parser.text_;
    if (!text.reserve(length)) {
        return out_of_memory();
    }
    const size_t start = quote(s) + 1;
    const size_t raw = here() - 1 - start;
    const size_t used = text.size();
    text.resize(used + raw);
    char *const to = text.data() + used;
    value = {to, json_unescape(body + start, raw, to)};
    return 1;
}

int ParserCallbacks::field_value(uint8_t kind, const char *s, size_t n)
{
    if (kind == kNull) {
        nulls |= field_bit(field);
        return 1;
    }
    if (!(kind & by_type(kScalars, field))) {
        return fault(Reason::wrong_type, value_start(kind, s, n), field);
    }

    if (kind == kNumber) {
        const Number number = classify_number(s, n);
        if (number != Number::integer) {
            return fault(number == Number::no_integer ? Reason::wrong_type
                                                      : Reason::out_of_range,
                         s - body, field);
        }
    } else if (field == Field::activity_status) {
        const Status status = find_status(s, n);
        batch.events.back().status = status;
        if (status == Status::unknown && options.reject_unknown_status
            && !fault(Reason::unknown_status, quote(s), field))
        {
            return 0;
        }
    }

    return batch.wanted & field_bit(field) ? store(kind, s, n) : 1;
}

int ParserCallbacks::scalar(uint8_t kind, const char *s, size_t n)
{
    switch (place) {
    case Place::field:
        return field_value(kind, s, n);
    case Place::strings:
        return fault(Reason::wrong_type, value_start(kind, s, n), field);
    case Place::array:
        return refuse_element(Reason::not_an_object, value_start(kind, s, n));
    case Place::body:
        return refuse(Reason::not_an_array, skip_space(batch.body, 0));
    default:
        return 1;
    }
}

int ParserCallbacks::key(const char *s, size_t n)
{
    const bool roomy = in_body(s)
                       && static_cast<size_t>(body + length - s) >= kPadded;
    const Field f = roomy ? look_up_field(s, n) : find_field(s, n);
    /* no bit for Field::none */
    const FieldSet bit = field_bit(f) & kAllFields;

    if (seen & bit) {
        expect(Place::elsewhere, kAnyScalar);
        return fault(Reason::duplicate_field, quote(s), f);
    }
    seen |= bit;
    field = f;
    if (bit == 0) {
        expect(Place::elsewhere, kAnyScalar);
    } else {
        expect(Place::field, checked & bit ? 0 : by_type(kPlainScalars, f));
    }
    return 1;
}

int ParserCallbacks::open_event()
{
    const size_t offset = here() - 1;

    if (batch.events.size() >= options.max_events) {
        return refuse_element(Reason::too_many_events, offset,
                              static_cast<uint32_t>(options.max_events));
    }
    if (!batch.events.push({offset, 0, 0, Status::absent})) {
        return out_of_memory();
    }
    if (batch.wanted_count != 0
        && !batch.values.resize(batch.values.size() + batch.wanted_count))
    {
        return out_of_memory();
    }
    seen = nulls = 0;
    depth = 2;
    return 1;
}

int ParserCallbacks::close_event()
{
    Event &event = batch.events.back();
    const FieldSet missing = options.required & ~(seen & ~nulls);

    event.length = here() - event.offset;
    if (missing != 0
        && !fault(Reason::missing_field, event.offset,
                  static_cast<Field>(__builtin_ctzll(missing))))
    {
        return 0;
    }
    if (event.problem == 0) {
        batch.status_count[static_cast<size_t>(event.status)]++;
    }
    expect(Place::array, 0);
    depth = 1;
    return 1;
}

int ParserCallbacks::open_nested(bool is_array)
{
    if (depth - 1 > options.max_depth) {
        return refuse(Reason::too_deep, here() - 1, options.max_depth);
    }

    const Place outside = place;
    bool right = true;
    expect(Place::elsewhere, kAnyScalar);

    if (outside == Place::field) {
        const FieldType type = field_info(field).type;
        if (type == FieldType::string_array && is_array) {
            expect(Place::strings, kString);
        } else {
            right = type == FieldType::container;
        }
    } else if (outside == Place::strings) {
        right = false;
    }

    if (!right && !fault(Reason::wrong_type, here() - 1, field)) {
        return 0;
    }
    depth++;
    return 1;
}

} // namespace esputnik
