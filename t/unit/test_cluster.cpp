/*
 * Slot maps from good, odd and hostile topologies; redirections; a command's
 * way through a cluster.
 */

#include <check.h>

#include <cstdlib>

#include "decoded.h"
#include "esputnik_cluster.h"
#include "esputnik_redirect.h"

using namespace esputnik;

static const Asked kAsked = {"10.0.0.9", false};

static std::string node(const std::string &host, long long port,
                        const std::string &id = "id")
{
    return array_of({host, number(port), bulk(id), array_of({})});
}

static std::string range(long long from, long long to, const std::string &n)
{
    return array_of({number(from), number(to), n});
}

static const char *slots(const std::string &wire, SlotMap *map)
{
    return read_cluster_slots(Decoded(wire), kAsked, map);
}

static std::string member(const char *endpoint, const char *ip, long long port,
                          const char *role, const char *health)
{
    return array_of({bulk("id"), bulk("0123abcd"), bulk("port"), number(port),
                     bulk("tls-port"), number(port + 10000), bulk("ip"),
                     bulk(ip), bulk("endpoint"),
                     endpoint ? bulk(endpoint) : kNil, bulk("role"), bulk(role),
                     bulk("replication-offset"), number(72156), bulk("health"),
                     bulk(health)});
}

static std::string shard(std::initializer_list<std::string> ranges,
                         std::initializer_list<std::string> members)
{
    return array_of(
        {bulk("slots"), array_of(ranges), bulk("nodes"), array_of(members)});
}

static const char *shards(const std::string &wire, SlotMap *map,
                          bool tls = false)
{
    const Asked asked = {"10.0.0.9", tls};
    return read_cluster_shards(Decoded(wire), asked, map);
}

static SlotMap three_nodes()
{
    SlotMap map;
    ck_assert_ptr_null(slots(
        array_of({range(0, 5460, node(bulk("127.0.0.1"), 7000, "a")),
                  range(5461, 10922, node(bulk("127.0.0.1"), 7001, "b")),
                  range(10923, 16383, node(bulk("127.0.0.1"), 7002, "c"))}),
        &map));
    return map;
}

START_TEST(slots_of_three_masters)
{
    SlotMap map = three_nodes();
    ck_assert_uint_eq(map.nodes(), 3);
    ck_assert_uint_eq(map.covered(), kSlots);
    ck_assert_uint_eq(map.node_of(0), 0);
    ck_assert_uint_eq(map.node_of(5460), 0);
    ck_assert_uint_eq(map.node_of(5461), 1);
    ck_assert_uint_eq(map.node_of(16383), 2);
    ck_assert_uint_eq(map.node_of(16384), SlotMap::kNone);
    ck_assert_uint_eq(map.slots_of(1), 5462);
    ck_assert_uint_eq(map.port(2), 7002);
    ck_assert(map.host(2) == "127.0.0.1");
    ck_assert(map.id(2) == "c");
    ck_assert_uint_eq(map.find("127.0.0.1", 7001), 1);
    ck_assert_uint_eq(map.find("127.0.0.2", 7001), SlotMap::kNone);
}
END_TEST

START_TEST(replicas_are_left_out)
{
    SlotMap map;
    ck_assert_ptr_null(slots(
        array_of({array_of({number(0), number(16383), node(bulk("h1"), 7000),
                            node(bulk("h2"), 7001), node(bulk("h3"), 7002)})}),
        &map));
    ck_assert_uint_eq(map.nodes(), 1);
    ck_assert(map.host(0) == "h1");
}
END_TEST

START_TEST(old_form_without_ids_and_metadata)
{
    SlotMap map;
    ck_assert_ptr_null(slots(
        array_of({range(0, 9, array_of({bulk("h"), number(7000)}))}), &map));
    ck_assert_uint_eq(map.covered(), 10);
    ck_assert_uint_eq(map.node_of(10), SlotMap::kNone);
    ck_assert(map.id(0).empty());
}
END_TEST

START_TEST(no_host_is_the_host_asked)
{
    for (const std::string &host : {bulk(""), std::string(kNil)}) {
        SlotMap map;
        ck_assert_ptr_null(
            slots(array_of({range(0, 16383, node(host, 7000))}), &map));
        ck_assert(map.host(0) == "10.0.0.9");
    }
}
END_TEST

