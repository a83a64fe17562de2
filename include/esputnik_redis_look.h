/*
 * The look at a Redis that was just connected to: where its configuration
 * keeps less than a 200 promises, the operator is told once.
 *
 * A Redis that hides these facts (an ACL, a managed service) is no error:
 * what cannot be seen stays unknown and no warning follows from it.
 *
 * Source: the INFO command, sections server, replication, persistence and
 * memory.
 */

#ifndef ESPUTNIK_REDIS_LOOK_H
#define ESPUTNIK_REDIS_LOOK_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_array.h"
#include "esputnik_reply.h"

namespace esputnik {

enum class RedisRole : uint8_t { unknown, master, replica };
enum class RedisSwitch : uint8_t { unknown, off, on };

struct RedisFacts {
    static constexpr size_t kMaxText = 32;

    RedisRole role = RedisRole::unknown;
    RedisSwitch appendonly = RedisSwitch::unknown;
    RedisSwitch maxmemory = RedisSwitch::unknown;   /* is there a limit */
    bool valkey = false;                /* version is Valkey's */
    char policy[kMaxText + 1] = "";     /* maxmemory-policy; "": unknown */
    char version[kMaxText + 1] = "";    /* "7.0.15"; "": unknown */
};

/* How many commands append_look() writes, and so how many replies follow. */
constexpr size_t kLookCommands = 4;

/* False when memory is short; the buffer is then as it was. */
bool append_look(Buffer &out);

/* Takes in the reply to one of them; they are told apart by what they say.
 * A reply that says nothing (an error, another type) changes nothing. */
void read_look(const Reply &reply, RedisFacts *facts);

enum class RedisWarning : uint8_t {
    replica,        /* refuses every write */
    no_appendonly,  /* a crash of Redis loses what 200 was said for */
    eviction,       /* memory pressure may drop the list itself */
    count
};

bool has_warning(const RedisFacts &facts, RedisWarning w);

/* One sentence's end for the log, "… is a replica and refuses writes". */
const char *warning_text(RedisWarning w);

} // namespace esputnik

#endif
