#include "esputnik_counters.h"

#include <cstring>

namespace esputnik {

namespace {

constexpr std::string_view kResultNames[kResultCount] = {
    "abandoned", "accepted",     "spooled",     "quarantined",
    "rejected",  "unauthorized", "unavailable",
};

constexpr std::string_view kMediaTypeNames[kMediaTypeCount] = {
    "email",  "sms",   "viber",    "webpush", "mobilepush", "appinbox",
    "widget", "inapp", "telegram", "other",   "absent",
};

constexpr size_t kKnownMediaTypes = static_cast<size_t>(MediaType::other);

char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

bool same_but_for_case(std::string_view text, std::string_view lowered)
{
    if (text.size() != lowered.size()) {
        return false;
    }
    for (size_t i = 0; i < text.size(); i++) {
        if (lower(text[i]) != lowered[i]) {
            return false;
        }
    }
    return true;
}

/* Digits at a place that is known to be there; -1 when they are none. */
int digits(const char *s, size_t n)
{
    int value = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9') {
            return -1;
        }
        value = value * 10 + (s[i] - '0');
    }
    return value;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar: years that begin
 * in March put the leap day last. */
int64_t days_from_civil(int year, int month, int day)
{
    const int64_t y = month > 2 ? year : year - 1;
    const int64_t m = month > 2 ? month - 3 : month + 9;
    const int64_t leap_days = y / 4 - y / 100 + y / 400;
    return y * 365 + leap_days + (m * 153 + 2) / 5 + day - 1 - 719468;
}

/* "", "Z" or "+02:00" as seconds east. */
bool parse_zone(std::string_view text, int64_t *east)
{
    *east = 0;
    if (text.empty() || text == "Z") {
        return true;
    }
    if (text.size() != 6 || (text[0] != '+' && text[0] != '-')
        || text[3] != ':') {
        return false;
    }
    const int hours = digits(text.data() + 1, 2);
    const int minutes = digits(text.data() + 4, 2);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) {
        return false;
    }
    *east = (hours * 60 + minutes) * (text[0] == '+' ? 60 : -60);
    return true;
}

MediaType media_type_of(const Batch &batch, size_t event)
{
    const Value v = batch.value(event, Field::media_type);
    return v.data != nullptr ? find_media_type({v.data, v.length})
                             : MediaType::absent;
}

} // namespace

std::string_view result_name(size_t result)
{
    return kResultNames[result];
}

std::string_view media_type_name(MediaType m)
{
    return kMediaTypeNames[static_cast<size_t>(m)];
}

MediaType find_media_type(std::string_view name)
{
    for (size_t i = 0; i < kKnownMediaTypes; i++) {
        if (same_but_for_case(name, kMediaTypeNames[i])) {
            return static_cast<MediaType>(i);
        }
    }
    return MediaType::other;
}

bool parse_activity_time(std::string_view text, int64_t *seconds)
{
    constexpr size_t kLength = 19; /* of 2023-09-14T08:30:03 */

    if (text.size() < kLength) {
        return false;
    }

    const char *s = text.data();
    const int year = digits(s, 4);
    const int month = digits(s + 5, 2);
    const int day = digits(s + 8, 2);
    const int hour = digits(s + 11, 2);
    const int minute = digits(s + 14, 2);
    const int second = digits(s + 17, 2);

    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31
        || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0
        || second > 60 || s[4] != '-' || s[7] != '-'
        || (s[10] != 'T' && s[10] != ' ') || s[13] != ':' || s[16] != ':')
    {
        return false;
    }

    text.remove_prefix(kLength);
    if (!text.empty() && text[0] == '.') {
        do {
            text.remove_prefix(1);
        } while (!text.empty() && text[0] >= '0' && text[0] <= '9');
    }

    int64_t east;
    if (!parse_zone(text, &east)) {
        return false;
    }

    *seconds = days_from_civil(year, month, day) * 86400 + hour * 3600
               + minute * 60 + second - east;
    return true;
}

void Tally::take(const Batch &batch)
{
    const bool with_media = (batch.wanted & field_bit(Field::media_type)) != 0;
    std::string_view newest_text;

    for (size_t i = 0; i < kStatusCount; i++) {
        status[i] = static_cast<uint32_t>(batch.status_count[i]);
    }

    std::memset(media, 0, sizeof(media));
    newest = 0;

    if (!with_media) {
        return;
    }

    for (size_t i = 0; i < batch.events.size(); i++) {
        if (batch.events[i].problem != 0) {
            continue;
        }
        media[static_cast<size_t>(media_type_of(batch, i))]++;

        /* of one form, so the order of the texts is that of the times */
        const Value v = batch.value(i, Field::activity_date_time);
        if (v.data != nullptr) {
            const std::string_view text(v.data, v.length);
            if (newest_text < text) {
                newest_text = text;
            }
        }
    }

    int64_t seconds;
    if (parse_activity_time(newest_text, &seconds)) {
        newest = seconds;
    }
}

void Tally::drop(const Batch &batch, size_t event)
{
    const auto s = static_cast<size_t>(batch.events[event].status);
    if (status[s] != 0) {
        status[s]--;
    }
    if (batch.wanted & field_bit(Field::media_type)) {
        const auto m = static_cast<size_t>(media_type_of(batch, event));
        if (media[m] != 0) {
            media[m]--;
        }
    }
}

void Counters::stored(const Tally &tally)
{
    for (size_t i = 0; i < kStatusCount; i++) {
        if (tally.status[i] != 0) {
            status[i].add(tally.status[i]);
        }
    }
    for (size_t i = 0; i < kMediaTypeCount; i++) {
        if (tally.media[i] != 0) {
            media[i].add(tally.media[i]);
        }
    }
}

void TargetGauges::see_list(uint64_t length, uint64_t now_ms)
{
    const uint64_t seen = list_seen.load(std::memory_order_relaxed);

    if (length >= list_length.load(std::memory_order_relaxed)
        || now_ms - seen > kListWindow)
    {
        list_length.store(length, std::memory_order_relaxed);
        list_seen.store(now_ms, std::memory_order_relaxed);
    }
}

void TargetGauges::clear()
{
    up.store(0, std::memory_order_relaxed);
    connecting.store(0, std::memory_order_relaxed);
    down.store(0, std::memory_order_relaxed);
    in_flight.store(0, std::memory_order_relaxed);
    queue_bytes.store(0, std::memory_order_relaxed);
}

} // namespace esputnik
