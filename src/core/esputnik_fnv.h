/* FNV-1a with 64 bits (draft-eastlake-fnv): for tables and names where two keys
 * of one sum do no harm. */

#ifndef ESPUTNIK_FNV_H
#define ESPUTNIK_FNV_H

#include <cstdint>
#include <string_view>

namespace esputnik {

inline uint64_t fnv1a(std::string_view text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char c : text) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    }
    return hash;
}

} // namespace esputnik

#endif
