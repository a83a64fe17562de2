/*
 * CRC-32C (Castagnoli; RFC 3720, appendix B.4), by the CPU's own instruction
 * where it has one (SSE4.2, looked up at run time), else by tables.
 */

#ifndef ESPUTNIK_CRC32C_H
#define ESPUTNIK_CRC32C_H

#include <cstddef>
#include <cstdint>

namespace esputnik {

/* The sum of data; with crc, goes on from an earlier piece:
 * crc32c(crc32c(0, "ab", 2), "c", 1) == crc32c(0, "abc", 3). */
uint32_t crc32c(uint32_t crc, const void *data, size_t length);

/* The table version: for the tests, which compare both. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t length);

/* True when crc32c() runs on the CPU's instruction. */
bool crc32c_hardware();

} // namespace esputnik

#endif
