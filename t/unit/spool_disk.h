/*
 * A disk in memory that can lose its power.
 *
 * What was written and not synced is, after a cut, kept, dropped or trashed
 * in sectors of 512 bytes, each on its own; so are the made, renamed and
 * removed names that no sync of the directory has made durable.  A sync that
 * failed never makes its data durable, also when a later one succeeds.
 */

#ifndef SPOOL_DISK_H
#define SPOOL_DISK_H

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "esputnik_file.h"

/* xorshift64*: the same cuts on every machine */
struct Random {
    uint64_t state;

    explicit Random(uint64_t seed)
        : state(seed * 2654435761u + 88172645463325252u)
    {
    }

    uint64_t next()
    {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return state * 2685821657736338717u;
    }
    uint64_t below(uint64_t n) { return (next() >> 11) % n; }
    bool chance(uint64_t percent) { return below(100) < percent; }
};

class SpoolDisk {
public:
    SpoolDisk() = default;

    /* A copy without open files or hooks: what the next boot finds. */
    SpoolDisk power_cut(Random *random) const;

    /* The same for a disk that stays up while its processes are killed. */
    SpoolDisk after_kill() const;

    /* Called after each operation that changes something, durable or not. */
    std::function<void()> changed;

    /* Called before each operation with its name: 0, or -errno to fail with;
     * for "pwrite" also a positive number: so many bytes are written, and the
     * rest is -ENOSPC. */
    std::function<int(const char *operation)> fault;

    bool has(const std::string &path) const { return names_.count(path) > 0; }
    std::vector<std::string> names() const;
    std::string content(const std::string &path) const;

    /* As bits rot: also what was synced. */
    std::string *durable_content(const std::string &path);

    uint64_t operations = 0;
    uint64_t clock_ms = 1700000000000;

private:
    friend class SpoolProcess;

    struct Change {
        bool truncate;
        uint64_t offset; /* or the new size */
        std::string bytes;
    };

    struct Inode {
        std::string now;
        std::string durable;
        std::vector<Change> pending;
        std::vector<Change> lost; /* of a failed sync */
        int locked_by = -1;       /* descriptor */
    };

    struct NameChange {
        enum Kind { link, unlink, rename } kind;
        std::string name;
        std::string to;
        std::shared_ptr<Inode> inode;
    };

    using Names = std::map<std::string, std::shared_ptr<Inode>>;

    static void apply(std::string *bytes, const Change &c);
    static void apply(Names *names, const NameChange &c);
    static void apply_torn(std::string *bytes, const Change &c, Random *random);

    int fault_of(const char *operation);
    void note()
    {
        operations++;
        if (changed) {
            changed();
        }
    }

    Names names_;
    Names durable_names_;
    std::vector<NameChange> pending_names_;
    std::map<int, std::shared_ptr<Inode>> open_;
    int next_fd_ = 100;
};

/* The disk as one process sees it; kill() closes all that it has open, and
 * nothing that it does afterwards has an effect. */
class SpoolProcess final : public esputnik::Files {
public:
    SpoolProcess(SpoolDisk *disk, uint32_t id) : disk_(disk), id_(id) {}

    void kill();

    int open(const char *path, esputnik::OpenMode mode) override;
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
    uint64_t now_ms() override { return disk_->clock_ms; }
    uint32_t process_id() override { return id_; }

    size_t open_files() const { return mine_.size(); }

private:
    SpoolDisk::Inode *inode(int fd);

    SpoolDisk *disk_;
    uint32_t id_;
    std::map<int, bool> mine_;
    bool killed_ = false;
};

#endif
