/*
 * How the events of one POST become commands: what goes to which list, in one
 * atomic command for each Redis that takes part.
 *
 *   one list, no dedup               RPUSH | LPUSH key v1 … vn
 *   one stream, one event, no dedup  XADD key [MAXLEN ~ n] * event v
 *   all else                         the script (esputnik_script.h)
 *
 * Standalone everything is one part.  In a cluster there is a part for each
 * slot, atomic by itself; the POST is stored when all parts are.
 *
 * Ownership: keys and values are views that must outlive the plan's use; the
 * plan owns the rest and keeps its memory for the next POST.  Not thread-safe.
 */

#ifndef ESPUTNIK_PUSH_H
#define ESPUTNIK_PUSH_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_array.h"
#include "esputnik_digest.h"
#include "esputnik_redis_error.h"
#include "esputnik_reply.h"

namespace esputnik {

enum class PushOp : uint8_t { rpush, lpush, xadd };

struct PushOptions {
    PushOp op = PushOp::rpush;
    uint64_t maxlen = 0;        /* of xadd, about; 0: no trimming */
    uint64_t dedup_ms = 0;      /* the window; 0: no dedup */
    bool cluster = false;       /* a part for each slot */
};

enum class PushResult : uint8_t {
    stored,
    no_script,  /* nothing was done: send the part again with its script
                   (PushForm::eval) */
    refused,    /* an error reply; nothing was written.  *error says which */
    protocol,   /* not a reply to this part: close the connection */
};

struct PushCounts {
    uint64_t pushed = 0;
    uint64_t duplicates = 0;    /* of events; what was dropped on its way to
                                   the quarantine is in neither */
    uint64_t length = 0;        /* of the longest list, after the push */
    std::string_view longest;   /* its key: a view of the plan's */
    std::string_view trouble;   /* stored, but not remembered: why (a view of
                                   the reply); else empty */
};

/* How a part that is a script is sent. */
enum class PushForm : uint8_t {
    evalsha,    /* by its name: Redis has to know it (append_script_load) */
    eval,       /* with its text, which Redis knows from then on; for
                   no_script, and for a journal, which may outlive the name */
};

class PushPlan {
public:
    /* Forgets the last POST. */
    void begin(const PushOptions &options);

    /* One event; the order of events of one key is kept.  The identity is
     * looked at with dedup only.  Aside: an element of the quarantine, which
     * may be on a list of good events.  False when memory is short. */
    bool add(std::string_view key, std::string_view value,
             std::string_view identity, bool aside = false);

    /* Back to the first n events; before finish(). */
    void truncate(size_t n) { items_.truncate(n); }

    /* After the last event; false when memory is short. */
    bool finish();

    const PushOptions &options() const { return options_; }

    size_t events() const { return items_.size(); }
    size_t lists() const { return groups_.size(); }

    /* Parts, in the order of their slots. */
    size_t parts() const { return parts_.size(); }
    uint16_t slot(size_t part) const { return parts_[part].slot; }
    size_t events(size_t part) const;
    bool is_script(size_t part) const;

    /* Redis has this part, whatever becomes of the others. */
    void set_stored(size_t part) { parts_[part].stored = true; }
    bool stored(size_t part) const { return parts_[part].stored; }
    size_t parts_left() const;

    /* The command's exact size, and the command, written into memory of that
     * size (returns the end). */
    size_t size(size_t part, PushForm form) const;
    char *write(size_t part, PushForm form, char *out) const;
    bool append(size_t part, PushForm form, Buffer &out) const;

    /* fn(key, value, identity) for each event of the part, list by list. */
    template <class Fn>
    void each(size_t part, Fn fn) const
    {
        const Part &p = parts_[part];
        for (uint32_t g = p.first; g < p.first + p.count; g++) {
            for (uint32_t i = 0; i < groups_[g].count; i++) {
                const Item &item = items_[groups_[g].first + i];
                fn(item.key, item.value, item.identity);
            }
        }
    }

    /* Reads the part's one reply; adds to *counts only when stored. */
    PushResult read(size_t part, const Reply &reply, PushCounts *counts,
                    RedisError *error) const;

private:
    struct Item {
        std::string_view key;
        std::string_view value;
        std::string_view identity;
        uint32_t order;
        uint16_t slot;          /* 0 outside a cluster */
        bool aside;
        Digest digest;
    };

    struct Group {              /* a list and its events */
        uint32_t first;         /* of items_ */
        uint32_t count;
    };

    struct Part {
        uint32_t first;         /* of groups_ */
        uint32_t count;
        uint16_t slot;
        bool stored;
    };

    std::string_view key_of(const Group &g) const
    {
        return items_[g.first].key;
    }

    /* The part's items, which stand together. */
    const Item *items_of(const Part &part) const
    {
        return items_.data() + groups_[part.first].first;
    }
    size_t asides(size_t part) const;

    template <class Out>
    void emit(size_t part, PushForm form, Out &out) const;
    template <class Out>
    void emit_script(size_t part, PushForm form, Out &out) const;

    PushResult read_script(size_t number, const Reply &reply,
                           PushCounts *counts) const;

    PushOptions options_;
    Array<Item> items_;
    Array<Group> groups_;
    Array<Part> parts_;
    bool sorted_ = true;        /* all keys were the same so far */
    bool any_aside_ = false;
};

} // namespace esputnik

#endif
