/*
 * The way of one command through a Redis Cluster (the cluster specification,
 * "MOVED Redirection" and "ASK Redirection"), and how often the topology is
 * looked at.  All rules, no clock: times are monotonic milliseconds that the
 * caller passes.
 */

#ifndef ESPUTNIK_REDIRECT_H
#define ESPUTNIK_REDIRECT_H

#include <cstdint>
#include <string_view>

#include "esputnik_redis_error.h"

namespace esputnik {

struct Redirect {
    bool ask = false;
    uint16_t slot = 0;
    uint16_t port = 0;
    std::string_view host;  /* a view of the text; empty: the host that
                               answered */
};

/* Reads "MOVED 3999 127.0.0.1:6381" or "ASK …" (an error's text, without its
 * '-').  IPv6 stands bare or in brackets; Redis sends it bare.  nullptr when
 * all is well, else a literal that says what was wrong. */
const char *parse_redirect(std::string_view text, Redirect *out);

/* Goes directly before a command that an ASK has sent elsewhere, in one piece
 * with it: its reply, +OK, comes first. */
constexpr std::string_view kAsking = "*1\r\n$6\r\nASKING\r\n";

struct NextHop {
    enum class Kind : uint8_t {
        send,       /* to the node of `to` */
        ask,        /* to the node of `to`, behind kAsking */
        wait,       /* delay_ms, then to the slot's node in the map */
        give_up,    /* the error is the answer */
    };

    Kind kind = Kind::give_up;
    bool moved = false;         /* note `to` in the map: SlotMap::assign */
    bool refresh = false;       /* the map is out of date */
    uint32_t delay_ms = 0;
    Redirect to;
    const char *why = nullptr;  /* of give_up: a literal, or nullptr when the
                                   error speaks for itself */
};

/*
 * Only for error replies, which say that nothing was written; a command whose
 * reply was lost is not sent again.
 *
 * At most kMaxHops redirections in a row: A sending to B and B to A ends
 * there.  A wait begins a new row, for while a slot moves, each try goes by
 * way of the old node again; waits end with the deadline.
 */
class CommandWay {
public:
    static constexpr unsigned kMaxHops = 5;
    static constexpr uint32_t kFirstWait = 10;   /* ms; doubles */
    static constexpr uint32_t kLongestWait = 200;

    CommandWay() = default;
    CommandWay(uint16_t slot, uint64_t deadline_ms)
        : deadline_(deadline_ms), slot_(slot)
    {
    }

    NextHop next(RedisError error, std::string_view text, uint64_t now_ms);

    unsigned hops() const { return hops_; }

private:
    NextHop redirect(std::string_view text);

    uint64_t deadline_ = 0;
    uint32_t wait_ = kFirstWait;
    uint16_t slot_ = 0;
    uint8_t hops_ = 0;
};

/* One look at the topology a second, the first at once; what asks for one in
 * between gets it when the second is over. */
class RefreshGate {
public:
    static constexpr uint32_t kInterval = 1000;

    void want() { wanted_ = true; }
    bool wanted() const { return wanted_ && !running_; }

    /* Milliseconds until the next look may begin; only when wanted(). */
    uint32_t delay(uint64_t now_ms) const;

    void begin(uint64_t now_ms);

    /* A failed one is wanted again. */
    void end(bool good);

private:
    uint64_t last_ = 0;
    bool ever_ = false;
    bool wanted_ = false;
    bool running_ = false;
};

} // namespace esputnik

#endif
