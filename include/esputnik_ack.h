/*
 * What Redis must have done before an event counts as stored, beyond having
 * executed the push: replicated it (WAIT, any version), or fsynced it
 * (WAITAOF, Redis 7.2).  Both look at the writes of the connection that asks,
 * so the command goes right behind the push on the same link.
 */

#ifndef ESPUTNIK_ACK_H
#define ESPUTNIK_ACK_H

#include <cstdint>

#include "esputnik_array.h"
#include "esputnik_redis_error.h"
#include "esputnik_reply.h"

namespace esputnik {

enum class AckMode : uint8_t {
    memory,     /* the push's own reply is enough */
    replicas,   /* WAIT replicas ms */
    aof,        /* WAITAOF 1 0 ms */
};

struct Ack {
    AckMode mode = AckMode::memory;
    uint32_t replicas = 0;      /* of AckMode::replicas, at least 1 */
};

enum class AckResult : uint8_t {
    done,
    too_few,      /* the time was up: stored, but not as far as asked for */
    unsupported,  /* this Redis cannot tell: WAITAOF before 7.2 or without
                     appendonly, WAIT on a replica */
    refused,      /* another error reply: *error says which */
    protocol,     /* not a reply to this command: close the connection */
};

/* Appends the command; false when memory is short, or when there is nothing
 * to ask (AckMode::memory).  timeout_ms is at least 1: for Redis 0 means for
 * ever, and while it waits nothing else on the connection is executed. */
bool append_ack(Buffer &out, const Ack &ack, uint64_t timeout_ms);

/* How long Redis may wait when its answer is waited for so many milliseconds.
 * An idle Redis looks at its clock only hz (10) times a second, so that a WAIT
 * ends up to 100 ms late: the rest has room for that. */
uint64_t ack_wait_ms(uint64_t reply_timeout_ms);

AckResult read_ack(const Reply &reply, const Ack &ack, RedisError *error);

/* A sentence for the log and for $esputnik_error. */
const char *ack_text(AckResult result, const Ack &ack);

} // namespace esputnik

#endif
