/*
 * What is counted, and the rules of it.
 *
 * A request is counted once, under its result, when that is decided; its events
 * when they are safe (accepted or spooled), never for a POST that was refused.
 * Nothing here holds a byte of a payload, an address, a key or a secret.
 *
 * All of it lies in shared memory, is lock-free (relaxed: each number is exact,
 * two of them may be a moment apart), and starts from zero bytes.
 */

#ifndef ESPUTNIK_COUNTERS_H
#define ESPUTNIK_COUNTERS_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_fields.h"
#include "esputnik_histogram.h"
#include "esputnik_parser.h"
#include "esputnik_problem.h"
#include "esputnik_redis_error.h"

namespace esputnik {

class Counter {
public:
    void add(uint64_t n = 1) { n_.fetch_add(n, std::memory_order_relaxed); }
    void set(uint64_t n) { n_.store(n, std::memory_order_relaxed); }
    uint64_t read() const { return n_.load(std::memory_order_relaxed); }

    /* Adds one; what it was before. */
    uint64_t next() { return n_.fetch_add(1, std::memory_order_relaxed); }

    /* True for the one caller that took it from expected to n. */
    bool swap(uint64_t expected, uint64_t n)
    {
        return n_.compare_exchange_strong(expected, n,
                                          std::memory_order_relaxed);
    }

private:
    std::atomic<uint64_t> n_;
};

/* The results in the order of $esputnik_result's; 0 is a client that went away
 * before it had an answer. */
constexpr size_t kResultCount = 7;
std::string_view result_name(size_t result);

constexpr size_t kReasonCount = static_cast<size_t>(Reason::count);
constexpr size_t kRedisErrorCount = static_cast<size_t>(RedisError::count);

/* The vendor's mediaType, whatever its case. */
enum class MediaType : uint8_t {
    email,
    sms,
    viber,
    webpush,
    mobilepush,
    appinbox,
    widget,
    inapp,
    telegram,
    other,
    absent,
    count
};

constexpr size_t kMediaTypeCount = static_cast<size_t>(MediaType::count);
std::string_view media_type_name(MediaType m);
MediaType find_media_type(std::string_view name);

/*
 * "2023-09-14T08:30:03" as seconds since 1970, taken for UTC: the vendor gives
 * no zone.  A fraction is passed over, and a zone ("Z", "+02:00") obeyed, should
 * there ever be one.  False when it is no such time.
 */
bool parse_activity_time(std::string_view text, int64_t *seconds);

/* What the counters are to know of one POST's events, kept until it is decided
 * whether they are stored. */
struct Tally {
    uint32_t status[kStatusCount];
    uint32_t media[kMediaTypeCount];
    int64_t newest;            /* activityDateTime; 0: not known */

    /* Takes in the events without a problem.  Media types and times only when
     * the batch has these fields' values. */
    void take(const Batch &batch);

    /* One of them is not to be stored after all. */
    void drop(const Batch &batch, size_t event);
};

/* The fields that Tally::take() asks the parser for. */
constexpr FieldSet kTallied = field_bit(Field::media_type)
                              | field_bit(Field::activity_date_time);

/* One worker's share, so that workers do not pull a cache line to and fro; what
 * a request touches comes first. */
struct alignas(64) Counters {
    Counter results[kResultCount];
    Counter checks;                /* GET and HEAD: the vendor's look */
    Counter status[kStatusCount];
    Counter media[kMediaTypeCount];
    Counter accepted;              /* events on lists */
    Counter spooled;               /* events in the journal, at first */
    Counter duplicates;
    Counter quarantined;           /* events, or whole bodies */
    Histogram request_time;
    Histogram redis_time;
    Counter reasons[kReasonCount]; /* of refusals and of quarantine */

    /* Events are safe. */
    void stored(const Tally &tally);
};

/* A deployment, all workers together. */
struct TargetCounters {
    Counter commands;
    Counter connects;              /* connections that became ready */
    Counter reconnects;            /* those after a first one of a link */
    Counter failures;              /* tries that did not become one */
    Counter errors[kRedisErrorCount];
};

/* A deployment as one worker has it at the moment: one writer.  A worker that
 * was killed leaves its own behind; whoever reads looks who is alive. */
struct alignas(64) TargetGauges {
    static constexpr uint64_t kListWindow = 3000;  /* ms */

    std::atomic<int32_t> up;
    std::atomic<int32_t> connecting;
    std::atomic<int32_t> down;         /* the last try has failed */
    std::atomic<int64_t> in_flight;    /* commands without all their replies */
    std::atomic<int64_t> queue_bytes;
    std::atomic<uint64_t> list_length;
    std::atomic<uint64_t> list_seen;   /* when, in ms since 1970; 0: never */

    /* The length that a reply told.  With many lists, and a quarantine beside
     * them, the longest of the last kListWindow is the one that matters. */
    void see_list(uint64_t length, uint64_t now_ms);

    void clear();
};

} // namespace esputnik

#endif
