/*
 * How a POST becomes commands (bytes), and what a real redis-server makes of
 * them.
 */

#include <check.h>
#include <time.h>

#include <cstdlib>
#include <string>

#include "decoded.h"
#include "esputnik_push.h"
#include "esputnik_script.h"
#include "esputnik_slot.h"
#include "server.h"

using namespace esputnik;

static const uint64_t kDay = 86400000;

static Server server;
static void start_server()
{
    server.start();
}
static void stop_server()
{
    server.stop();
}

static PushOptions options(PushOp op, uint64_t dedup_ms = 0,
                           uint64_t maxlen = 0)
{
    PushOptions o;
    o.op = op;
    o.dedup_ms = dedup_ms;
    o.maxlen = maxlen;
    return o;
}

/* A plan over "key value" pairs; the value is the identity. */
class Plan : public PushPlan {
public:
    Plan(const PushOptions &o,
         std::initializer_list<std::pair<const char *, const char *>> events)
    {
        begin(o);
        for (const auto &e : events) {
            ck_assert(add(e.first, e.second, e.second));
        }
        ck_assert(finish());
    }
};

static std::string bytes(const PushPlan &plan, size_t part,
                         PushForm form = PushForm::evalsha)
{
    Buffer out;
    ck_assert(out.append("before", 6));
    ck_assert(plan.append(part, form, out));
    ck_assert_uint_eq(out.size(), 6 + plan.size(part, form));
    return {out.data() + 6, out.size() - 6};
}

struct Sent {
    PushResult result;
    PushCounts counts;
    RedisError error;
    std::string trouble;
    std::string text;       /* of an error */
};

static Sent send(Connection &redis, const PushPlan &plan,
                 PushForm form = PushForm::eval, size_t part = 0)
{
    Sent sent = {};
    const Reply &reply = redis.send(bytes(plan, part, form));
    ck_assert_uint_le(reply.elements(), 6);     /* however many lists */
    sent.result = plan.read(part, reply, &sent.counts, &sent.error);
    sent.trouble = std::string(sent.counts.trouble);
    if (reply.is_error()) {
        sent.text = std::string(reply.text());
    }
    return sent;
}

static void stored(const Sent &sent, uint64_t pushed, uint64_t duplicates,
                   uint64_t length)
{
    ck_assert_msg(sent.result == PushResult::stored, "%s", sent.text.c_str());
    ck_assert_uint_eq(sent.counts.pushed, pushed);
    ck_assert_uint_eq(sent.counts.duplicates, duplicates);
    ck_assert_uint_eq(sent.counts.length, length);
    ck_assert_str_eq(sent.trouble.c_str(), "");
}

static void refused(const Sent &sent, RedisError error)
{
    ck_assert(sent.result == PushResult::refused);
    ck_assert_msg(sent.error == error, "%s", sent.text.c_str());
    ck_assert_uint_eq(sent.counts.pushed, 0);
}

static uint64_t now_ms()
{
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1000
           + static_cast<uint64_t>(t.tv_nsec) / 1000000;
}

static void fresh(Connection &redis)
{
    redis.command({"FLUSHALL"});
    redis.command({"SCRIPT", "FLUSH"});
}

/* --- bytes --- */

START_TEST(one_list_is_one_command)
{
    const Plan r(options(PushOp::rpush), {{"k", "a"}, {"k", "bb"}});
    ck_assert_uint_eq(r.parts(), 1);
    ck_assert(!r.is_script(0));
    ck_assert(bytes(r, 0)
              == "*4\r\n$5\r\nRPUSH\r\n$1\r\nk\r\n$1\r\na\r\n$2\r\nbb\r\n");
    const Plan l(options(PushOp::lpush), {{"k", "a"}});
    ck_assert(bytes(l, 0) == "*3\r\n$5\r\nLPUSH\r\n$1\r\nk\r\n$1\r\na\r\n");
    const Plan x(options(PushOp::xadd), {{"k", "a"}});
    ck_assert(bytes(x, 0)
              == "*5\r\n$4\r\nXADD\r\n$1\r\nk\r\n$1\r\n*\r\n$5\r\nevent\r\n"
                 "$1\r\na\r\n");
    const Plan m(options(PushOp::xadd, 0, 1000), {{"k", "a"}});
    ck_assert(bytes(m, 0)
              == "*8\r\n$4\r\nXADD\r\n$1\r\nk\r\n$6\r\nMAXLEN\r\n$1\r\n~\r\n"
                 "$4\r\n1000\r\n$1\r\n*\r\n$5\r\nevent\r\n$1\r\na\r\n");
}
END_TEST

