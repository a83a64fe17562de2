/*
 * Commands for Redis in RESP (arrays of bulk strings,
 * https://redis.io/docs/reference/protocol-spec/).  Lengths are written before
 * the bytes, so keys and values of any bytes cannot break the framing.
 */

#ifndef ESPUTNIK_COMMAND_H
#define ESPUTNIK_COMMAND_H

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "esputnik_array.h"

namespace esputnik {

/* Digits that n takes. */
unsigned decimal_length(uint64_t n);

/* Writes n in decimal, returns the end. */
char *write_decimal(char *out, uint64_t n);

/* Size of "*n\r\n" and of "$len\r\n<len bytes>\r\n". */
size_t array_size(size_t elements);
size_t bulk_size(size_t length);

/* Write into memory that is known to suffice; return the end. */
char *write_array(char *out, size_t elements);
char *write_bulk_header(char *out, size_t length); /* "$len\r\n" */
char *write_bulk(char *out, std::string_view bytes);

/* Appends to a buffer; false when memory is short (the buffer is then as it
 * was). */
bool append_command(Buffer &out, std::initializer_list<std::string_view> args);
bool append_array(Buffer &out, size_t elements);
bool append_bulk(Buffer &out, std::string_view bytes);

} // namespace esputnik

#endif
