/*
 * The body of a POST into a batch of events: one yajl call over one buffer, no
 * DOM; an event is a slice of the body.
 *
 * Rules: RFC 8259 (strict, also where yajl is not), the vendor's field table,
 * and the limits of the location.  Offsets are bytes from the start of the
 * body, counted from 0.
 *
 * Ownership: a Parser is a worker's scratch, used for one body at a time and
 * again for the next; what a Batch points to is the body and the parser's own
 * memory, valid until the next parse().  Not thread-safe.
 */

#ifndef ESPUTNIK_PARSER_H
#define ESPUTNIK_PARSER_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_arena.h"
#include "esputnik_array.h"
#include "esputnik_fields.h"
#include "esputnik_problem.h"

namespace esputnik {

struct ParseOptions {
    size_t max_events = 10000;
    unsigned max_depth = 16; /* containers inside an event */
    FieldSet required = field_bit(Field::activity_status)
                        | field_bit(Field::activity_date_time)
                        | field_bit(Field::contact_id);
    FieldSet wanted = 0; /* fields whose values the caller will ask for */
    bool reject_unknown_status = false;
    bool keep_going = false; /* an event's own fault is noted in the batch
                                   (Event::problem) and the parse goes on;
                                   without it the first one ends the parse */
};

struct Event {
    size_t offset;    /* of its '{' in the body */
    size_t length;    /* up to and with its '}' */
    uint32_t problem; /* 0: none; else index + 1 into Batch::problems */
    Status status;
};

/* A scalar's value as a consumer would print it: a string's characters with
 * its escapes resolved, a number's text as received, true or false.  data is
 * nullptr when the field is absent or null. */
struct Value {
    const char *data;
    size_t length;
};

struct Batch {
    std::string_view body;
    Array<Event> events;
    Array<Problem> problems; /* of events, with ParseOptions::keep_going */
    size_t status_count[kStatusCount]; /* of the events without a problem */

    std::string_view bytes(const Event &e) const
    {
        return body.substr(e.offset, e.length);
    }

    /* {nullptr, 0} for fields that are absent, null, no scalars, or not
     * in ParseOptions::wanted. */
    Value value(size_t event, Field f) const;

    /* the parser's own: values of the wanted scalars, wanted_count an event,
     * in the order of their fields' bits */
    Array<Value> values;
    FieldSet wanted = 0;
    size_t wanted_count = 0;

    size_t slot(size_t event, Field f) const
    {
        return event * wanted_count
               + __builtin_popcountll(wanted & (field_bit(f) - 1));
    }
};

enum class ParseResult : uint8_t {
    ok,        /* the batch is whole; with keep_going look at problems */
    refused,   /* Parser::problem() says why */
    no_memory, /* nothing wrong with the body */
};

class Parser {
public:
    ParseResult parse(const char *body, size_t length, const ParseOptions &);

    /* Of a refused body it holds no events. */
    const Batch &batch() const { return batch_; }
    const Problem &problem() const { return problem_; }

    /* Gives memory above a modest size back to the system. */
    void trim();

private:
    friend struct ParserCallbacks; /* the walk's state, esputnik_walk.h */

    Arena arena_; /* yajl's memory: cannot fail within its bound */
    Buffer text_; /* resolved strings of wanted fields */
    Batch batch_;
    Problem problem_;
};

} // namespace esputnik

#endif
