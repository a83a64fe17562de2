#include <check.h>

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>

#include "esputnik_counters.h"
#include "esputnik_history.h"
#include "esputnik_sender.h"

using namespace esputnik;

namespace {

/* As in the zone: zero bytes are the start. */
template <class T>
class Zeroed {
public:
    Zeroed() : bytes_(std::aligned_alloc(64, (sizeof(T) + 63) / 64 * 64))
    {
        std::memset(bytes_, 0, sizeof(T));
    }
    ~Zeroed() { std::free(bytes_); }
    Zeroed(const Zeroed &) = delete;
    Zeroed &operator=(const Zeroed &) = delete;

    T *operator->() { return static_cast<T *>(bytes_); }
    T &operator*() { return *static_cast<T *>(bytes_); }

private:
    void *bytes_;
};

Tally tally_of(Parser &parser, const std::string &body, FieldSet wanted,
               bool keep_going = false)
{
    ParseOptions options;
    options.wanted = wanted;
    options.keep_going = keep_going;
    ck_assert(parser.parse(body.data(), body.size(), options)
              == ParseResult::ok);
    Tally tally;
    std::memset(&tally, 0xff, sizeof(tally));
    tally.take(parser.batch());
    return tally;
}

std::string event(const char *status, const char *time, const char *more = "")
{
    return std::string("{\"contactId\":1,\"activityStatus\":\"") + status
           + "\",\"activityDateTime\":\"" + time + "\"" + more + "}";
}

uint32_t of(const Tally &t, Status s)
{
    return t.status[static_cast<size_t>(s)];
}

uint32_t of(const Tally &t, MediaType m)
{
    return t.media[static_cast<size_t>(m)];
}

} // namespace

START_TEST(media_types_in_any_case)
{
    for (size_t i = 0; i < static_cast<size_t>(MediaType::other); i++) {
        std::string name(media_type_name(static_cast<MediaType>(i)));
        ck_assert(find_media_type(name) == static_cast<MediaType>(i));
        for (char &c : name) {
            c = static_cast<char>(c - 'a' + 'A');
        }
        ck_assert(find_media_type(name) == static_cast<MediaType>(i));
        name.pop_back();
        ck_assert(find_media_type(name) == MediaType::other);
    }
    ck_assert(find_media_type("") == MediaType::other);
    ck_assert(find_media_type("WebPush") == MediaType::webpush);
    ck_assert(find_media_type("carrier pigeon") == MediaType::other);
}
END_TEST

START_TEST(times_as_the_system_has_them)
{
    /* every 12,345 minutes from 1970 to beyond 2100 */
    for (int64_t want = 0; want < 4200000000; want += 740713) {
        const auto when = static_cast<time_t>(want);
        struct tm tm;
        char text[32];
        gmtime_r(&when, &tm);
        ck_assert(strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 19);
        int64_t got = -1;
        ck_assert(parse_activity_time(text, &got));
        ck_assert_int_eq(got, want);
    }
}
END_TEST

START_TEST(times_with_more)
{
    int64_t s;
    ck_assert(parse_activity_time("2023-09-14T08:30:03", &s));
    ck_assert_int_eq(s, 1694680203);
    ck_assert(parse_activity_time("2023-09-14 08:30:03", &s));
    ck_assert_int_eq(s, 1694680203);
    ck_assert(parse_activity_time("2023-09-14T08:30:03.123456Z", &s));
    ck_assert_int_eq(s, 1694680203);
    ck_assert(parse_activity_time("2023-09-14T11:30:03+03:00", &s));
    ck_assert_int_eq(s, 1694680203);
    ck_assert(parse_activity_time("2023-09-14T03:00:03.5-05:30", &s));
    ck_assert_int_eq(s, 1694680203);
}
END_TEST

