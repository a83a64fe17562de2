/*
 * One table: a row for each error, in the order of the enum.
 */

#include "esputnik_redis_error.h"

namespace esputnik {

namespace {

enum Flags : uint8_t {
    kNone = 0,
    kPassing = 1,
    kSpoolable = 2,
    kCloses = 4,
};

constexpr uint8_t kPasses = kPassing | kSpoolable;

struct Row {
    std::string_view name;
    uint8_t flags;
    RedisScope scope;
};

constexpr Row kRows[] = {
    {"", kNone, RedisScope::command},
    {"OOM", kPasses, RedisScope::target},
    {"LOADING", kPasses, RedisScope::target},
    /* the write goes to the new master, which a new connection may find */
    {"READONLY", kPasses | kCloses, RedisScope::target},
    {"MISCONF", kPasses, RedisScope::target},
    {"NOREPLICAS", kPasses, RedisScope::target},
    {"BUSY", kPasses, RedisScope::target},
    /* only a replica says so */
    {"MASTERDOWN", kPasses | kCloses, RedisScope::target},
    {"CLUSTERDOWN", kPasses, RedisScope::slot},
    {"TRYAGAIN", kPasses, RedisScope::slot},
    /* only after more hops than a command makes: nodes that do not agree yet,
     * or a cluster that is configured as one Redis */
    {"MOVED", kSpoolable, RedisScope::slot},
    {"ASK", kSpoolable, RedisScope::slot},
    {"CROSSSLOT", kNone, RedisScope::command},
    {"NOAUTH", kSpoolable | kCloses, RedisScope::target},
    {"WRONGPASS", kSpoolable | kCloses, RedisScope::target},
    /* an ACL may refuse one key and allow the next; a new connection of the
     * same user gets the same answer */
    {"NOPERM", kSpoolable, RedisScope::key},
    {"WRONGTYPE", kSpoolable, RedisScope::key},
    {"NOSCRIPT", kNone, RedisScope::command},
    {"EXECABORT", kSpoolable, RedisScope::command},
    {"ERR max number of clients", kPasses | kCloses, RedisScope::target},
    {"DENIED", kSpoolable | kCloses, RedisScope::target},
    {"ERR unknown command", kSpoolable, RedisScope::target},
    /* proxies and modules have errors of their own */
    {"ERR", kSpoolable, RedisScope::target},
};

static_assert(sizeof(kRows) / sizeof(kRows[0])
                  == static_cast<size_t>(RedisError::count),
              "a row for each error");

const Row &row(RedisError e)
{
    return kRows[static_cast<size_t>(e)];
}

bool starts_with(std::string_view s, std::string_view with)
{
    return s.substr(0, with.size()) == with;
}

/* What follows the mark, or nothing. */
std::string_view after(std::string_view s, std::string_view mark)
{
    const size_t at = s.rfind(mark);
    if (at == s.npos) {
        return {};
    }
    s.remove_prefix(at + mark.size());  /* substr() may throw */
    return s;
}

RedisError classify_plain(std::string_view text)
{
    if (starts_with(text, "ERR ")) {
        for (RedisError e :
             {RedisError::max_clients, RedisError::unknown_command}) {
            if (starts_with(text, row(e).name)) {
                return e;
            }
        }
        for (std::string_view login :
             {"ERR invalid password", "ERR Client sent AUTH",
              "ERR AUTH <password> called"})
        {
            if (starts_with(text, login)) {
                return RedisError::wrongpass;
            }
        }
        return RedisError::other;
    }

    const std::string_view word = text.substr(0, text.find(' '));
    for (size_t i = 1; i < static_cast<size_t>(RedisError::other); i++) {
        if (word == kRows[i].name) {
            return static_cast<RedisError>(i);
        }
    }
    return RedisError::other;
}

} // namespace

std::string_view redis_error_name(RedisError e)
{
    return row(e).name;
}

RedisError classify_redis_error(std::string_view text)
{
    const RedisError outer = classify_plain(text);
    std::string_view wrapped;

    if (outer == RedisError::execabort) {
        wrapped = after(text, " because of: ");
    } else if (starts_with(text, "ERR Error running script")) {
        wrapped = after(text, ": -");
    }
    if (wrapped.empty()) {
        return outer;
    }

    const RedisError inner = classify_plain(wrapped);
    return inner == RedisError::other ? outer : inner;
}

bool redis_error_passing(RedisError e)
{
    return row(e).flags & kPassing;
}

bool redis_error_spoolable(RedisError e)
{
    return row(e).flags & kSpoolable;
}

RedisScope redis_error_scope(RedisError e)
{
    return row(e).scope;
}

bool redis_error_closes(RedisError e)
{
    return row(e).flags & kCloses;
}

} // namespace esputnik
