/*
 * One request: what the module knows of it from its body to its answer.
 *
 * Lives in the request's pool and is found again after an internal redirect
 * (which forgets r->ctx) through the pool's cleanups, so that the log phase
 * has its variables.
 */

#ifndef NGX_ESPUTNIK_CONTEXT_H
#define NGX_ESPUTNIK_CONTEXT_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_conf.h"
#include "ngx_esputnik_count.h"
#include "ngx_esputnik_lengths.h"
#include "ngx_esputnik_link.h"
#include "ngx_esputnik_spool.h"

#include "esputnik_list_push.h"
#include "esputnik_parser.h"
#include "esputnik_problem.h"

#include <type_traits>

namespace ngx_esputnik {

class Delivery;

enum class Result : uint8_t {
    none,
    accepted,
    spooled,
    quarantined,
    rejected,
    unauthorized,
    unavailable,
};

/* What a reply touches comes first: with many requests in flight each line of
 * this has left the cache until then. */
struct Context {
    ngx_http_request_t *request;
    LocConf *conf;

    /* the wait for Redis: ngx_esputnik_store.cpp */
    Op op;
    Link *link;                     /* that was asked last */
    ngx_msec_t asked;               /* when the command was queued */
    ngx_str_t key;                  /* of a plain push */
    Delivery *delivery;             /* what is under way instead of op, or
                                       waits for a list's length */

    /* what the variables and the answer say */
    ngx_uint_t events;              /* in the POST, good or bad */
    ngx_uint_t quarantined;         /* elements for the quarantine: of these,
                                       or the body as a whole */
    ngx_uint_t duplicates;
    Result result;
    bool in_spool;
    bool asked_redis;
    ngx_msec_t redis_time;
    ngx_str_t error;

    count::Record counted;          /* ngx_esputnik_count.cpp */

    /* the body: ngx_esputnik_body.cpp */
    ngx_str_t body;
    size_t body_room;
    esputnik::EventSlice *slices;   /* of its events, for a push that was
                                       deferred */
    ngx_event_t body_timer;
    esputnik::Reason body_refusal;
    unsigned gathering : 1;
    unsigned gathered : 1;
    unsigned body_owned : 1;       /* body.data is an allocation of ours */
    unsigned body_read_before : 1; /* by another module, which it was too
                                       large for */
    unsigned encoded : 1;          /* the body came with Content-Encoding */

    /* the event at hand, for the variables; parser is nullptr when there is
     * none: ngx_esputnik_variables.cpp */
    const esputnik::Parser *parser;
    size_t event;

    /* the wait for the disk, and that for a list's length */
    SpoolWaiter spooled;
    LengthWaiter length;
};

static_assert(std::is_trivially_destructible<Context>::value,
              "the request's pool frees it without a destructor");

/* nullptr when the request never reached the handler. */
Context *find_context(ngx_http_request_t *r);

/* A new one, attached to the request; nullptr when memory is short. */
Context *make_context(ngx_http_request_t *r, LocConf *conf);

} // namespace ngx_esputnik

#endif
