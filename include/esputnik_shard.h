/*
 * Which of N queues an event goes to: CRC-32 (ISO-HDLC, zlib's) of a string,
 * modulo N.  A consumer finds the same number with its standard library; the
 * one-liners are in docs/cluster.md.
 */

#ifndef ESPUTNIK_SHARD_H
#define ESPUTNIK_SHARD_H

#include <cstdint>
#include <string_view>

namespace esputnik {

/* A shard each for the slots of a cluster is more than anybody can use. */
constexpr unsigned kMaxShards = 16384;

uint32_t crc32(std::string_view bytes);

/* 0 to shards - 1; 0 when shards is 0. */
unsigned shard_of(std::string_view bytes, unsigned shards);

} // namespace esputnik

#endif
