/* The link's traffic: commands out in one write a turn, replies in and to
 * their owners. */

#include "ngx_esputnik_link.h"
#include "ngx_esputnik_count.h"
#include "ngx_esputnik_target.h"

#include "esputnik_redis_error.h"

namespace ngx_esputnik {

namespace {

constexpr size_t kReadSize = 16 * 1024;

} // namespace

/* Where commands are confirmed: false while the last group is. */
bool Link::next_group()
{
    if (lane_ == esputnik::AckMode::memory
        || pipeline_.unwritten_before(group_) != 0)
    {
        return true;
    }
    if (pipeline_.awaiting()) {
        return false;
    }

    while (!ngx_queue_empty(&questions_)) {
        Confirmation *c = ngx_queue_data(ngx_queue_head(&questions_),
                                         Confirmation, queue);
        c->waits = false;
        ngx_queue_remove(&c->queue);

        char *out = pipeline_.add(c->question.size(), &c->op, 1);
        if (out == nullptr) {
            c->op.link = nullptr;
            (void) c->op.done(&c->op, Outcome::not_sent, nullptr, true,
                              "the queue to Redis is full");
            continue;
        }
        ngx_memcpy(out, c->question.data(), c->question.size());
        c->op.slot = pipeline_.newest();
    }

    group_ = pipeline_.last();
    return true;
}

/* Bytes, from the next one on, that need not wait for a confirmation. */
size_t Link::may_write() const
{
    return lane_ == esputnik::AckMode::memory
               ? pipeline_.unwritten()
               : pipeline_.unwritten_before(group_);
}

/* All that may be.  With deferred commands, whose owners have left, the queue
 * or a group may have ended without a reply. */
void Link::written()
{
    if (pipeline_.empty()) {
        pipeline_.clear();
        idle();
    } else if (pipeline_.unwritten() != 0 && !pipeline_.awaiting()) {
        post_flush();
    }
}

/* Where a deferred command is next, its bytes into the pipeline; false when
 * memory is short. */
bool Link::write_deferred()
{
    esputnik::Pipeline::Slot *slot = pipeline_.deferred();
    if (slot == nullptr) {
        return true;
    }

    auto *op = static_cast<Op *>(slot->owner);
    char *out = pipeline_.fill(slot);
    if (out == nullptr) {
        return false;
    }

    op->write(op, out);
    return true;
}

void Link::flush()
{
    ngx_connection_t *c = connection_;

    const ngx_uint_t era = era_;

    if (state_ != State::ready || !next_group() || era_ != era
        || pipeline_.empty())
    {
        return;
    }

    for (;;) {
        if (may_write() != 0 && !write_deferred()) {
            down("no memory for a command");
            return;
        }

        esputnik::Pipeline::Span span = pipeline_.output();
        span.size = ngx_min(span.size, may_write());
        if (span.size == 0) {
            written();
            return;
        }

        const size_t size = c->ssl != nullptr ? ngx_min(span.size, kTlsWrite)
                                              : span.size;
        const ssize_t n = c->send(c, reinterpret_cast<u_char *>(span.data),
                                  size);

        if (n == NGX_AGAIN) {
            if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
                down("cannot watch the connection");
            }
            return;
        }

        if (n <= 0) {
            cannot("writing to Redis failed");
            return;
        }

        pipeline_.wrote(static_cast<size_t>(n));
    }
}

/* Whoever sends has the parser in use, so that nobody must be told of anything
 * here: what stops the writing, flush() meets again.  What was deferred may be
 * written, which tells nobody anything. */
void Link::write_early()
{
    ngx_connection_t *c = connection_;

    if (state_ != State::ready || c->ssl != nullptr
        || lane_ != esputnik::AckMode::memory)
    {
        return;
    }

    while (c->write->ready && write_deferred()) {
        const esputnik::Pipeline::Span span = pipeline_.output();
        if (span.size == 0) {
            return;
        }
        const ssize_t n = c->send(c, reinterpret_cast<u_char *>(span.data),
                                  span.size);
        if (n <= 0) {
            return;
        }
        pipeline_.wrote(static_cast<size_t>(n));
    }
}

