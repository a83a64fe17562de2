#include <check.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include <yajl/yajl_parse.h>

#include "esputnik_redis_look.h"
#include "esputnik_status.h"
#include "esputnik_status_json.h"
#include "esputnik_status_prometheus.h"

using namespace esputnik;

namespace {

std::string json_of(const StatusReport &r)
{
    Buffer out;
    ck_assert(status_json(r, out));
    return {out.data(), out.size()};
}

std::string text_of(const StatusReport &r)
{
    Buffer out;
    ck_assert(status_prometheus(r, out));
    return {out.data(), out.size()};
}

bool is_json(const std::string &text)
{
    yajl_handle h = yajl_alloc(nullptr, nullptr, nullptr);
    const auto *bytes = reinterpret_cast<const unsigned char *>(text.data());
    const bool good = yajl_parse(h, bytes, text.size()) == yajl_status_ok
                      && yajl_complete_parse(h) == yajl_status_ok;
    yajl_free(h);
    return good;
}

void has(const std::string &text, const std::string &part)
{
    ck_assert_msg(text.find(part) != text.npos, "no %s in %s", part.c_str(),
                  text.c_str());
}

void has_not(const std::string &text, const std::string &part)
{
    ck_assert_msg(text.find(part) == text.npos, "%s in %s", part.c_str(),
                  text.c_str());
}

std::unique_ptr<StatusReport> full()
{
    auto r = std::make_unique<StatusReport>();
    r->now_ms = 1700000000123;
    r->since_ms = 1700000000000 - 60000;
    r->server = "nginx/1.22.1";
    r->workers = 2;
    r->results[1] = 7;
    r->status[static_cast<size_t>(Status::read)] = 11;
    r->media[static_cast<size_t>(MediaType::sms)] = 3;
    r->accepted = 12;
    r->reasons[static_cast<size_t>(Reason::missing_field)] = 2;
    r->request_time.bucket[histogram_bucket(1500)] = 4;
    r->request_time.bucket[kFiniteBuckets] = 1;
    r->request_time.sum_us = 1234567;
    r->sender.last_post = 1699999999;
    r->sender.last_ok = 1699999990;
    r->sender.seen_again = 5;
    r->sender.owed = 1;
    r->sender.owed_since = 1699999000;
    r->sender.has_lag = true;
    r->sender.lag = -3600;

    TargetStatus t = {};
    t.name = "a \"b\\c\nd";
    t.up = 2;
    t.has_list = true;
    t.list_length = 99;
    t.list_seen_ms = 1700000000100;
    t.errors[static_cast<size_t>(RedisError::oom)] = 6;
    t.warnings = uint64_t{1}
                 << static_cast<unsigned>(RedisWarning::no_appendonly);
    ck_assert(r->targets.push(t));

    SpoolStatus s = {};
    s.folder = "/var/spool/x";
    s.target = "a";
    s.folder_bytes = 4096;
    s.records = 3;
    s.events = 30;
    s.oldest_ms = 1699999990123;
    ck_assert(r->spools.push(s));
    s.target = "b";
    s.max_bytes = 1 << 20;
    ck_assert(r->spools.push(s));

    r->refusals[0].time_ms = 1700000000001;
    r->refusals[0].problem.reason = Reason::wrong_type;
    r->refusals[0].problem.field = Field::contact_id;
    r->refusals[0].problem.offset = 14;
    r->refusals[0].problem.event = 0;
    r->refusals[1] = {};
    r->refusals[1].problem.reason = Reason::unavailable;
    r->refusals[1].error = RedisError::oom;
    r->refusal_count = 2;

    r->history[0].time = 1699999998;
    r->history[0].events = 20;
    r->history[0].p50_us = 310;
    r->history[1].time = 1700000000;
    r->history_count = 2;
    r->with_history = true;
    return r;
}

} // namespace

