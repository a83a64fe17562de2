/*
 * Calls that fail on demand, for Esputnik::Shim.  The control file is an array
 * of 64-bit words, eight for each call:
 *
 *     0  armed        4  short writes, each third one interrupted before
 *     1  errno        5  how many failed
 *     2  calls that pass first
 *     3  calls that fail then
 *     6  seconds to add to the wall clock
 *     7  of fdatasync: writes and syncs of a descriptor whose sync has failed
 */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum call {
    call_pwrite,
    call_fdatasync,
    call_fsync,
    call_rename,
    call_unlink,
    call_open,
    call_ftruncate,
    call_alloc,
    call_clock
};

enum word {
    word_armed,
    word_errno,
    word_after,
    word_count,
    word_short,
    word_failed,
    word_delta,
    word_retried
};

static volatile int64_t (*control)[8];
static char unsynced[65536]; /* by descriptor: its sync has failed */

__attribute__((constructor)) static void map_control(void)
{
    const char *path = getenv("ESPUTNIK_SHIM");
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    int fd = path != NULL ? real(path, O_RDWR | O_CLOEXEC) : -1;

    if (fd >= 0) {
        void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p != MAP_FAILED) {
            control = p;
        }
        close(fd);
    }
}

/* Shall this one fail?  errno is then set. */
static int fails(enum call call)
{
    volatile int64_t *w;

    if (control == NULL || !control[call][word_armed]) {
        return 0;
    }
    w = control[call];
    if (w[word_errno] == 0) {
        return 0;
    }
    if (__sync_fetch_and_sub(&w[word_after], 1) > 0) {
        return 0;
    }
    if (__sync_fetch_and_sub(&w[word_count], 1) <= 0) {
        return 0;
    }
    __sync_fetch_and_add(&w[word_failed], 1);
    errno = (int) w[word_errno];
    return 1;
}

static void touch(int fd)
{
    if (control != NULL && fd >= 0 && fd < (int) sizeof(unsynced)
        && unsynced[fd])
    {
        __sync_fetch_and_add(&control[call_fdatasync][word_retried], 1);
    }
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (real == NULL) real = (__typeof__(&name)) dlsym(RTLD_NEXT, #name)

static ssize_t any_pwrite(ssize_t (*real)(int, const void *, size_t, off_t),
                          int fd, const void *data, size_t n, off_t at)
{
    static int64_t calls;

    touch(fd);
    if (fails(call_pwrite)) {
        return -1;
    }
    if (control != NULL && control[call_pwrite][word_armed]
        && control[call_pwrite][word_short])
    {
        if (__sync_add_and_fetch(&calls, 1) % 3 == 0) {
            errno = EINTR;
            return -1;
        }
        if (n > 1) {
            __sync_fetch_and_add(&control[call_pwrite][word_failed], 1);
            n /= 2;
        }
    }
    return real(fd, data, n, at);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
    REAL(pwrite);
    return any_pwrite(real, fd, data, n, at);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
    REAL(pwrite64);
    return any_pwrite(real, fd, data, n, at);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    touch(fd);
    if (fails(call_fdatasync)) {
        if (fd >= 0 && fd < (int) sizeof(unsynced)) {
            unsynced[fd] = 1;
        }
        return -1;
    }
    return real(fd);
}

int close(int fd)
{
    REAL(close);
    if (fd >= 0 && fd < (int) sizeof(unsynced)) {
        unsynced[fd] = 0;
    }
    return real(fd);
}

int fsync(int fd)
{
    REAL(fsync);
    return fails(call_fsync) ? -1 : real(fd);
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    return fails(call_rename) ? -1 : real(from, to);
}

int unlink(const char *path)
{
    REAL(unlink);
    return fails(call_unlink) ? -1 : real(path);
}

int ftruncate(int fd, off_t size)
{
    REAL(ftruncate);
    return fails(call_ftruncate) ? -1 : real(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    REAL(ftruncate64);
    return fails(call_ftruncate) ? -1 : real(fd, size);
}

static mode_t mode_of(int flags, va_list list)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    REAL(open);
    va_list list;
    va_start(list, flags);
    mode_t mode = mode_of(flags, list);
    va_end(list);
    return fails(call_open) ? -1 : real(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    REAL(open64);
    va_list list;
    va_start(list, flags);
    mode_t mode = mode_of(flags, list);
    va_end(list);
    return fails(call_open) ? -1 : real(path, flags, mode);
}

/* Memory: the program's own allocator is under these. */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

#ifndef ESPUTNIK_SHIM_NO_MALLOC

void *malloc(size_t n)
{
    return fails(call_alloc) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return fails(call_alloc) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return fails(call_alloc) ? NULL : __libc_realloc(p, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
    if (fails(call_alloc)) {
        return ENOMEM;
    }
    *out = __libc_memalign(align, n);
    return *out != NULL ? 0 : ENOMEM;
}

#endif

/* The wall clock, set back or forth. */

static int64_t delta(void)
{
    return control != NULL && control[call_clock][word_armed]
               ? control[call_clock][word_delta]
               : 0;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec ts;
    int (*real)(clockid_t, struct timespec *) =
        dlsym(RTLD_NEXT, "clock_gettime");

    (void) zone;
    if (real(CLOCK_REALTIME, &ts) != 0) {
        return -1;
    }
    tv->tv_sec = ts.tv_sec + delta();
    tv->tv_usec = ts.tv_nsec / 1000;
    return 0;
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
    REAL(clock_gettime);
    int rc = real(clock, ts);
    if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        ts->tv_sec += delta();
    }
    return rc;
}

time_t time(time_t *out)
{
    struct timeval tv;
    gettimeofday(&tv, NULL);
    if (out != NULL) {
        *out = tv.tv_sec;
    }
    return tv.tv_sec;
}