START_TEST(unknown_host_serves_nobody)
{
    SlotMap map;
    ck_assert_ptr_null(slots(
        array_of({range(0, 99, node(bulk("?"), 7000)),
                  range(100, 199, node(bulk("h"), 7001)),
                  range(200, 299,
                        array_of({bulk("?"), number(7002), bulk("x"),
                                  array_of({bulk("ip"), bulk("10.1.1.1")})}))}),
        &map));
    ck_assert_uint_eq(map.node_of(50), SlotMap::kNone);
    ck_assert(map.host(map.node_of(150)) == "h");
    ck_assert(map.host(map.node_of(250)) == "10.1.1.1");
    ck_assert_uint_eq(map.covered(), 200);
}
END_TEST

START_TEST(refusals_leave_the_map)
{
    const std::string good = node(bulk("h"), 7000);
    const std::string other = node(bulk("i"), 7001);
    const std::string bad[] = {
        "-ERR This instance has cluster support disabled\r\n",
        "+OK\r\n",
        kNil,
        "*0\r\n",
        array_of({number(1)}),
        array_of({array_of({number(0), number(1)})}),
        array_of({array_of({number(0), number(1), number(2)})}),
        array_of({array_of({bulk("0"), number(1), good})}),
        range(0, 16383, good),
        array_of({range(0, 99999, good)}),
        array_of({range(0, 16384, good)}),
        array_of({range(-1, 5, good)}),
        array_of({range(9, 5, good)}),
        array_of({range(0, 10, good), range(10, 20, other)}),
        array_of({range(0, 10, node(bulk("h"), 0))}),
        array_of({range(0, 10, node(bulk("h"), -7000))}),
        array_of({range(0, 10, node(bulk("h"), 65536))}),
        array_of({range(0, 10, node(bulk("h"), 1LL << 40))}),
        array_of({range(0, 10, node(bulk("h\r\nx"), 7000))}),
        array_of({range(0, 10, node(bulk("a b"), 7000))}),
        array_of({range(0, 10, node(bulk(std::string(256, 'h')), 7000))}),
        array_of({range(0, 10, array_of({bulk("h"), bulk("7000")}))}),
        array_of({range(0, 10, node(bulk("?"), 7000))}),
    };

    SlotMap map = three_nodes();
    const SlotMap before = three_nodes();
    for (const std::string &wire : bad) {
        ck_assert_msg(slots(wire, &map) != nullptr, "%s", wire.c_str());
        ck_assert_msg(shards(wire, &map) != nullptr, "%s", wire.c_str());
        ck_assert(map.same_as(before));
    }
}
END_TEST

static std::string many_nodes(unsigned n)
{
    std::string wire = "*" + std::to_string(n) + "\r\n";
    for (unsigned i = 0; i < n; i++) {
        wire += range(i, i, node(bulk("h" + std::to_string(i)), 7000));
    }
    return wire;
}

START_TEST(a_thousand_nodes_and_no_more)
{
    SlotMap map;
    ck_assert_ptr_null(slots(many_nodes(1000), &map));
    ck_assert_uint_eq(map.nodes(), 1000);
    ck_assert(map.host(map.node_of(999)) == "h999");
    ck_assert_str_eq(slots(many_nodes(1001), &map), "too many nodes");
    ck_assert_uint_eq(map.nodes(), 1000);
    ck_assert(!map.assign(0, "another", 1));
    ck_assert(map.assign(0, "h7", 7000));
    ck_assert_uint_eq(map.node_of(0), 7);
}
END_TEST