START_TEST(json_of_nothing)
{
    auto r = std::make_unique<StatusReport>();
    const std::string json = json_of(*r);
    ck_assert_msg(is_json(json), "%s", json.c_str());
    has(json, "{\"version\":1,");
    has(json, "\"seconds_since_post\":null");
    has(json, "\"lag\":null");
    has(json, "\"targets\":[],\"spools\":[],\"last_refusals\":[]}");
    has_not(json, "history");

    r->with_history = true;
    has(json_of(*r), "\"history\":{\"interval\":2,\"time\":[],\"events\":[],");
    ck_assert(is_json(json_of(*r)));
}
END_TEST

START_TEST(json_of_much)
{
    auto r = full();
    const std::string json = json_of(*r);
    ck_assert_msg(is_json(json), "%s", json.c_str());
    has(json, "\"time\":1700000000.123,");
    has(json, "\"accepted\":7");
    has(json, "\"READ\":11");
    has(json, "\"sms\":3");
    has(json, "\"missing_field\":2");
    has_not(json, "\"none\"");
    has(json, "\"sum\":1.234567");
    has(json, "\"buckets\":[[0.002,4],[null,1]]");
    has(json, "\"seconds_since_ok\":10");
    has(json, "\"owed\":1,\"seconds_owed\":1000");
    has(json, "\"lag\":-3600");
    has(json, "\"name\":\"a \\\"b\\\\c\\nd\"");
    has(json, "\"errors\":{\"OOM\":6}");
    has(json, "\"list_seen\":1700000000.1");
    has(json, "\"warnings\":[\"has appendonly off");
    has(json, "\"max_bytes\":null");
    has(json, "\"max_bytes\":1048576");
    has(json, "\"oldest\":1699999990.123");
    has(json, "\"reason\":\"wrong_type\"");
    has(json,
        "\"offset\":14,\"event\":0,\"field\":\"contactId\",\"redis\":null");
    has(json,
        "\"offset\":null,\"event\":null,\"field\":null,\"redis\":\"OOM\"");
    has(json, "\"time\":[1699999998,1700000000],\"events\":[20,0]");
    has(json, "\"p50\":[0.00031,0]");
}
END_TEST

START_TEST(prometheus_of_much)
{
    auto r = full();
    const std::string text = text_of(*r);

    has(text, "# TYPE esputnik_requests_total counter\n");
    has(text, "esputnik_requests_total{result=\"accepted\"} 7\n");
    has(text, "esputnik_refusals_total{reason=\"missing_field\"} 2\n");
    has(text, "esputnik_events_total{status=\"READ\"} 11\n");
    has(text, "esputnik_event_lag_seconds -3600\n");
    has(text, "esputnik_redis_list_length{target=\"a \\\"b\\\\c\\nd\"} 99\n");
    has(text, ",error=\"OOM\"} 6\n");
    has(text, ",warning=\"no_appendonly\"} 1\n");
    has(text, ",warning=\"replica\"} 0\n");
    has(text,
        "esputnik_spool_events{folder=\"/var/spool/x\",target=\"b\"} 30\n");
    has(text, "esputnik_spool_oldest_age_seconds{folder=\"/var/spool/x\","
              "target=\"a\"} 10\n");

    /* one folder is one sample */
    const std::string bytes = "esputnik_spool_bytes{folder=\"/var/spool/x\"} ";
    ck_assert(text.find(bytes) == text.rfind(bytes));
    has(text, bytes + "4096\n");
}
END_TEST

START_TEST(prometheus_buckets_are_cumulative)
{
    auto r = full();
    const std::string text = text_of(*r);
    const std::string bucket = "esputnik_request_duration_seconds_bucket";

    has(text, bucket + "{le=\"0.00001\"} 0\n");
    has(text, bucket + "{le=\"0.001\"} 0\n");
    has(text, bucket + "{le=\"0.002\"} 4\n");
    has(text, bucket + "{le=\"100\"} 4\n");
    has(text, bucket + "{le=\"+Inf\"} 5\n");
    has(text, "esputnik_request_duration_seconds_sum 1.234567\n");
    has(text, "esputnik_request_duration_seconds_count 5\n");
    has_not(text, bucket + "{le=\"0.003\"}");
}
END_TEST

