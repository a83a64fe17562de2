#include "esputnik_spool_shared.h"

namespace esputnik {

void SpoolShared::init(uint64_t next_sequence, uint64_t records,
                       uint64_t events)
{
    next_.store(next_sequence > 0 ? next_sequence : 1);
    records_.store(records);
    events_.store(events);
    gone_records_.store(0);
    gone_events_.store(0);

    /* Even an empty spool is read once, so that nothing is left behind that
     * the count has not seen. */
    state_.store(kSpooling);

    for (Slot &slot : slots_) {
        slot.segment.store(0);
        slot.synced.store(0);
    }
}

uint64_t SpoolShared::take(uint64_t n, uint64_t now_us)
{
    /* the bit first: from here on nobody may push past this record */
    state_.fetch_or(kSpooling);

    uint64_t next = next_.load();
    uint64_t first;
    do {
        first = next > now_us ? next : now_us;
    } while (!next_.compare_exchange_weak(next, first + n));

    return first;
}

void SpoolShared::appended(uint64_t records, uint64_t events)
{
    uint64_t seen = state_.load();
    while (
        !state_.compare_exchange_weak(seen, (seen + kGeneration) | kSpooling)) {
        /* seen is fresh */
    }

    /* after the state: what a ticket has counted is then never more than what
     * its state knows of */
    records_.fetch_add(records);
    events_.fetch_add(events);
}

void SpoolShared::delivered(uint64_t records, uint64_t events)
{
    records_.fetch_sub(records);
    events_.fetch_sub(events);
    gone_records_.fetch_add(records);
    gone_events_.fetch_add(events);
}

SpoolShared::Ticket SpoolShared::begin_read(uint64_t now_us)
{
    Ticket t;
    t.state = state_.load();
    t.records = records_.load();
    t.events = events_.load();
    t.gone_records = gone_records_.load();
    t.gone_events = gone_events_.load();

    /* after the state: an append that ends later shows in the state, one that
     * takes its sequence later is not below, also when the clock is set back */
    t.before = next_.load();
    while (t.before < now_us && !next_.compare_exchange_weak(t.before, now_us))
    {
        /* before is fresh */
    }
    if (t.before < now_us) {
        t.before = now_us;
    }
    return t;
}

bool SpoolShared::finish_read(const Ticket &t)
{
    uint64_t seen = t.state;
    if (!state_.compare_exchange_strong(seen, seen & ~kSpooling)) {
        return false;
    }

    /* No append has ended in between, so what the ticket has counted and nobody
     * has delivered since is not there: it was set aside as corrupt.  Or the
     * count has wrapped, as a worker was killed before it counted what was then
     * delivered: the same sum puts it right. */
    records_.fetch_sub(t.records - (gone_records_.load() - t.gone_records));
    events_.fetch_sub(t.events - (gone_events_.load() - t.gone_events));
    return true;
}

bool SpoolShared::publish(uint64_t segment_id, uint64_t synced)
{
    for (Slot &slot : slots_) {
        if (slot.segment.load() == segment_id) {
            slot.synced.store(synced);
            return true;
        }
    }

    for (Slot &slot : slots_) {
        uint64_t free = 0;
        if (slot.segment.load() == 0) {
            /* a reader that sees the id must not see an old length */
            if (slot.segment.compare_exchange_strong(free, UINT64_MAX)) {
                slot.synced.store(synced);
                slot.segment.store(segment_id);
                return true;
            }
        }
    }
    return false;
}

void SpoolShared::retract(uint64_t segment_id)
{
    for (Slot &slot : slots_) {
        uint64_t id = segment_id;
        if (slot.segment.compare_exchange_strong(id, 0)) {
            return;
        }
    }
}

bool SpoolShared::synced(uint64_t segment_id, uint64_t *out) const
{
    for (const Slot &slot : slots_) {
        if (slot.segment.load() == segment_id) {
            *out = slot.synced.load();
            return true;
        }
    }
    return false;
}

} // namespace esputnik
