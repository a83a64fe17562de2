/*
 * RPUSH and LPUSH of a batch's events as they were received: the way that
 * nearly every POST takes (https://redis.io/commands/rpush/).  The slices go
 * from the body to the connection's output with one copy and nothing between.
 */

#ifndef ESPUTNIK_LIST_PUSH_H
#define ESPUTNIK_LIST_PUSH_H

#include <cstddef>
#include <string_view>

#include "esputnik_parser.h"

namespace esputnik {

/* Bytes of "verb key event …" in RESP; the batch has at least one event, and
 * none with a problem. */
size_t list_push_size(std::string_view verb, std::string_view key,
                      const Batch &batch);

/* Writes exactly list_push_size() bytes; returns the end. */
char *write_list_push(char *out, std::string_view verb, std::string_view key,
                      const Batch &batch);

/* The events of a batch that is pushed later, when the parser has another. */
struct EventSlice {
    size_t offset;
    size_t length;
};

/* One for each event. */
void slice_events(const Batch &batch, EventSlice *out);

/* As above; body is the batch's. */
char *write_list_push(char *out, std::string_view verb, std::string_view key,
                      std::string_view body, const EventSlice *events,
                      size_t count);

} // namespace esputnik

#endif
