#include "esputnik_status.h"

namespace esputnik {

namespace {

constexpr std::string_view kStateNames[] = {
    "idle", "up", "partly", "connecting", "down",
};

template <size_t N>
void sum(uint64_t (&to)[N], const Counter (&from)[N])
{
    for (size_t i = 0; i < N; i++) {
        to[i] += from[i].read();
    }
}

std::string_view trim(std::string_view s)
{
    while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) {
        s.remove_prefix(1);
    }
    while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) {
        s.remove_suffix(1);
    }
    return s;
}

/* What stands before the character, which is taken off too. */
std::string_view cut(std::string_view *s, char at)
{
    const size_t n = s->find(at);
    std::string_view head = *s;

    if (n == s->npos) {
        *s = {};
    } else {
        head.remove_suffix(s->size() - n);
        s->remove_prefix(n + 1);
    }
    return trim(head);
}

/* "0.75" as thousandths (RFC 9110, section 12.4.2); what is none counts as 1,
 * as for a client that sent none. */
unsigned weight(std::string_view q)
{
    unsigned value = 0;
    unsigned scale = 1000;

    for (size_t i = 0; i < q.size() && i < 5; i++) {
        if (i == 1) {
            if (q[i] != '.') {
                return 1000;
            }
            continue;
        }
        if (q[i] < '0' || q[i] > '9') {
            return 1000;
        }
        value += static_cast<unsigned>(q[i] - '0') * scale;
        scale /= 10;
    }
    return value < 1000 ? value : 1000;
}

bool is(std::string_view text, std::string_view lowered)
{
    if (text.size() != lowered.size()) {
        return false;
    }
    for (size_t i = 0; i < text.size(); i++) {
        const char c = text[i];
        if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c)
            != lowered[i]) {
            return false;
        }
    }
    return true;
}

bool format_of(std::string_view type, StatusFormat *format)
{
    if (is(type, "text/html")) {
        *format = StatusFormat::html;
    } else if (is(type, "application/json")) {
        *format = StatusFormat::json;
    } else if (is(type, "text/plain")
               || is(type, "application/openmetrics-text")) {
        *format = StatusFormat::prometheus;
    } else {
        return false;
    }
    return true;
}

} // namespace

std::string_view target_state_name(TargetState s)
{
    return kStateNames[static_cast<size_t>(s)];
}

TargetState TargetStatus::state() const
{
    if (up != 0) {
        return down != 0 ? TargetState::partly : TargetState::up;
    }
    return down != 0         ? TargetState::down
           : connecting != 0 ? TargetState::connecting
                             : TargetState::idle;
}

void StatusReport::add(const Counters &c)
{
    sum(results, c.results);
    checks += c.checks.read();
    sum(status, c.status);
    sum(media, c.media);
    accepted += c.accepted.read();
    spooled += c.spooled.read();
    duplicates += c.duplicates.read();
    quarantined += c.quarantined.read();
    sum(reasons, c.reasons);
    request_time += c.request_time.read();
    redis_time += c.redis_time.read();
}

StatusFormat choose_format(std::string_view accept)
{
    StatusFormat best = StatusFormat::json;
    unsigned best_weight = 0;

    while (!accept.empty()) {
        std::string_view range = cut(&accept, ',');
        StatusFormat format;

        if (!format_of(cut(&range, ';'), &format)) {
            continue;
        }

        unsigned q = 1000;
        while (!range.empty()) {
            std::string_view parameter = cut(&range, ';');
            if (is(cut(&parameter, '='), "q")) {
                q = weight(trim(parameter));
            }
        }

        if (q > best_weight) {
            best = format;
            best_weight = q;
        }
    }

    return best;
}

} // namespace esputnik
