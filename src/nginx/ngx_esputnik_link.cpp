/* The link's queue: commands in, deadlines. */

#include "ngx_esputnik_link.h"
#include "ngx_esputnik_count.h"
#include "ngx_esputnik_target.h"

#include <new>

namespace ngx_esputnik {

namespace {

/* A timer that fires so late says that the worker stood still, not Redis: what
 * was to be written just then, or has been written just before, gets a little
 * more time. */
constexpr ngx_msec_t kStall = 200;
constexpr ngx_msec_t kGrace = 200;

bool passed(ngx_msec_t now, ngx_msec_t when)
{
    return static_cast<ngx_msec_int_t>(now - when) >= 0;
}

} // namespace

Link::Link(Target *target, LinkOwner *owner, ngx_uint_t number, Kind kind,
           esputnik::AckMode lane)
    : target_(target), owner_(owner), number_(number), kind_(kind), lane_(lane)
{
    ngx_queue_init(&questions_);

    ngx_memzero(&self_, sizeof(self_));
    self_.fd = static_cast<ngx_socket_t>(-1);
    self_.data = this;

    ngx_memzero(&flush_event_, sizeof(flush_event_));
    flush_event_.data = &self_;
    flush_event_.handler = on_flush;
    flush_event_.log = target->log();

    ngx_memzero(&timer_event_, sizeof(timer_event_));
    timer_event_.data = &self_;
    timer_event_.handler = on_timer;
    timer_event_.log = target->log();

    reason_ = {0, reason_text_};
    peer_name_ = {0, peer_text_};
}

Link::~Link()
{
    disconnect();
    gauge_.tell(target_->conf()->shared, LinkGauge::State::idle, 0, 0,
                pipeline_.last());

    if (timer_event_.timer_set) {
        ngx_del_timer(&timer_event_);
    }
    if (flush_event_.posted) {
        ngx_delete_posted_event(&flush_event_);
    }
}

void Link::on_read(ngx_event_t *ev) noexcept
{
    Link *link = of(ev);

    count::stale();
    link->read();
    link->tell();
}

void Link::on_flush(ngx_event_t *ev) noexcept
{
    Link *link = of(ev);

    link->flush();
    link->tell();
}

void Link::on_timer(ngx_event_t *ev) noexcept
{
    Link *link = of(ev);

    link->expire();
    link->tell();
}

/* At the end of a turn and where the state changes. */
void Link::tell()
{
    LinkGauge::State state = LinkGauge::State::connecting;

    if (state_ == State::ready) {
        state = LinkGauge::State::up;
    } else if (backing_off_) {
        state = LinkGauge::State::down;  /* also while it is tried again */
    } else if (state_ == State::down) {
        state = LinkGauge::State::idle;
    }

    gauge_.tell(target_->conf()->shared, state, pipeline_.size(),
                pipeline_.pending(), pipeline_.last());
    count::stale();
}

void Link::set_reason(std::string_view why)
{
    reason_.len = copy_printable(why, reason_text_, sizeof(reason_text_));
}

void Link::set_peer(std::string_view name)
{
    peer_name_.len = ngx_min(name.size(), sizeof(peer_text_));
    ngx_memmove(peer_text_, name.data(), peer_name_.len);
}

/* Whether a command of this size may be queued now. */
bool Link::admit(size_t size)
{
    if (state_ == State::down) {
        if (held_ || (backing_off_ && !passed(ngx_current_msec, retry_at_))) {
            return false;
        }
        wanted_ = true;
        connect();
        if (state_ == State::down) {
            return false;
        }
    }

    /* one command larger than the whole queue is taken when it is alone */
    if (!pipeline_.empty()
        && pipeline_.pending() + size > target_->conf()->queue) {
        set_reason("the queue to Redis is full");
        return false;
    }

    if (pipeline_.unwritten() >= kWriteEarly) {
        write_early();
    }
    return true;
}

char *Link::send(Op *op, size_t size, uint32_t replies, ngx_msec_t timeout)
{
    char *out;
    return take(op, size, replies, timeout, nullptr, &out) ? out : nullptr;
}

bool Link::offer(Op *op, size_t size, uint32_t replies, ngx_msec_t timeout,
                 Write write, char **out)
{
    return take(op, size, replies, timeout, size >= kDefer ? write : nullptr,
                out);
}

/* write: nullptr when the command must not be deferred. */
bool Link::take(Op *op, size_t size, uint32_t replies, ngx_msec_t timeout,
                Write write, char **out)
{
    if (!admit(size)) {
        return false;
    }

    bool taken;
    if (write != nullptr && pipeline_.unwritten() >= kWriteEarly) {
        *out = nullptr;
        op->write = write;
        taken = pipeline_.defer(size, op, replies);
    } else {
        *out = pipeline_.add(size, op, replies);
        taken = *out != nullptr;
    }

    if (!taken) {
        set_reason("the queue to Redis is full");
        return false;
    }

    if (pipeline_.size() == 1) {
        progress();
    }

    if (op != nullptr) {
        op->link = this;
        op->slot = pipeline_.newest();
        op->deadline = ngx_current_msec + timeout;
        op->confirms = nullptr;
    }

    under_way(timeout);
    return true;
}

void Link::under_way(ngx_msec_t timeout)
{
    /* a peer that falls silent is found out before a long deadline */
    arm(ngx_current_msec + ngx_min(timeout, target_->conf()->timeout));

    if (connection_ != nullptr) {
        connection_->idle = 0;
    }

    post_flush();
}

void Link::post_flush()
{
    if (state_ == State::ready && !flush_event_.posted) {
        ngx_post_event(&flush_event_, &ngx_posted_next_events);
    }
}

void Link::confirm(Confirmation *c, Op *command, ngx_msec_t timeout)
{
    c->op.link = this;
    c->op.confirms = command;
    c->op.deadline = ngx_current_msec + timeout;
    c->waits = true;
    if (pipeline_.empty()) {
        progress();
    }
    ngx_queue_insert_tail(&questions_, &c->queue);
    under_way(timeout);
}

void Link::cancel(Op *op)
{
    if (op->link == this) {
        pipeline_.disown(op->slot);
        op->link = nullptr;
    }
}

void Link::cancel(Confirmation *c)
{
    if (c->waits) {
        c->waits = false;
        ngx_queue_remove(&c->queue);
        c->op.link = nullptr;
    } else {
        cancel(&c->op);
    }
}

/* A worker that shuts down waits for timers that are not cancelable: for this
 * one exactly as long as a command is under way. */
void Link::arm(ngx_msec_t when)
{
    timer_event_.cancelable = 0;

    if (timer_event_.timer_set) {
        if (static_cast<ngx_msec_int_t>(when - timer_event_.timer.key) >= 0) {
            return;
        }
        /* nginx would not move it by less than 300 ms */
        ngx_del_timer(&timer_event_);
    }

    const auto wait = static_cast<ngx_msec_int_t>(when - ngx_current_msec);
    ngx_add_timer(&timer_event_, static_cast<ngx_msec_t>(ngx_max(wait, 1)));
    due_ = timer_event_.timer.key;
}

void Link::progress()
{
    progress_ = ngx_current_msec;
    spared_ = false;
}

/* Of the commands whose time is up, those that have not begun to be written
 * leave the queue: nobody is told that an event was not stored while it is on
 * its way.  stood_still: they may stay a little longer instead; spare: those
 * that wait for their answer, too. */
void Link::withdraw_late(bool stood_still, bool spare)
{
    bool any = false;

    for (uint64_t n = pipeline_.first(); n < pipeline_.last(); n++) {
        auto *op = static_cast<Op *>(pipeline_.slot(n).owner);

        if (op == nullptr || !passed(ngx_current_msec, op->deadline)) {
            continue;
        }

        const bool begun = pipeline_.was_begun(n);
        if (begun ? spare : stood_still) {
            op->deadline = ngx_current_msec + kGrace;
        } else if (!begun) {
            any = pipeline_.withdraw(n) || any;
        }
    }

    if (any) {
        pipeline_.compact();
    }
}

void Link::expire()
{
    const ngx_msec_t late = ngx_current_msec - due_;
    const ngx_msec_t silence = target_->conf()->timeout;
    ngx_msec_t next = 0;
    bool more = false;
    bool spare = false;

    if (state_ == State::ready && !pipeline_.empty()) {
        /* what came while the worker was busy elsewhere has come in time */
        connection_->read->ready = 1;
        read();
    }

    if (state_ == State::ready && !pipeline_.empty()) {
        next = progress_ + silence;
        more = true;

        if (!pipeline_.was_begun(pipeline_.first())) {
            next = ngx_current_msec + silence;

        } else if (late >= kStall && !spared_) {
            /* Redis may have had no time at all for it; only once, so that one
             * that is gone is found out on a busy machine, too */
            spare = spared_ = true;
            if (passed(ngx_current_msec, next)) {
                next = ngx_current_msec + kGrace;
            }

        } else if (passed(ngx_current_msec, next)) {
            /* Nothing at all came for as long as a request may wait: the peer
             * is frozen or gone.  A slow one that answers keeps its link.  What
             * was not written waits for the next one, within its time. */
            down("Redis does not answer");
            more = false;
        }
    }

    withdraw_late(state_ == State::ready && late >= kStall, spare);

    for (uint64_t n = pipeline_.first(); n < pipeline_.last(); n++) {
        if (n < pipeline_.first()) {
            continue;  /* done() below closed the link */
        }

        esputnik::Pipeline::Slot &slot = pipeline_.slot(n);
        Op *op = static_cast<Op *>(slot.owner);
        if (op == nullptr) {
            continue;
        }

        if (passed(ngx_current_msec, op->deadline)) {
            const Outcome outcome = slot.replies != 0 ? Outcome::unknown
                                                      : Outcome::not_sent;
            slot.owner = nullptr;
            op->link = nullptr;
            (void) op->done(op, outcome, nullptr, true,
                            "Redis did not answer in time");
            continue;
        }

        if (!more || static_cast<ngx_msec_int_t>(op->deadline - next) < 0) {
            next = op->deadline;
            more = true;
        }
    }

    pipeline_.sweep();

    if (pipeline_.empty()) {
        pipeline_.clear();
        idle();
    } else if (more) {
        arm(next);
    }
}

} // namespace ngx_esputnik
