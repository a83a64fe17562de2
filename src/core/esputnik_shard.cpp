#include "esputnik_shard.h"

namespace esputnik {

namespace {

struct Crc32Table {
    uint32_t value[256] = {};

    constexpr Crc32Table()
    {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t crc = i;
            for (int bit = 0; bit < 8; bit++) {
                crc = (crc & 1) ? (crc >> 1) ^ 0xedb88320u : crc >> 1;
            }
            value[i] = crc;
        }
    }
};

constexpr Crc32Table kTable;

} // namespace

uint32_t crc32(std::string_view bytes)
{
    uint32_t crc = 0xffffffffu;
    for (unsigned char c : bytes) {
        crc = (crc >> 8) ^ kTable.value[(crc ^ c) & 0xff];
    }
    return ~crc;
}

unsigned shard_of(std::string_view bytes, unsigned shards)
{
    return shards ? crc32(bytes) % shards : 0;
}

} // namespace esputnik
