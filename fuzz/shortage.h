/*
 * Allocations that fail.  This program's malloc stands before the real one, also
 * for the libraries, and passes on to it.  For one file of a target.
 */

#ifndef FUZZ_SHORTAGE_H
#define FUZZ_SHORTAGE_H

#include <cstddef>

namespace shortage {

/* How many allocations until one fails; 0: none does. */
inline size_t failing = 0;

inline bool fails()
{
    return failing > 0 && --failing == 0;
}

/* Lets allocations fail while it lives, and says how many are left. */
class Shortage {
public:
    explicit Shortage(size_t *left) : left_(left) { failing = *left; }
    ~Shortage()
    {
        *left_ = failing;
        failing = 0;
    }

    Shortage(const Shortage &) = delete;
    Shortage &operator=(const Shortage &) = delete;

private:
    size_t *left_;
};

/* What is not tested has all the memory that it wants. */
class Plenty {
public:
    Plenty() : left_(failing) { failing = 0; }
    ~Plenty() { failing = left_; }

    Plenty(const Plenty &) = delete;
    Plenty &operator=(const Plenty &) = delete;

private:
    size_t left_;
};

} // namespace shortage

#if __has_feature(address_sanitizer)
#define REAL(name) __interceptor_##name
#else
#define REAL(name) __libc_##name
#endif

extern "C" {

void *REAL(malloc)(size_t);
void *REAL(calloc)(size_t, size_t);
void *REAL(realloc)(void *, size_t);

void *malloc(size_t size)
{
    return shortage::fails() ? nullptr : REAL(malloc)(size);
}

void *calloc(size_t n, size_t size)
{
    return shortage::fails() ? nullptr : REAL(calloc)(n, size);
}

void *realloc(void *p, size_t size)
{
    return shortage::fails() ? nullptr : REAL(realloc)(p, size);
}

} // extern "C"

#endif
