/* Setters of the directives that nginx has none for.  Each answers a wrong
 * value with [emerg] that names the directive and what was expected. */

#ifndef NGX_ESPUTNIK_DIRECTIVES_H
#define NGX_ESPUTNIK_DIRECTIVES_H

#include "ngx_esputnik.h"

namespace ngx_esputnik {

/* For set_number() and set_time(), through ngx_command_t::post. */
struct Range {
    ngx_int_t min;
    ngx_int_t max;
    const char *expected;
    bool off;            /* "off" is taken too, as 0 */
};

char *set_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept;
char *set_redis_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept;
char *set_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept;
char *set_push(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept;
char *set_dedup(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept;
char *set_ack(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept;
char *set_shards(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept;
char *set_word(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept;
char *set_invalid(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept;
char *set_require(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept;
char *set_number(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept;
char *set_time(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept;
char *set_token(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept;

/* "expected …, not "VALUE"" after the directive's name; returns
 * NGX_CONF_ERROR. */
char *refuse_value(ngx_conf_t *cf, const ngx_str_t &directive,
                   const ngx_str_t &value, const char *expected);

} // namespace ngx_esputnik

#endif