START_TEST(no_times)
{
    int64_t s = 7;
    const char *const whole = "2023-09-14T08:30:03";
    for (size_t n = 0; n < std::strlen(whole); n++) {
        ck_assert(!parse_activity_time({whole, n}, &s));
    }
    for (const char *text :
         {"2023-13-14T08:30:03", "2023-09-32T08:30:03", "2023-09-14T24:30:03",
          "2023-09-14T08:60:03", "2023-09-14T08:30:61", "1969-12-31T23:59:59",
          "2023/09/14T08:30:03", "2023-09-14x08:30:03", "2023-09-14T08.30.03",
          "yyyy-09-14T08:30:03", "2023-09-14T08:30:03+3",
          "2023-09-14T08:30:03 ", "2023-09-14T08:30:03+25:00",
          "2023-09-14T08:30:03+03-00"})
    {
        ck_assert_msg(!parse_activity_time(text, &s), "%s", text);
    }
    ck_assert_int_eq(s, 7);
}
END_TEST

START_TEST(a_tally_takes_statuses_and_more_when_asked)
{
    Parser parser;
    const std::string body = "["
                             + event("READ", "2023-09-14T08:30:03",
                                     ",\"mediaType\":\"SMS\"")
                             + "," + event("READ", "2023-09-14T09:30:03") + ","
                             + event("NEWER", "2023-09-14T07:30:03",
                                     ",\"mediaType\":\"fax\"")
                             + "]";

    Tally t = tally_of(parser, body, kTallied);
    ck_assert_uint_eq(of(t, Status::read), 2);
    ck_assert_uint_eq(of(t, Status::unknown), 1);
    ck_assert_uint_eq(of(t, MediaType::sms), 1);
    ck_assert_uint_eq(of(t, MediaType::absent), 1);
    ck_assert_uint_eq(of(t, MediaType::other), 1);
    ck_assert_int_eq(t.newest, 1694683803);

    t.drop(parser.batch(), 0);
    ck_assert_uint_eq(of(t, Status::read), 1);
    ck_assert_uint_eq(of(t, MediaType::sms), 0);

    t = tally_of(parser, body, 0);
    ck_assert_uint_eq(of(t, Status::read), 2);
    ck_assert_uint_eq(of(t, MediaType::sms), 0);
    ck_assert_int_eq(t.newest, 0);
    t.drop(parser.batch(), 0);
    ck_assert_uint_eq(of(t, Status::read), 1);
}
END_TEST

START_TEST(a_tally_leaves_out_events_with_a_problem)
{
    Parser parser;
    const Tally t = tally_of(
        parser,
        "[" + event("READ", "2023-09-14T08:30:03", ",\"mediaType\":\"sms\"")
            + ",{\"activityStatus\":\"READ\",\"mediaType\":\"sms\","
              "\"activityDateTime\":\"2033-01-01T00:00:00\"}]",
        kTallied, true);
    ck_assert_uint_eq(of(t, Status::read), 1);
    ck_assert_uint_eq(of(t, MediaType::sms), 1);
    ck_assert_int_eq(t.newest, 1694680203);
}
END_TEST

START_TEST(stored_events_add_up)
{
    Zeroed<Counters> c;
    Parser parser;
    const Tally t = tally_of(
        parser, "[" + event("SPAM", "x") + "," + event("SENT", "x") + "]",
        kTallied);
    c->stored(t);
    c->stored(t);
    ck_assert_uint_eq(c->status[static_cast<size_t>(Status::spam)].read(), 2);
    ck_assert_uint_eq(c->status[static_cast<size_t>(Status::sent)].read(), 2);
    ck_assert_uint_eq(c->status[static_cast<size_t>(Status::read)].read(), 0);
    ck_assert_uint_eq(c->media[static_cast<size_t>(MediaType::absent)].read(),
                      4);
}
END_TEST

START_TEST(the_longest_list_of_a_while)
{
    Zeroed<TargetGauges> g;
    const auto length = [&] { return g->list_length.load(); };

    g->see_list(42, 100000);
    g->see_list(1, 100001); /* a quarantine beside it */
    ck_assert_uint_eq(length(), 42);
    g->see_list(43, 100002);
    ck_assert_uint_eq(length(), 43);
    ck_assert_uint_eq(g->list_seen.load(), 100002);
    g->see_list(5, 100002 + TargetGauges::kListWindow);
    ck_assert_uint_eq(length(), 43);
    g->see_list(5, 100003 + TargetGauges::kListWindow);
    ck_assert_uint_eq(length(), 5);
}
END_TEST

