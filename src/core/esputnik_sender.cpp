#include "esputnik_sender.h"

#include "esputnik_crc32c.h"

namespace esputnik {

namespace {

/* Enough to tell 64 bodies apart; never 0. */
uint64_t digest_of(std::string_view body)
{
    const uint64_t crc = crc32c(0, body.data(), body.size());
    return (crc << 32 | (body.size() & 0x7fffffff) << 1) | 1;
}

} // namespace

SenderWatch::Owed *SenderWatch::find(uint64_t digest)
{
    for (Owed &o : owed_) {
        if (o.digest.read() == digest) {
            return &o;
        }
    }
    return nullptr;
}

void SenderWatch::ok(std::string_view body, uint64_t now, int64_t newest)
{
    /* the same second mostly, and a store would take the line from the other
     * workers */
    if (last_ok_.read() != now) {
        last_ok_.set(now);
        last_post_.set(now);
    }

    if (newest != 0) {
        if (newest_.read() != static_cast<uint64_t>(newest)) {
            newest_.set(static_cast<uint64_t>(newest));
        }
        if (newest_at_.read() != now) {
            newest_at_.set(now);
        }
    }

    if (!alert(now) || body.empty() || !may_be_owed(body.size())) {
        return;
    }

    Owed *owed = find(digest_of(body));
    if (owed != nullptr) {
        seen_again_.add();
        owed->digest.set(0);
    }
}

void SenderWatch::refused(std::string_view body, uint64_t now)
{
    last_post_.set(now);
    if (body.empty()) {
        return;
    }

    const uint64_t digest = digest_of(body);
    const bool more = alert(now);
    Owed *owed = more ? find(digest) : nullptr;

    sizes_.set((more ? sizes_.read() : 0) | uint64_t{1} << (body.size() % 64));
    watch_until_.set(now + kForget);

    if (owed != nullptr) {
        seen_again_.add();
        owed->last.set(now);
        return;
    }

    /* a free place, or that of the one refused longest ago */
    owed = &owed_[0];
    for (Owed &o : owed_) {
        if (o.digest.read() == 0) {
            owed = &o;
            break;
        }
        if (o.last.read() < owed->last.read()) {
            owed = &o;
        }
    }
    owed->first.set(now);
    owed->last.set(now);
    owed->digest.set(digest);
}

SenderWatch::State SenderWatch::read(uint64_t now) const
{
    State s = {};
    s.last_post = last_post_.read();
    s.last_ok = last_ok_.read();
    s.seen_again = seen_again_.read();

    for (const Owed &o : owed_) {
        if (o.digest.read() == 0 || o.last.read() + kForget <= now) {
            continue;
        }
        const uint64_t first = o.first.read();
        if (s.owed == 0 || first < s.owed_since) {
            s.owed_since = first;
        }
        s.owed++;
    }

    const uint64_t newest = newest_.read();
    if (newest != 0) {
        s.has_lag = true;
        s.lag = static_cast<int64_t>(newest_at_.read() - newest);
    }
    return s;
}

void RefusalRing::add(const Problem &problem, RedisError error,
                      bool quarantined, uint64_t now_ms)
{
    const uint64_t turn = next_.next();
    Slot &slot = slots_[turn % kKept];

    slot.turn.set(0);
    slot.time_ms.set(now_ms);
    slot.kind.set(static_cast<uint64_t>(problem.reason)
                  | static_cast<uint64_t>(problem.field) << 8
                  | static_cast<uint64_t>(error) << 16
                  | static_cast<uint64_t>(quarantined) << 24);
    slot.offset.set(problem.offset);
    slot.event.set(problem.event);
    slot.turn.set(turn + 1);
}

size_t RefusalRing::read(Entry *out) const
{
    const uint64_t next = next_.read();
    size_t n = 0;

    for (uint64_t turn = next; turn > 0 && next - turn < kKept; turn--) {
        const Slot &slot = slots_[(turn - 1) % kKept];
        Entry e = {};
        const uint64_t kind = slot.kind.read();

        e.time_ms = slot.time_ms.read();
        e.problem.reason = static_cast<Reason>(kind & 0xff);
        e.problem.field = static_cast<Field>(kind >> 8 & 0xff);
        e.problem.offset = static_cast<size_t>(slot.offset.read());
        e.problem.event = static_cast<size_t>(slot.event.read());
        e.error = static_cast<RedisError>(kind >> 16 & 0xff);
        e.quarantined = (kind >> 24 & 1) != 0;

        /* one that is being written, or was meanwhile, is left out */
        if (slot.turn.read() == turn && e.problem.reason < Reason::count
            && e.problem.field <= Field::none && e.error < RedisError::count)
        {
            out[n++] = e;
        }
    }
    return n;
}

void QuarantineTally::count(Counters *counters, RefusalRing *refusals,
                            uint64_t now_ms) const
{
    for (size_t i = 0; i < kReasonCount; i++) {
        if (reasons_[i] != 0) {
            counters->reasons[i].add(reasons_[i]);
        }
    }

    /* the ring has no room for more of them */
    const size_t kept = RefusalRing::kKept;
    for (size_t i = added_ > kept ? added_ - kept : 0; i < added_; i++) {
        refusals->add(newest_[i % kept], RedisError::none, true, now_ms);
    }
}

} // namespace esputnik
