#include "spool_disk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

using esputnik::OpenMode;

namespace {

constexpr size_t kSector = 512;

} // namespace

void SpoolDisk::apply(std::string *bytes, const Change &c)
{
    if (c.truncate) {
        bytes->resize(c.offset);
        return;
    }
    if (bytes->size() < c.offset + c.bytes.size()) {
        bytes->resize(c.offset + c.bytes.size());
    }
    bytes->replace(c.offset, c.bytes.size(), c.bytes);
}

void SpoolDisk::apply(Names *names, const NameChange &c)
{
    switch (c.kind) {
    case NameChange::link:
        (*names)[c.name] = c.inode;
        break;
    case NameChange::unlink: {
        const auto it = names->find(c.name);
        if (it != names->end() && it->second == c.inode) {
            names->erase(it);
        }
        break;
    }
    case NameChange::rename: {
        const auto it = names->find(c.name);
        if (it != names->end() && it->second == c.inode) {
            names->erase(it);
        }
        (*names)[c.to] = c.inode;
        break;
    }
    }
}

/* A trashed sector is trashed from end to end, also where the write did not
 * touch it. */
void SpoolDisk::apply_torn(std::string *bytes, const Change &c, Random *random)
{
    if (c.truncate) {
        if (random->chance(50)) {
            bytes->resize(c.offset);
        }
        return;
    }

    const uint64_t end = c.offset + c.bytes.size();
    if (random->chance(30) && bytes->size() < end) {
        bytes->resize(end); /* the size is there before the data */
    }

    for (uint64_t at = c.offset; at < end;) {
        const uint64_t sector = at / kSector * kSector;
        const uint64_t to = std::min<uint64_t>(end, sector + kSector);
        const uint64_t fate = random->below(3);

        if (fate == 0) {
            Change part = {false, at, c.bytes.substr(at - c.offset, to - at)};
            apply(bytes, part);
        } else if (fate == 1) {
            if (bytes->size() < to) {
                bytes->resize(to);
            }
            const uint64_t last = std::min<uint64_t>(bytes->size(),
                                                     sector + kSector);
            for (uint64_t i = sector; i < last; i++) {
                (*bytes)[i] = static_cast<char>(random->next());
            }
        }
        at = to;
    }
}

SpoolDisk SpoolDisk::power_cut(Random *random) const
{
    SpoolDisk after;
    after.clock_ms = clock_ms + 1;

    Names names = durable_names_;
    for (const NameChange &c : pending_names_) {
        if (random->chance(50)) {
            apply(&names, c);
        }
    }

    /* an inode may have two names now */
    std::map<Inode *, std::shared_ptr<Inode>> copies;
    for (const auto &name : names) {
        std::shared_ptr<Inode> &copy = copies[name.second.get()];
        if (!copy) {
            copy = std::make_shared<Inode>();
            copy->durable = name.second->durable;
            for (const Change &c : name.second->lost) {
                apply_torn(&copy->durable, c, random);
            }
            for (const Change &c : name.second->pending) {
                apply_torn(&copy->durable, c, random);
            }
            copy->now = copy->durable;
        }
        after.names_[name.first] = copy;
    }
    after.durable_names_ = after.names_;
    return after;
}

SpoolDisk SpoolDisk::after_kill() const
{
    SpoolDisk after;
    after.clock_ms = clock_ms + 1;
    for (const auto &name : names_) {
        std::shared_ptr<Inode> copy = std::make_shared<Inode>();
        copy->now = copy->durable = name.second->now;
        after.names_[name.first] = copy;
    }
    after.durable_names_ = after.names_;
    return after;
}

std::vector<std::string> SpoolDisk::names() const
{
    std::vector<std::string> out;
    for (const auto &name : names_) {
        out.push_back(name.first);
    }
    return out;
}

std::string SpoolDisk::content(const std::string &path) const
{
    const auto it = names_.find(path);
    return it == names_.end() ? std::string() : it->second->now;
}

std::string *SpoolDisk::durable_content(const std::string &path)
{
    Inode *inode = names_.at(path).get();
    inode->durable = inode->now;
    inode->pending.clear();
    return &inode->now;
}

int SpoolDisk::fault_of(const char *operation)
{
    return fault ? fault(operation) : 0;
}

SpoolDisk::Inode *SpoolProcess::inode(int fd)
{
    if (killed_ || mine_.count(fd) == 0) {
        return nullptr;
    }
    return disk_->open_.at(fd).get();
}

void SpoolProcess::kill()
{
    while (!mine_.empty()) {
        close(mine_.begin()->first);
    }
    killed_ = true;
}

int SpoolProcess::open(const char *path, OpenMode mode)
{
    if (killed_) {
        return -EIO;
    }
    const int rc = disk_->fault_of("open");
    if (rc < 0) {
        return rc;
    }

    const auto it = disk_->names_.find(path);
    const bool found = it != disk_->names_.end();
    if (!found && (mode == OpenMode::read || mode == OpenMode::write)) {
        return -ENOENT;
    }
    if (found && mode == OpenMode::create) {
        return -EEXIST;
    }

    std::shared_ptr<SpoolDisk::Inode> inode;
    if (found) {
        inode = it->second;
    } else {
        inode = std::make_shared<SpoolDisk::Inode>();
        SpoolDisk::NameChange c = {SpoolDisk::NameChange::link, path, "",
                                   inode};
        SpoolDisk::apply(&disk_->names_, c);
        disk_->pending_names_.push_back(c);
    }

    const int fd = disk_->next_fd_++;
    disk_->open_[fd] = inode;
    mine_[fd] = true;
    if (!found) {
        disk_->note();
    }
    return fd;
}

