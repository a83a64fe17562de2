/*
 * What hiredis' reader calls for each element: the nodes are laid down in
 * preorder, and what the reader lets pass is refused.
 */

#include "esputnik_reply_functions.h"

#include <string_view>

#include "esputnik_reply.h"

namespace esputnik {

namespace {

/* The shortest element is "+\r\n". */
constexpr size_t kShortestElement = 3;

constexpr const char *kResp3 = "a type of RESP3, which was not asked for";

/* Redis repeats the arguments of a command that it does not know: of AUTH a
 * password, of RPUSH an event.  Error texts come to logs and answers. */
size_t without_arguments(const char *text, size_t length)
{
    constexpr std::string_view kArguments = ", with args beginning with";
    const size_t at = std::string_view(text, length).find(kArguments);
    return at == std::string_view::npos ? length : at;
}

} // namespace

/*
 * An object is a node's index plus one, as nullptr means failure; which one,
 * the decoder has noted before.
 */
struct ReplyFunctions {
    static ReplyDecoder *decoder(const redisReadTask *task)
    {
        return static_cast<ReplyDecoder *>(task->privdata);
    }

    static void *refuse(const redisReadTask *task, const char *why)
    {
        decoder(task)->error_ = why;
        decoder(task)->broken_ = true;
        return nullptr;
    }

    static void *add(const redisReadTask *task, ReplyNode node)
    {
        ReplyDecoder *d = decoder(task);
        node.size = 1;
        if (!d->nodes_.push(node)) {
            d->no_memory_ = true;
            return nullptr;
        }
        for (const redisReadTask *t = task->parent; t; t = t->parent) {
            d->nodes_[reinterpret_cast<uintptr_t>(t->obj) - 1].size++;
        }
        return reinterpret_cast<void *>(d->nodes_.size());
    }

    static void *create_string(const redisReadTask *task, char *p,
                               size_t length)
    {
        ReplyNode node = {};
        switch (task->type) {
        case REDIS_REPLY_STRING:
            /* the reader counts these two bytes and does not look at them */
            if (p[length] != '\r' || p[length + 1] != '\n') {
                return refuse(task, "a bulk string does not end in CRLF");
            }
            node.type = ReplyType::string;
            break;
        case REDIS_REPLY_STATUS:
        case REDIS_REPLY_ERROR:
            if (std::memchr(p, '\r', length) || std::memchr(p, '\n', length)) {
                return refuse(task, "a line holds a bare CR or LF");
            }
            node.type = ReplyType::status;
            if (task->type == REDIS_REPLY_ERROR) {
                node.type = ReplyType::error;
                length = without_arguments(p, length);
            }
            break;
        default:
            return refuse(task, kResp3);
        }
        ReplyDecoder *d = decoder(task);
        node.text = static_cast<uint32_t>(d->text_.size());
        node.length = static_cast<uint32_t>(length);
        if (!d->text_.append(p, length)) {
            d->no_memory_ = true;
            return nullptr;
        }
        return add(task, node);
    }

    /* hiredis 0.14 hands the count over as int, 1.x as size_t. */
    static void *create_array(const redisReadTask *task, int elements)
    {
        return create_array(task, static_cast<size_t>(elements));
    }

    static void *create_array(const redisReadTask *task, size_t elements)
    {
        if (task->type != REDIS_REPLY_ARRAY) {
            return refuse(task, kResp3);
        }
        unsigned depth = 1;
        for (const redisReadTask *t = task->parent; t; t = t->parent) {
            depth++;
        }
        if (depth > ReplyDecoder::kMaxDepth) {
            return refuse(task, "arrays are nested too deep");
        }
        if (elements > decoder(task)->limit_ / kShortestElement) {
            return refuse(task, "an array announces too many elements");
        }
        ReplyNode node = {};
        node.type = ReplyType::array;
        node.length = static_cast<uint32_t>(elements);
        return add(task, node);
    }

    static void *create_integer(const redisReadTask *task, long long value)
    {
        ReplyNode node = {};
        node.type = ReplyType::integer;
        node.integer = value;
        return add(task, node);
    }

    static void *create_nil(const redisReadTask *task)
    {
        if (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_ARRAY)
        {
            return refuse(task, kResp3);
        }
        ReplyNode node = {};
        node.type = ReplyType::nil;
        return add(task, node);
    }

    static void *create_double(const redisReadTask *task, double, char *,
                               size_t)
    {
        return refuse(task, kResp3);
    }

    static void *create_bool(const redisReadTask *task, int)
    {
        return refuse(task, kResp3);
    }

    static void free_object(void *) {}

    /* Members that hiredis has from 1.0 on. */
    template <class F>
    static constexpr auto set_resp3(F &f, int)
        -> decltype(f.createDouble, f.createBool, void())
    {
        f.createDouble = create_double;
        f.createBool = create_bool;
    }

    template <class F>
    static constexpr void set_resp3(F &, long)
    {
    }

    template <class F>
    static constexpr F table()
    {
        F f = {};
        f.createString = create_string;
        f.createArray = create_array;
        f.createInteger = create_integer;
        f.createNil = create_nil;
        f.freeObject = free_object;
        set_resp3(f, 0);
        return f;
    }
};

namespace {

constexpr auto kTable = ReplyFunctions::table<redisReplyObjectFunctions>();

/* hiredis takes the table without const; it only reads it. */
redisReplyObjectFunctions functions = kTable;

} // namespace

redisReplyObjectFunctions *reply_functions()
{
    return &functions;
}

} // namespace esputnik