START_TEST(the_rest_is_the_script)
{
    const Plan two(options(PushOp::rpush),
                   {{"b", "1"}, {"a", "2"}, {"b", "3"}});
    ck_assert(two.is_script(0));
    ck_assert_uint_eq(two.lists(), 2);
    ck_assert_uint_eq(two.events(0), 3);
    const std::string sha(push_script_sha());
    ck_assert(
        bytes(two, 0)
        == array_of({bulk("EVALSHA"), bulk(sha), bulk("2"), bulk("a"),
                     bulk("b"), bulk("RPUSH"), bulk("0"), bulk("0"), bulk(""),
                     bulk("1"), bulk("2"), bulk("2"), bulk("1"), bulk("3")}));
    ck_assert(bytes(two, 0, PushForm::eval).find(push_script())
              != std::string::npos);

    const Plan stream(options(PushOp::xadd, 0, 9), {{"a", "1"}, {"a", "2"}});
    ck_assert(bytes(stream, 0)
              == array_of({bulk("EVALSHA"), bulk(sha), bulk("1"), bulk("a"),
                           bulk("XADD"), bulk("9"), bulk("0"), bulk(""),
                           bulk("2"), bulk("1"), bulk("2")}));

    const Plan dedup(options(PushOp::rpush, kDay), {{"a", "1"}});
    const std::string d(identity_digest("1").view());
    ck_assert(dedup.is_script(0));
    ck_assert(bytes(dedup, 0)
              == array_of({bulk("EVALSHA"),
                           bulk(sha),
                           bulk("11"),
                           bulk("a"),
                           bulk("{a}dedup:86400000:0"),
                           bulk("{a}dedup:86400000:1"),
                           bulk("{a}dedup:86400000:2"),
                           bulk("{a}dedup:86400000:3"),
                           bulk("{a}dedup:86400000:4"),
                           bulk("{a}dedup:86400000:5"),
                           bulk("{a}dedup:86400000:6"),
                           bulk("{a}dedup:86400000:7"),
                           bulk("{a}dedup:86400000:8"),
                           bulk("{a}dedup:86400000:9"),
                           bulk("RPUSH"),
                           bulk("0"),
                           bulk("10800000"),
                           bulk(""),
                           bulk("1"),
                           bulk("1"),
                           bulk(d)}));
}
END_TEST

/* in the order of the values, not in that of add() */
START_TEST(the_script_is_told_what_is_of_the_quarantine)
{
    PushPlan plan;
    plan.begin(options(PushOp::rpush, kDay));
    ck_assert(plan.add("z", "1", "1"));
    ck_assert(plan.add("bad", "2", "2", true));
    ck_assert(plan.add("z", "3", "3", true));
    ck_assert(plan.add("z", "4", "4"));
    ck_assert(plan.finish());
    ck_assert(bytes(plan, 0).find(bulk("10800000") + bulk("1010") + bulk("1")
                                  + bulk("3"))
              != std::string::npos);

    plan.begin(options(PushOp::rpush));     /* no dedup, nothing to say */
    ck_assert(plan.add("z", "1", "1"));
    ck_assert(plan.add("bad", "2", "2", true));
    ck_assert(plan.finish());
    ck_assert(bytes(plan, 0).find(bulk("0") + bulk("0") + bulk("") + bulk("1"))
              != std::string::npos);
}
END_TEST

START_TEST(a_cluster_has_a_part_for_each_slot)
{
    PushOptions o = options(PushOp::rpush);
    o.cluster = true;
    const Plan plan(o, {{"{a}1", "1"},
                        {"{b}1", "2"},
                        {"{a}2", "3"},
                        {"{b}1", "4"},
                        {"{c}", "5"}});
    ck_assert_uint_eq(plan.parts(), 3);
    size_t events = 0;
    for (size_t i = 0; i < 3; i++) {
        ck_assert(i == 0 || plan.slot(i - 1) < plan.slot(i));
        events += plan.events(i);
        if (plan.slot(i) == key_slot("a")) {
            ck_assert(plan.is_script(i));
            ck_assert_uint_eq(plan.events(i), 2);
        }
        if (plan.slot(i) == key_slot("b")) {
            ck_assert(bytes(plan, i)
                      == array_of(
                          {bulk("RPUSH"), bulk("{b}1"), bulk("2"), bulk("4")}));
        }
    }
    ck_assert_uint_eq(events, 5);

    o.cluster = false;
    const Plan one(o, {{"{a}1", "1"}, {"{b}1", "2"}});
    ck_assert_uint_eq(one.parts(), 1);
}
END_TEST

