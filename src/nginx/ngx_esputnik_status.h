/*
 * esputnik_status: the location that tells how things are, for programs and for
 * people.
 */

#ifndef NGX_ESPUTNIK_STATUS_H
#define NGX_ESPUTNIK_STATUS_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_conf.h"

namespace ngx_esputnik {

char *set_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept;

/* In a worker of a configuration with a status location: takes a place, and
 * samples of the history from time to time. */
void start_counting(ngx_cycle_t *cycle, MainConf *main);
void end_counting(MainConf *main);

} // namespace ngx_esputnik

#endif
