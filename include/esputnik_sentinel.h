/*
 * Following a master that Redis Sentinel watches (https://redis.io/docs/,
 * "Guidelines for Redis clients with support for Redis Sentinel"): ask a
 * sentinel for the address, connect, check with ROLE that it is the master,
 * and start over when the link is lost, when the server turns out to be a
 * replica, or when a sentinel says +switch-master.
 *
 * Only the rules: the owner has sockets and timers, tells what happened and
 * does what the returned step says.  An event that belongs to no step under
 * way gives Kind::none.
 *
 * Ownership: the follower copies the name and addresses.  Not thread-safe.
 */

#ifndef ESPUTNIK_SENTINEL_H
#define ESPUTNIK_SENTINEL_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_array.h"
#include "esputnik_cluster.h"
#include "esputnik_reply.h"

namespace esputnik {

constexpr uint16_t kSentinelPort = 26379;

/* SENTINEL get-master-addr-by-name NAME; SUBSCRIBE +switch-master; ROLE.
 * False when memory is short. */
bool append_sentinel_address(Buffer &out, std::string_view name);
bool append_sentinel_subscribe(Buffer &out);
bool append_role(Buffer &out);

/* nullptr when the reply names an address; else a literal that says why not.
 * *host is a view of the reply. */
const char *read_sentinel_address(const Reply &reply, std::string_view *host,
                                  uint16_t *port);

/* True when a message of the subscription says that the master of this name
 * has moved; *host is a view of the reply.  Other masters' messages and the
 * confirmation of the subscription are false. */
bool read_switch_master(const Reply &message, std::string_view name,
                        std::string_view *host, uint16_t *port);

enum class Role : uint8_t { master, replica, sentinel, unknown };

Role read_role(const Reply &reply);

struct SentinelStep {
    enum class Kind : uint8_t {
        none,       /* go on with what is under way */
        ask,        /* sentinel number `sentinel`, for the address */
        connect,    /* to host() and port(), dropping any link there was */
        check_role, /* send ROLE on the new link before anything else */
        ready,      /* the link may carry pushes */
        back_off,   /* wait delay_ms, then on_timer() */
    };

    Kind kind = Kind::none;
    size_t sentinel = 0;
    uint32_t delay_ms = 0;
    const char *why = nullptr;  /* what went wrong before this step, for the
                                   log; nullptr when nothing did */
};

class SentinelFollower {
public:
    static constexpr uint32_t kFirstWait = 50;    /* ms; doubles */
    static constexpr uint32_t kLongestWait = 500;

    /* sentinels: how many there are, at least 1; the seed spreads the waits
     * of workers that lost the same master.  False when memory is short. */
    bool init(std::string_view name, size_t sentinels, uint32_t seed);

    SentinelStep start();

    /* a sentinel's answer; it could not be reached, or not in time */
    SentinelStep on_address(const Reply &reply);
    SentinelStep on_sentinel_failed();

    /* the link to host() */
    SentinelStep on_connected();
    SentinelStep on_connect_failed();
    SentinelStep on_role(const Reply &reply);

    /* the link broke, or a command on it was answered READONLY */
    SentinelStep on_lost();

    SentinelStep on_timer();

    /* a message of the subscription */
    SentinelStep on_message(const Reply &message);

    bool ready() const { return state_ == State::ready; }
    std::string_view name() const { return {name_.data(), name_.size()}; }
    std::string_view host() const { return {host_, host_length_}; }
    uint16_t port() const { return port_; }

private:
    enum class State : uint8_t {
        idle,
        asking,
        connecting,
        checking,
        ready,
        waiting,
    };

    SentinelStep begin_round(const char *why);
    SentinelStep ask(const char *why);
    SentinelStep next(const char *why);
    SentinelStep connect(std::string_view host, uint16_t port);
    SentinelStep reject_address(const char *why);
    bool is_rejected(std::string_view host, uint16_t port) const;

    Buffer name_;
    size_t sentinels_ = 0;
    size_t current_ = 0;        /* the sentinel that is or was asked last */
    size_t asked_ = 0;          /* in this round */
    uint32_t wait_ = kFirstWait;
    uint32_t random_ = 1;
    State state_ = State::idle;
    bool rejected_ = false;     /* host_ was tried in this round, in vain */
    uint16_t port_ = 0;
    uint16_t host_length_ = 0;
    char host_[kMaxHostLength];
};

} // namespace esputnik

#endif