START_TEST(a_plan_is_used_again)
{
    Plan plan(options(PushOp::rpush, kDay), {{"b", "1"}, {"a", "2"}});
    plan.begin(options(PushOp::rpush));
    ck_assert(plan.finish());
    ck_assert_uint_eq(plan.parts(), 0);
    plan.begin(options(PushOp::rpush));
    ck_assert(plan.add("a", "1", {}));
    ck_assert(plan.finish());
    ck_assert(bytes(plan, 0)
              == array_of({bulk("RPUSH"), bulk("a"), bulk("1")}));
}
END_TEST

/* --- replies --- */

static PushResult read(const PushPlan &plan, const std::string &wire)
{
    PushCounts counts;
    RedisError error;
    return plan.read(0, Decoded(wire), &counts, &error);
}

START_TEST(replies_that_are_none)
{
    const Plan list(options(PushOp::rpush), {{"k", "a"}, {"k", "b"}});
    ck_assert(read(list, ":2\r\n") == PushResult::stored);
    ck_assert(read(list, ":7\r\n") == PushResult::stored);
    for (const char *wire : {":1\r\n", ":0\r\n", ":-1\r\n", "+OK\r\n",
                             "$1\r\n2\r\n", "$-1\r\n", "*0\r\n", "+QUEUED\r\n"})
    {
        ck_assert_msg(read(list, wire) == PushResult::protocol, "%s", wire);
    }
    ck_assert(read(list, "-NOSCRIPT x\r\n") == PushResult::refused);

    const Plan entry(options(PushOp::xadd), {{"k", "a"}});
    ck_assert(read(entry, bulk("1526919030474-55")) == PushResult::stored);
    for (const char *wire : {":1\r\n", "+OK\r\n", "$1\r\nx\r\n", "$-1\r\n"}) {
        ck_assert_msg(read(entry, wire) == PushResult::protocol, "%s", wire);
    }

    const Plan script(options(PushOp::rpush, kDay),
                      {{"a", "1"}, {"a", "2"}, {"b", "3"}});
    const auto six = [](int pushed, int duplicates, int again, int longest,
                        int length) {
        return array_of({number(pushed), number(duplicates), number(again),
                         number(longest), number(length), bulk("")});
    };
    for (const std::string &wire :
         {six(3, 0, 0, 1, 2), six(2, 1, 0, 1, 9), six(2, 1, 0, 2, 1),
          six(0, 3, 0, 1, 0), six(0, 3, 0, 2, 7)})
    {
        ck_assert_msg(read(script, wire) == PushResult::stored, "%s",
                      wire.c_str());
    }
    ck_assert(read(script, "-NOSCRIPT No matching script.\r\n")
              == PushResult::no_script);
    const std::string bad[] = {
        six(2, 0, 0, 1, 9),
        six(2, 2, 0, 1, 9),
        six(2, 0, 1, 1, 9),     /* nothing is of the quarantine */
        six(4, -1, 0, 1, 9),
        six(4, 0, 0, 1, 9),
        six(-1, 4, 0, 1, 9),
        six(2, 1, 0, 0, 9),
        six(2, 1, 0, -1, 9),
        six(2, 1, 0, 3, 9),
        six(2, 1, 0, 1, 0),
        six(2, 1, 0, 1, -1),
        six(3, 0, 0, 1, 1),       /* three elements in two such lists */
        array_of({number(2), number(1), number(0), number(1), number(9)}),
        array_of(
            {number(2), number(1), number(0), number(1), number(9), number(0)}),
        array_of(
            {number(2), number(1), number(0), number(1), bulk("9"), bulk("")}),
        array_of({number(2), number(1), number(0), kNil, number(9), bulk("")}),
        array_of({number(2), number(1), number(0), number(1), number(9), kNil}),
        array_of({number(2), number(1), number(0), number(1), number(9),
                  array_of({})}),
        array_of({array_of({number(2)}), number(1), number(0), number(1),
                  number(9), bulk("")}),
        array_of({number(2), number(1), number(0), number(1), number(9),
                  bulk(""), bulk("")}),
        /* three for each list, as it once was */
        array_of({number(1), number(1), number(9), number(1), number(0),
                  number(1), bulk("")}),
        ":3\r\n",
        "+OK\r\n",
        "*0\r\n",
        kNil,
    };
    for (const std::string &wire : bad) {
        ck_assert_msg(read(script, wire) == PushResult::protocol, "%s",
                      wire.c_str());
    }

    const Plan plain(options(PushOp::rpush), {{"a", "1"}, {"b", "2"}});
    ck_assert(read(plain, six(2, 0, 0, 1, 9)) == PushResult::stored);
    ck_assert(read(plain, six(1, 1, 0, 1, 9)) == PushResult::protocol);

    /* two events, and one of the quarantine */
    PushPlan mixed;
    mixed.begin(options(PushOp::rpush, kDay));
    ck_assert(mixed.add("a", "1", "1"));
    ck_assert(mixed.add("a", "2", "2", true));
    ck_assert(mixed.add("a", "3", "3"));
    ck_assert(mixed.finish());
    for (const std::string &wire : {six(3, 0, 0, 1, 9), six(2, 0, 1, 1, 9),
                                    six(2, 1, 0, 1, 9), six(0, 2, 1, 1, 0)})
    {
        ck_assert_msg(read(mixed, wire) == PushResult::stored, "%s",
                      wire.c_str());
    }
    for (const std::string &wire :
         {six(0, 3, 0, 1, 9), six(1, 0, 2, 1, 9), six(3, 0, 1, 1, 9),
          six(3, -1, 1, 1, 9), six(1, 1, 0, 1, 9), six(4, 0, -1, 1, 9)})
    {
        ck_assert_msg(read(mixed, wire) == PushResult::protocol, "%s",
                      wire.c_str());
    }

    /* a stream is trimmed */
    const Plan stream(options(PushOp::xadd, 0, 1),
                      {{"a", "1"}, {"a", "2"}, {"a", "3"}});
    ck_assert(read(stream, six(3, 0, 0, 1, 1)) == PushResult::stored);
    ck_assert(read(stream, six(3, 0, 0, 2, 1)) == PushResult::protocol);
}
END_TEST

