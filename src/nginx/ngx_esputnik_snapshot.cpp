#include "ngx_esputnik_snapshot.h"
#include "ngx_esputnik_gauge.h"
#include "ngx_esputnik_spool_conf.h"
#include "ngx_esputnik_zone.h"

namespace ngx_esputnik {

namespace {

uint64_t positive(int64_t n)
{
    return n > 0 ? static_cast<uint64_t>(n) : 0;
}

uint64_t unix_ms()
{
    const ngx_time_t *t = ngx_timeofday();
    return static_cast<uint64_t>(t->sec) * 1000 + t->msec;
}

/* Of what one worker says. */
void add_gauges(const esputnik::TargetGauges &g, esputnik::TargetStatus *out)
{
    constexpr auto relaxed = std::memory_order_relaxed;

    out->up += positive(g.up.load(relaxed));
    out->connecting += positive(g.connecting.load(relaxed));
    out->down += positive(g.down.load(relaxed));
    out->in_flight += positive(g.in_flight.load(relaxed));
    out->queue_bytes += positive(g.queue_bytes.load(relaxed));
}

/* What Redis told a worker that has gone since is still the newest word. */
void list_status(SharedRoot *root, SharedTarget *shared,
                 esputnik::TargetStatus *out)
{
    constexpr auto relaxed = std::memory_order_relaxed;

    for (size_t i = 0; i < root->places; i++) {
        const uint64_t seen = shared->gauges[i].list_seen.load(relaxed);
        out->list_seen_ms = ngx_max(out->list_seen_ms, seen);
    }

    for (size_t i = 0; i < root->places; i++) {
        const esputnik::TargetGauges &g = shared->gauges[i];
        const uint64_t seen = g.list_seen.load(relaxed);

        if (seen != 0
            && seen + esputnik::TargetGauges::kListWindow >= out->list_seen_ms)
        {
            out->has_list = true;
            out->list_length = ngx_max(out->list_length,
                                       g.list_length.load(relaxed));
        }
    }
}

esputnik::TargetStatus target_status(SharedRoot *root, const TargetConf *conf)
{
    SharedTarget *shared = conf->shared;
    esputnik::TargetStatus out = {};

    out.name = view(conf->name);
    out.warnings = shared->warnings.read();

    const esputnik::TargetCounters &c = shared->counters;
    out.commands = c.commands.read();
    out.connects = c.connects.read();
    out.reconnects = c.reconnects.read();
    out.failures = c.failures.read();
    for (size_t i = 0; i < esputnik::kRedisErrorCount; i++) {
        out.errors[i] = c.errors[i].read();
    }

    each_worker(root,
                [&](size_t place) { add_gauges(shared->gauges[place], &out); });

    list_status(root, shared, &out);
    return out;
}

/* Each deployment once: locations that differ in a timeout have links of their
 * own to it, and count together. */
template <class Each>
bool each_target(const MainConf *main, Each each)
{
    auto **target = static_cast<TargetConf **>(main->targets.elts);

    for (ngx_uint_t i = 0; i < main->targets.nelts; i++) {
        ngx_uint_t first = 0;
        while (target[first]->shared != target[i]->shared) {
            first++;
        }
        if (first == i && !each(target[i])) {
            return false;
        }
    }
    return true;
}

esputnik::SpoolStatus spool_status(const SpoolConf *conf)
{
    const SharedSpool *shared = conf->shared;
    esputnik::SpoolStatus out = {};

    out.folder = view(conf->folder->path);
    out.target = view(conf->target->name);
    out.folder_bytes = conf->folder->shared->account.used();
    out.max_bytes = conf->folder->max_size;
    out.records = shared->spool.records();
    out.events = shared->spool.events();
    out.oldest_ms = out.records != 0 ? shared->oldest_ms : 0;
    return out;
}

uint64_t ok_of(const esputnik::Counters &c)
{
    uint64_t n = 0;
    for (size_t i = 1; i <= 3; i++) { /* accepted, spooled, quarantined */
        n += c.results[i].read();
    }
    return n;
}

uint64_t refused_of(const esputnik::Counters &c)
{
    uint64_t n = 0;
    for (size_t i = 4; i < esputnik::kResultCount; i++) {
        n += c.results[i].read();
    }
    return n;
}

} // namespace

bool take_snapshot(const MainConf *main, bool with_history,
                   esputnik::StatusReport *report)
{
    SharedRoot *root = main->shared;

    report->now_ms = unix_ms();
    report->since_ms = root->since_ms;
    report->server = NGINX_VER;

    each_worker(root, [&](size_t) { report->workers++; });

    for (size_t i = 0; i < root->counter_slots; i++) {
        report->add(root->counters[i]);
    }

    report->sender = root->sender.read(report->now_ms / 1000);
    report->refusal_count = root->refusals.read(report->refusals);
    report->with_history = with_history;
    if (with_history) {
        report->history_count = root->history.read(report->now_ms / 1000,
                                                   report->history);
    }

    if (!each_target(main, [&](const TargetConf *target) {
            return report->targets.push(target_status(root, target));
        }))
    {
        return false;
    }

    auto **spool = static_cast<SpoolConf **>(main->spools.elts);
    for (ngx_uint_t i = 0; i < main->spools.nelts; i++) {
        if (!report->spools.push(spool_status(spool[i]))) {
            return false;
        }
    }
    return true;
}

esputnik::HistoryTotals take_totals(const MainConf *main)
{
    SharedRoot *root = main->shared;
    esputnik::HistoryTotals t = {};

    for (size_t i = 0; i < root->counter_slots; i++) {
        const esputnik::Counters &c = root->counters[i];
        t.events += c.accepted.read() + c.spooled.read();
        t.ok += ok_of(c);
        t.refused += refused_of(c);
        t.request_time += c.request_time.read();
    }

    (void) each_target(main, [&](const TargetConf *target) {
        t.list_length += target_status(root, target).list_length;
        return true;
    });

    auto **spool = static_cast<SpoolConf **>(main->spools.elts);
    for (ngx_uint_t i = 0; i < main->spools.nelts; i++) {
        t.spool_events += spool[i]->shared->spool.events();
    }
    return t;
}

} // namespace ngx_esputnik
