/*
 * What the configuration says: one MainConf, one LocConf a location, and the
 * deployments of Redis that locations point to.  All of it lives in the
 * configuration's pool and is read-only in the workers, but for
 * TargetConf::runtime, which each worker fills for itself.
 */

#ifndef NGX_ESPUTNIK_CONF_H
#define NGX_ESPUTNIK_CONF_H

#include "ngx_esputnik.h"

#include "esputnik_ack.h"
#include "esputnik_fields.h"

namespace ngx_esputnik {

class Target;
struct SharedRoot;
struct SharedTarget;
struct SpoolConf;
struct SpoolFolderConf;
struct TlsConf;
struct TokenConf;

/* One `server` of a deployment. */
struct ServerConf {
    ngx_str_t name;         /* as written, for logs: "host:port", "unix:/path" */
    ngx_str_t host;         /* a name that the resolver is asked for; empty
                               when addrs is known from the start */
    in_port_t port;
    ngx_addr_t *addrs;
    ngx_uint_t naddrs;
};

/* A deployment of Redis, from a URL or a named block.  Unset timeouts are the
 * location's. */
struct TargetConf {
    ngx_str_t name;         /* never holds a secret */
    ngx_array_t servers;    /* of ServerConf */
    ngx_str_t user;
    ngx_str_t password;
    ngx_uint_t database;
    ngx_uint_t connections;
    ngx_msec_t connect_timeout;
    ngx_msec_t timeout;
    ngx_flag_t cluster;     /* the servers are seeds */
    ngx_str_t sentinel;     /* the master's name; empty: no sentinels.  The
                               servers are these */
    ngx_str_t sentinel_user;
    ngx_str_t sentinel_password;
    TlsConf *tls;           /* nullptr: without */
    size_t queue;           /* bytes of unanswered commands, per connection */
    ngx_resolver_t *resolver;
    ngx_msec_t resolver_timeout;
    ngx_log_t *log;
    SharedTarget *shared;
    uint32_t generation;    /* of the configuration: a reload's is higher */
    Target *runtime;        /* this worker's, made when it is first needed */
};

struct MainConf {
    ngx_array_t blocks;     /* of TargetConf *: esputnik_redis NAME { } */
    ngx_array_t targets;    /* of TargetConf *: what locations use */
    ngx_array_t folders;    /* of SpoolFolderConf *: esputnik_spool */
    ngx_array_t spools;     /* of SpoolConf * */
    ngx_array_t locations;  /* of ngx_http_core_loc_conf_t *: with a pass */
    ngx_str_t zone_name;
    size_t zone_size;       /* 0: not set */
    ngx_cycle_t *cycle;     /* the configuration's */
    SharedRoot *shared;     /* what the zone holds */
    esputnik::FieldSet wanted; /* fields that variables of this
                                  configuration can ask for */
    esputnik::FieldSet counted; /* fields that esputnik_status tells of;
                                   0 without one */
};

/* As esputnik::PushOp. */
enum class Push : ngx_uint_t { rpush, lpush, xadd };

enum class Invalid : ngx_uint_t { reject, quarantine };

/* What esputnik_status was given. */
enum class StatusWord : ngx_uint_t { none, accept, json, prometheus, html };

struct LocConf {
    ngx_str_t pass;                      /* as written; empty: none */
    ngx_str_t pass_file;                 /* where */
    ngx_uint_t pass_line;
    TargetConf *target;

    ngx_http_complex_value_t *key;
    ngx_http_complex_value_t *value;     /* nullptr: the event's bytes */
    ngx_uint_t push;                     /* Push */
    ngx_uint_t push_maxlen;              /* of xadd; 0: none */

    ngx_msec_t dedup_window;             /* ms; 0: off */
    ngx_http_complex_value_t *dedup_identity; /* nullptr: the event's bytes */

    esputnik::Ack ack;
    ngx_flag_t ack_set;
    ngx_uint_t max_length;               /* 0: off */

    ngx_uint_t shards;                   /* 0: off */
    ngx_http_complex_value_t *shard_by;  /* nullptr: the contact id */

    ngx_uint_t invalid;                  /* Invalid */
    ngx_http_complex_value_t *invalid_key;
    ngx_uint_t reject_unknown_status;

    uint64_t required;                   /* esputnik::FieldSet */
    ngx_flag_t required_set;
    ngx_int_t max_events;
    ngx_int_t max_depth;

    TokenConf *token;

    ngx_uint_t status;                   /* StatusWord; none: no status page */

    SpoolFolderConf *folder;             /* esputnik_spool; nullptr: off */
    SpoolConf *spool;                    /* the target's in it */

    ngx_msec_t connect_timeout;
    ngx_msec_t timeout;
    ngx_msec_t body_timeout;

    off_t max_body;                      /* the location's own
                                            client_max_body_size; 0: none */
};

void *create_main_conf(ngx_conf_t *cf) noexcept;
void *create_loc_conf(ngx_conf_t *cf) noexcept;
char *merge_loc_conf(ngx_conf_t *cf, void *parent, void *child) noexcept;

/* Takes over client_max_body_size of the locations with a pass, so that its
 * refusal is answered as the other refusals are.  There it is the module's to
 * hold, whoever reads the body: ngx_esputnik_body.cpp. */
void take_over_body_limits(MainConf *main);

/* The handler of a location with a pass: ngx_esputnik_handler.cpp. */
ngx_int_t content_handler(ngx_http_request_t *r) noexcept;

inline LocConf *loc_conf(ngx_http_request_t *r)
{
    return static_cast<LocConf *>(
        ngx_http_get_module_loc_conf(r, ngx_esputnik_module));
}

inline MainConf *main_conf(ngx_conf_t *cf)
{
    return static_cast<MainConf *>(
        ngx_http_conf_get_module_main_conf(cf, ngx_esputnik_module));
}

inline MainConf *main_conf(ngx_http_request_t *r)
{
    return static_cast<MainConf *>(
        ngx_http_get_module_main_conf(r, ngx_esputnik_module));
}

} // namespace ngx_esputnik

#endif