START_TEST(shards_take_the_living_master)
{
    SlotMap map;
    ck_assert_ptr_null(shards(
        array_of(
            {shard({number(0), number(99), number(200), number(299)},
                   {member("h1", "1.1.1.1", 7000, "master", "fail"),
                    member("h2", "1.1.1.2", 7001, "replica", "online"),
                    member("h3", "1.1.1.3", 7002, "master", "online")}),
             shard({number(100), number(199)},
                   {member("h4", "1.1.1.4", 7003, "master", "fail"),
                    member("h5", "1.1.1.5", 7004, "replica", "online")}),
             shard({}, {member("h6", "1.1.1.6", 7005, "master", "online")})}),
        &map));
    ck_assert_uint_eq(map.nodes(), 1);
    ck_assert(map.host(0) == "h3");
    ck_assert(map.id(0) == "0123abcd");
    ck_assert_uint_eq(map.port(0), 7002);
    ck_assert_uint_eq(map.covered(), 200);
    ck_assert_uint_eq(map.node_of(150), SlotMap::kNone);
    ck_assert_uint_eq(map.node_of(250), 0);
}
END_TEST

START_TEST(shards_endpoints_and_tls)
{
    static const struct {
        const char *endpoint;
        const char *host;
    } rows[] = {
        {"name.example", "name.example"},
        {nullptr, "10.0.0.9"},
        {"", "10.0.0.9"},
        {"?", "1.1.1.1"},
        {"fe80::1", "fe80::1"},
    };
    for (const auto &row : rows) {
        SlotMap map;
        const std::string wire = array_of({shard(
            {number(0), number(16383)},
            {member(row.endpoint, "1.1.1.1", 7000, "master", "online")})});
        ck_assert_ptr_null(shards(wire, &map));
        ck_assert(map.host(0) == row.host);
        ck_assert_uint_eq(map.port(0), 7000);
        ck_assert_ptr_null(shards(wire, &map, true));
        ck_assert_uint_eq(map.port(0), 17000);
    }
}
END_TEST

START_TEST(shards_of_a_bad_shape)
{
    const std::string m = member("h", "1.1.1.1", 7000, "master", "online");
    const std::string bad[] = {
        array_of({array_of({bulk("slots")})}),
        array_of({array_of({bulk("slots"), array_of({number(0), number(1)})})}),
        array_of({shard({number(0)}, {m})}),
        array_of({shard({bulk("0"), bulk("1")}, {m})}),
        array_of({shard({number(0), number(99999)}, {m})}),
        array_of({shard({number(0), number(1)}, {bulk("node")})}),
        array_of({shard({number(0), number(1)},
                        {array_of({number(1), number(2)})})}),
        array_of({shard({number(0), number(1)}, {})}),
        array_of({shard({number(0), number(1)},
                        {member("h", "", 0, "master", "online")})}),
        array_of({shard({number(0), number(1)},
                        {member("?", "", 7000, "master", "online")})}),
        array_of({shard({number(0), number(5)}, {m}),
                  shard({number(5), number(9)},
                        {member("i", "", 1, "master", "online")})}),
    };
    SlotMap map = three_nodes();
    for (const std::string &wire : bad) {
        ck_assert_msg(shards(wire, &map) != nullptr, "%s", wire.c_str());
        ck_assert(map.same_as(three_nodes()));
    }
}
END_TEST

START_TEST(the_same_in_another_order)
{
    const std::string a = node(bulk("h"), 7000);
    const std::string b = node(bulk("h"), 7001);
    SlotMap one, two, three;
    ck_assert_ptr_null(
        slots(array_of({range(0, 9, a), range(10, 19, b)}), &one));
    ck_assert_ptr_null(slots(
        array_of({range(15, 19, b), range(10, 14, b), range(0, 9, a)}), &two));
    ck_assert_ptr_null(
        slots(array_of({range(0, 9, b), range(10, 19, a)}), &three));
    ck_assert(one.same_as(two));
    ck_assert(two.same_as(one));
    ck_assert(!one.same_as(three));
    ck_assert(!one.same_as(SlotMap()));
    ck_assert(SlotMap().same_as(SlotMap()));
}
END_TEST

START_TEST(moved_is_noted_ahead)
{
    SlotMap map = three_nodes();
    ck_assert(map.assign(0, "127.0.0.1", 7001));
    ck_assert_uint_eq(map.node_of(0), 1);
    ck_assert_uint_eq(map.slots_of(0), 5460);
    ck_assert_uint_eq(map.slots_of(1), 5463);
    ck_assert_uint_eq(map.covered(), kSlots);
    ck_assert(map.assign(1, "127.0.0.1", 7009));
    ck_assert_uint_eq(map.node_of(1), 3);
    ck_assert(!map.same_as(three_nodes()));
    ck_assert(!map.assign(kSlots, "127.0.0.1", 7001));
    ck_assert(!map.assign(1, "", 7001));
    ck_assert(!map.assign(1, "127.0.0.1", 0));

    SlotMap none;
    ck_assert(none.assign(5, "h", 1));
    ck_assert_uint_eq(none.covered(), 1);
}
END_TEST

