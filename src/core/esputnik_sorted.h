/* A set of numbers as a sorted array. */

#ifndef ESPUTNIK_SORTED_H
#define ESPUTNIK_SORTED_H

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "esputnik_array.h"

namespace esputnik {

/* Where value is, or would be. */
inline size_t sorted_position(const Array<uint64_t> &sorted, uint64_t value)
{
    size_t low = 0;
    size_t high = sorted.size();
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (sorted[middle] < value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

inline bool contains(const Array<uint64_t> &sorted, uint64_t value)
{
    const size_t i = sorted_position(sorted, value);
    return i < sorted.size() && sorted[i] == value;
}

/* False when memory is short. */
inline bool insert(Array<uint64_t> *sorted, uint64_t value)
{
    const size_t i = sorted_position(*sorted, value);
    if (i < sorted->size() && (*sorted)[i] == value) {
        return true;
    }
    if (!sorted->push(value)) {
        return false;
    }
    std::memmove(sorted->data() + i + 1, sorted->data() + i,
                 (sorted->size() - 1 - i) * sizeof(uint64_t));
    (*sorted)[i] = value;
    return true;
}

} // namespace esputnik

#endif
