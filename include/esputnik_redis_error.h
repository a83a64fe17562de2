/*
 * What an error reply of Redis means for the one who waits for it.
 * Sources: the error prefixes in Redis' source (server.c of 7.0: -OOM,
 * -LOADING …) and the cluster specification (MOVED, ASK, TRYAGAIN,
 * CLUSTERDOWN).
 *
 * An error reply to one command, or to EXEC, means that this command or this
 * transaction has written nothing.
 */

#ifndef ESPUTNIK_REDIS_ERROR_H
#define ESPUTNIK_REDIS_ERROR_H

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace esputnik {

enum class RedisError : uint8_t {
    none,
    oom,             /* OOM: maxmemory reached, noeviction */
    loading,         /* LOADING: reading its data after a start */
    readonly,        /* READONLY: a replica */
    misconf,         /* MISCONF: its own persistence fails */
    noreplicas,      /* NOREPLICAS: min-replicas-to-write */
    busy,            /* BUSY: a script runs */
    masterdown,      /* MASTERDOWN */
    clusterdown,     /* CLUSTERDOWN */
    tryagain,        /* TRYAGAIN: a slot is being moved */
    moved,           /* MOVED slot host:port */
    ask,             /* ASK slot host:port */
    crossslot,       /* CROSSSLOT */
    noauth,          /* NOAUTH */
    wrongpass,       /* WRONGPASS, and what Redis before 6 said instead */
    noperm,          /* NOPERM */
    wrongtype,       /* WRONGTYPE: the key holds something else */
    noscript,        /* NOSCRIPT */
    execabort,       /* EXECABORT that does not name another cause */
    max_clients,     /* ERR max number of clients reached */
    denied,          /* DENIED: protected mode */
    unknown_command, /* ERR unknown command */
    other,
    count
};

/* One word as Redis writes it ("OOM"), for logs and counters; "ERR …" for
 * those that Redis tells apart by their text only. */
std::string_view redis_error_name(RedisError e);

/* Of the text behind '-'.  An error that Redis wraps in another (EXECABORT
 * "… because of: OOM …", a script's error before Redis 7) is the inner one. */
RedisError classify_redis_error(std::string_view text);

/*
 * Three questions decide what becomes of a refused event:
 *
 *   passing   Will time alone, or a failover, cure it?  Worth a short
 *             Retry-After, and a retry by itself.
 *   spoolable Could the same bytes be taken later, though it may need an
 *             operator (credentials, an ACL, the key's content)?  A spool
 *             takes these; without one the answer is 503.  All that is
 *             passing is spoolable.
 *   scope     What else would be refused for the same cause: a spool holds
 *             back only that.
 *
 * Not spoolable is what is the client's own to deal with: it loads the script
 * for NOSCRIPT, and CROSSSLOT is a configuration whose keys can never go into
 * one transaction.  MOVED and ASK are spoolable: the client follows them, and
 * they are an answer only where that has led nowhere, which passes when the
 * nodes agree.
 */
bool redis_error_passing(RedisError e);
bool redis_error_spoolable(RedisError e);

enum class RedisScope : uint8_t {
    target,     /* this Redis: whatever comes next meets the same refusal */
    slot,       /* the key's slot of a cluster */
    key,        /* the key alone; events for other keys go on */
    command,    /* the command alone */
};

RedisScope redis_error_scope(RedisError e);

/* The connection itself is of no more use (a demoted master, a refused login,
 * too many clients): close it and connect anew. */
bool redis_error_closes(RedisError e);

} // namespace esputnik

#endif
