/* The link's way down, and what becomes of everybody who waits. */

#include "ngx_esputnik_link.h"
#include "ngx_esputnik_count.h"
#include "ngx_esputnik_target.h"

namespace ngx_esputnik {

/* Takes the slots before number until off, each owner told. */
void Link::forget(uint64_t until, Outcome outcome, std::string_view why)
{
    while (pipeline_.first() < until) {
        Op *op = static_cast<Op *>(pipeline_.slot(pipeline_.first()).owner);
        pipeline_.pop();

        if (op != nullptr) {
            op->link = nullptr;
            (void) op->done(op, outcome, nullptr, true, why);
        }
    }

    if (pipeline_.empty()) {
        pipeline_.clear();
        timer_event_.cancelable = 1;
    }
}

/* A question whose command the old connection has answered would be answered
 * at once on a new one, which has written nothing. */
void Link::forget_questions(uint64_t from, std::string_view why)
{
    ngx_queue_t *next;
    for (ngx_queue_t *q = ngx_queue_head(&questions_);
         q != ngx_queue_sentinel(&questions_); q = next)
    {
        auto *c = ngx_queue_data(q, Confirmation, queue);
        next = ngx_queue_next(q);

        if (c->op.confirms->link == nullptr) {
            cancel(c);
            (void) c->op.done(&c->op, Outcome::unknown, nullptr, true, why);
            next = ngx_queue_head(&questions_);  /* done() may change it */
        }
    }

    for (uint64_t n = from; n < pipeline_.last(); n++) {
        if (n < pipeline_.first()) {
            continue;
        }

        esputnik::Pipeline::Slot &slot = pipeline_.slot(n);
        auto *op = static_cast<Op *>(slot.owner);

        if (op != nullptr && op->confirms != nullptr
            && op->confirms->link == nullptr) {
            slot.owner = nullptr;
            op->link = nullptr;
            (void) op->done(op, Outcome::unknown, nullptr, true, why);
        }
    }
}

void Link::down(std::string_view why)
{
    if (try_another(why)) {
        return;
    }

    const bool was_ready = state_ == State::ready;
    const bool in_use = !pipeline_.empty();
    const bool awaiting = pipeline_.awaiting();
    const ngx_msec_t lasted = was_ready ? ngx_current_msec - ready_at_ : 0;

    /* a copy: the owners that are told may call us again */
    char text[sizeof(reason_text_)];
    set_reason(why);
    ngx_memcpy(text, reason_.data, reason_.len);
    why = {text, reason_.len};

    disconnect(was_ready && !in_use);

    if (!was_ready || in_use) {
        target_->complain(peer(), why);
    }

    const uint64_t unknown = pipeline_.first() + pipeline_.disconnect();
    const uint64_t last = pipeline_.last();

    if (kind_ != Kind::master || unfit_) {
        if (was_ready) {
            /* closed while nobody used it: no sign of trouble */
            backoff_.lost(awaiting ? lasted : esputnik::kBackoffMax);
        }

        const uint32_t delay = backoff_.next(
            static_cast<uint32_t>(ngx_random()));
        retry_at_ = ngx_current_msec + delay;
        backing_off_ = delay != 0;
    }

    const bool leaving = (ngx_exiting || ngx_terminate) && unknown == last;

    if (!was_ready) {
        count::not_connected(target_->conf());
    }

    if (!leaving && !unfit_) {
        falling_ = true;
        owner_->lost(this, lasted);
        falling_ = false;
    }

    forget(unknown, Outcome::unknown, why);
    if (lane_ != esputnik::AckMode::memory) {
        forget_questions(unknown, why);
    }

    if (held_) {
        /* hold() has said why */
        ngx_memcpy(text, reason_.data, reason_.len);
        why = {text, reason_.len};
    }

    if (held_ || backing_off_) {
        forget(last, Outcome::not_sent, why);

    } else if (state_ == State::down && !leaving
               && (!pipeline_.empty() || (kind_ == Kind::master && wanted_)))
    {
        /* what the lost connection did not get goes to its successor */
        connect();
    }

    tell();
}

void Link::cannot(const char *what)
{
    down(connection_->ssl != nullptr ? tls_.reason(what)
                                     : std::string_view(what));
}

void Link::move()
{
    held_ = false;

    if (falling_) {
        return;  /* down() connects */
    }

    if (state_ != State::down && state_ != State::locating) {
        leave("the master has moved");
    } else if (wanted_) {
        connect();
    }
}

void Link::hold(std::string_view why)
{
    held_ = true;
    set_reason(why);

    if (!falling_ && state_ == State::locating) {
        state_ = State::down;

        char text[sizeof(reason_text_)];
        ngx_memcpy(text, reason_.data, reason_.len);
        forget(pipeline_.last(), Outcome::not_sent, {text, reason_.len});
    }
}

void Link::close()
{
    disconnect(true);
    forget(pipeline_.last(), Outcome::unknown, "the connection was closed");
    held_ = backing_off_ = false;
    backoff_ = esputnik::Backoff();
    timer_event_.cancelable = 1;
    tell();
}

void Link::disconnect(bool clean)
{
    state_ = State::down;

    if (resolving_ != nullptr) {
        ngx_resolver_ctx_t *ctx = resolving_;
        resolving_ = nullptr;
        ngx_resolve_name_done(ctx);
    }

    if (connection_ != nullptr) {
        era_++;
        ngx_connection_t *c = connection_;
        connection_ = nullptr;
        TlsClient::stop(c, clean);
        ngx_close_connection(c);
    }

    if (pool_ != nullptr) {
        ngx_destroy_pool(pool_);
        pool_ = nullptr;
    }

    if (flush_event_.posted) {
        ngx_delete_posted_event(&flush_event_);
    }
}

} // namespace ngx_esputnik
