#include "esputnik_sentinel.h"

#include <cstring>

#include "esputnik_command.h"

namespace esputnik {

namespace {

constexpr std::string_view kSwitchMaster = "+switch-master";

bool parse_port(std::string_view text, uint16_t *port)
{
    unsigned n = 0;
    if (text.empty() || text.size() > 5) {
        return false;
    }
    for (char c : text) {
        if (c < '0' || c > '9') {
            return false;
        }
        n = n * 10 + static_cast<unsigned>(c - '0');
    }
    if (n == 0 || n > 65535) {
        return false;
    }
    *port = static_cast<uint16_t>(n);
    return true;
}

/* Takes a word and the blank behind it off the front. */
std::string_view take_word(std::string_view *text)
{
    const size_t blank = text->find(' ');
    const std::string_view word = text->substr(0, blank);
    text->remove_prefix(blank == std::string_view::npos ? text->size()
                                                        : blank + 1);
    return word;
}

} // namespace

bool append_sentinel_address(Buffer &out, std::string_view name)
{
    return append_command(out, {"SENTINEL", "get-master-addr-by-name", name});
}

bool append_sentinel_subscribe(Buffer &out)
{
    return append_command(out, {"SUBSCRIBE", kSwitchMaster});
}

bool append_role(Buffer &out)
{
    return append_command(out, {"ROLE"});
}

const char *read_sentinel_address(const Reply &reply, std::string_view *host,
                                  uint16_t *port)
{
    if (reply.is(ReplyType::nil)) {
        return "the sentinel does not know this master";
    }
    if (reply.is_error()) {
        return "the sentinel refused to tell the master";
    }
    if (reply.elements() != 2 || !reply.at(0).is(ReplyType::string)
        || !reply.at(1).is(ReplyType::string))
    {
        return "the sentinel's answer is no address";
    }
    if (!valid_host(reply.at(0).text())
        || !parse_port(reply.at(1).text(), port)) {
        return "the sentinel's address is not sound";
    }
    *host = reply.at(0).text();
    return nullptr;
}

bool read_switch_master(const Reply &message, std::string_view name,
                        std::string_view *host, uint16_t *port)
{
    if (message.elements() != 3) {
        return false;
    }
    for (size_t i = 0; i < 3; i++) {
        if (!message.at(i).is(ReplyType::string)) {
            return false;
        }
    }
    if (message.at(0).text() != "message"
        || message.at(1).text() != kSwitchMaster) {
        return false;
    }

    /* name, old host, old port, new host, new port */
    std::string_view rest = message.at(2).text();
    if (take_word(&rest) != name) {
        return false;
    }
    take_word(&rest);
    take_word(&rest);
    const std::string_view new_host = take_word(&rest);
    if (!valid_host(new_host) || !parse_port(rest, port)) {
        return false;
    }
    *host = new_host;
    return true;
}

Role read_role(const Reply &reply)
{
    if (reply.elements() == 0 || !reply.first().is(ReplyType::string)) {
        return Role::unknown;
    }
    const std::string_view role = reply.first().text();
    if (role == "master") {
        return Role::master;
    }
    if (role == "slave" || role == "replica") {
        return Role::replica;
    }
    return role == "sentinel" ? Role::sentinel : Role::unknown;
}

bool SentinelFollower::init(std::string_view name, size_t sentinels,
                            uint32_t seed)
{
    name_.clear();
    if (!name_.append(name.data(), name.size())) {
        return false;
    }
    sentinels_ = sentinels ? sentinels : 1;
    random_ = seed ? seed : 1;
    current_ = random_ % sentinels_;
    state_ = State::idle;
    return true;
}

SentinelStep SentinelFollower::ask(const char *why)
{
    SentinelStep step;
    step.kind = SentinelStep::Kind::ask;
    step.sentinel = current_;
    step.why = why;
    asked_++;
    state_ = State::asking;
    return step;
}

/* The sentinel that was asked last is the first again: it answered. */
SentinelStep SentinelFollower::begin_round(const char *why)
{
    asked_ = 0;
    rejected_ = false;
    return ask(why);
}

SentinelStep SentinelFollower::next(const char *why)
{
    current_ = (current_ + 1) % sentinels_;
    if (asked_ < sentinels_) {
        return ask(why);
    }

    random_ ^= random_ << 13;
    random_ ^= random_ >> 17;
    random_ ^= random_ << 5;

    SentinelStep step;
    step.kind = SentinelStep::Kind::back_off;
    step.delay_ms = wait_ / 2 + random_ % (wait_ / 2 + 1);
    step.why = why;
    wait_ = wait_ * 2 < kLongestWait ? wait_ * 2 : kLongestWait;
    state_ = State::waiting;
    return step;
}

SentinelStep SentinelFollower::connect(std::string_view host, uint16_t port)
{
    std::memcpy(host_, host.data(), host.size());
    host_length_ = static_cast<uint16_t>(host.size());
    port_ = port;
    rejected_ = false;
    state_ = State::connecting;

    SentinelStep step;
    step.kind = SentinelStep::Kind::connect;
    return step;
}

bool SentinelFollower::is_rejected(std::string_view host, uint16_t port) const
{
    return rejected_ && port == port_ && host == this->host();
}

SentinelStep SentinelFollower::reject_address(const char *why)
{
    rejected_ = true;
    return next(why);
}

SentinelStep SentinelFollower::start()
{
    if (state_ != State::idle) {
        return {};
    }
    return begin_round(nullptr);
}

SentinelStep SentinelFollower::on_address(const Reply &reply)
{
    if (state_ != State::asking) {
        return {};
    }

    std::string_view host;
    uint16_t port;
    if (const char *error = read_sentinel_address(reply, &host, &port)) {
        return next(error);
    }
    /* another sentinel with the same old news: do not spend a second connect
     * timeout on it in one round */
    if (is_rejected(host, port)) {
        return next("the sentinel names the same address");
    }
    return connect(host, port);
}

SentinelStep SentinelFollower::on_sentinel_failed()
{
    return state_ == State::asking ? next("the sentinel cannot be reached")
                                   : SentinelStep();
}

SentinelStep SentinelFollower::on_connected()
{
    if (state_ != State::connecting) {
        return {};
    }
    state_ = State::checking;

    SentinelStep step;
    step.kind = SentinelStep::Kind::check_role;
    return step;
}

SentinelStep SentinelFollower::on_connect_failed()
{
    if (state_ != State::connecting && state_ != State::checking) {
        return {};
    }
    return reject_address("the master cannot be reached");
}

SentinelStep SentinelFollower::on_role(const Reply &reply)
{
    if (state_ != State::checking) {
        return {};
    }

    switch (read_role(reply)) {
    case Role::master:
        break;
    case Role::replica:
        return reject_address("the sentinel named a replica");
    case Role::sentinel:
        return reject_address("the sentinel named a sentinel");
    case Role::unknown:
        return reject_address(reply.is_error()
                                  ? "ROLE is refused, the master cannot be "
                                    "told from a replica"
                                  : "not a reply to ROLE");
    }

    state_ = State::ready;
    wait_ = kFirstWait;

    SentinelStep step;
    step.kind = SentinelStep::Kind::ready;
    return step;
}

SentinelStep SentinelFollower::on_lost()
{
    if (state_ == State::ready) {
        return begin_round("the master is lost");
    }
    return on_connect_failed();
}

SentinelStep SentinelFollower::on_timer()
{
    return state_ == State::waiting ? begin_round(nullptr) : SentinelStep();
}

SentinelStep SentinelFollower::on_message(const Reply &message)
{
    std::string_view host;
    uint16_t port;
    if (state_ == State::idle
        || !read_switch_master(message, name(), &host, &port)) {
        return {};
    }

    const bool same = port == port_ && host == this->host();
    const bool linked = state_ == State::connecting || state_ == State::checking
                        || state_ == State::ready;
    if (same && linked) {
        return {};
    }

    /* should it fail, all sentinels are asked anew */
    asked_ = 0;
    wait_ = kFirstWait;
    SentinelStep step = connect(host, port);
    step.why = "the master has moved";
    return step;
}

} // namespace esputnik
