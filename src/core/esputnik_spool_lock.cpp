/*
 * The lock of nginx on its spool.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "esputnik_spool_dir.h"

namespace esputnik {

namespace {

constexpr int kDescriptorsSearched = 1024;

int make_dir(const char *dir, uid_t uid, gid_t gid, const char **step)
{
    *step = "mkdir";
    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        return -errno;
    }

    struct stat st;
    *step = "stat";
    if (stat(dir, &st) < 0) {
        return -errno;
    }
    if (!S_ISDIR(st.st_mode)) {
        return -ENOTDIR;
    }

    *step = "chown";
    if (geteuid() == 0 && uid != static_cast<uid_t>(-1) && st.st_uid != uid
        && chown(dir, uid, gid) < 0)
    {
        return -errno;
    }
    return 0;
}

/* A binary upgrade's master has got the descriptor from the old one, without
 * knowing its number: the same open file, so the lock is already ours. */
int inherited(int opened)
{
    struct stat wanted, st;
    if (fstat(opened, &wanted) < 0) {
        return -1;
    }

    for (int fd = 3; fd < kDescriptorsSearched; fd++) {
        if (fd != opened && fstat(fd, &st) == 0 && st.st_dev == wanted.st_dev
            && st.st_ino == wanted.st_ino && flock(fd, LOCK_EX | LOCK_NB) == 0)
        {
            return fd;
        }
    }
    return -1;
}

} // namespace

int lock_spool(const char *dir, uid_t uid, gid_t gid, const char **step)
{
    const int rc = make_dir(dir, uid, gid, step);
    if (rc < 0) {
        return rc;
    }

    char path[kSpoolPathMax];
    const int n = snprintf(path, sizeof(path), "%s/lock", dir);
    *step = "open lock";
    if (n < 0 || static_cast<size_t>(n) >= sizeof(path)) {
        return -ENAMETOOLONG;
    }

    /* without O_CLOEXEC: see inherited() */
    const int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return -errno;
    }

    *step = "lock";
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        return fd;
    }

    const int error = errno;
    const int kept = error == EWOULDBLOCK ? inherited(fd) : -1;
    close(fd);
    return kept >= 0 ? kept : -error;
}

} // namespace esputnik
