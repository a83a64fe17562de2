/* What each reply to a delivery means: stored, once more with the script,
 * elsewhere, confirmed, refused. */

#include "ngx_esputnik_count.h"
#include "ngx_esputnik_delivery.h"
#include "ngx_esputnik_target.h"

namespace ngx_esputnik {

bool Delivery::on_reply(Op *op, Outcome outcome, const esputnik::Reply *reply,
                        bool last, std::string_view why) noexcept
{
    auto *part = reinterpret_cast<Part *>(op);
    Delivery *d = part->delivery;

    if (outcome != Outcome::reply) {
        d->fail(outcome == Outcome::unknown ? End::unknown : End::not_sent,
                why);
        d->close(part);
        d->finish();
        return true;
    }

    if (!d->take_reply(part, *reply)) {
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
            d->send_part(part);
            break;
        case Way::pause:
            d->arm();
            break;
        case Way::sent:
        case Way::map:
            d->close(part);
            break;
        }
        d->finish();
    }

    return true;
}

/* False when it is no reply to what was sent. */
bool Delivery::take_reply(Part *part, const esputnik::Reply &reply)
{
    if (part->asking) {
        /* were it refused, so will be the command */
        part->asking = false;
        return reply.is_error() || reply.is_status("OK");
    }

    if (part->replied) {
        return take_ack(part, reply);
    }

    part->replied = true;
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
        fail(End::refused, reply.is_error() ? reply.text()
                                            : std::string_view("refused"));
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

    const esputnik::NextHop hop =
        part->hops.next(error, reply.text(), ngx_current_msec);

    if (hop.moved) {
        cluster->moved(hop.to, part->link);
    }
    if (hop.refresh) {
        cluster->refresh();
    }

    switch (hop.kind) {

    case esputnik::NextHop::Kind::send:
    case esputnik::NextHop::Kind::ask:
        part->hop = cluster->link_of(hop.to, part->link);
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

bool Delivery::take_ack(Part *part, const esputnik::Reply &reply)
{
    if (part->way != Way::sent || part->refused) {
        return true;  /* nothing was stored that could be confirmed */
    }

    esputnik::RedisError error = esputnik::RedisError::none;
    const esputnik::AckResult result = read_ack(reply, ack_, &error);

    if (result == esputnik::AckResult::protocol) {
        return false;
    }

    if (result != esputnik::AckResult::done) {
        note_error(error);
        fail(End::weak, result == esputnik::AckResult::refused
                            ? reply.text()
                            : std::string_view(ack_text(result, ack_)));
    }
    return true;
}

} // namespace ngx_esputnik