/* the sender */

START_TEST(a_refused_post_is_owed_until_it_comes_again)
{
    Zeroed<SenderWatch> w;
    SenderWatch::State s = w->read(1000);
    ck_assert_uint_eq(s.last_post, 0);
    ck_assert_uint_eq(s.owed, 0);
    ck_assert(!s.has_lag);
    ck_assert(!w->alert(1000));

    w->ok("[1]", 1000, 990);
    s = w->read(1001);
    ck_assert_uint_eq(s.last_ok, 1000);
    ck_assert(s.has_lag);
    ck_assert_int_eq(s.lag, 10);

    w->refused("[2]", 1010);
    w->refused("[3]", 1020);
    ck_assert(w->alert(1020));
    s = w->read(1030);
    ck_assert_uint_eq(s.last_post, 1020);
    ck_assert_uint_eq(s.last_ok, 1000);
    ck_assert_uint_eq(s.owed, 2);
    ck_assert_uint_eq(s.owed_since, 1010);
    ck_assert_uint_eq(s.seen_again, 0);

    /* refused once more: seen again, and still owed once */
    w->refused("[2]", 1070);
    s = w->read(1070);
    ck_assert_uint_eq(s.owed, 2);
    ck_assert_uint_eq(s.owed_since, 1010);
    ck_assert_uint_eq(s.seen_again, 1);

    /* another body of the same length is another */
    w->ok("[4]", 1080, 0);
    ck_assert_uint_eq(w->read(1080).owed, 2);

    w->ok("[2]", 1190, 0);
    s = w->read(1190);
    ck_assert_uint_eq(s.seen_again, 2);
    ck_assert_uint_eq(s.owed, 1);
    ck_assert_uint_eq(s.owed_since, 1020);
    ck_assert_int_eq(s.lag, 10);

    w->ok("[3]", 1200, 0);
    ck_assert_uint_eq(w->read(1200).owed, 0);
    ck_assert_uint_eq(w->read(1200).owed_since, 0);
}
END_TEST

/* Sizes tell most bodies apart without a digest: none is missed for its size,
 * and none is taken for another of the same remainder. */
START_TEST(owed_posts_of_any_size)
{
    Zeroed<SenderWatch> w;
    for (size_t size = 1; size <= SenderWatch::kOwed; size++) {
        w->refused(std::string(size, 'x'), 1000);
    }
    ck_assert_uint_eq(w->read(1000).owed, SenderWatch::kOwed);
    for (size_t size = 1; size <= SenderWatch::kOwed; size++) {
        w->ok(std::string(size + 64, 'x'), 1001, 0);
        ck_assert_uint_eq(w->read(1001).owed, SenderWatch::kOwed - size + 1);
        w->ok(std::string(size, 'x'), 1001, 0);
        ck_assert_uint_eq(w->read(1001).owed, SenderWatch::kOwed - size);
    }

    /* what was refused long ago does not count */
    const uint64_t later = 1000 + 2 * SenderWatch::kForget;
    w->refused("late", later);
    w->ok("late", later + 1, 0);
    ck_assert_uint_eq(w->read(later + 1).owed, 0);
    ck_assert_uint_eq(w->read(later + 1).seen_again, SenderWatch::kOwed + 1);
}
END_TEST

START_TEST(what_never_comes_again_is_forgotten)
{
    Zeroed<SenderWatch> w;
    w->refused("[2]", 1000);
    ck_assert_uint_eq(w->read(1000 + SenderWatch::kForget - 1).owed, 1);
    ck_assert_uint_eq(w->read(1000 + SenderWatch::kForget).owed, 0);
    ck_assert(!w->alert(1000 + SenderWatch::kForget));

    /* of a body that was not read nothing is known */
    w->refused({}, 1000 + SenderWatch::kForget);
    ck_assert_uint_eq(w->read(1000 + SenderWatch::kForget).owed, 0);
    ck_assert_uint_eq(w->read(20000).last_post, 1000 + SenderWatch::kForget);
}
END_TEST

