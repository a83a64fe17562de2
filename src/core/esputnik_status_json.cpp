#include "esputnik_status_json.h"

#include "esputnik_redis_look.h"
#include "esputnik_text.h"

namespace esputnik {

namespace {

/* decimal places: what is counted in ms or us is told in seconds */
constexpr unsigned kMs = 3;
constexpr unsigned kUs = 6;

/* "," but before the first one of an object or an array. */
class Comma {
public:
    std::string_view next()
    {
        const bool first = first_;
        first_ = false;
        return first ? "" : ",";
    }

private:
    bool first_ = true;
};

std::string_view reason_at(size_t i)
{
    return reason_name(static_cast<Reason>(i));
}

std::string_view status_at(size_t i)
{
    return status_name(static_cast<Status>(i));
}

std::string_view media_type_at(size_t i)
{
    return media_type_name(static_cast<MediaType>(i));
}

std::string_view error_at(size_t i)
{
    return redis_error_name(static_cast<RedisError>(i));
}

using NameAt = std::string_view (*)(size_t);

/* Every name, so that a reader need not ask whether a member is there. */
template <size_t N>
void counts(Text &t, const uint64_t (&n)[N], NameAt name, size_t from)
{
    Comma comma;
    t << "{";
    for (size_t i = from; i < N; i++) {
        t << comma.next() << "\"" << name(i) << "\":" << n[i];
    }
    t << "}";
}

void text_or_null(Text &t, bool known, uint64_t n, unsigned places)
{
    if (known) {
        t.decimal(n, places);
    } else {
        t << "null";
    }
}

/* Pairs of a bound and how many fell below it and above the one before; of the
 * buckets that anything fell into. */
void histogram(Text &t, const HistogramCounts &h)
{
    Comma comma;

    t << "{\"count\":" << h.count() << ",\"sum\":";
    t.decimal(h.sum_us, kUs) << ",\"p50\":";
    t.decimal(static_cast<uint64_t>(h.quantile(0.5)), kUs) << ",\"p90\":";
    t.decimal(static_cast<uint64_t>(h.quantile(0.9)), kUs) << ",\"p99\":";
    t.decimal(static_cast<uint64_t>(h.quantile(0.99)), kUs);
    t << ",\"buckets\":[";

    for (size_t i = 0; i < kBuckets; i++) {
        if (h.bucket[i] == 0) {
            continue;
        }
        t << comma.next() << "[";
        text_or_null(t, i < kFiniteBuckets,
                     i < kFiniteBuckets ? histogram_bound(i) : 0, kUs);
        t << "," << h.bucket[i] << "]";
    }
    t << "]}";
}

void sender(Text &t, const StatusReport &r)
{
    const SenderWatch::State &s = r.sender;
    const uint64_t now = r.now_ms / 1000;

    const auto ago = [&](uint64_t when) {
        text_or_null(t, when != 0, now > when ? now - when : 0, 0);
    };

    t << "{\"seconds_since_post\":";
    ago(s.last_post);
    t << ",\"seconds_since_ok\":";
    ago(s.last_ok);
    t << ",\"seen_again\":" << s.seen_again;
    t << ",\"owed\":" << uint64_t{s.owed} << ",\"seconds_owed\":";
    ago(s.owed_since);
    t << ",\"lag\":";
    if (s.has_lag) {
        t << s.lag;
    } else {
        t << "null";
    }
    t << "}";
}

void target(Text &t, const TargetStatus &s)
{
    t << "{\"name\":\"";
    t.escaped(s.name) << "\",\"state\":\"" << target_state_name(s.state());
    t << "\",\"connections\":{\"up\":" << s.up
      << ",\"connecting\":" << s.connecting << ",\"down\":" << s.down << "}";
    t << ",\"in_flight\":" << s.in_flight
      << ",\"queue_bytes\":" << s.queue_bytes << ",\"list_length\":";
    text_or_null(t, s.has_list, s.list_length, 0);
    t << ",\"list_seen\":";
    text_or_null(t, s.has_list, s.list_seen_ms, kMs);
    t << ",\"commands\":" << s.commands << ",\"connects\":" << s.connects
      << ",\"reconnects\":" << s.reconnects << ",\"failures\":" << s.failures;

    /* there are many, and mostly none */
    Comma comma;
    t << ",\"errors\":{";
    for (size_t i = 0; i < kRedisErrorCount; i++) {
        if (s.errors[i] != 0) {
            t << comma.next() << "\"" << error_at(i) << "\":" << s.errors[i];
        }
    }

    Comma another;
    t << "},\"warnings\":[";
    for (size_t i = 0; i < static_cast<size_t>(RedisWarning::count); i++) {
        if (s.warnings >> i & 1) {
            t << another.next() << "\""
              << warning_text(static_cast<RedisWarning>(i)) << "\"";
        }
    }
    t << "]}";
}

void spool(Text &t, const SpoolStatus &s)
{
    t << "{\"folder\":\"";
    t.escaped(s.folder) << "\",\"target\":\"";
    t.escaped(s.target) << "\",\"folder_bytes\":" << s.folder_bytes
                        << ",\"max_bytes\":";
    text_or_null(t, s.max_bytes != 0, s.max_bytes, 0);
    t << ",\"records\":" << s.records << ",\"events\":" << s.events
      << ",\"oldest\":";
    text_or_null(t, s.oldest_ms != 0, s.oldest_ms, kMs);
    t << "}";
}

void refusal(Text &t, const RefusalRing::Entry &e)
{
    const auto known = [](size_t n) { return n != Problem::kUnknown; };

    t << "{\"time\":";
    t.decimal(e.time_ms, kMs) << ",\"reason\":\"";
    t << reason_name(e.problem.reason) << "\",\"title\":\""
      << reason_title(e.problem.reason) << "\",\"status\":"
      << uint64_t{e.quarantined ? 200 : reason_status(e.problem.reason)}
      << ",\"quarantined\":" << (e.quarantined ? "true" : "false")
      << ",\"offset\":";
    text_or_null(t, known(e.problem.offset), e.problem.offset, 0);
    t << ",\"event\":";
    text_or_null(t, known(e.problem.event), e.problem.event, 0);
    t << ",\"field\":";
    if (e.problem.field != Field::none) {
        t << "\"" << field_info(e.problem.field).name << "\"";
    } else {
        t << "null";
    }
    t << ",\"redis\":";
    if (e.error != RedisError::none) {
        t << "\"" << redis_error_name(e.error) << "\"";
    } else {
        t << "null";
    }
    t << "}";
}

template <class T, class Each>
void list(Text &t, const char *name, const T *items, size_t n, Each each)
{
    Comma comma;
    t << ",\"" << name << "\":[";
    for (size_t i = 0; i < n; i++) {
        t << comma.next();
        each(t, items[i]);
    }
    t << "]";
}

/* By columns: an eighth of what an object for each sample would take. */
void history(Text &t, const StatusReport &r)
{
    const auto column = [&](const char *name, unsigned places, auto value) {
        Comma comma;
        t << ",\"" << name << "\":[";
        for (size_t i = 0; i < r.history_count; i++) {
            t << comma.next();
            t.decimal(value(r.history[i]), places);
        }
        t << "]";
    };
    using Sample = const HistorySample &;

    t << ",\"history\":{\"interval\":" << uint64_t{History::kInterval};
    column("time", 0, [](Sample s) { return s.time; });
    column("events", 0, [](Sample s) { return s.events; });
    column("ok", 0, [](Sample s) { return s.ok; });
    column("refused", 0, [](Sample s) { return s.refused; });
    column("p50", kUs, [](Sample s) { return s.p50_us; });
    column("p99", kUs, [](Sample s) { return s.p99_us; });
    column("list_length", 0, [](Sample s) { return s.list_length; });
    column("spool_events", 0, [](Sample s) { return s.spool_events; });
    t << "}";
}

} // namespace

bool status_json(const StatusReport &r, Buffer &out)
{
    Text t(out);

    t << "{\"version\":" << uint64_t{kStatusVersion} << ",\"time\":";
    t.decimal(r.now_ms, kMs) << ",\"since\":";
    t.decimal(r.since_ms, kMs) << ",\"server\":\"";
    t.escaped(r.server) << "\",\"workers\":" << r.workers;

    t << ",\"requests\":";
    counts(t, r.results, result_name, 0);
    t << ",\"checks\":" << r.checks;

    t << ",\"events\":{\"accepted\":" << r.accepted
      << ",\"spooled\":" << r.spooled << ",\"duplicates\":" << r.duplicates
      << ",\"quarantined\":" << r.quarantined << ",\"status\":";
    counts(t, r.status, status_at, 0);
    t << ",\"media_type\":";
    counts(t, r.media, media_type_at, 0);

    /* none of them is Reason::none */
    t << "},\"refusals\":";
    counts(t, r.reasons, reason_at, 1);

    t << ",\"sender\":";
    sender(t, r);
    t << ",\"request_time\":";
    histogram(t, r.request_time);
    t << ",\"redis_time\":";
    histogram(t, r.redis_time);

    list(t, "targets", r.targets.data(), r.targets.size(), target);
    list(t, "spools", r.spools.data(), r.spools.size(), spool);
    list(t, "last_refusals", r.refusals, r.refusal_count, refusal);

    if (r.with_history) {
        history(t, r);
    }

    t << "}\n";
    return t.ok();
}

} // namespace esputnik
