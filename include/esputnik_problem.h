/*
 * Why a payload was refused, and how the sender is told (RFC 9457, "Problem
 * Details for HTTP APIs", application/problem+json).
 */

#ifndef ESPUTNIK_PROBLEM_H
#define ESPUTNIK_PROBLEM_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_fields.h"

namespace esputnik {

enum class Reason : uint8_t {
    none,

    /* of the body: 400 */
    empty_body,
    not_json,
    bad_utf8,
    not_an_array,
    not_an_object, /* an element of the array */
    trailing_garbage,
    too_deep,

    /* of an event: 400 */
    missing_field,
    wrong_type,
    out_of_range, /* an integer beyond int64_t */
    duplicate_field,
    unknown_status,
    bad_key, /* esputnik_key gave an empty or too long key */

    too_many_events,      /* 413 */
    body_too_large,       /* 413 */
    unsupported_encoding, /* 415 */
    body_timeout,         /* 408 */
    unauthorized,         /* 401 */
    method_not_allowed,   /* 405 */
    unavailable,          /* 503 */
    count
};

/* One word for counters and logs, "missing_field". */
std::string_view reason_name(Reason r);

/* "A required field is missing": the title member. */
std::string_view reason_title(Reason r);

/* The HTTP status it is answered with. */
unsigned reason_status(Reason r);

/* True when the fault is one event's, and the rest of the array is sound. */
bool reason_of_event(Reason r);

struct Problem {
    static constexpr size_t kUnknown = SIZE_MAX;

    Reason reason = Reason::none;
    Field field = Field::none;
    uint32_t limit = 0;         /* the limit that was passed, if one was */
    size_t offset = kUnknown;   /* byte in the body */
    size_t event = kUnknown;    /* index in the array */
    const char *note = nullptr; /* a literal that says more, or nullptr */
};

/* The detail member: one sentence for a person, never a byte of the payload.
 * Writes at most size bytes, no terminator; returns the length. */
size_t problem_detail(const Problem &p, char *out, size_t size);

/* The whole problem+json body.  Members: type ("about:blank#<reason>" is not
 * used: type is a URN, "urn:esputnik:problem:missing-field"), title, status,
 * detail, and offset, event, field where known.  detail overrides
 * problem_detail() when not empty; it is escaped.  kProblemMax bytes always
 * suffice. */
constexpr size_t kProblemMax = 1024;
size_t problem_json(const Problem &p, std::string_view detail, char *out,
                    size_t size);

/* JSON string escaping (RFC 8259, section 7) of bytes that may be anything:
 * what is not UTF-8 becomes U+FFFD.  Stops before a character that would not
 * fit; returns the bytes written.  6 bytes a byte always suffice. */
size_t json_escape(std::string_view in, char *out, size_t size);

} // namespace esputnik

#endif
