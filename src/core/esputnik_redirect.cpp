#include "esputnik_redirect.h"

#include "esputnik_cluster.h"

namespace esputnik {

namespace {

/* Takes digits off the front; false when there are none or they pass max. */
bool take_number(std::string_view *text, unsigned max, unsigned *out)
{
    size_t i = 0;
    unsigned n = 0;
    for (; i < text->size(); i++) {
        const char c = (*text)[i];
        if (c < '0' || c > '9') {
            break;
        }
        n = n * 10 + static_cast<unsigned>(c - '0');
        if (n > max) {
            return false;
        }
    }
    text->remove_prefix(i);
    *out = n;
    return i > 0;
}

bool take_prefix(std::string_view *text, std::string_view prefix)
{
    if (text->substr(0, prefix.size()) != prefix) {
        return false;
    }
    text->remove_prefix(prefix.size());
    return true;
}

} // namespace

const char *parse_redirect(std::string_view text, Redirect *out)
{
    Redirect r;

    if (take_prefix(&text, "ASK ")) {
        r.ask = true;
    } else if (!take_prefix(&text, "MOVED ")) {
        return "neither MOVED nor ASK";
    }

    unsigned slot;
    if (!take_number(&text, kSlots - 1, &slot) || !take_prefix(&text, " ")) {
        return "a redirection without a sound slot";
    }
    r.slot = static_cast<uint16_t>(slot);

    /* the address ends at a blank: later versions may say more */
    text = text.substr(0, text.find(' '));

    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) {
        return "a redirection without a port";
    }
    std::string_view digits = text.substr(colon + 1);
    unsigned port;
    if (!take_number(&digits, 65535, &port) || !digits.empty() || port == 0) {
        return "a redirection without a sound port";
    }
    r.port = static_cast<uint16_t>(port);

    r.host = text.substr(0, colon);
    if (r.host.size() > 2 && r.host.front() == '[' && r.host.back() == ']') {
        r.host = r.host.substr(1, r.host.size() - 2);
    }
    if (!r.host.empty() && !valid_host(r.host)) {
        return "a redirection without a sound host";
    }

    *out = r;
    return nullptr;
}

NextHop CommandWay::redirect(std::string_view text)
{
    NextHop hop;

    hop.why = parse_redirect(text, &hop.to);
    if (hop.why == nullptr && hop.to.slot != slot_) {
        hop.why = "a redirection of another slot";
    }
    if (hop.why == nullptr && hops_ == kMaxHops) {
        hop.why = "too many redirections";
    }
    if (hop.why) {
        hop.refresh = true;
        return hop;
    }

    hops_++;
    hop.kind = hop.to.ask ? NextHop::Kind::ask : NextHop::Kind::send;
    hop.moved = hop.refresh = !hop.to.ask;
    return hop;
}

NextHop CommandWay::next(RedisError error, std::string_view text,
                         uint64_t now_ms)
{
    NextHop hop;

    switch (error) {
    case RedisError::moved:
    case RedisError::ask:
        return redirect(text);

    case RedisError::tryagain:
        if (now_ms + wait_ >= deadline_) {
            hop.why = "the slot is being moved";
            return hop;
        }
        hop.kind = NextHop::Kind::wait;
        hop.delay_ms = wait_;
        wait_ = wait_ * 2 < kLongestWait ? wait_ * 2 : kLongestWait;
        hops_ = 0;
        return hop;

    case RedisError::clusterdown:
    case RedisError::readonly:
    case RedisError::masterdown:
        hop.refresh = true;
        return hop;

    default:
        return hop;
    }
}

uint32_t RefreshGate::delay(uint64_t now_ms) const
{
    if (!ever_ || now_ms - last_ >= kInterval) {
        return 0;
    }
    return static_cast<uint32_t>(kInterval - (now_ms - last_));
}

void RefreshGate::begin(uint64_t now_ms)
{
    last_ = now_ms;
    ever_ = true;
    wanted_ = false;
    running_ = true;
}

void RefreshGate::end(bool good)
{
    running_ = false;
    wanted_ = wanted_ || !good;
}

} // namespace esputnik