/* what a plan has of one Redis is added to what it has of the others */
START_TEST(replies_of_parts_are_summed_up)
{
    PushOptions o = options(PushOp::rpush, kDay);
    o.cluster = true;
    const Plan plan(o, {{"{b}1", "1"}, {"{b}2", "2"}, {"{c}", "3"}});
    ck_assert_uint_eq(plan.parts(), 2);
    const size_t b = plan.slot(0) == key_slot("b") ? 0 : 1;

    PushCounts counts;
    RedisError error;
    ck_assert(plan.read(b,
                        Decoded(array_of({number(1), number(1), number(0),
                                          number(2), number(7), bulk("")})),
                        &counts, &error)
              == PushResult::stored);
    ck_assert(counts.longest == "{b}2");
    const Decoded other(array_of({number(1), number(0), number(0), number(1),
                                  number(6), bulk("ERR no")}));
    ck_assert(plan.read(1 - b, other, &counts, &error) == PushResult::stored);
    ck_assert_uint_eq(counts.pushed, 2);
    ck_assert_uint_eq(counts.duplicates, 1);
    ck_assert_uint_eq(counts.length, 7);
    ck_assert(counts.longest == "{b}2");
    ck_assert(counts.trouble == "ERR no");

    /* and a wrong one changes nothing */
    const Decoded wrong(array_of(
        {number(1), number(1), number(0), number(3), number(9), bulk("x")}));
    ck_assert(plan.read(b, wrong, &counts, &error) == PushResult::protocol);
    ck_assert_uint_eq(counts.pushed, 2);
    ck_assert_uint_eq(counts.length, 7);
    ck_assert(counts.trouble == "ERR no");
}
END_TEST

/* --- a real server --- */

START_TEST(the_script_is_learned_from_eval)
{
    Connection redis(server.path());
    fresh(redis);
    const Plan plan(options(PushOp::rpush), {{"a", "1"}, {"b", "2"}});
    ck_assert(send(redis, plan, PushForm::evalsha).result
              == PushResult::no_script);
    ck_assert_int_eq(redis.integer({"DBSIZE"}), 0);
    stored(send(redis, plan, PushForm::eval), 2, 0, 1);
    stored(send(redis, plan, PushForm::evalsha), 2, 0, 2);
}
END_TEST

START_TEST(lists_keep_the_order)
{
    Connection redis(server.path());
    fresh(redis);
    const Plan r(options(PushOp::rpush),
                 {{"b", "1"}, {"a", "2"}, {"b", "3"}, {"a", "4"}, {"b", "5"}});
    stored(send(redis, r), 5, 0, 3);
    ck_assert(redis.words({"LRANGE", "b", "0", "-1"}) == "1 3 5");
    ck_assert(redis.words({"LRANGE", "a", "0", "-1"}) == "2 4");
    const Plan l(options(PushOp::lpush), {{"b", "6"}, {"a", "7"}, {"b", "8"}});
    stored(send(redis, l), 3, 0, 5);
    ck_assert(redis.words({"LRANGE", "b", "0", "-1"}) == "8 6 1 3 5");
}
END_TEST

