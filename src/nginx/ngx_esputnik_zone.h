/*
 * The zone of shared memory (esputnik_zone): what all workers, of this
 * configuration and of the one before a reload, know together.  An entry is
 * made while the configuration is, before its workers start, found again by
 * name at a reload, and never moves.
 */

#ifndef NGX_ESPUTNIK_ZONE_H
#define NGX_ESPUTNIK_ZONE_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_conf.h"

#include "esputnik_counters.h"
#include "esputnik_history.h"
#include "esputnik_redis_warnings.h"
#include "esputnik_sender.h"
#include "esputnik_spool_account.h"
#include "esputnik_spool_shared.h"

namespace ngx_esputnik {

/* A deployment. */
struct SharedTarget {
    SharedTarget *next;
    esputnik::RedisWarnings warnings;
    esputnik::TargetCounters counters;
    esputnik::TargetGauges *gauges; /* SharedRoot::places of them */
    size_t name_length;
    u_char name[256];
};

/* A spool's folder. */
struct SharedFolder {
    SharedFolder *next;
    esputnik::SpoolAccount account; /* a worker's place is its share */
    size_t name_length;
    u_char name[NGX_MAX_PATH];
};

/* One deployment's records in a folder. */
struct SharedSpool {
    SharedSpool *next;
    SharedFolder *folder;
    SharedTarget *target;
    ngx_atomic_t ready;        /* begun: what the folder held is counted */
    ngx_atomic_t oldest_ms;    /* since 1970, of the oldest record, as the
                                  drain last saw it; 0: none */
    esputnik::SpoolShared spool;
};

struct SharedRoot {
    SharedTarget *targets;
    SharedFolder *folders;
    SharedSpool *spools;

    uint64_t since_ms;         /* when counting began, since 1970 */
    uint32_t generations;      /* configurations that have asked for it */
    esputnik::Counters *counters;
    size_t counter_slots;      /* workers share them beyond that many */
    ngx_atomic_t *workers;     /* a process id for each place, 0: free */
    size_t places;

    esputnik::SenderWatch sender;
    esputnik::RefusalRing refusals;
    esputnik::History history;

    /* The calling worker's: ngx_esputnik_gauge.cpp. */
    esputnik::Counters &mine();
};

char *set_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept;

/* Asks nginx for the zone of this configuration, with its default when there
 * is no directive. */
ngx_int_t add_zone(ngx_conf_t *cf, MainConf *main);

} // namespace ngx_esputnik

#endif