START_TEST(prometheus_without_redis)
{
    auto r = std::make_unique<StatusReport>();
    const std::string text = text_of(*r);
    has_not(text, "redis_up");
    has_not(text, "spool_bytes");
    has_not(text, "last_ok");
    ck_assert_int_eq(text.back(), '\n');
}
END_TEST

START_TEST(states)
{
    TargetStatus t = {};
    ck_assert(t.state() == TargetState::idle);
    t.connecting = 1;
    ck_assert(t.state() == TargetState::connecting);
    t.down = 1;
    ck_assert(t.state() == TargetState::down);
    t.up = 1;
    ck_assert(t.state() == TargetState::partly);
    t.down = 0;
    ck_assert(t.state() == TargetState::up);
    ck_assert(target_state_name(TargetState::down) == "down");
}
END_TEST

START_TEST(a_report_adds_workers_up)
{
    auto c = std::make_unique<Counters[]>(2);
    c[0].results[1].add(2);
    c[1].results[1].add(3);
    c[0].accepted.add(4);
    c[1].reasons[1].add(1);
    c[1].redis_time.add(20);

    auto r = std::make_unique<StatusReport>();
    r->add(c[0]);
    r->add(c[1]);
    ck_assert_uint_eq(r->results[1], 5);
    ck_assert_uint_eq(r->accepted, 4);
    ck_assert_uint_eq(r->reasons[1], 1);
    ck_assert_uint_eq(r->redis_time.count(), 1);
    ck_assert_uint_eq(r->request_time.count(), 0);
}
END_TEST

START_TEST(formats_by_accept)
{
    const struct {
        const char *accept;
        StatusFormat want;
    } table[] = {
        {"", StatusFormat::json},
        {"*/*", StatusFormat::json},
        {"application/json", StatusFormat::json},
        {"text/plain", StatusFormat::prometheus},
        {"TEXT/HTML", StatusFormat::html},
        {"image/png, audio/*", StatusFormat::json},
        /* browsers */
        {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
         StatusFormat::html},
        /* Prometheus 2.42 */
        {"application/openmetrics-text;version=1.0.0,application/"
         "openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;"
         "q=0.5,*/*;q=0.1",
         StatusFormat::prometheus},
        {"text/html;q=0.5, application/json;q=0.9", StatusFormat::json},
        {"text/html;q=0, text/plain;q=0.001", StatusFormat::prometheus},
        {"application/json , text/html", StatusFormat::json},
        {"text/html ; q=0.4 ,text/plain;level=1; Q=0.40", StatusFormat::html},
        {";;q=,,=;,text/html", StatusFormat::html},
        {"text/html;q=1.000, text/plain;q=x", StatusFormat::html},
    };
    for (const auto &row : table) {
        ck_assert_msg(choose_format(row.accept) == row.want, "%s", row.accept);
    }
}
END_TEST

START_TEST(accept_cut_anywhere)
{
    const std::string whole = "text/html ;q=0.5,\tapplication/json; q=0.123";
    for (size_t n = 0; n <= whole.size(); n++) {
        /* a copy of its own, so that a read beyond it is seen */
        std::unique_ptr<char[]> part(new char[n]);
        std::memcpy(part.get(), whole.data(), n);
        const StatusFormat f = choose_format({part.get(), n});
        ck_assert(f == StatusFormat::json || f == StatusFormat::html);
    }
}
END_TEST

int main()
{
    Suite *s = suite_create("status");
    TCase *t = tcase_create("status");
    tcase_add_test(t, json_of_nothing);
    tcase_add_test(t, json_of_much);
    tcase_add_test(t, prometheus_of_much);
    tcase_add_test(t, prometheus_buckets_are_cumulative);
    tcase_add_test(t, prometheus_without_redis);
    tcase_add_test(t, states);
    tcase_add_test(t, a_report_adds_workers_up);
    tcase_add_test(t, formats_by_accept);
    tcase_add_test(t, accept_cut_anywhere);
    suite_add_tcase(s, t);

    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