/* more than unpack() can take at once */
START_TEST(ten_thousand_events)
{
    Connection redis(server.path());
    for (const uint64_t window : {uint64_t{0}, kDay}) {
        for (const PushOp op : {PushOp::rpush, PushOp::xadd}) {
            fresh(redis);
            std::string text;
            for (int i = 0; i < 10001; i++) {
                text += std::to_string(100000 + i);
            }
            PushPlan plan;
            plan.begin(options(op, window));
            for (size_t i = 0; i < 10001; i++) {
                const std::string_view v(&text[i * 6], 6);
                ck_assert(plan.add(i == 5000 ? "other" : "k", v, v));
            }
            ck_assert(plan.finish());
            stored(send(redis, plan), 10001, 0, 10000);
            if (op == PushOp::rpush) {
                const std::string all = redis.words({"LRANGE", "k", "0", "-1"});
                size_t at = 0;
                for (int i = 0; i < 10001; i++) {
                    if (i != 5000) {
                        ck_assert(all.compare(at, 6, std::to_string(100000 + i))
                                  == 0);
                        at += 7;
                    }
                }
            }
            if (window) {
                stored(send(redis, plan), 0, 10001, 10000);
            }
        }
    }
}
END_TEST

/* the reply does not grow with them: it has a bound */
START_TEST(ten_thousand_lists)
{
    Connection redis(server.path());
    for (const uint64_t window : {uint64_t{0}, kDay}) {
        for (const PushOp op : {PushOp::rpush, PushOp::xadd}) {
            fresh(redis);
            std::string text;
            for (int i = 0; i < 10000; i++) {
                text += std::to_string(100000 + i);
            }
            PushPlan plan;
            plan.begin(options(op, window));
            for (size_t i = 0; i < 10001; i++) {
                /* one of them, not the first nor the last, has two */
                const std::string_view key(&text[i % 10000 * 6], 6);
                ck_assert(plan.add(i == 10000 ? "106000" : key, "v",
                                   i == 10000 ? "again" : "v"));
            }
            ck_assert(plan.finish());
            ck_assert_uint_eq(plan.lists(), 10000);
            Sent sent = send(redis, plan);
            stored(sent, 10001, 0, 2);
            ck_assert(sent.counts.longest == "106000");
            if (window) {
                stored(send(redis, plan), 0, 10001, 2);
            } else {
                stored(send(redis, plan), 10001, 0, 4);
            }
        }
    }
}
END_TEST

START_TEST(all_or_none_when_a_list_is_no_list)
{
    Connection redis(server.path());
    for (const PushOp op : {PushOp::rpush, PushOp::lpush, PushOp::xadd}) {
        for (const uint64_t window : {uint64_t{0}, kDay}) {
            fresh(redis);
            redis.command({"SET", "z", "a string"});
            const Plan plan(options(op, window),
                            {{"a", "1"}, {"z", "2"}, {"b", "3"}});
            refused(send(redis, plan), RedisError::wrongtype);
            ck_assert_int_eq(redis.integer({"DBSIZE"}), 1);

            /* a failed push is remembered by nobody: the retry is stored */
            redis.command({"DEL", "z"});
            stored(send(redis, plan), 3, 0, 1);
        }
    }
    fresh(redis);
    redis.command({"RPUSH", "s", "x"});
    refused(send(redis, Plan(options(PushOp::xadd), {{"s", "1"}, {"s", "2"}})),
            RedisError::wrongtype);
}
END_TEST

START_TEST(streams)
{
    Connection redis(server.path());
    fresh(redis);
    const Plan one(options(PushOp::xadd), {{"s", "one"}});
    stored(send(redis, one), 1, 0, 0);
    const Plan more(options(PushOp::xadd), {{"s", "two"}, {"s", "three"}});
    stored(send(redis, more), 2, 0, 3);

    const Reply &all = redis.command({"XRANGE", "s", "-", "+"});
    ck_assert_uint_eq(all.elements(), 3);
    const char *const values[] = {"one", "two", "three"};
    for (size_t i = 0; i < 3; i++) {
        const Reply fields = all.at(i).at(1);
        ck_assert_uint_eq(fields.elements(), 2);
        ck_assert(fields.at(0).text() == "event");
        ck_assert(fields.at(1).text() == values[i]);
    }

    /* about: whole nodes of 100 entries go */
    PushPlan plan;
    plan.begin(options(PushOp::xadd, 0, 100));
    for (int i = 0; i < 1000; i++) {
        ck_assert(plan.add("t", "v", {}));
    }
    ck_assert(plan.finish());
    const Sent sent = send(redis, plan);
    ck_assert(sent.result == PushResult::stored);
    ck_assert_uint_eq(sent.counts.pushed, 1000);
    ck_assert_uint_ge(sent.counts.length, 100);
    ck_assert_uint_le(sent.counts.length, 200);
}
END_TEST

