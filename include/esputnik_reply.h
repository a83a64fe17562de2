/*
 * Replies of Redis (RESP2, https://redis.io/docs/reference/protocol-spec/),
 * decoded by hiredis' reader with object functions of our own: no allocation
 * per reply in the steady state, and bounds where hiredis has none.
 *
 * Works with hiredis 0.14 and 1.x.  RESP3 types are a protocol error: HELLO is
 * never sent.
 *
 * Ownership: the decoder owns all nodes and texts; a Reply is valid until the
 * next call of the decoder.  Not thread-safe.
 */

#ifndef ESPUTNIK_REPLY_H
#define ESPUTNIK_REPLY_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_array.h"

struct redisReader;

namespace esputnik {

enum class ReplyType : uint8_t {
    status,   /* +OK */
    error,    /* -ERR … */
    integer,
    string,
    nil,      /* $-1 or *-1 */
    array,
};

struct ReplyNode {
    long long integer;   /* of an integer */
    uint32_t text;       /* offset into the decoder's text */
    uint32_t length;     /* of the text; of an array: how many children */
    uint32_t size;       /* nodes in this subtree, itself included */
    ReplyType type;
};

/* A view of a node and its subtree (nodes stand in preorder). */
class Reply {
public:
    Reply() = default;
    Reply(const ReplyNode *node, const char *text) : node_(node), text_(text) {}

    ReplyType type() const { return node_->type; }
    bool is(ReplyType t) const { return node_->type == t; }
    bool is_error() const { return is(ReplyType::error); }
    bool is_array() const { return is(ReplyType::array); }

    long long integer() const { return node_->integer; }

    /* Of a status, an error (without '-') or a string; bytes, not text. */
    std::string_view text() const
    {
        return {text_ + node_->text, node_->length};
    }

    bool is_status(std::string_view s) const
    {
        return is(ReplyType::status) && text() == s;
    }

    size_t elements() const { return is_array() ? node_->length : 0; }

    /* i < elements(); walks the siblings, so for_each loops use next(). */
    Reply at(size_t i) const
    {
        Reply r = first();
        while (i-- > 0) {
            r = r.next();
        }
        return r;
    }

    Reply first() const { return {node_ + 1, text_}; }
    Reply next() const { return {node_ + node_->size, text_}; }

private:
    const ReplyNode *node_ = nullptr;
    const char *text_ = nullptr;
};

class ReplyDecoder {
public:
    enum class Result : uint8_t {
        reply,      /* *out is set */
        need_more,
        broken,     /* a protocol error or a bound passed: error() says which;
                       the connection cannot be used any more */
        no_memory,  /* as broken, but nothing is wrong with the bytes */
    };

    static constexpr size_t kDefaultLimit = 64 * 1024;
    static constexpr size_t kMaxLimit = size_t{1} << 29;
    static constexpr unsigned kMaxDepth = 7;    /* arrays inside arrays */

    ReplyDecoder() = default;
    ~ReplyDecoder();

    ReplyDecoder(const ReplyDecoder &) = delete;
    ReplyDecoder &operator=(const ReplyDecoder &) = delete;

    /* For a new connection, and before the first: forgets everything that was
     * read before.  False when memory is short; feed() then says so too. */
    bool reset();

    /* The most bytes that one reply may have on the wire, nested ones and
     * framing included; kDefaultLimit after reset(). */
    void set_limit(size_t bytes)
    {
        limit_ = bytes < kMaxLimit ? bytes : kMaxLimit;
    }

    /* Takes all the bytes in (copied), also many replies at once; need_more
     * says that they were taken.  Broken and no_memory last until reset(). */
    Result feed(const char *data, size_t length);

    /* Call until it says need_more.  Whole replies that stand before a broken
     * one are still given out. */
    Result next(Reply *out);

    /* A literal or a text of the decoder's: what was wrong.  Fit for a log:
     * hiredis escapes the one byte that it quotes. */
    const char *error() const { return error_; }

    /* After need_more: true when bytes of an unfinished reply are held. */
    bool partial() const { return taken_ > 0 || input_.size() > 0; }

private:
    friend struct ReplyFunctions;

    Result state() const;
    Result break_off(const char *why);
    Result out_of_memory();
    bool renew_reader();
    bool take(const char *data, size_t length);
    bool take_slice();
    bool decode(bool *whole);
    void begin_reply();
    void note_position();

    redisReader *reader_ = nullptr;
    Array<ReplyNode> nodes_;
    Buffer text_;
    Buffer input_;          /* bytes that hiredis has not been given yet */
    size_t input_at_ = 0;
    size_t limit_ = kDefaultLimit;
    size_t taken_ = 0;      /* bytes given to hiredis since the last whole
                               reply */
    size_t largest_ = 0;    /* what taken_ reached since the reader was made */
    const char *error_ = "";
    bool broken_ = false;
    bool no_memory_ = false;
    bool delivered_ = false;    /* nodes_ hold a reply that was given out */
    bool in_line_ = false;      /* hiredis waits for the end of a line */
    bool look_ = false;         /* hiredis may get further than before */
};

} // namespace esputnik

#endif