START_TEST(redirections)
{
    static const struct {
        const char *text;
        bool ask;
        unsigned slot;
        const char *host;
        unsigned port;
    } good[] = {
        {"MOVED 3999 127.0.0.1:6381", false, 3999, "127.0.0.1", 6381},
        {"ASK 0 127.0.0.1:1", true, 0, "127.0.0.1", 1},
        {"MOVED 16383 :65535", false, 16383, "", 65535},
        {"ASK 1 ::1:6381", true, 1, "::1", 6381},
        {"ASK 1 [fe80::1]:6381", true, 1, "fe80::1", 6381},
        {"MOVED 1 redis-1.example.com:6381", false, 1, "redis-1.example.com",
         6381},
        {"MOVED 1 h:6381 more to come", false, 1, "h", 6381},
    };
    for (const auto &row : good) {
        Redirect r;
        ck_assert_ptr_null(parse_redirect(row.text, &r));
        ck_assert_int_eq(r.ask, row.ask);
        ck_assert_uint_eq(r.slot, row.slot);
        ck_assert(r.host == row.host);
        ck_assert_uint_eq(r.port, row.port);

        /* cut before its port it is refused; a bare IPv6 address cannot tell */
        const std::string_view whole(row.text);
        const size_t port = r.host == "::1" ? whole.find(':')
                                            : whole.rfind(':');
        for (size_t n = 0; n <= port + 1; n++) {
            ck_assert(parse_redirect(whole.substr(0, n), &r) != nullptr);
        }
    }

    static const char *const bad[] = {
        "MOVED",
        "MOVED 3999",
        "MOVED 99999 127.0.0.1:6381",
        "MOVED 16384 127.0.0.1:6381",
        "MOVED -1 127.0.0.1:6381",
        "MOVED 99999999999999999999 127.0.0.1:6381",
        "MOVED x 127.0.0.1:6381",
        "MOVED 1 127.0.0.1",
        "MOVED 1 127.0.0.1:",
        "MOVED 1 127.0.0.1:0",
        "MOVED 1 127.0.0.1:65536",
        "MOVED 1 127.0.0.1:63a",
        "MOVED 1 ?:6381",
        "MOVED 1 a\nb:6381",
        "MOVED 1  :6381",
        "moved 1 127.0.0.1:6381",
        "ERR no",
        "",
    };
    for (const char *text : bad) {
        Redirect r;
        ck_assert_msg(parse_redirect(text, &r) != nullptr, "%s", text);
    }
}
END_TEST

START_TEST(a_loop_ends)
{
    CommandWay way(7, 60000);
    for (unsigned i = 0; i < CommandWay::kMaxHops; i++) {
        const NextHop hop = way.next(RedisError::moved,
                                     i % 2 ? "MOVED 7 a:1" : "MOVED 7 b:1", 0);
        ck_assert(hop.kind == NextHop::Kind::send);
        ck_assert(hop.moved && hop.refresh);
        ck_assert(hop.to.host == (i % 2 ? "a" : "b"));
    }
    const NextHop last = way.next(RedisError::moved, "MOVED 7 b:1", 0);
    ck_assert(last.kind == NextHop::Kind::give_up);
    ck_assert_str_eq(last.why, "too many redirections");
}
END_TEST

START_TEST(ask_leaves_the_map)
{
    CommandWay way(7, 60000);
    const NextHop hop = way.next(RedisError::ask, "ASK 7 b:1", 0);
    ck_assert(hop.kind == NextHop::Kind::ask);
    ck_assert(!hop.moved && !hop.refresh);
    ck_assert_uint_eq(hop.to.port, 1);
}
END_TEST

