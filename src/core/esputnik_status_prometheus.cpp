#include "esputnik_status_prometheus.h"

#include "esputnik_redis_look.h"
#include "esputnik_text.h"

namespace esputnik {

namespace {

constexpr unsigned kMs = 3;
constexpr unsigned kUs = 6;

constexpr std::string_view kWarnings[] = {"replica", "no_appendonly",
                                          "eviction"};
static_assert(sizeof(kWarnings) / sizeof(kWarnings[0])
                  == static_cast<size_t>(RedisWarning::count),
              "a name for each warning");

constexpr std::string_view kPrefix = "esputnik_";

class Exposition {
public:
    explicit Exposition(Buffer &out) : t_(out) {}

    bool ok() const { return t_.ok(); }

    /* The samples that follow are this metric's. */
    void metric(std::string_view name, std::string_view type,
                std::string_view help)
    {
        name_ = name;
        t_ << "# HELP " << kPrefix << name << " " << help << "\n# TYPE "
           << kPrefix << name << " " << type << "\n";
    }

    Exposition &sample(std::string_view suffix = {})
    {
        t_ << kPrefix << name_ << suffix;
        labels_ = 0;
        return *this;
    }

    /* The text format escapes three characters. */
    Exposition &label(std::string_view name, std::string_view value)
    {
        t_ << (labels_++ == 0 ? "{" : ",") << name << "=\"";
        for (const char &c : value) {
            if (c == '\\' || c == '"') {
                t_ << "\\" << std::string_view(&c, 1);
            } else if (c == '\n') {
                t_ << "\\n";
            } else {
                t_ << std::string_view(&c, 1);
            }
        }
        t_ << "\"";
        return *this;
    }

    Exposition &bound(uint64_t us)
    {
        t_ << (labels_++ == 0 ? "{" : ",") << "le=\"";
        t_.decimal(us, kUs) << "\"";
        return *this;
    }

    void value(uint64_t n, unsigned places = 0)
    {
        close();
        t_.decimal(n, places) << "\n";
    }

    void value(int64_t n)
    {
        close();
        t_ << n << "\n";
    }

private:
    void close() { t_ << (labels_ != 0 ? "} " : " "); }