START_TEST(duplicates_are_dropped)
{
    Connection redis(server.path());
    for (const PushOp op : {PushOp::rpush, PushOp::lpush, PushOp::xadd}) {
        fresh(redis);
        const PushOptions o = options(op, kDay);
        stored(send(redis,
                    Plan(o, {{"a", "1"}, {"a", "2"}, {"a", "1"}, {"b", "1"}})),
               3, 1, 2);
        stored(send(redis, Plan(o, {{"a", "2"}, {"a", "3"}, {"a", "3"}})), 1, 2,
               3);
        stored(send(redis, Plan(o, {{"a", "2"}})), 0, 1, 3);
        stored(send(redis, Plan(o, {{"b", "3"}, {"b", "1"}})), 1, 1, 2);
        if (op == PushOp::rpush) {
            ck_assert(redis.words({"LRANGE", "a", "0", "-1"}) == "1 2 3");
            ck_assert(redis.words({"LRANGE", "b", "0", "-1"}) == "1 3");
        }

        /* losing the marks gives duplicates, never a loss */
        for (char i = '0'; i <= '9'; i++) {
            redis.command({"DEL", std::string("{a}dedup:86400000:") + i});
        }
        stored(send(redis, Plan(o, {{"a", "2"}})), 1, 0, 4);
    }
}
END_TEST

/* Dropped as well, but no duplicate among the events: on a list of its own or
 * on theirs. */
START_TEST(what_the_quarantine_has_is_no_duplicate)
{
    Connection redis(server.path());
    for (const PushOp op : {PushOp::rpush, PushOp::xadd}) {
        for (const char *const list : {"bad", "z", "k"}) {
            fresh(redis);
            PushPlan plan;
            const auto send_all = [&](const char *good) {
                plan.begin(options(op, kDay));
                ck_assert(plan.add("k", "1", "1"));
                ck_assert(plan.add(list, "first head, broken", "broken", true));
                ck_assert(plan.add("k", good, good));
                ck_assert(plan.finish());
                return send(redis, plan);
            };
            const bool same = list[0] == 'k';
            stored(send_all("2"), 3, 0, same ? 3 : 2);
            stored(send_all("3"), 1, 1, same ? 4 : 3);
            stored(send_all("3"), 0, 2, same ? 4 : 3);
        }
    }
}
END_TEST

START_TEST(the_identity_decides_not_the_value)
{
    Connection redis(server.path());
    fresh(redis);
    PushPlan plan;
    plan.begin(options(PushOp::rpush, kDay));
    ck_assert(plan.add("k", "first", "id"));
    ck_assert(plan.add("k", "second", "id"));
    ck_assert(plan.add("k", "first", std::string_view("id\0", 3)));
    ck_assert(plan.finish());
    stored(send(redis, plan), 2, 1, 2);
    ck_assert(redis.words({"LRANGE", "k", "0", "-1"}) == "first first");
}
END_TEST

START_TEST(out_of_memory_stores_and_remembers_nothing)
{
    Connection redis(server.path());
    for (const PushOp op : {PushOp::rpush, PushOp::xadd}) {
        fresh(redis);
        const Plan dedup(options(op, kDay), {{"a", "1"}, {"b", "2"}});
        const Plan lists(options(op), {{"a", "1"}, {"b", "2"}});
        redis.command({"CONFIG", "SET", "maxmemory-policy", "noeviction"});
        redis.command({"CONFIG", "SET", "maxmemory", "1"});
        refused(send(redis, dedup), RedisError::oom);
        refused(send(redis, lists), RedisError::oom);
        ck_assert_int_eq(redis.integer({"DBSIZE"}), 0);
        redis.command({"CONFIG", "SET", "maxmemory", "0"});
        stored(send(redis, dedup), 2, 0, 1);
    }
}
END_TEST

