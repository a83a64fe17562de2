/*
 * The state of one walk of yajl over a body: what a Parser's batch and problem
 * are made by.  It lives as long as one Parser::parse().
 */

#ifndef ESPUTNIK_WALK_H
#define ESPUTNIK_WALK_H

#include <cstddef>
#include <cstdint>
#include <yajl/yajl_parse.h>

#include "esputnik_parser.h"

namespace esputnik {

struct ParserCallbacks {
    /* kinds of scalars, one bit each */
    enum : uint8_t {
        kNull = 1,
        kBoolean = 2,
        kNumber = 4,
        kString = 8,
        kAnyScalar = 15,
    };

    /* where the next value stands */
    enum class Place : uint8_t {
        body,      /* at the top level */
        array,     /* where an event should be */
        field,     /* the value of field */
        strings,   /* in the array of subscriptions */
        elsewhere, /* of no interest */
    };

    Parser &parser;
    Batch &batch;
    const ParseOptions &options;
    const char *const body;
    const size_t length;
    const FieldSet checked; /* fields whose values are always looked at */

    yajl_handle yajl = nullptr;
    size_t depth = 0;   /* open containers, the array included */
    uint8_t accept = 0; /* scalars that need no look here */
    Place place = Place::body;
    Field field = Field::none;
    FieldSet seen = 0;   /* keys of the event */
    FieldSet nulls = 0;  /* those whose value is null */
    size_t end = 0;      /* past the array's ']', once it was seen */
    size_t detected = 0; /* how far the parse was when it refused */
    bool no_memory = false;

    ParserCallbacks(Parser &p, const ParseOptions &o);

    /* yajl's pass over the body. */
    void walk();

    /* The pass for what yajl lets through; of two faults the earlier one
     * counts. */
    void scan();

    /* After yajl's error: the start of the token that it did not like. */
    size_t offending_token();

    /* For what follows the return value is a callback's: 0 ends the parse. */

    int out_of_memory();
    int refuse(Reason reason, size_t offset, uint32_t limit = 0);
    /* what stands in an event's place is none */
    int refuse_element(Reason reason, size_t offset, uint32_t limit = 0);
    /* an event's own fault */
    int fault(Reason reason, size_t offset, Field f);

    int scalar(uint8_t kind, const char *s, size_t n);
    int field_value(uint8_t kind, const char *s, size_t n);
    int store(uint8_t kind, const char *s, size_t n);
    int key(const char *s, size_t n);
    int open_event();
    int close_event();
    int open_nested(bool is_array);

    /* just past the token that yajl reports */
    size_t here() const { return yajl_get_bytes_consumed(yajl); }

    bool in_body(const char *s) const { return s >= body && s < body + length; }
    size_t quote(const char *s) const;
    size_t value_start(uint8_t kind, const char *s, size_t n) const;

    bool in_event() const { return depth >= 2; }

    void expect(Place p, uint8_t scalars)
    {
        place = p;
        accept = scalars;
    }

    static const yajl_callbacks kTable;
};

} // namespace esputnik

#endif
