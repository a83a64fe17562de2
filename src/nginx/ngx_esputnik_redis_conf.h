/* Which Redis: the URL of esputnik_pass, or a block esputnik_redis. */

#ifndef NGX_ESPUTNIK_REDIS_CONF_H
#define NGX_ESPUTNIK_REDIS_CONF_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_conf.h"

namespace ngx_esputnik {

/* The deployment that a location's pass names, with the location's timeouts
 * and resolver where it has none of its own; locations that agree share one.
 * nullptr after [emerg]. */
TargetConf *target_conf(ngx_conf_t *cf, MainConf *main, LocConf *conf,
                        ngx_http_core_loc_conf_t *clcf);

/* Whether two of one name are the same user of the same servers. */
bool same_login(const TargetConf *a, const TargetConf *b);

/* A new one with nothing set. */
TargetConf *new_target_conf(ngx_conf_t *cf);

/* Adds a server written as host:port, host, [ipv6]:port or unix:path. */
char *add_server(ngx_conf_t *cf, TargetConf *target, const ngx_str_t &address,
                 in_port_t default_port);

/* One line of a block, for ngx_conf_parse(); conf is the TargetConf. */
char *set_redis_line(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept;

} // namespace ngx_esputnik

#endif