START_TEST(many_refused_posts_keep_the_newest)
{
    Zeroed<SenderWatch> w;
    for (unsigned i = 0; i < 3 * SenderWatch::kOwed; i++) {
        w->refused("[" + std::to_string(1000 + i) + "]", 1000 + i);
    }
    const SenderWatch::State s = w->read(2000);
    ck_assert_uint_eq(s.owed, SenderWatch::kOwed);
    ck_assert_uint_eq(s.owed_since, 1000 + 2 * SenderWatch::kOwed);
    ck_assert_uint_eq(s.seen_again, 0);

    /* a place that is free again is taken before a full one */
    w->ok("[" + std::to_string(1000 + 3 * SenderWatch::kOwed - 1) + "]", 2000,
          0);
    w->refused("[x]", 2000);
    ck_assert_uint_eq(w->read(2000).owed, SenderWatch::kOwed);
    ck_assert_uint_eq(w->read(2000).owed_since, 1000 + 2 * SenderWatch::kOwed);
}
END_TEST

START_TEST(the_last_refusals_newest_first)
{
    Zeroed<RefusalRing> ring;
    RefusalRing::Entry out[RefusalRing::kKept];
    ck_assert_uint_eq(ring->read(out), 0);

    for (size_t i = 1; i <= 40; i++) {
        Problem p;
        p.reason = i % 2 ? Reason::missing_field : Reason::unavailable;
        p.field = i % 2 ? Field::workflow_instance_id : Field::none;
        p.offset = i % 2 ? i * 1000000007 : Problem::kUnknown;
        p.event = i;
        ring->add(p, i % 2 ? RedisError::none : RedisError::oom, i == 39,
                  5000 + i);

        const size_t n = ring->read(out);
        ck_assert_uint_eq(n, i < RefusalRing::kKept ? i : RefusalRing::kKept);
        for (size_t k = 0; k < n; k++) {
            const size_t was = i - k;
            ck_assert_uint_eq(out[k].time_ms, 5000 + was);
            ck_assert_uint_eq(out[k].problem.event, was);
            ck_assert(out[k].quarantined == (was == 39));
            ck_assert(out[k].problem.field
                      == (was % 2 ? Field::workflow_instance_id : Field::none));
            ck_assert(out[k].error
                      == (was % 2 ? RedisError::none : RedisError::oom));
            ck_assert_uint_eq(out[k].problem.offset,
                              was % 2 ? was * 1000000007 : Problem::kUnknown);
        }
    }
}
END_TEST

/* the quarantine */

START_TEST(what_is_quarantined_counts_when_it_is_stored)
{
    Zeroed<Counters> counters;
    Zeroed<RefusalRing> ring;
    RefusalRing::Entry out[RefusalRing::kKept];
    QuarantineTally tally;
    Problem p;

    tally.count(&*counters, &*ring, 1);
    ck_assert_uint_eq(ring->read(out), 0);

    p.reason = Reason::wrong_type;
    p.event = 1;
    tally.add(p);
    for (size_t i = 2; i <= 40; i++) {
        p.reason = Reason::missing_field;
        p.event = i;
        tally.add(p);
    }
    ck_assert_uint_eq(ring->read(out), 0);

    tally.count(&*counters, &*ring, 7000);
    const auto of = [&](Reason r) {
        return counters->reasons[static_cast<size_t>(r)].read();
    };
    ck_assert_uint_eq(of(Reason::wrong_type), 1);
    ck_assert_uint_eq(of(Reason::missing_field), 39);
    ck_assert_uint_eq(of(Reason::not_json), 0);

    ck_assert_uint_eq(ring->read(out), RefusalRing::kKept);
    for (size_t k = 0; k < RefusalRing::kKept; k++) {
        ck_assert_uint_eq(out[k].problem.event, 40 - k);
        ck_assert_uint_eq(out[k].time_ms, 7000);
        ck_assert(out[k].quarantined);
    }
}
END_TEST

