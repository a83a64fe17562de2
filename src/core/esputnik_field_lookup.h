/*
 * A key's field, asked for every key of every event: inline, and with no branch
 * that differs from key to key but the last.
 */

#ifndef ESPUTNIK_FIELD_LOOKUP_H
#define ESPUTNIK_FIELD_LOOKUP_H

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "esputnik_fields.h"

namespace esputnik {

/* A perfect hash of the names: a key's first, middle and last characters
 * name the only field that it can be. */
constexpr size_t kPlaces = 128;
constexpr size_t kLongest = 19;

constexpr size_t place(const char *s, size_t length)
{
    return (static_cast<unsigned char>(s[0])
            + 3
                  * (static_cast<unsigned char>(s[length / 2])
                     + static_cast<unsigned char>(s[length - 1])))
           % kPlaces;
}

/* Names as five words, filled up with zeros, so that one is compared without
 * a branch on its length. */
constexpr size_t kPadded = 20;

struct Padded {
    char bytes[kPadded];
};

struct Tables {
    Field field[kPlaces];
    Padded name[kFieldCount + 1]; /* the last one for Field::none */
    uint8_t length[kFieldCount + 1];
    Padded mask[kLongest + 1]; /* by length */
    bool perfect;
};

constexpr Tables make_tables()
{
    Tables t = {};
    t.perfect = true;
    for (Field &f : t.field) {
        f = Field::none;
    }
    for (size_t i = 0; i < kFieldCount; i++) {
        const std::string_view name = kFields[i].name;
        Field &f = t.field[place(name.data(), name.size())];
        t.perfect = t.perfect && f == Field::none && name.size() <= kLongest;
        f = static_cast<Field>(i);
        t.length[i] = static_cast<uint8_t>(name.size());
        for (size_t c = 0; c < name.size(); c++) {
            t.name[i].bytes[c] = name[c];
        }
    }
    for (size_t n = 0; n <= kLongest; n++) {
        for (size_t c = 0; c < n; c++) {
            t.mask[n].bytes[c] = static_cast<char>(0xFF);
        }
    }
    return t;
}

inline constexpr Tables kTables = make_tables();

static_assert(kTables.perfect, "choose other factors in place()");

template <class Word>
inline Word word(const char *s)
{
    Word w;
    std::memcpy(&w, s, sizeof(w));
    return w;
}

/* Not 0 when s differs from name where the mask has bits. */
inline uint64_t difference(const char *s, const char *name, const char *mask)
{
    return ((word<uint64_t>(s) ^ word<uint64_t>(name)) & word<uint64_t>(mask))
           | ((word<uint64_t>(s + 8) ^ word<uint64_t>(name + 8))
              & word<uint64_t>(mask + 8))
           | ((word<uint32_t>(s + 16) ^ word<uint32_t>(name + 16))
              & word<uint32_t>(mask + 16));
}

/* As find_field(), where kPadded bytes from s on are readable, whatever they
 * are. */
inline Field look_up_field(const char *s, size_t length)
{
    if (length - 1 >= kLongest) {
        return Field::none;
    }
    const Field f = kTables.field[place(s, length)];
    const size_t i = static_cast<size_t>(f);
    const uint64_t differs = (kTables.length[i] ^ length)
                             | difference(s, kTables.name[i].bytes,
                                          kTables.mask[length].bytes);
    return differs ? Field::none : f;
}

} // namespace esputnik

#endif
