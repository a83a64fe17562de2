/* The drain's sending: records into one atomic batch, and what follows from
 * Redis' answer. */

#include "ngx_esputnik_count.h"
#include "ngx_esputnik_drain.h"
#include "ngx_esputnik_spool.h"
#include "ngx_esputnik_target.h"
#include "ngx_esputnik_zone.h"

#include "esputnik_slot.h"

namespace ngx_esputnik {

namespace {

constexpr ngx_msec_t kFirstDelay = 20;    /* ms, doubling, after a fault */
constexpr ngx_msec_t kLongestDelay = 500;
constexpr ngx_msec_t kNoMemory = 1000;    /* ms before the next try */
constexpr ngx_msec_t kStuck = 2000;       /* the same of a stuck key */

esputnik::PushOp op_of(esputnik::OperationKind kind)
{
    switch (kind) {
    case esputnik::OperationKind::lpush:
        return esputnik::PushOp::lpush;
    case esputnik::OperationKind::xadd:
        return esputnik::PushOp::xadd;
    case esputnik::OperationKind::rpush:
        break;
    }
    return esputnik::PushOp::rpush;
}

esputnik::PushOptions options_of(const esputnik::Operation &op)
{
    esputnik::PushOptions options;
    options.op = op_of(op.kind);
    options.maxlen = op.maxlen;
    options.dedup_ms = uint64_t{op.dedup_window} * 1000;
    return options;
}

bool same(const esputnik::PushOptions &a, const esputnik::PushOptions &b)
{
    return a.op == b.op && a.maxlen == b.maxlen && a.dedup_ms == b.dedup_ms;
}

} // namespace

/* One record into the plan; false when it needs another kind of command than
 * the plan has, or memory is short. */
bool Drain::plan_record(const esputnik::JournalReader::Item &item,
                        esputnik::PushPlan &plan, bool first)
{
    esputnik::OperationReader ops(item.record.payload);
    esputnik::Operation op;
    bool begun = !first;

    while (ops.next(&op)) {
        esputnik::PushOptions options = options_of(op);
        options.cluster = spool_->conf()->target->cluster != 0;

        if (!begun) {
            plan.begin(options);
            begun = true;
        } else if (!same(options, plan.options())) {
            return false;
        }

        esputnik::OperationValue value;
        while (ops.value(&value)) {
            if (!plan.add(op.key, value.bytes,
                          value.id.empty() ? value.bytes : value.id)) {
                return false;
            }
        }
    }

    return true;
}

/* The slot of all of a record's lists; -1 when they have several. */
int Drain::slot_of(const esputnik::JournalReader::Item &item)
{
    esputnik::OperationReader ops(item.record.payload);
    esputnik::Operation op;
    int slot = -1;

    while (ops.next(&op)) {
        const int other = esputnik::key_slot(op.key);
        if (slot >= 0 && slot != other) {
            return -1;
        }
        slot = other;
    }
    return slot;
}

/* How many records, from next_ on, make one atomic command.  With
 * esputnik_max_length they are all for one list, and no more than it has room
 * for, but that the first one is whole.  In a cluster a batch is of one slot:
 * of several some could fail and be sent again, time after time, with those
 * that had been stored. */
size_t Drain::plan_batch(esputnik::PushPlan &plan, bool *good)
{
    const auto &items = reader_->items();
    const bool limited = bounded(items[next_]);
    const bool one = limited && !has_room(items[next_], 0);
    const size_t most = ngx_min(next_ + (one ? 1 : most_), items.size());
    const bool cluster = spool_->conf()->target->cluster != 0;
    const int slot = cluster ? slot_of(items[next_]) : 0;
    size_t i = next_;

    while (i < most) {
        const size_t events = i == next_ ? 0 : plan.events();
        if (i != next_ && limited && !has_room(items[i], events)) {
            break;
        }
        if (i != next_ && reader_->waits(i)) {
            break;
        }
        if (cluster && i != next_ && (slot < 0 || slot_of(items[i]) != slot)) {
            break;
        }
        if (!plan_record(items[i], plan, i == next_)) {
            if (i == next_) {
                *good = false;
                return 0;
            }
            plan.truncate(events);
            break;
        }
        i++;
    }

    lists_ = plan.options().op != esputnik::PushOp::xadd;
    *good = plan.finish();
    return i - next_;
}

/* Over items whose keys have been held since they were read. */
bool Drain::pass_waiting()
{
    while (next_ < reader_->items().size() && reader_->waits(next_)) {
        if (!reader_->hold(next_)) {
            return false;
        }
        next_++;
    }
    return true;
}

void Drain::send()
{
    const SpoolConf *conf = spool_->conf();

    if (!pass_waiting()) {
        state_ = State::holding;
        pause(kNoMemory);
        return;
    }

    if (next_ == reader_->items().size() || ngx_exiting) {
        state_ = State::idle;
        read_more();
        return;
    }

    if (!may_take(reader_->items()[next_])) {
        ask();
        return;
    }

    Target *target = Target::of(conf->target);
    delivery_ = target != nullptr ? Delivery::take() : nullptr;

    bool good = delivery_ != nullptr;
    if (good) {
        batch_ = plan_batch(delivery_->plan(), &good);
    }

    if (!good) {
        if (delivery_ != nullptr) {
            delivery_->drop();
            delivery_ = nullptr;
        }
        state_ = State::holding;
        pause(kNoMemory);
        return;
    }

    /* a batch that is stored is not pushed once more for a replica's sake */
    delivery_->be_patient();
    if (!delivery_->send(target, conf->ack, conf->target->timeout, this,
                         on_delivered))
    {
        const Delivery::Verdict verdict = delivery_->verdict();
        Delivery *d = delivery_;
        delivery_ = nullptr;
        delivered(verdict);
        d->drop();
    }
}

void Drain::on_delivered(void *owner, const Delivery::Verdict &verdict) noexcept
{
    auto *drain = static_cast<Drain *>(owner);
    drain->delivery_ = nullptr;
    drain->delivered(verdict);
}

void Drain::delivered(const Delivery::Verdict &verdict)
{
    if (verdict.end != Delivery::End::stored) {
        stuck(verdict);
        return;
    }

    delay_ = 0;
    most_ = ngx_min(most_ + 1, kMostRecords);
    count::list_length(spool_->conf()->target, verdict.counts.length);
    if (lists_) {
        Target::of(spool_->conf()->target)
            ->note_length(verdict.counts.longest, verdict.counts.length,
                          spool_->conf()->max_length);
        note_room(verdict.counts.longest, verdict.counts.length);
    }
    for (size_t i = 0; i < batch_; i++) {
        (void) reader_->done(next_ + i);
    }
    next_ += batch_;
    send();
}

void Drain::stuck(const Delivery::Verdict &verdict)
{
    const bool own_fault = verdict.end == Delivery::End::refused
                           && redis_error_scope(verdict.error)
                                  != esputnik::RedisScope::target;

    waits_for(verdict.why);

    if (own_fault && batch_ > 1) {
        most_ = 1;   /* find the one that it is */
        send();
        return;
    }

    if (own_fault && hold(kStuck)) {
        send();
        return;
    }

    if (verdict.end == Delivery::End::unknown) {
        /* it may be too much for the time that a link may be silent */
        most_ = ngx_max(batch_ / 2, 1);
    }
    try_later();
}

/* The keys of the next record are held back for a time, and all others go
 * on; false when memory is short. */
bool Drain::hold(ngx_msec_t time)
{
    if (!reader_->holds()) {
        held_at_ = ngx_current_msec;
        held_for_ = time;
        trying_ = true;
    }
    held_for_ = ngx_min(held_for_, time);

    if (!reader_->hold(next_)) {
        return false;
    }
    next_++;
    return true;
}

/* Nothing can be sent now; what was known of lists may be wrong by then. */
void Drain::try_later()
{
    asked_ = 0;
    room_ = 0;
    delay_ = ngx_min(ngx_max(delay_ * 2, kFirstDelay), kLongestDelay);
    state_ = State::holding;
    pause(delay_);
}

void Drain::waits_for(std::string_view why)
{
    const ngx_str_t text = str(why);

    if (log_limit_.pass(why)) {
        ngx_log_error(NGX_LOG_WARN, spool_->conf()->target->log, 0,
                      "esputnik: spool \"%V\" waits: %V",
                      &spool_->conf()->folder->path, &text);
    }
}

} // namespace ngx_esputnik
