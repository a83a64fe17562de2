/*
 * What the status page says, as one plain struct: the nginx layer fills it, the
 * renderers turn it into JSON or Prometheus' text.
 */

#ifndef ESPUTNIK_STATUS_H
#define ESPUTNIK_STATUS_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_array.h"
#include "esputnik_counters.h"
#include "esputnik_history.h"
#include "esputnik_sender.h"

namespace esputnik {

enum class TargetState : uint8_t {
    idle,        /* no worker has needed it yet, or all have let go */
    up,          /* every worker that uses it is connected */
    partly,      /* some are, for some the last try has failed */
    connecting,
    down,        /* none is, and the last try has failed */
};

std::string_view target_state_name(TargetState s);

struct TargetStatus {
    std::string_view name;
    uint64_t up;                /* links of all workers */
    uint64_t connecting;
    uint64_t down;
    uint64_t in_flight;
    uint64_t queue_bytes;
    bool has_list;              /* a reply has told a length */
    uint64_t list_length;
    uint64_t list_seen_ms;      /* since 1970 */
    uint64_t commands;
    uint64_t connects;
    uint64_t reconnects;
    uint64_t failures;
    uint64_t errors[kRedisErrorCount];
    uint64_t warnings;          /* bits of RedisWarning */

    TargetState state() const;
};

struct SpoolStatus {
    std::string_view folder;
    std::string_view target;
    uint64_t folder_bytes;      /* of all targets in the folder */
    uint64_t max_bytes;         /* 0: no limit of its own */
    uint64_t records;
    uint64_t events;
    uint64_t oldest_ms;         /* since 1970; 0: none */
};

struct StatusReport {
    uint64_t now_ms = 0;        /* since 1970 */
    uint64_t since_ms = 0;      /* when counting began */
    std::string_view server;    /* "nginx/1.22.1" */
    uint64_t workers = 0;

    uint64_t results[kResultCount] = {};
    uint64_t checks = 0;
    uint64_t status[kStatusCount] = {};
    uint64_t media[kMediaTypeCount] = {};
    uint64_t accepted = 0;
    uint64_t spooled = 0;
    uint64_t duplicates = 0;
    uint64_t quarantined = 0;
    uint64_t reasons[kReasonCount] = {};
    HistogramCounts request_time;
    HistogramCounts redis_time;

    SenderWatch::State sender = {};
    RefusalRing::Entry refusals[RefusalRing::kKept];
    size_t refusal_count = 0;
    HistorySample history[History::kKept];
    size_t history_count = 0;
    bool with_history = false;  /* it is asked for */

    Array<TargetStatus> targets;
    Array<SpoolStatus> spools;

    /* One more worker's share. */
    void add(const Counters &c);
};

enum class StatusFormat : uint8_t { json, prometheus, html };

/*
 * What a client wants by its Accept header: the one of text/html,
 * application/json and Prometheus' text/plain or openmetrics that has the
 * highest weight, the first of equals; JSON when it names none of them.
 */
StatusFormat choose_format(std::string_view accept);

} // namespace esputnik

#endif
