#include "ngx_esputnik_secret.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ngx_esputnik {

namespace {

constexpr off_t kMaxSize = 64 * 1024;

void wipe(void *data)
{
    const auto *text = static_cast<ngx_str_t *>(data);
    explicit_bzero(text->data, text->len);
}

/* -1 after [emerg], else how many bytes were read. */
ssize_t read_all(ngx_conf_t *cf, const ngx_str_t &directive,
                 const ngx_str_t &path, int fd, u_char *out, size_t size)
{
    size_t length = 0;

    while (length < size) {
        const ssize_t n = ::read(fd, out + length, size - length);
        if (n == 0) {
            break;
        }
        if (n < 0) {
            if (ngx_errno == NGX_EINTR) {
                continue;
            }
            ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                               "reading \"%V\" of \"%V\" failed", &path,
                               &directive);
            return -1;
        }
        length += static_cast<size_t>(n);
    }

    return static_cast<ssize_t>(length);
}

} // namespace

bool read_secret_file(ngx_conf_t *cf, const ngx_str_t &directive,
                      ngx_str_t *path, ngx_str_t *text)
{
    if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) {
        return false;
    }

    const int fd = ::open(reinterpret_cast<char *>(path->data),
                          O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "cannot open \"%V\" of \"%V\"", path, &directive);
        return false;
    }

    struct stat st;
    if (::fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > kMaxSize)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of \"%V\" is not what is expected, a file "
                           "of at most 64k",
                           path, &directive);
        (void) ::close(fd);
        return false;
    }

    if (st.st_mode & (S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH)) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" of \"%V\" holds a secret and others than "
                           "its owner may read it, expected mode 0600",
                           path, &directive);
    }

    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(cf->pool,
                                                       sizeof(ngx_str_t));
    auto *data = static_cast<u_char *>(ngx_pnalloc(cf->pool, kMaxSize));
    if (cleanup == nullptr || data == nullptr) {
        (void) ::close(fd);
        return false;
    }

    const ssize_t length = read_all(cf, directive, *path, fd, data, kMaxSize);
    (void) ::close(fd);
    if (length < 0) {
        return false;
    }

    *text = {static_cast<size_t>(length), data};
    *static_cast<ngx_str_t *>(cleanup->data) = *text;
    cleanup->handler = wipe;
    return true;
}

} // namespace ngx_esputnik
