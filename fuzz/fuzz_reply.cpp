/*
 * The reply decoder.  The first four bytes choose the limit, how the rest, the
 * wire, is split, and which allocation fails.
 *
 * Oracle: fed whole and fed in pieces, the same bytes give the same replies
 * and the same end, and the replies written out again are the bytes that were
 * read, but for the arguments of an unknown command.  When an allocation
 * fails, a beginning of them comes, and then no more.
 */

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "esputnik_redis_error.h"
#include "esputnik_redis_look.h"
#include "esputnik_reply.h"
#include "shortage.h"

using namespace esputnik;
using Result = ReplyDecoder::Result;
using shortage::Shortage;

namespace {

void check(bool ok, const char *what)
{
    if (!ok) {
        std::fprintf(stderr, "violated: %s\n", what);
        std::abort();
    }
}

std::string number(char mark, long long n)
{
    return mark + std::to_string(n) + "\r\n";
}

/* The one thing of a reply that is dropped: the arguments that Redis repeats
 * in the error for a command that it does not know. */
std::string_view left_out(std::string_view rest)
{
    constexpr std::string_view kArguments = ", with args beginning with";
    return rest.substr(0, kArguments.size()) == kArguments
               ? rest.substr(0, rest.find("\r\n"))
               : std::string_view();
}

/* As it must have stood on the wire; returns the nodes of the subtree.  A nil
 * has two spellings: the wire says which. */
void encode(const Reply &r, std::string_view wire, std::string *out,
            unsigned depth)
{
    const std::string text(r.is_array() || r.is(ReplyType::integer)
                                   || r.is(ReplyType::nil)
                               ? std::string_view()
                               : r.text());
    switch (r.type()) {
    case ReplyType::status:
        *out += "+" + text + "\r\n";
        break;
    case ReplyType::error:
        *out += "-" + text;
        *out += left_out(wire.substr(std::min(out->size(), wire.size())));
        *out += "\r\n";
        break;
    case ReplyType::string:
        *out += number('$', static_cast<long long>(text.size())) + text
                + "\r\n";
        break;
    case ReplyType::integer:
        *out += number(':', r.integer());
        break;
    case ReplyType::nil:
        check(out->size() < wire.size(), "a nil that was not read");
        *out += wire[out->size()] == '*' ? "*-1\r\n" : "$-1\r\n";
        break;
    case ReplyType::array: {
        check(depth < ReplyDecoder::kMaxDepth, "the bound of the depth");
        *out += number('*', static_cast<long long>(r.elements()));
        Reply child = r.first();
        for (size_t i = 0; i < r.elements(); i++, child = child.next()) {
            encode(child, wire, out, depth + 1);
            if (i + 1 == r.elements()) {
                check(r.at(i).type() == child.type()
                          && r.at(i).integer() == child.integer(),
                      "the last element");
            }
        }
        break;
    }
    }
}

struct Outcome {
    std::string replies;
    Result end = Result::need_more;
    bool partial = false;
};

/* What the module does with a reply besides reading it. */
void use(const Reply &r, RedisFacts *facts)
{
    if (r.is_error()) {
        const RedisError e = classify_redis_error(r.text());
        check(e != RedisError::none && !redis_error_name(e).empty(),
              "an error has a name");
        check(!redis_error_passing(e) || redis_error_spoolable(e),
              "what passes can be spooled");
        check(!redis_error_closes(e)
                  || redis_error_scope(e) == RedisScope::target,
              "what ends the link concerns the target");
    }
    check(!r.is_status("OK") || r.text() == "OK", "a status");
    read_look(r, facts);
    for (const char *name : {facts->policy, facts->version}) {
        for (const char *p = name; *p; p++) {
            check(*p > ' ' && *p < 0x7f && p - name < 32, "a clean name");
        }
    }
    for (size_t i = 0; i < static_cast<size_t>(RedisWarning::count); i++) {
        const RedisWarning w = static_cast<RedisWarning>(i);
        check(!has_warning(*facts, w) || *warning_text(w) != '\0',
              "a warning has a text");
    }
}

/* allocations: how many until one fails; 0: none does */
template <class NextChunk>
Outcome decode(ReplyDecoder &d, std::string_view wire, size_t limit,
               NextChunk chunk, size_t allocations)
{
    Outcome o;
    RedisFacts facts;
    size_t at = 0;

    auto with_shortage = [&](auto call) {
        const Shortage shortage(&allocations);
        return call();
    };

    if (!with_shortage([&] { return d.reset(); })) {
        o.end = Result::no_memory;
    }
    d.set_limit(limit);
    while (at < wire.size() && o.end == Result::need_more) {
        const size_t left = wire.size() - at;
        size_t n = chunk();
        n = n < left ? n : left;
        o.end = with_shortage([&] { return d.feed(wire.data() + at, n); });
        at += n;
        while (o.end == Result::need_more) {
            Reply r;
            o.end = with_shortage([&] { return d.next(&r); });
            if (o.end != Result::reply) {
                break;
            }
            const size_t before = o.replies.size();
            encode(r, wire, &o.replies, 0);
            check(o.replies.size() - before <= limit, "the limit");
            use(r, &facts);
            o.end = Result::need_more;
        }
    }

    check((o.end == Result::need_more) == (*d.error() == '\0'), "a reason");
    check(wire.substr(0, o.replies.size()) == o.replies,
          "replies are what was read");
    if (o.end == Result::need_more) {
        o.partial = d.partial();
        check(o.partial == (o.replies.size() < wire.size()),
              "bytes that are no whole reply are held");
    } else {
        Reply r;
        check(d.feed("+OK\r\n", 5) == o.end && d.next(&r) == o.end,
              "a failure lasts");
    }
    return o;
}

bool same(const Outcome &a, const Outcome &b)
{
    return a.replies == b.replies && a.end == b.end && a.partial == b.partial;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4) {
        return 0;
    }
    const size_t limit = data[0] & 1 ? 64 : ReplyDecoder::kDefaultLimit;
    const size_t largest = size_t{1} << (data[1] % 15);
    const uint32_t seed = data[2];
    const size_t allocations = data[3];
    const std::string_view wire(reinterpret_cast<const char *>(data) + 4,
                                size - 4);

    uint32_t random = seed;
    auto pieces = [&] {
        random = random * 1664525u + 1013904223u;
        return 1 + (random >> 16) % largest;
    };

    ReplyDecoder d;
    auto at_once = [&] { return wire.size(); };
    const Outcome whole = decode(d, wire, limit, at_once, 0);
    check(whole.end != Result::no_memory, "memory");
    check(same(whole, decode(d, wire, limit, pieces, 0)),
          "the same replies in pieces");

    if (allocations > 0) {
        ReplyDecoder poor;
        random = seed;
        const Outcome o = decode(poor, wire, limit, pieces, allocations);
        check(same(whole, o)
                  || (o.end == Result::no_memory
                      && whole.replies.compare(0, o.replies.size(), o.replies)
                             == 0),
              "a beginning of the replies");
        random = seed;
        check(same(whole, decode(poor, wire, limit, pieces, 0)),
              "the same decoder goes on");
    }
    return 0;
}
