#include "esputnik_slot.h"

namespace esputnik {

namespace {

struct Crc16Table {
    uint16_t value[256] = {};

    constexpr Crc16Table()
    {
        for (unsigned i = 0; i < 256; i++) {
            unsigned crc = i << 8;
            for (int bit = 0; bit < 8; bit++) {
                crc = (crc & 0x8000) ? (crc << 1) ^ 0x1021 : crc << 1;
            }
            value[i] = static_cast<uint16_t>(crc);
        }
    }
};

constexpr Crc16Table kTable;

} // namespace

uint16_t crc16(std::string_view bytes)
{
    unsigned crc = 0;
    for (unsigned char c : bytes) {
        crc = ((crc << 8) ^ kTable.value[((crc >> 8) ^ c) & 0xff]) & 0xffff;
    }
    return static_cast<uint16_t>(crc);
}

std::string_view hash_tag(std::string_view key)
{
    const size_t open = key.find('{');
    if (open == std::string_view::npos) {
        return key;
    }
    const size_t close = key.find('}', open + 1);
    if (close == std::string_view::npos || close == open + 1) {
        return key;
    }
    return key.substr(open + 1, close - open - 1);
}

uint16_t key_slot(std::string_view key)
{
    return crc16(hash_tag(key)) & (kSlots - 1);
}

} // namespace esputnik
