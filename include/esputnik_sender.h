/*
 * Is the sender backing off?  It repeats a POST that was not answered 200 after
 * 1, 2, 4 … minutes, up to an hour, and holds everything behind it back: an
 * outage of seconds can become an hour of silence, which no error counter
 * shows.
 *
 * The digests of the bodies that were refused are kept until the same body is
 * answered 200: as long as there is one, the sender owes us that POST.  Of a
 * POST that was refused unread (401 …) nothing is known.
 *
 * In shared memory, lock-free, from zero bytes.  Two workers that meet in one
 * entry may lose it: a figure on a page, no promise.
 */

#ifndef ESPUTNIK_SENDER_H
#define ESPUTNIK_SENDER_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_counters.h"

namespace esputnik {

class SenderWatch {
public:
    static constexpr size_t kOwed = 64;
    /* seconds: the sender's longest pause, twice */
    static constexpr uint64_t kForget = 2 * 3600;

    struct State {
        uint64_t last_post;       /* seconds since 1970; 0: none yet */
        uint64_t last_ok;
        uint64_t seen_again;      /* POSTs that came after a refusal of them */
        size_t owed;              /* refused, and not answered 200 since */
        uint64_t owed_since;      /* the oldest of these; 0 */
        bool has_lag;
        int64_t lag;              /* seconds from the newest event of the last
                                     good POST to its arrival */
    };

    /* True when bodies have to be looked at: something was refused lately. */
    bool alert(uint64_t now) const
    {
        const uint64_t until = watch_until_.read();
        return until != 0 && now < until;
    }

    /* A POST was answered; body is empty when it was not read.  newest is its
     * newest event's time, 0: not known. */
    void ok(std::string_view body, uint64_t now, int64_t newest);
    void refused(std::string_view body, uint64_t now);

    State read(uint64_t now) const;

private:
    struct Owed {
        Counter digest;           /* 0: free */
        Counter first;
        Counter last;
    };

    Owed *find(uint64_t digest);
    bool may_be_owed(size_t size) const
    {
        return sizes_.read() >> (size % 64) & 1;
    }

    Counter last_post_;
    Counter last_ok_;
    Counter watch_until_;
    Counter sizes_;               /* of what was refused since: a bit for each
                                     remainder by 64, as most bodies need no
                                     digest then */
    Counter seen_again_;
    Counter newest_;              /* 0: not known */
    Counter newest_at_;
    Owed owed_[kOwed];
};

/* The last refusals, for a person: what was wrong and where, never the
 * payload. */
class RefusalRing {
public:
    static constexpr size_t kKept = 16;

    struct Entry {
        uint64_t time_ms;         /* since 1970 */
        Problem problem;          /* without its note */
        RedisError error;         /* what Redis said, for unavailable */
        bool quarantined;         /* kept on a list instead of refused */
    };

    void add(const Problem &problem, RedisError error, bool quarantined,
             uint64_t now_ms);

    /* Newest first; returns how many. */
    size_t read(Entry *out) const;

private:
    struct Slot {
        Counter turn;             /* 0 while it is written */
        Counter time_ms;
        Counter kind;             /* reason, field, error, quarantined */
        Counter offset;
        Counter event;
    };

    Counter next_;
    Slot slots_[kKept];
};

/* What of one POST goes to the quarantine, kept until it is decided whether it
 * is stored there: of a POST that is refused nothing was quarantined. */
class QuarantineTally {
public:
    void add(const Problem &problem)
    {
        reasons_[static_cast<size_t>(problem.reason)]++;
        newest_[added_++ % RefusalRing::kKept] = problem;
    }

    /* It is stored. */
    void count(Counters *counters, RefusalRing *refusals,
               uint64_t now_ms) const;

private:
    uint32_t reasons_[kReasonCount] = {};
    size_t added_ = 0;
    Problem newest_[RefusalRing::kKept];
};

} // namespace esputnik

#endif
