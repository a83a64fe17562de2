/* The drain and esputnik_max_length: a list is asked for its length before
 * anything is pushed to it, for the limit holds as well where more lists are
 * full than a worker remembers, and each is tried again and again. */

#include "ngx_esputnik_drain.h"
#include "ngx_esputnik_spool.h"
#include "ngx_esputnik_target.h"

#include "esputnik_list_length.h"

namespace ngx_esputnik {

namespace {

constexpr ngx_msec_t kFull = 500;         /* ms between tries of a full list */

} // namespace

/* Streams have a length of their own. */
bool Drain::bounded(const esputnik::JournalReader::Item &item) const
{
    esputnik::OperationReader ops(item.record.payload);
    esputnik::Operation op;

    return spool_->conf()->max_length != 0 && ops.next(&op)
           && op.kind != esputnik::OperationKind::xadd;
}

/* All of it is for the list that Redis has told of last, which can take it
 * behind that many events. */
bool Drain::has_room(const esputnik::JournalReader::Item &item,
                     size_t events) const
{
    const std::string_view key(room_key_.data(), room_key_.size());
    esputnik::OperationReader ops(item.record.payload);
    esputnik::Operation op;

    while (ops.next(&op)) {
        if (op.key != key) {
            return false;
        }
    }
    return events + item.record.events <= room_;
}

bool Drain::may_take(const esputnik::JournalReader::Item &item) const
{
    return next_ < asked_ || !bounded(item) || has_room(item, 0);
}

void Drain::note_room(std::string_view key, uint64_t length)
{
    const uint64_t max = spool_->conf()->max_length;

    room_key_.clear();
    room_ = length < max && room_key_.append(key.data(), key.size())
                ? max - length
                : 0;
}

/* All lists of the next record, in one piece: in a cluster they are of one
 * slot. */
void Drain::ask()
{
    const SpoolConf *conf = spool_->conf();
    const std::string_view payload = reader_->items()[next_].record.payload;
    esputnik::OperationReader ops(payload);
    esputnik::Operation op;
    std::string_view first;
    size_t size = 0;
    uint32_t lists = 0;

    while (ops.next(&op)) {
        first = lists == 0 ? op.key : first;
        size += esputnik::list_length_size(op.key);
        lists++;
    }

    Target *target = Target::of(conf->target);
    Link *link = target != nullptr ? target->link_to(first) : nullptr;
    if (link == nullptr) {
        try_later();
        return;
    }

    full_ = false;
    state_ = State::asking;

    char *out = link->send(&lengths_.op, size, lists, conf->target->timeout);
    if (out == nullptr) {
        waits_for(link->refusal());
        try_later();
        return;
    }

    esputnik::OperationReader again(payload);
    while (again.next(&op)) {
        out = esputnik::write_list_length(out, op.key);
    }
}

/* False when it is no reply to LLEN. */
bool Drain::take_length(const esputnik::Reply &reply)
{
    esputnik::OperationReader ops(reader_->items()[next_].record.payload);
    esputnik::Operation op, other;

    if (!ops.next(&op)) {
        return false;
    }

    uint64_t length;
    switch (esputnik::read_list_length(reply, &length)) {
    case esputnik::ListLength::known:
        full_ = full_ || length >= spool_->conf()->max_length;
        if (!ops.next(&other)) {
            note_room(op.key, length);
        }
        return true;

    case esputnik::ListLength::denied: {
        Target *target = Target::of(spool_->conf()->target);
        const Link *link = target->link_to(op.key);
        target->complain(link != nullptr ? link->peer() : std::string_view(),
                         reply.text());
        return true;
    }

    case esputnik::ListLength::refused:
        return true;

    case esputnik::ListLength::protocol:
        break;
    }
    return false;
}

bool Drain::on_length(Op *op, Outcome outcome, const esputnik::Reply *reply,
                      bool last, std::string_view why) noexcept
{
    Drain *drain = OwnedOp<Drain>::of(op);

    if (outcome != Outcome::reply) {
        drain->waits_for(why);
        drain->try_later();
        return true;
    }

    if (!drain->take_length(*reply)) {
        if (!last) {
            op->link->cancel(op);
        }
        drain->try_later();
        return false;
    }

    if (last) {
        drain->answered();
    }
    return true;
}

void Drain::answered()
{
    state_ = State::sending;

    if (full_) {
        waits_for("the list is full");
        if (!hold(kFull)) {
            try_later();
            return;
        }
    } else {
        asked_ = next_ + 1;
    }
    send();
}

} // namespace ngx_esputnik