void Link::read()
{
    ngx_connection_t *c = connection_;
    u_char buffer[kReadSize];

    if (state_ == State::connecting) {
        return;  /* the write event tells whether it is connected */
    }

    if (c->close) {
        /* the worker shuts down, and nothing is under way */
        down("the worker shuts down");
        return;
    }

    while (c->read->ready) {
        const ssize_t n = c->recv(c, buffer, sizeof(buffer));

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == 0) {
            down("Redis closed the connection");
            return;
        }

        if (n < 0) {
            cannot("reading from Redis failed");
            return;
        }

        const auto result = decoder_.feed(reinterpret_cast<char *>(buffer),
                                          static_cast<size_t>(n));
        if (result == esputnik::ReplyDecoder::Result::no_memory) {
            down("no memory for a reply");
            return;
        }

        if (!take_replies()) {
            return;
        }

        if (c->read->eof) {
            /* OpenSSL tells it along with the last bytes */
            down("Redis closed the connection");
            return;
        }
    }

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        down("cannot watch the connection");
        return;
    }

    if (lane_ != esputnik::AckMode::memory && !pipeline_.awaiting()
        && pipeline_.unwritten() != 0)
    {
        post_flush();
    }
    idle();
}

/* false when the link went down meanwhile. */
bool Link::take_replies()
{
    const ngx_uint_t era = era_;

    for (;;) {
        esputnik::Reply reply;

        switch (decoder_.next(&reply)) {

        case esputnik::ReplyDecoder::Result::need_more:
            return true;

        case esputnik::ReplyDecoder::Result::no_memory:
            down("no memory for a reply");
            return false;

        case esputnik::ReplyDecoder::Result::broken:
            down(decoder_.error());
            return false;

        case esputnik::ReplyDecoder::Result::reply:
            break;
        }

        if (state_ == State::greeting) {
            greeted(reply);
        } else {
            take_reply(reply);
        }

        if (era_ != era) {
            return false;
        }
    }
}

void Link::take_reply(const esputnik::Reply &reply)
{
    bool last;
    esputnik::Pipeline::Slot *slot = pipeline_.reply(&last);

    if (slot == nullptr) {
        if (owner_->message(this, reply)) {
            return;
        }

        /* whatever it is, the next reply could be taken for another's */
        if (reply.is_error()) {
            down(reply.text());
        } else {
            down("Redis sent a reply that nobody waits for");
        }
        return;
    }

    progress();

    Op *op = static_cast<Op *>(slot->owner);
    if (last) {
        pipeline_.pop();
        /* it was queued a turn ago and has left the cache since */
        if (!pipeline_.empty()) {
            __builtin_prefetch(pipeline_.slot(pipeline_.first()).owner);
        }
        if (op != nullptr) {
            op->link = nullptr;
        }
    }

    bool closes = false;
    if (reply.is_error()) {
        const auto error = esputnik::classify_redis_error(reply.text());
        count::redis_error(target_->conf(), error);
        closes = esputnik::redis_error_closes(error);
    }
    if (closes) {
        /* kept apart: done() may reuse the decoder's memory */
        set_reason(reply.text());
    }

    const ngx_uint_t era = era_;
    bool trusted = true;
    if (op != nullptr) {
        trusted = op->done(op, Outcome::reply, &reply, last,
                           reply.is_error() ? reply.text()
                                            : std::string_view());
    }

    if (era_ != era) {
        return;
    }
    if (closes) {
        addresses_.leave();
        down(refusal());
    } else if (!trusted) {
        down("Redis sent a reply of another kind than the command has");
    }
}

/* With nothing under way the connection is one that nginx may close when the
 * worker shuts down. */
void Link::idle()
{
    if (state_ != State::ready || !unused()) {
        return;
    }

    timer_event_.cancelable = 1;
    connection_->idle = 1;

    if (ngx_exiting || ngx_terminate) {
        down("the worker shuts down");
    }
}

} // namespace ngx_esputnik
