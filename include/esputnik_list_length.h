/*
 * LLEN, for esputnik_max_length (https://redis.io/commands/llen/).
 */

#ifndef ESPUTNIK_LIST_LENGTH_H
#define ESPUTNIK_LIST_LENGTH_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_reply.h"

namespace esputnik {

/* Bytes of "LLEN key" in RESP. */
size_t list_length_size(std::string_view key);

/* Writes exactly list_length_size() bytes; returns the end. */
char *write_list_length(char *out, std::string_view key);

enum class ListLength : uint8_t {
    known,
    refused,  /* what is no list is not full: the push tells what is wrong */
    denied,   /* the same, but for a right that the push does not need: somebody
                 has to be told */
    protocol, /* no reply to LLEN */
};

/* In elements; 0 unless it is known. */
ListLength read_list_length(const Reply &reply, uint64_t *length);

} // namespace esputnik

#endif