/* the history */

START_TEST(samples_are_differences)
{
    Zeroed<History> h;
    auto out = std::make_unique<HistorySample[]>(History::kKept);
    HistoryTotals t = {};

    ck_assert_uint_eq(h->read(100, out.get()), 0);
    ck_assert(h->due(100));
    ck_assert(!h->due(100));
    ck_assert(!h->due(101));
    t.events = 1000; /* counted before the first sample: no rate of it */
    h->add(t, 100);

    ck_assert(h->due(102));
    t.events = 1010;
    t.ok = 5;
    t.refused = 2;
    t.request_time.bucket[histogram_bucket(1000)] = 7;
    t.list_length = 42;
    h->add(t, 102);

    ck_assert_uint_eq(h->read(103, out.get()), 2);
    ck_assert_uint_eq(out[0].time, 100);
    ck_assert_uint_eq(out[0].events, 0);
    ck_assert_uint_eq(out[1].time, 102);
    ck_assert_uint_eq(out[1].events, 10);
    ck_assert_uint_eq(out[1].ok, 5);
    ck_assert_uint_eq(out[1].refused, 2);
    ck_assert_uint_eq(out[1].list_length, 42);
    ck_assert(out[1].p50_us > 900 && out[1].p99_us <= 1000);

    /* only of the interval */
    ck_assert(h->due(104));
    h->add(t, 104);
    ck_assert_uint_eq(h->read(104, out.get()), 3);
    ck_assert_uint_eq(out[2].events, 0);
    ck_assert_uint_eq(out[2].p99_us, 0);
    ck_assert_uint_eq(out[2].list_length, 42);
}
END_TEST

START_TEST(the_history_is_as_long_as_it_is)
{
    Zeroed<History> h;
    auto out = std::make_unique<HistorySample[]>(History::kKept);
    HistoryTotals t = {};
    uint64_t now = 1000;

    for (size_t i = 0; i < 2 * History::kKept; i++, now += 2) {
        t.events = i;
        ck_assert(h->due(now));
        h->add(t, now);
    }
    ck_assert_uint_eq(h->read(now - 2, out.get()), History::kKept);
    ck_assert_uint_eq(out[0].time, now - 2 * History::kKept);
    ck_assert_uint_eq(out[History::kKept - 1].time, now - 2);

    /* nothing was sampled for a while: the old ones go */
    ck_assert_uint_eq(h->read(now + 98, out.get()), History::kKept - 50);
    ck_assert_uint_eq(h->read(now + 10000, out.get()), 0);
}
END_TEST

int main()
{
    Suite *s = suite_create("counters");
    TCase *t = tcase_create("counters");
    tcase_add_test(t, media_types_in_any_case);
    tcase_add_test(t, times_as_the_system_has_them);
    tcase_add_test(t, times_with_more);
    tcase_add_test(t, no_times);
    tcase_add_test(t, a_tally_takes_statuses_and_more_when_asked);
    tcase_add_test(t, a_tally_leaves_out_events_with_a_problem);
    tcase_add_test(t, stored_events_add_up);
    tcase_add_test(t, the_longest_list_of_a_while);
    tcase_add_test(t, a_refused_post_is_owed_until_it_comes_again);
    tcase_add_test(t, owed_posts_of_any_size);
    tcase_add_test(t, what_never_comes_again_is_forgotten);
    tcase_add_test(t, many_refused_posts_keep_the_newest);
    tcase_add_test(t, the_last_refusals_newest_first);
    tcase_add_test(t, what_is_quarantined_counts_when_it_is_stored);
    tcase_add_test(t, samples_are_differences);
    tcase_add_test(t, the_history_is_as_long_as_it_is);
    suite_add_tcase(s, t);

    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
