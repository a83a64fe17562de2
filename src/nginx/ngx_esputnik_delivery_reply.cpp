/* What each reply to a delivery means: stored, once more with the script,
 * elsewhere, confirmed, refused. */

#include "ngx_esputnik_count.h"
#include "ngx_esputnik_delivery.h"
#include "ngx_esputnik_target.h"

namespace ngx_esputnik {

namespace {

constexpr ngx_msec_t kDoubt = 500;  /* before a question is asked again */

} // namespace

bool Delivery::on_reply(Op *op, Outcome outcome, const esputnik::Reply *reply,
                        bool last, std::string_view why) noexcept
{
    auto *part = reinterpret_cast<Part *>(op);
    Delivery *d = part->delivery;

    if (outcome != Outcome::reply) {
        d->leave_ack(part);
        d->fail(outcome == Outcome::unknown ? End::unknown : End::not_sent,
                why);
        d->close(part);
        d->finish();
        return true;
    }

    if (!d->take_reply(part, *reply)) {
        d->leave_ack(part);
        if (!last) {
            op->link->cancel(op);
        }
        d->fail(End::unknown, "Redis sent a reply of another kind than the "
                              "command has");
        d->close(part);
        d->finish();
        return false;
    }

    if (last) {
        switch (part->way) {
        case Way::again:
            d->leave_ack(part);
            if (d->patient_) {
                d->deadline_ = ngx_current_msec + d->timeout_;
            }
            d->send_part(part);
            break;
        case Way::pause:
            d->leave_ack(part);
            d->arm();
            break;
        case Way::sent:
        case Way::map:
        case Way::stored:
        case Way::doubt:
            if (part->refused) {
                d->leave_ack(part);
                d->close(part);
            } else if (d->ack_bytes_.empty()) {
                d->plan_.set_stored(part->index);
                d->close(part);
            } else {
                part->way = Way::stored;
                part->era = part->link->era();
            }
            break;
        }
        d->finish();
    }

    return true;
}

/* Only after the push itself was answered, and stored. */
bool Delivery::on_confirmed(Op *op, Outcome outcome,
                            const esputnik::Reply *reply, bool,
                            std::string_view why) noexcept
{
    auto *part = reinterpret_cast<Part *>(reinterpret_cast<char *>(op)
                                          - offsetof(Part, confirmation));
    Delivery *d = part->delivery;
    bool known = true;

    if (outcome != Outcome::reply) {
        d->fail(End::unknown, why);
        d->close(part);
    } else if (d->take_ack(part, *reply)) {
        if (part->way == Way::stored) {
            d->close(part);
        }
    } else {
        d->fail(End::unknown, "Redis sent a reply of another kind than the "
                              "command has");
        d->close(part);
        known = false;
    }

    d->finish();
    return known;
}

/* False when it is no reply to what was sent. */
bool Delivery::take_reply(Part *part, const esputnik::Reply &reply)
{
    if (part->asking) {
        /* were it refused, so will be the command */
        part->asking = false;
        return reply.is_error() || reply.is_status("OK");
    }

    esputnik::RedisError error = esputnik::RedisError::none;

    switch (plan_.read(part->index, reply, &counts_, &error)) {

    case esputnik::PushResult::stored:
        if (!counts_.trouble.empty()) {
            target_->complain(link_->peer(), counts_.trouble);
            counts_.trouble = {};
        }
        return true;

    case esputnik::PushResult::no_script:
        part->form = esputnik::PushForm::eval;
        part->way = Way::again;
        part->hop = part->link;
        part->ask = part->asked;
        return true;

    case esputnik::PushResult::refused:
        part->refused = true;
        if (take_redirect(part, reply, error)) {
            return true;
        }
        note_error(error);
        fail(End::refused,
             reply.is_error() ? reply.text() : std::string_view("refused"));
        return true;

    case esputnik::PushResult::protocol:
        break;
    }

    return false;
}

/* True when the part goes on to another node, or tries again. */
bool Delivery::take_redirect(Part *part, const esputnik::Reply &reply,
                             esputnik::RedisError error)
{
    Cluster *cluster = target_->cluster();

    if (cluster == nullptr || !reply.is_error()) {
        return false;
    }

    const esputnik::NextHop hop = part->hops.next(error, reply.text(),
                                                  ngx_current_msec);

    if (hop.moved) {
        cluster->moved(hop.to, part->link);
    }
    if (hop.refresh) {
        cluster->refresh();
    }

    switch (hop.kind) {

    case esputnik::NextHop::Kind::send:
    case esputnik::NextHop::Kind::ask:
        part->hop = cluster->link_of(hop.to, part->link, ack_.mode);
        if (part->hop == nullptr) {
            return false;
        }
        part->ask = hop.kind == esputnik::NextHop::Kind::ask;
        part->way = Way::again;
        return true;

    case esputnik::NextHop::Kind::wait:
        part->wake = ngx_current_msec + hop.delay_ms;
        part->way = Way::pause;
        return true;

    case esputnik::NextHop::Kind::give_up:
        break;
    }

    if (hop.why != nullptr) {
        note_error(error);
        fail(End::refused, hop.why);
    }
    return false;
}

/* False when it is no reply to the question. */
bool Delivery::take_ack(Part *part, const esputnik::Reply &reply)
{
    esputnik::RedisError error = esputnik::RedisError::none;
    const esputnik::AckResult result = read_ack(reply, ack_, &error);

    if (result == esputnik::AckResult::protocol) {
        return false;
    }
    if (result == esputnik::AckResult::done) {
        plan_.set_stored(part->index);
        return true;
    }

    const std::string_view why = result == esputnik::AckResult::refused
                                     ? reply.text()
                                     : std::string_view(ack_text(result, ack_));
    if (patient_ && !ngx_exiting && !ngx_terminate) {
        target_->complain(part->link->peer(), why);
        part->way = Way::doubt;
        part->wake = ngx_current_msec + kDoubt;
        arm();
        return true;
    }

    note_error(error);
    fail(End::weak, why);
    return true;
}

} // namespace ngx_esputnik