int SpoolProcess::close(int fd)
{
    SpoolDisk::Inode *i = inode(fd);
    if (i == nullptr) {
        return -EBADF;
    }
    if (i->locked_by == fd) {
        i->locked_by = -1;
    }
    mine_.erase(fd);
    disk_->open_.erase(fd);
    return 0;
}

ssize_t SpoolProcess::pread(int fd, void *out, size_t n, uint64_t offset)
{
    SpoolDisk::Inode *i = inode(fd);
    if (i == nullptr) {
        return -EBADF;
    }
    const int rc = disk_->fault_of("pread");
    if (rc < 0) {
        return rc;
    }
    if (offset >= i->now.size()) {
        return 0;
    }

    /* short now and then, as the call may be */
    n = std::min(n, i->now.size() - offset);
    if (n > 1000 && (disk_->operations & 7) == 0) {
        n -= 333;
    }
    std::memcpy(out, i->now.data() + offset, n);
    return static_cast<ssize_t>(n);
}

ssize_t SpoolProcess::pwrite(int fd, const void *in, size_t n, uint64_t offset)
{
    SpoolDisk::Inode *i = inode(fd);
    if (i == nullptr) {
        return -EBADF;
    }
    const int rc = disk_->fault_of("pwrite");
    if (rc < 0) {
        return rc;
    }
    if (rc > 0) {
        n = std::min<size_t>(n, rc);
    }

    SpoolDisk::Change c = {false, offset,
                           std::string(static_cast<const char *>(in), n)};
    SpoolDisk::apply(&i->now, c);
    i->pending.push_back(c);
    disk_->note();
    return static_cast<ssize_t>(n);
}

int64_t SpoolProcess::size(int fd)
{
    SpoolDisk::Inode *i = inode(fd);
    return i == nullptr ? -EBADF : static_cast<int64_t>(i->now.size());
}

int SpoolProcess::ftruncate(int fd, uint64_t size)
{
    SpoolDisk::Inode *i = inode(fd);
    if (i == nullptr) {
        return -EBADF;
    }
    const int rc = disk_->fault_of("ftruncate");
    if (rc < 0) {
        return rc;
    }
    SpoolDisk::Change c = {true, size, ""};
    SpoolDisk::apply(&i->now, c);
    i->pending.push_back(c);
    disk_->note();
    return 0;
}

int SpoolProcess::fdatasync(int fd)
{
    SpoolDisk::Inode *i = inode(fd);
    if (i == nullptr) {
        return -EBADF;
    }
    const int rc = disk_->fault_of("fdatasync");
    if (rc < 0) {
        /* the kernel calls the pages clean now, whatever became of them */
        i->lost.insert(i->lost.end(), i->pending.begin(), i->pending.end());
        i->pending.clear();
        disk_->note();
        return rc;
    }
    for (const SpoolDisk::Change &c : i->pending) {
        SpoolDisk::apply(&i->durable, c);
    }
    i->pending.clear();
    disk_->note();
    return 0;
}

int SpoolProcess::fsync_dir(const char *)
{
    if (killed_) {
        return -EIO;
    }
    const int rc = disk_->fault_of("fsync_dir");
    if (rc < 0) {
        return rc;
    }
    for (const SpoolDisk::NameChange &c : disk_->pending_names_) {
        SpoolDisk::apply(&disk_->durable_names_, c);
    }
    disk_->pending_names_.clear();
    disk_->note();
    return 0;
}

int SpoolProcess::rename(const char *from, const char *to)
{
    if (killed_) {
        return -EIO;
    }
    const int rc = disk_->fault_of("rename");
    if (rc < 0) {
        return rc;
    }
    const auto it = disk_->names_.find(from);
    if (it == disk_->names_.end()) {
        return -ENOENT;
    }
    SpoolDisk::NameChange c = {SpoolDisk::NameChange::rename, from, to,
                               it->second};
    SpoolDisk::apply(&disk_->names_, c);
    disk_->pending_names_.push_back(c);
    disk_->note();
    return 0;
}

int SpoolProcess::unlink(const char *path)
{
    if (killed_) {
        return -EIO;
    }
    const int rc = disk_->fault_of("unlink");
    if (rc < 0) {
        return rc;
    }
    const auto it = disk_->names_.find(path);
    if (it == disk_->names_.end()) {
        return -ENOENT;
    }
    SpoolDisk::NameChange c = {SpoolDisk::NameChange::unlink, path, "",
                               it->second};
    SpoolDisk::apply(&disk_->names_, c);
    disk_->pending_names_.push_back(c);
    disk_->note();
    return 0;
}

bool SpoolProcess::exists(const char *path)
{
    return disk_->names_.count(path) > 0;
}

int SpoolProcess::list(const char *dir, void (*entry)(void *, const char *),
                       void *data)
{
    if (killed_) {
        return -EIO;
    }
    const int rc = disk_->fault_of("list");
    if (rc < 0) {
        return rc;
    }
    const std::string prefix = std::string(dir) + "/";
    for (const std::string &name : disk_->names()) {
        if (name.compare(0, prefix.size(), prefix) == 0) {
            entry(data, name.c_str() + prefix.size());
        }
    }
    return 0;
}

int SpoolProcess::lock(int fd)
{
    SpoolDisk::Inode *i = inode(fd);
    if (i == nullptr) {
        return -EBADF;
    }
    if (i->locked_by >= 0 && i->locked_by != fd) {
        return -EWOULDBLOCK;
    }
    i->locked_by = fd;
    return 0;
}

int SpoolProcess::unlock(int fd)
{
    SpoolDisk::Inode *i = inode(fd);
    if (i == nullptr) {
        return -EBADF;
    }
    if (i->locked_by == fd) {
        i->locked_by = -1;
    }
    return 0;
}
