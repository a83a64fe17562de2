/*
 * Counts what a process takes from the heap and what it copies; preloaded into
 * nginx by the profile.  At exit one line goes to the file that COUNT_HEAP
 * names: "calls freed bytes copied".
 *
 * Only calls through the dynamic linker are seen: copies of a few bytes that
 * the compiler has put in line are not, copies of a body are.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *p);

static unsigned long long calls, freed, bytes, copied;
static char path[4096];

static void
count(size_t size)
{
    __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&bytes, size, __ATOMIC_RELAXED);
}

void *
malloc(size_t size)
{
    count(size);
    return __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
    count(n * size);
    return __libc_calloc(n, size);
}

void *
realloc(void *p, size_t size)
{
    count(size);
    return __libc_realloc(p, size);
}

int
posix_memalign(void **out, size_t alignment, size_t size)
{
    void *p;

    count(size);
    p = __libc_memalign(alignment, size);
    if (p == NULL) {
        return ENOMEM;
    }
    *out = p;
    return 0;
}

void *
memalign(size_t alignment, size_t size)
{
    count(size);
    return __libc_memalign(alignment, size);
}

void *
aligned_alloc(size_t alignment, size_t size)
{
    count(size);
    return __libc_memalign(alignment, size);
}

void
free(void *p)
{
    if (p != NULL) {
        __atomic_add_fetch(&freed, 1, __ATOMIC_RELAXED);
    }
    __libc_free(p);
}

void *
memcpy(void *restrict to, const void *restrict from, size_t n)
{
    void  *out = to;

    copied += n;
    __asm__ volatile ("rep movsb" : "+D" (to), "+S" (from), "+c" (n)
                      : : "memory");
    return out;
}

void *
__memcpy_chk(void *restrict to, const void *restrict from, size_t n,
    size_t size)
{
    if (n > size) {
        abort();
    }
    return memcpy(to, from, n);
}

/* nginx makes an environment of its own later. */
__attribute__ ((constructor))
static void
remember(void)
{
    const char  *name = getenv("COUNT_HEAP");

    if (name != NULL) {
        snprintf(path, sizeof(path), "%s", name);
    }
}


__attribute__ ((destructor))
static void
report(void)
{
    FILE                *f;
    unsigned long long   c = calls, fr = freed, b = bytes, m = copied;

    if (path[0] == '\0') {
        return;
    }
    f = fopen(path, "w");
    if (f == NULL) {
        return;
    }
    fprintf(f, "%llu %llu %llu %llu\n", c, fr, b, m);
    fclose(f);
}
