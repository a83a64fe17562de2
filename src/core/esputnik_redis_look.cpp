#include "esputnik_redis_look.h"

#include <cstring>

#include "esputnik_command.h"

namespace esputnik {

namespace {

constexpr std::string_view kSections[] = {"server", "replication",
                                          "persistence", "memory"};
static_assert(sizeof(kSections) / sizeof(kSections[0]) == kLookCommands,
              "one command a section: several in one came with Redis 7");

/* These texts go to logs and the status page: only what such a name may
 * have, or it stays unknown. */
bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

void copy_name(std::string_view value, char (&out)[RedisFacts::kMaxText + 1])
{
    if (value.empty() || value.size() > RedisFacts::kMaxText) {
        return;
    }
    for (char c : value) {
        if (!is_name_char(c)) {
            return;
        }
    }
    std::memcpy(out, value.data(), value.size());
    out[value.size()] = '\0';
}

void read_switch(std::string_view value, RedisSwitch *out)
{
    if (value == "0") {
        *out = RedisSwitch::off;
    } else if (value == "1") {
        *out = RedisSwitch::on;
    }
}

void read_maxmemory(std::string_view value, RedisSwitch *out)
{
    if (value.empty() || value.find_first_not_of("0123456789") != value.npos) {
        return;
    }
    *out = value.find_first_not_of('0') == value.npos ? RedisSwitch::off
                                                      : RedisSwitch::on;
}

void read_field(std::string_view name, std::string_view value,
                RedisFacts *facts)
{
    if (name == "role") {
        if (value == "master") {
            facts->role = RedisRole::master;
        } else if (value == "slave" || value == "replica") {
            facts->role = RedisRole::replica;
        }
    } else if (name == "aof_enabled") {
        read_switch(value, &facts->appendonly);
    } else if (name == "maxmemory") {
        read_maxmemory(value, &facts->maxmemory);
    } else if (name == "maxmemory_policy") {
        copy_name(value, facts->policy);
    } else if (name == "redis_version") {
        /* Valkey has both, and its redis_version stands still */
        if (!facts->valkey) {
            copy_name(value, facts->version);
        }
    } else if (name == "valkey_version") {
        copy_name(value, facts->version);
        facts->valkey = true;
    }
}

} // namespace

bool append_look(Buffer &out)
{
    const size_t before = out.size();
    for (std::string_view section : kSections) {
        if (!append_command(out, {"INFO", section})) {
            out.truncate(before);
            return false;
        }
    }
    return true;
}

void read_look(const Reply &reply, RedisFacts *facts)
{
    if (!reply.is(ReplyType::string)) {
        return;
    }
    std::string_view text = reply.text();
    while (!text.empty()) {
        const size_t end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
        if (!line.empty() && line.back() == '\r') {
            line.remove_suffix(1);
        }
        const size_t colon = line.find(':');
        if (colon != line.npos) {
            const std::string_view name = line.substr(0, colon);
            line.remove_prefix(colon + 1);
            read_field(name, line, facts);
        }
    }
}

bool has_warning(const RedisFacts &facts, RedisWarning w)
{
    switch (w) {
    case RedisWarning::replica:
        return facts.role == RedisRole::replica;
    case RedisWarning::no_appendonly:
        return facts.appendonly == RedisSwitch::off;
    case RedisWarning::eviction:
        /* volatile-* takes keys that expire only, which the list does not;
         * without a limit no policy comes into play */
        return facts.maxmemory != RedisSwitch::off
               && std::strncmp(facts.policy, "allkeys-", 8) == 0;
    case RedisWarning::count:
        break;
    }
    return false;
}

const char *warning_text(RedisWarning w)
{
    switch (w) {
    case RedisWarning::replica:
        return "is a replica and refuses writes";
    case RedisWarning::no_appendonly:
        return "has appendonly off: what it has accepted may be lost when it "
               "crashes";
    case RedisWarning::eviction:
        return "has an allkeys maxmemory-policy: when memory is short it may "
               "drop the list of events";
    case RedisWarning::count:
        break;
    }
    return "";
}

} // namespace esputnik
