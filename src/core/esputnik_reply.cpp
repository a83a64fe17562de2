/*
 * Replies of Redis by hiredis' reader, which walks the bytes and calls the
 * object functions: what is left to do here is how many bytes it gets, and
 * when it is worth calling.
 */

#include "esputnik_reply.h"

#include <hiredis/read.h>

#include "esputnik_reply_functions.h"

namespace esputnik {

namespace {

/* hiredis moves the rest of its buffer to the front after each kilobyte it
 * has read: given a megabyte at once, it would move most of it a thousand
 * times over. */
constexpr size_t kSlice = 4096;

/* Storage above this is given back when a reply has been consumed. */
constexpr size_t kKeepNodes = 512;
constexpr size_t kKeepBytes = 16 * 1024;

} // namespace

ReplyDecoder::~ReplyDecoder()
{
    if (reader_) {
        redisReaderFree(reader_);
    }
}

bool ReplyDecoder::renew_reader()
{
    redisReader *fresh = redisReaderCreateWithFunctions(reply_functions());
    if (fresh == nullptr) {
        return false;
    }
    fresh->privdata = this;
    /* 0.14 asserts that it gets memory when it trades a large buffer in, so
     * it is told not to, and the whole reader is traded in here */
    fresh->maxbuf = 0;
    if (reader_) {
        redisReaderFree(reader_);
    }
    reader_ = fresh;
    largest_ = 0;
    return true;
}

bool ReplyDecoder::reset()
{
    const bool ok = renew_reader();

    nodes_.clear();
    nodes_.shrink(kKeepNodes);
    text_.clear();
    text_.shrink(kKeepBytes);
    input_.clear();
    input_.shrink(kKeepBytes);
    input_at_ = 0;
    limit_ = kDefaultLimit;
    taken_ = 0;
    error_ = ok ? "" : "no memory";
    broken_ = false;
    no_memory_ = !ok;
    delivered_ = false;
    in_line_ = false;
    look_ = false;
    return ok;
}

ReplyDecoder::Result ReplyDecoder::state() const
{
    if (no_memory_ || reader_ == nullptr) {
        return Result::no_memory;
    }
    return broken_ ? Result::broken : Result::need_more;
}

ReplyDecoder::Result ReplyDecoder::break_off(const char *why)
{
    broken_ = true;
    error_ = why;
    return Result::broken;
}

ReplyDecoder::Result ReplyDecoder::out_of_memory()
{
    no_memory_ = true;
    error_ = "no memory";
    return Result::no_memory;
}

bool ReplyDecoder::take(const char *data, size_t length)
{
    if (redisReaderFeed(reader_, data, length) != REDIS_OK) {
        return false;
    }
    taken_ += length;
    if (taken_ > largest_) {
        largest_ = taken_;
    }
    /* with half a line, the reader would only scan the same bytes again */
    if (!in_line_ || std::memchr(data, '\n', length)) {
        look_ = true;
    }
    return true;
}

ReplyDecoder::Result ReplyDecoder::feed(const char *data, size_t length)
{
    const Result r = state();
    if (r != Result::need_more || length == 0) {
        return r;
    }
    if (input_.empty() && length <= kSlice) {
        return take(data, length) ? Result::need_more : out_of_memory();
    }
    return input_.append(data, length) ? Result::need_more : out_of_memory();
}

bool ReplyDecoder::take_slice()
{
    const size_t left = input_.size() - input_at_;
    const size_t n = left < kSlice ? left : kSlice;
    if (!take(input_.data() + input_at_, n)) {
        return false;
    }
    input_at_ += n;
    if (input_at_ == input_.size()) {
        input_.clear();
        input_.shrink(kKeepBytes);
        input_at_ = 0;
    }
    return true;
}

void ReplyDecoder::begin_reply()
{
    if (delivered_) {
        delivered_ = false;
        nodes_.clear();
        nodes_.shrink(kKeepNodes);
        text_.clear();
        text_.shrink(kKeepBytes);
    }
}

/* One look of hiredis at what it has; false on any failure. */
bool ReplyDecoder::decode(bool *whole)
{
    void *object = nullptr;
    const bool ok = redisReaderGetReply(reader_, &object) == REDIS_OK;
    *whole = ok && object != nullptr;
    if (ok) {
        return true;
    }
    if (no_memory_ || (!broken_ && reader_->err == REDIS_ERR_OOM)) {
        out_of_memory();
    } else if (!broken_) {
        break_off(reader_->errstr);
    }
    return false;
}

/* The reader is stuck: in a line, unless the header of a bulk string has been
 * read or nothing is left. */
void ReplyDecoder::note_position()
{
    const size_t rest = reader_->len - reader_->pos;
    in_line_ = rest > 0
               && !std::memchr(reader_->buf + reader_->pos, '\n', rest);
    look_ = false;
}

ReplyDecoder::Result ReplyDecoder::next(Reply *out)
{
    if (state() != Result::need_more) {
        return state();
    }
    begin_reply();

    for (;;) {
        if (look_) {
            bool whole;
            if (!decode(&whole)) {
                return state();
            }
            if (whole) {
                const size_t rest = reader_->len - reader_->pos;
                if (taken_ - rest > limit_) {
                    return break_off("a reply is larger than the limit");
                }
                taken_ = rest;
                in_line_ = false;
                look_ = rest > 0;
                delivered_ = true;
                *out = Reply(nodes_.data(), text_.data());
                return Result::reply;
            }
            note_position();
        }
        if (taken_ > limit_) {
            return break_off("a reply is larger than the limit");
        }
        if (input_.empty()) {
            if (taken_ == 0 && largest_ > kKeepBytes) {
                renew_reader();     /* without memory the old one stays */
            }
            return Result::need_more;
        }
        if (!take_slice()) {
            return out_of_memory();
        }
    }
}

} // namespace esputnik