START_TEST(too_few_replicas_store_nothing)
{
    Connection redis(server.path());
    fresh(redis);
    const Plan plan(options(PushOp::rpush, kDay), {{"a", "1"}, {"b", "2"}});
    redis.command({"CONFIG", "SET", "min-replicas-to-write", "1"});
    refused(send(redis, plan), RedisError::noreplicas);
    ck_assert_int_eq(redis.integer({"DBSIZE"}), 0);
    redis.command({"CONFIG", "SET", "min-replicas-to-write", "0"});
    stored(send(redis, plan), 2, 0, 1);
}
END_TEST

static void login(Connection &redis, const char *denied)
{
    redis.command({"ACL", "SETUSER", "worker", "reset", "on", "nopass", "~*",
                   "+@all", denied});
    ck_assert(redis.command({"AUTH", "worker", "x"}).is_status("OK"));
}

/* what may not be remembered is stored all the same, and said; and no set of
 * marks is left that would never end */
START_TEST(an_acl_against_marks)
{
    for (const char *denied : {"-sadd", "-pexpireat"}) {
        Connection admin(server.path());
        Connection redis(server.path());
        fresh(admin);
        login(redis, denied);
        const Plan plan(options(PushOp::rpush, kDay), {{"a", "1"}});
        for (unsigned i = 1; i <= 2; i++) {
            const Sent sent = send(redis, plan);
            ck_assert_msg(sent.result == PushResult::stored, "%s",
                          sent.text.c_str());
            ck_assert_uint_eq(sent.counts.length, i);
            ck_assert_msg(sent.trouble.find("run th") != std::string::npos,
                          "%s", sent.trouble.c_str());
        }
        ck_assert_int_eq(admin.integer({"DBSIZE"}), 1);
    }
}
END_TEST

START_TEST(an_acl_against_the_push)
{
    for (const char *denied : {"-rpush", "-llen", "-smismember", "-evalsha"}) {
        Connection admin(server.path());
        Connection redis(server.path());
        fresh(admin);
        Buffer load;
        ck_assert(append_script_load(load));
        admin.send({load.data(), load.size()});
        login(redis, denied);
        const Plan plan(options(PushOp::rpush, kDay), {{"a", "1"}, {"b", "2"}});
        const Sent sent = send(redis, plan, PushForm::evalsha);
        ck_assert(sent.result == PushResult::refused);
        ck_assert_int_eq(admin.integer({"DBSIZE"}), 0);
    }
}
END_TEST

/* the list of docs/dedup.md */
START_TEST(an_acl_of_what_is_needed)
{
    Connection admin(server.path());
    Connection redis(server.path());
    fresh(admin);
    ck_assert(admin
                  .command({"ACL", "SETUSER", "least", "reset", "on", "nopass",
                            "~*", "+evalsha", "+eval", "+script|load", "+time",
                            "+exists", "+pttl", "+llen", "+rpush", "+sadd",
                            "+smismember", "+pexpireat", "+unlink"})
                  .is_status("OK"));
    ck_assert(redis.command({"AUTH", "least", "x"}).is_status("OK"));
    const Plan plan(options(PushOp::rpush, kDay), {{"a", "1"}, {"b", "2"}});
    stored(send(redis, plan), 2, 0, 1);
    stored(send(redis, plan, PushForm::evalsha), 0, 2, 1);
}
END_TEST

START_TEST(marks_of_another_type_refuse)
{
    Connection redis(server.path());
    fresh(redis);
    for (char i = '0'; i <= '9'; i++) {
        redis.command({"SET", std::string("{a}dedup:86400000:") + i, "x"});
    }
    refused(send(redis, Plan(options(PushOp::rpush, kDay), {{"a", "1"}})),
            RedisError::wrongtype);
    ck_assert_int_eq(redis.integer({"EXISTS", "a"}), 0);
}
END_TEST

/* Never forgotten before the window is over, and a slice after it at the
 * latest.  Times around the commands, so that a slow machine proves nothing
 * wrong. */
START_TEST(marks_end_with_the_window)
{
    Connection redis(server.path());
    fresh(redis);
    const uint64_t window = 1600;
    const uint64_t slice = dedup_slice(window);
    const PushOptions o = options(PushOp::rpush, window);

    for (int round = 0; round < 2; round++) {
        const std::string id = "round " + std::to_string(round);
        const Plan plan(o, {{"k", id.c_str()}});
        const uint64_t begin = now_ms();
        Sent sent = send(redis, plan);
        const uint64_t marked = now_ms();
        ck_assert_uint_eq(sent.counts.pushed, 1);

        for (int i = 0;; i++) {
            /* other events make new slices meanwhile */
            const std::string other = id + " " + std::to_string(i);
            ck_assert_uint_eq(
                send(redis, Plan(o, {{"k", other.c_str()}})).counts.pushed, 1);
            const uint64_t before = now_ms();
            sent = send(redis, plan);
            const uint64_t after = now_ms();
            if (sent.counts.pushed == 1) {
                ck_assert_uint_ge(after - begin + 1, window);
                break;
            }
            ck_assert_uint_le(before - marked, window + slice + 1);
            usleep(20000);
        }
    }

    /* all is gone when nothing comes */
    const uint64_t end = now_ms();
    while (redis.integer({"DBSIZE"}) > 1) {
        ck_assert_uint_le(now_ms() - end, window + 2 * slice + 1000);
        usleep(50000);
    }
}
END_TEST

