#include "esputnik_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace esputnik {

namespace {

int result(int rc)
{
    return rc < 0 ? -errno : rc;
}

} // namespace

int PosixFiles::open(const char *path, OpenMode mode)
{
    int flags = O_CLOEXEC | O_NOFOLLOW;

    switch (mode) {
    case OpenMode::read:
        flags |= O_RDONLY;
        break;
    case OpenMode::write:
        flags |= O_RDWR;
        break;
    case OpenMode::create:
        flags |= O_RDWR | O_CREAT | O_EXCL;
        break;
    case OpenMode::create_or_open:
        flags |= O_RDWR | O_CREAT;
        break;
    }

    int fd;
    do {
        fd = ::open(path, flags, 0600);
    } while (fd < 0 && errno == EINTR);

    return result(fd);
}

int PosixFiles::close(int fd)
{
    /* Linux has released the descriptor even when it says EINTR */
    return result(::close(fd));
}

ssize_t PosixFiles::pread(int fd, void *out, size_t n, uint64_t offset)
{
    ssize_t got;
    do {
        got = ::pread(fd, out, n, static_cast<off_t>(offset));
    } while (got < 0 && errno == EINTR);

    return got < 0 ? -errno : got;
}

ssize_t PosixFiles::pwrite(int fd, const void *in, size_t n, uint64_t offset)
{
    ssize_t put;
    do {
        put = ::pwrite(fd, in, n, static_cast<off_t>(offset));
    } while (put < 0 && errno == EINTR);

    return put < 0 ? -errno : put;
}

int64_t PosixFiles::size(int fd)
{
    struct stat st;
    return fstat(fd, &st) < 0 ? -errno : static_cast<int64_t>(st.st_size);
}

int PosixFiles::ftruncate(int fd, uint64_t size)
{
    int rc;
    do {
        rc = ::ftruncate(fd, static_cast<off_t>(size));
    } while (rc < 0 && errno == EINTR);

    return result(rc);
}

int PosixFiles::fdatasync(int fd)
{
    /* An interrupted sync may have lost its error: EINTR counts as a failure,
     * as any other. */
    return result(::fdatasync(fd));
}

int PosixFiles::fsync_dir(const char *path)
{
    const int fd = ::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }

    const int rc = result(::fsync(fd));
    ::close(fd);
    return rc;
}

int PosixFiles::rename(const char *from, const char *to)
{
    return result(::rename(from, to));
}

int PosixFiles::unlink(const char *path)
{
    return result(::unlink(path));
}

bool PosixFiles::exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

int PosixFiles::list(const char *dir, void (*entry)(void *, const char *),
                     void *data)
{
    DIR *d = opendir(dir);
    if (d == nullptr) {
        return -errno;
    }

    int rc = 0;
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (e == nullptr) {
            rc = -errno;
            break;
        }
        if (std::strcmp(e->d_name, ".") != 0
            && std::strcmp(e->d_name, "..") != 0) {
            entry(data, e->d_name);
        }
    }

    closedir(d);
    return rc;
}

int PosixFiles::lock(int fd)
{
    int rc;
    do {
        rc = ::flock(fd, LOCK_EX | LOCK_NB);
    } while (rc < 0 && errno == EINTR);

    return result(rc);
}

int PosixFiles::unlock(int fd)
{
    return result(::flock(fd, LOCK_UN));
}

uint64_t PosixFiles::now_ms()
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return static_cast<uint64_t>(ts.tv_sec) * 1000
           + static_cast<uint64_t>(ts.tv_nsec) / 1000000;
}

uint32_t PosixFiles::process_id()
{
    return static_cast<uint32_t>(getpid());
}

Files &posix_files()
{
    static PosixFiles files;
    return files;
}

int write_all(Files &files, int fd, const void *in, size_t n, uint64_t offset)
{
    const char *p = static_cast<const char *>(in);

    while (n > 0) {
        const ssize_t put = files.pwrite(fd, p, n, offset);
        if (put < 0) {
            return static_cast<int>(put);
        }
        if (put == 0) {
            return -ENOSPC;
        }
        p += put;
        n -= static_cast<size_t>(put);
        offset += static_cast<uint64_t>(put);
    }
    return 0;
}

ssize_t read_all(Files &files, int fd, void *out, size_t n, uint64_t offset)
{
    char *p = static_cast<char *>(out);
    size_t got = 0;

    while (got < n) {
        const ssize_t r = files.pread(fd, p + got, n - got, offset + got);
        if (r < 0) {
            return r;
        }
        if (r == 0) {
            break;
        }
        got += static_cast<size_t>(r);
    }
    return static_cast<ssize_t>(got);
}

} // namespace esputnik
