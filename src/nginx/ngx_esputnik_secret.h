/* Files that hold secrets, read while the configuration is. */

#ifndef NGX_ESPUTNIK_SECRET_H
#define NGX_ESPUTNIK_SECRET_H

#include "ngx_esputnik.h"

namespace ngx_esputnik {

/* The whole file, at most 64 KiB, in the configuration's pool, wiped when that
 * ends.  *path becomes a full name (relative to the configuration's folder).
 * A file that others than its owner may read is [warn]; false after [emerg]. */
bool read_secret_file(ngx_conf_t *cf, const ngx_str_t &directive,
                      ngx_str_t *path, ngx_str_t *text);

} // namespace ngx_esputnik

#endif