/* the clock of Redis was set back: what it remembered since still counts */
START_TEST(marks_of_the_future_count)
{
    Connection redis(server.path());
    fresh(redis);
    const uint64_t slice = dedup_slice(kDay);
    const uint64_t seconds = strtoull(redis.words({"TIME"}).c_str(), nullptr,
                                      10);
    const std::string next = "{k}dedup:86400000:"
                             + std::to_string((seconds * 1000 / slice + 1)
                                              % kMarkKeys);
    redis.command({"SADD", next, identity_digest("1").view()});
    redis.command({"PEXPIRE", next, std::to_string(10 * slice)});

    const Plan plan(options(PushOp::rpush, kDay), {{"k", "1"}, {"k", "2"}});
    stored(send(redis, plan), 1, 1, 1);
    ck_assert_int_eq(redis.integer({"EXISTS", next}), 1);

    /* old marks are dropped, and do not count */
    redis.command({"FLUSHALL"});
    redis.command({"SADD", next, identity_digest("1").view()});
    redis.command({"PEXPIRE", next, std::to_string(slice / 2)});
    stored(send(redis, plan), 2, 0, 2);
    ck_assert_int_eq(redis.integer({"EXISTS", next}), 0);
}
END_TEST

START_TEST(sets_of_marks_are_bounded)
{
    Connection redis(server.path());
    fresh(redis);
    const uint64_t window = 400;
    const uint64_t end = now_ms() + 1500;
    int n = 0;
    while (now_ms() < end) {
        const std::string id = std::to_string(n++);
        ck_assert_uint_eq(send(redis, Plan(options(PushOp::rpush, window),
                                           {{"k", id.c_str()}}))
                              .counts.pushed,
                          1);
        /* the list, and one set for each slice that still counts */
        ck_assert_int_le(redis.integer({"DBSIZE"}), 1 + 9);
        usleep(10000);
    }
    ck_assert_int_eq(redis.integer({"LLEN", "k"}), n);
}
END_TEST

int main()
{
    Suite *s = suite_create("push");
    TCase *text = tcase_create("bytes");
    tcase_add_test(text, one_list_is_one_command);
    tcase_add_test(text, the_rest_is_the_script);
    tcase_add_test(text, the_script_is_told_what_is_of_the_quarantine);
    tcase_add_test(text, a_cluster_has_a_part_for_each_slot);
    tcase_add_test(text, a_plan_is_used_again);
    tcase_add_test(text, replies_that_are_none);
    tcase_add_test(text, replies_of_parts_are_summed_up);
    suite_add_tcase(s, text);

    TCase *redis = tcase_create("redis");
    tcase_set_timeout(redis, 60);
    tcase_add_unchecked_fixture(redis, start_server, stop_server);
    tcase_add_test(redis, the_script_is_learned_from_eval);
    tcase_add_test(redis, lists_keep_the_order);
    tcase_add_test(redis, ten_thousand_events);
    tcase_add_test(redis, ten_thousand_lists);
    tcase_add_test(redis, all_or_none_when_a_list_is_no_list);
    tcase_add_test(redis, streams);
    tcase_add_test(redis, duplicates_are_dropped);
    tcase_add_test(redis, what_the_quarantine_has_is_no_duplicate);
    tcase_add_test(redis, the_identity_decides_not_the_value);
    tcase_add_test(redis, out_of_memory_stores_and_remembers_nothing);
    tcase_add_test(redis, too_few_replicas_store_nothing);
    tcase_add_test(redis, an_acl_against_marks);
    tcase_add_test(redis, an_acl_against_the_push);
    tcase_add_test(redis, an_acl_of_what_is_needed);
    tcase_add_test(redis, marks_of_another_type_refuse);
    tcase_add_test(redis, marks_end_with_the_window);
    tcase_add_test(redis, marks_of_the_future_count);
    tcase_add_test(redis, sets_of_marks_are_bounded);
    suite_add_tcase(s, redis);

    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