    Text t_;
    std::string_view name_;
    unsigned labels_ = 0;
};

using NameAt = std::string_view (*)(size_t);

template <size_t N>
void family(Exposition &e, std::string_view label, const uint64_t (&n)[N],
            size_t from, NameAt name)
{
    for (size_t i = from; i < N; i++) {
        e.sample().label(label, name(i)).value(n[i]);
    }
}

void histogram(Exposition &e, const HistogramCounts &h)
{
    uint64_t below = 0;

    for (size_t i = 0; i < kFiniteBuckets; i++) {
        below += h.bucket[i];
        if (histogram_is_coarse(i)) {
            e.sample("_bucket").bound(histogram_bound(i)).value(below);
        }
    }
    const uint64_t all = below + h.bucket[kFiniteBuckets];
    e.sample("_bucket").label("le", "+Inf").value(all);
    e.sample("_sum").value(h.sum_us, kUs);
    e.sample("_count").value(all);
}

void requests(Exposition &e, const StatusReport &r)
{
    e.metric("start_time_seconds", "gauge",
             "When counting began, in seconds since 1970.");
    e.sample().value(r.since_ms, kMs);

    e.metric("requests_total", "counter", "POSTs by their result.");
    family(e, "result", r.results, 0, result_name);

    e.metric("url_checks_total", "counter",
             "GET and HEAD requests: the sender's check of the URL.");
    e.sample().value(r.checks);

    e.metric("refusals_total", "counter",
             "Requests refused, and bodies and events quarantined, by "
             "reason.");
    family(e, "reason", r.reasons, 1,
           [](size_t i) { return reason_name(static_cast<Reason>(i)); });

    e.metric("request_duration_seconds", "histogram",
             "From the head of a POST to its answer.");
    histogram(e, r.request_time);

    e.metric("redis_duration_seconds", "histogram",
             "From the command to the answer of Redis.");
    histogram(e, r.redis_time);
}

void events(Exposition &e, const StatusReport &r)
{
    e.metric("stored_events_total", "counter",
             "Events answered 200: pushed to Redis, or written to the spool.");
    e.sample().label("place", "redis").value(r.accepted);
    e.sample().label("place", "spool").value(r.spooled);

    e.metric("events_total", "counter",
             "Events answered 200, by activityStatus.");
    family(e, "status", r.status, 0,
           [](size_t i) { return status_name(static_cast<Status>(i)); });

    e.metric("events_by_media_type_total", "counter",
             "Events answered 200, by mediaType.");
    family(e, "media_type", r.media, 0,
           [](size_t i) { return media_type_name(static_cast<MediaType>(i)); });

    e.metric("duplicate_events_total", "counter",
             "Events dropped by esputnik_dedup.");
    e.sample().value(r.duplicates);

    e.metric("quarantined_total", "counter",
             "Events, or whole bodies, kept on the quarantine list.");
    e.sample().value(r.quarantined);
}

void sender(Exposition &e, const SenderWatch::State &s)
{
    if (s.last_post != 0) {
        e.metric("last_post_timestamp_seconds", "gauge",
                 "When the last POST was answered.");
        e.sample().value(s.last_post);
    }
    if (s.last_ok != 0) {
        e.metric("last_ok_timestamp_seconds", "gauge",
                 "When the last POST was answered 200.");
        e.sample().value(s.last_ok);
    }

    e.metric("posts_seen_again_total", "counter",
             "POSTs that came once more after they had been refused.");
    e.sample().value(s.seen_again);

    e.metric("posts_owed", "gauge",
             "POSTs refused and not answered 200 since: the sender is backing "
             "off.");
    e.sample().value(uint64_t{s.owed});

    if (s.owed_since != 0) {
        e.metric("posts_owed_since_timestamp_seconds", "gauge",
                 "When the oldest of these was first refused.");
        e.sample().value(s.owed_since);
    }

    if (s.has_lag) {
        e.metric("event_lag_seconds", "gauge",
                 "From activityDateTime, taken for UTC, of the newest event of "
                 "the last POST to its arrival.");
        e.sample().value(s.lag);
    }
}

template <class Value>
void per_target(Exposition &e, const StatusReport &r, std::string_view name,
                std::string_view type, std::string_view help, Value value)
{
    e.metric(name, type, help);
    for (const TargetStatus &t : r.targets) {
        e.sample().label("target", t.name).value(value(t));
    }
}

void targets(Exposition &e, const StatusReport &r)
{
    using Target = const TargetStatus &;

    if (r.targets.empty()) {
        return;
    }

    per_target(
        e, r, "redis_up", "gauge",
        "0 when no worker is connected and the last try has failed.",
        [](Target t) -> uint64_t { return t.state() != TargetState::down; });

    e.metric("redis_connections", "gauge",
             "Connections of all workers, by state.");
    for (Target t : r.targets) {
        const auto state = [&](const char *word, uint64_t n) {
            e.sample().label("target", t.name).label("state", word).value(n);
        };
        state("up", t.up);
        state("connecting", t.connecting);
        state("down", t.down);
    }

    per_target(e, r, "redis_commands_total", "counter",
               "Commands queued for Redis.",
               [](Target t) { return t.commands; });
    per_target(e, r, "redis_connects_total", "counter",
               "Connections that became ready.",
               [](Target t) { return t.connects; });
    per_target(e, r, "redis_reconnects_total", "counter",
               "Connections made again after one was lost.",
               [](Target t) { return t.reconnects; });
    per_target(e, r, "redis_connect_failures_total", "counter",
               "Tries to connect that failed.",
               [](Target t) { return t.failures; });

    e.metric("redis_errors_total", "counter",
             "Error replies of Redis, by their first word.");
    for (Target t : r.targets) {
        for (size_t i = 1; i < kRedisErrorCount; i++) {
            e.sample()
                .label("target", t.name)
                .label("error", redis_error_name(static_cast<RedisError>(i)))
                .value(t.errors[i]);
        }
    }

    per_target(e, r, "redis_in_flight_commands", "gauge",
               "Commands that wait for their reply.",
               [](Target t) { return t.in_flight; });
    per_target(e, r, "redis_queue_bytes", "gauge",
               "Bytes of commands that wait for their reply.",
               [](Target t) { return t.queue_bytes; });

    e.metric("redis_list_length", "gauge",
             "Length of the longest list that was lately pushed to, as Redis "
             "told.");
    for (Target t : r.targets) {
        if (t.has_list) {
            e.sample().label("target", t.name).value(t.list_length);
        }
    }

    e.metric("redis_warning", "gauge",
             "1 when 200 promises more than this Redis keeps.");
    for (Target t : r.targets) {
        for (size_t i = 0; i < static_cast<size_t>(RedisWarning::count); i++) {
            e.sample()
                .label("target", t.name)
                .label("warning", kWarnings[i])
                .value(t.warnings >> i & 1);
        }
    }
}

template <class Value>
void per_spool(Exposition &e, const StatusReport &r, std::string_view name,
               std::string_view help, Value value)
{
    e.metric(name, "gauge", help);
    for (const SpoolStatus &s : r.spools) {
        e.sample()
            .label("folder", s.folder)
            .label("target", s.target)
            .value(value(s));
    }
}

/* A folder that several targets share is one sample. */
template <class Value>
void per_folder(Exposition &e, const StatusReport &r, std::string_view name,
                std::string_view help, Value value)
{
    e.metric(name, "gauge", help);
    for (size_t i = 0; i < r.spools.size(); i++) {
        const SpoolStatus &s = r.spools[i];
        bool first = true;
        for (size_t j = 0; j < i; j++) {
            first = first && r.spools[j].folder != s.folder;
        }
        if (first) {
            e.sample().label("folder", s.folder).value(value(s));
        }
    }
}

void spools(Exposition &e, const StatusReport &r)
{
    using Spool = const SpoolStatus &;

    if (r.spools.empty()) {
        return;
    }

    per_folder(e, r, "spool_bytes", "Bytes of the files in the folder.",
               [](Spool s) { return s.folder_bytes; });
    per_folder(e, r, "spool_limit_bytes",
               "max_size of the folder; 0 when it has none.",
               [](Spool s) { return s.max_bytes; });
    per_spool(e, r, "spool_records", "POSTs that wait in the spool.",
              [](Spool s) { return s.records; });
    per_spool(e, r, "spool_events", "Events that wait in the spool.",
              [](Spool s) { return s.events; });
    per_spool(e, r, "spool_oldest_age_seconds",
              "Age of the oldest record in the spool; 0 when it is empty.",
              [&](Spool s) -> uint64_t {
                  return s.oldest_ms != 0 && s.oldest_ms < r.now_ms
                             ? (r.now_ms - s.oldest_ms) / 1000
                             : 0;
              });
}

} // namespace

bool status_prometheus(const StatusReport &report, Buffer &out)
{
    Exposition e(out);

    requests(e, report);
    events(e, report);
    sender(e, report.sender);
    targets(e, report);
    spools(e, report);
    return e.ok();
}

} // namespace esputnik