START_TEST(nonsense_gives_up)
{
    static const char *const texts[] = {"MOVED 8 b:1", "MOVED 99999 b:1",
                                        "MOVED 7 b:0", "MOVED 7"};
    for (const char *text : texts) {
        CommandWay way(7, 60000);
        const NextHop hop = way.next(RedisError::moved, text, 0);
        ck_assert(hop.kind == NextHop::Kind::give_up);
        ck_assert(hop.refresh && !hop.moved);
        ck_assert_ptr_nonnull(hop.why);
    }
}
END_TEST

START_TEST(tryagain_waits_until_the_deadline)
{
    CommandWay way(7, 3000);
    uint64_t now = 0;
    unsigned tries = 0;
    uint32_t last = 0;
    for (;;) {
        const NextHop hop = way.next(RedisError::tryagain, "TRYAGAIN", now);
        if (hop.kind == NextHop::Kind::give_up) {
            ck_assert_ptr_nonnull(hop.why);
            break;
        }
        ck_assert(hop.kind == NextHop::Kind::wait);
        ck_assert_uint_ge(hop.delay_ms, last);
        ck_assert_uint_le(hop.delay_ms, CommandWay::kLongestWait);
        last = hop.delay_ms;
        now += hop.delay_ms;
        tries++;
        /* by way of the old node, each time */
        ck_assert(way.next(RedisError::ask, "ASK 7 b:1", now).kind
                  == NextHop::Kind::ask);
    }
    ck_assert_uint_lt(now, 3000);
    ck_assert_uint_ge(now, 2700);
    ck_assert_uint_ge(tries, 15);
    ck_assert_uint_eq(last, CommandWay::kLongestWait);
}
END_TEST

START_TEST(other_errors_give_up)
{
    CommandWay way(7, 3000);
    ck_assert(way.next(RedisError::clusterdown, "CLUSTERDOWN", 0).refresh);
    ck_assert(way.next(RedisError::readonly, "READONLY", 0).refresh);
    ck_assert(!way.next(RedisError::oom, "OOM", 0).refresh);
    ck_assert(way.next(RedisError::oom, "OOM", 0).kind
              == NextHop::Kind::give_up);
}
END_TEST

START_TEST(a_look_a_second)
{
    RefreshGate gate;
    ck_assert(!gate.wanted());
    gate.want();
    ck_assert(gate.wanted());
    ck_assert_uint_eq(gate.delay(5), 0);
    gate.begin(5);
    ck_assert(!gate.wanted());
    gate.want();                    /* while it runs: once more after it */
    ck_assert(!gate.wanted());
    gate.end(true);
    ck_assert(gate.wanted());
    ck_assert_uint_eq(gate.delay(15), 990);
    ck_assert_uint_eq(gate.delay(1005), 0);
    gate.begin(1005);
    gate.end(true);
    ck_assert(!gate.wanted());
    gate.want();
    gate.begin(2005);
    gate.end(false);
    ck_assert(gate.wanted());
}
END_TEST

int main()
{
    Suite *s = suite_create("cluster");
    TCase *map = tcase_create("map");
    tcase_add_test(map, slots_of_three_masters);
    tcase_add_test(map, replicas_are_left_out);
    tcase_add_test(map, old_form_without_ids_and_metadata);
    tcase_add_test(map, no_host_is_the_host_asked);
    tcase_add_test(map, unknown_host_serves_nobody);
    tcase_add_test(map, refusals_leave_the_map);
    tcase_add_test(map, a_thousand_nodes_and_no_more);
    tcase_add_test(map, shards_take_the_living_master);
    tcase_add_test(map, shards_endpoints_and_tls);
    tcase_add_test(map, shards_of_a_bad_shape);
    tcase_add_test(map, the_same_in_another_order);
    tcase_add_test(map, moved_is_noted_ahead);
    suite_add_tcase(s, map);

    TCase *way = tcase_create("way");
    tcase_add_test(way, redirections);
    tcase_add_test(way, a_loop_ends);
    tcase_add_test(way, ask_leaves_the_map);
    tcase_add_test(way, nonsense_gives_up);
    tcase_add_test(way, tryagain_waits_until_the_deadline);
    tcase_add_test(way, other_errors_give_up);
    tcase_add_test(way, a_look_a_second);
    suite_add_tcase(s, way);

    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
