/*
 * Hash slots of Redis Cluster (the cluster specification, "Key distribution
 * model" and "Hash tags"): CRC16 (XMODEM) of the key, or of what stands
 * between its first '{' and the next '}' when that is not empty.
 */

#ifndef ESPUTNIK_SLOT_H
#define ESPUTNIK_SLOT_H

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace esputnik {

constexpr unsigned kSlots = 16384;

uint16_t crc16(std::string_view bytes);

/* The part of the key that is hashed: its tag, or all of it. */
std::string_view hash_tag(std::string_view key);

uint16_t key_slot(std::string_view key);

} // namespace esputnik

#endif
