/*
 * The file operations of the spool, all of them, behind one small interface:
 * the real one over POSIX, and a simulated disk in the crash test.
 *
 * Every call returns a value >= 0, or -errno.  Calls block: inside nginx they
 * belong into the thread pool.  EINTR is retried inside; short reads and
 * writes are passed on.
 *
 * PosixFiles has no state and may be used by any thread.
 */

#ifndef ESPUTNIK_FILE_H
#define ESPUTNIK_FILE_H

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace esputnik {

enum class OpenMode : uint8_t {
    read,           /* must exist */
    write,          /* read and write, must exist */
    create,         /* read and write, must not exist; mode 0600 */
    create_or_open, /* read and write; mode 0600 */
};

class Files {
public:
    virtual int open(const char *path, OpenMode mode) = 0;
    virtual int close(int fd) = 0;

    virtual ssize_t pread(int fd, void *out, size_t n, uint64_t offset) = 0;
    virtual ssize_t pwrite(int fd, const void *in, size_t n,
                           uint64_t offset) = 0;
    virtual int64_t size(int fd) = 0;
    virtual int ftruncate(int fd, uint64_t size) = 0;

    /* Data, and the metadata needed to read it back (the size). */
    virtual int fdatasync(int fd) = 0;

    /* The entries of a directory: what makes a created, renamed or removed
     * name durable. */
    virtual int fsync_dir(const char *path) = 0;

    virtual int rename(const char *from, const char *to) = 0;
    virtual int unlink(const char *path) = 0;
    virtual bool exists(const char *path) = 0;

    /* Calls entry with each name but "." and "..", in no order. */
    virtual int list(const char *dir,
                     void (*entry)(void *data, const char *name),
                     void *data) = 0;

    /* An advisory lock of the open file (flock): it ends with its last
     * descriptor, so also with a killed process.  -EWOULDBLOCK when somebody
     * else has it. */
    virtual int lock(int fd) = 0;
    virtual int unlock(int fd) = 0;

    virtual uint64_t now_ms() = 0; /* wall clock, since 1970 */
    virtual uint32_t process_id() = 0;

protected:
    ~Files() = default;
};

class PosixFiles final : public Files {
public:
    int open(const char *path, OpenMode mode) override;
    int close(int fd) override;
    ssize_t pread(int fd, void *out, size_t n, uint64_t offset) override;
    ssize_t pwrite(int fd, const void *in, size_t n, uint64_t offset) override;
    int64_t size(int fd) override;
    int ftruncate(int fd, uint64_t size) override;
    int fdatasync(int fd) override;
    int fsync_dir(const char *path) override;
    int rename(const char *from, const char *to) override;
    int unlink(const char *path) override;
    bool exists(const char *path) override;
    int list(const char *dir, void (*entry)(void *data, const char *name),
             void *data) override;
    int lock(int fd) override;
    int unlock(int fd) override;
    uint64_t now_ms() override;
    uint32_t process_id() override;
};

/* The one for everybody. */
Files &posix_files();

/* All n bytes; 0 or -errno.  A write that makes no progress is -ENOSPC. */
int write_all(Files &files, int fd, const void *in, size_t n, uint64_t offset);

/* As many bytes as there are, up to n; or -errno. */
ssize_t read_all(Files &files, int fd, void *out, size_t n, uint64_t offset);

} // namespace esputnik

#endif
