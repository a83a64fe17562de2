/*
 * esputnik_spool: the folders, and what deployments are spooled there.  The
 * folders are made and locked by the master before any worker starts, and while
 * it can still go back to the configuration that it has.
 */

#ifndef NGX_ESPUTNIK_SPOOL_CONF_H
#define NGX_ESPUTNIK_SPOOL_CONF_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_conf.h"

#include "esputnik_ack.h"

namespace ngx_esputnik {

class Spool;
struct SharedFolder;
struct SharedRoot;
struct SharedSpool;

struct SpoolFolderConf {
    ngx_str_t path;            /* full, terminated */
    size_t max_size;           /* bytes of its files; 0: the disk's limit */
    SharedFolder *shared;
    SharedRoot *root;          /* of the zone that this is in */
};

struct SpoolConf {
    SpoolFolderConf *folder;
    TargetConf *target;
    esputnik::Ack ack;         /* before a record is taken off */
    ngx_uint_t max_length;
    bool lists;                /* a location pushes to lists, for which
                                  max_length is */
    ngx_thread_pool_t *threads;
    SharedSpool *shared;
    Spool *runtime;            /* this worker's */
};

char *set_spool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept;

/* The spool of a location's target in its folder; nullptr after [emerg]. */
SpoolConf *spool_conf(ngx_conf_t *cf, MainConf *main, const LocConf *conf);

/* In the master, when the zone is: makes and locks the folders, counts what
 * they hold.  On an error, said as [emerg], a start fails, and a reload is
 * rolled back; from init_module on nginx would end instead. */
ngx_int_t init_spools(ngx_cycle_t *cycle, MainConf *main);

} // namespace ngx_esputnik

#endif
