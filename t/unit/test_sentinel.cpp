/*
 * Sentinels' replies, and the steps to a master without a network.
 */

#include <check.h>

#include <cstdlib>

#include "decoded.h"
#include "esputnik_sentinel.h"

using namespace esputnik;
using Kind = SentinelStep::Kind;

static std::string address(std::string_view host, std::string_view port)
{
    return array_of({bulk(host), bulk(port)});
}

static std::string message(std::string_view text)
{
    return array_of({bulk("message"), bulk("+switch-master"), bulk(text)});
}

static const std::string kMaster = array_of(
    {bulk("master"), number(3129659), "*0\r\n"});
static const std::string kReplica = array_of({bulk("slave"), bulk("10.0.0.1"),
                                              number(6379), bulk("connected"),
                                              number(3167038)});

static void start(SentinelFollower &f, size_t sentinels)
{
    ck_assert(f.init("mymaster", sentinels, 12345));
    ck_assert(f.start().kind == Kind::ask);
}

static void make_ready(SentinelFollower &f, size_t sentinels)
{
    start(f, sentinels);
    ck_assert(f.on_address(Decoded(address("10.0.0.1", "6379"))).kind
              == Kind::connect);
    ck_assert(f.on_connected().kind == Kind::check_role);
    ck_assert(f.on_role(Decoded(kMaster)).kind == Kind::ready);
    ck_assert(f.ready());
}

START_TEST(commands)
{
    Buffer out;
    ck_assert(append_sentinel_address(out, "my master"));
    ck_assert(append_sentinel_subscribe(out));
    ck_assert(append_role(out));
    ck_assert(std::string_view(out.data(), out.size())
              == "*3\r\n$8\r\nSENTINEL\r\n$23\r\nget-master-addr-by-name\r\n"
                 "$9\r\nmy master\r\n"
                 "*2\r\n$9\r\nSUBSCRIBE\r\n$14\r\n+switch-master\r\n"
                 "*1\r\n$4\r\nROLE\r\n");
}
END_TEST

START_TEST(addresses)
{
    std::string_view host;
    uint16_t port = 0;
    const Decoded good(address("fe80::1", "6380"));
    ck_assert_ptr_null(read_sentinel_address(good, &host, &port));
    ck_assert(host == "fe80::1");
    ck_assert_uint_eq(port, 6380);

    const std::string bad[] = {
        "*-1\r\n",
        kNil,
        "-IDONTKNOW I have not enough information to reply\r\n",
        "-NOAUTH Authentication required.\r\n",
        "*0\r\n",
        "+OK\r\n",
        array_of({bulk("h")}),
        array_of({bulk("h"), number(6379)}),
        array_of({bulk("h"), bulk("6379"), bulk("x")}),
        address("", "6379"),
        address("h h", "6379"),
        address("h", ""),
        address("h", "0"),
        address("h", "65536"),
        address("h", "-1"),
        address("h", "123456"),
    };
    for (const std::string &wire : bad) {
        ck_assert_msg(read_sentinel_address(Decoded(wire), &host, &port)
                          != nullptr,
                      "%s", wire.c_str());
    }
}
END_TEST

START_TEST(messages)
{
    std::string_view host;
    uint16_t port = 0;
    const Decoded good(message("mymaster 10.0.0.1 6379 10.0.0.2 6380"));
    ck_assert(read_switch_master(good, "mymaster", &host, &port));
    ck_assert(host == "10.0.0.2");
    ck_assert_uint_eq(port, 6380);
    ck_assert(!read_switch_master(good, "other", &host, &port));
    ck_assert(!read_switch_master(good, "mymaste", &host, &port));

    const std::string bad[] = {
        array_of({bulk("subscribe"), bulk("+switch-master"), number(1)}),
        array_of({bulk("message"), bulk("+sdown"),
                  bulk("mymaster 10.0.0.1 6379 10.0.0.2 6380")}),
        array_of({bulk("message"), bulk("+switch-master")}),
        message(""),
        message("mymaster"),
        message("mymaster 10.0.0.1 6379 10.0.0.2"),
        message("mymaster 10.0.0.1 6379 10.0.0.2 "),
        message("mymaster 10.0.0.1 6379 10.0.0.2 0"),
        message("mymaster 10.0.0.1 6379 10.0.0.2 6380 x"),
        message("mymaster  10.0.0.1 6379 10.0.0.2 6380"),
        "+PONG\r\n",
        kNil,
    };
    for (const std::string &wire : bad) {
        ck_assert_msg(
            !read_switch_master(Decoded(wire), "mymaster", &host, &port), "%s",
            wire.c_str());
    }
}
END_TEST

START_TEST(roles)
{
    ck_assert(read_role(Decoded(kMaster)) == Role::master);
    ck_assert(read_role(Decoded(kReplica)) == Role::replica);
    ck_assert(read_role(Decoded(array_of({bulk("sentinel"), "*0\r\n"})))
              == Role::sentinel);
    ck_assert(read_role(Decoded(array_of({bulk("x")}))) == Role::unknown);
    ck_assert(read_role(Decoded("*0\r\n")) == Role::unknown);
    ck_assert(read_role(Decoded("+master\r\n")) == Role::unknown);
    ck_assert(read_role(Decoded("-NOPERM\r\n")) == Role::unknown);
}
END_TEST

START_TEST(the_straight_way)
{
    SentinelFollower f;
    make_ready(f, 3);
    ck_assert(f.host() == "10.0.0.1");
    ck_assert_uint_eq(f.port(), 6379);
}
END_TEST

START_TEST(every_sentinel_is_asked_once_then_it_waits)
{
    SentinelFollower f;
    ck_assert(f.init("mymaster", 3, 7));
    SentinelStep step = f.start();
    bool seen[3] = {};
    for (int i = 0; i < 3; i++) {
        ck_assert(step.kind == Kind::ask);
        ck_assert_uint_lt(step.sentinel, 3);
        ck_assert(!seen[step.sentinel]);
        seen[step.sentinel] = true;
        step = i == 1 ? f.on_address(Decoded("*-1\r\n"))
                      : f.on_sentinel_failed();
        ck_assert_ptr_nonnull(step.why);
    }

    uint32_t most = 0;
    for (int round = 0; round < 12; round++) {
        ck_assert(step.kind == Kind::back_off);
        ck_assert_uint_gt(step.delay_ms, 0);
        ck_assert_uint_le(step.delay_ms, SentinelFollower::kLongestWait);
        most = step.delay_ms > most ? step.delay_ms : most;
        step = f.on_timer();
        for (int i = 0; i < 3; i++) {
            ck_assert(step.kind == Kind::ask);
            step = f.on_sentinel_failed();
        }
    }
    ck_assert_uint_ge(most, SentinelFollower::kLongestWait / 2);
}
END_TEST

START_TEST(a_stale_sentinel_names_a_replica)
{
    SentinelFollower f;
    start(f, 3);
    f.on_address(Decoded(address("10.0.0.1", "6379")));
    f.on_connected();
    SentinelStep step = f.on_role(Decoded(kReplica));
    ck_assert(step.kind == Kind::ask);
    ck_assert(!f.ready());

    /* the second has the same old news, the third knows better */
    step = f.on_address(Decoded(address("10.0.0.1", "6379")));
    ck_assert(step.kind == Kind::ask);
    step = f.on_address(Decoded(address("10.0.0.2", "6379")));
    ck_assert(step.kind == Kind::connect);
    ck_assert(f.host() == "10.0.0.2");
    f.on_connected();
    ck_assert(f.on_role(Decoded(kMaster)).kind == Kind::ready);
}
END_TEST

START_TEST(the_same_address_is_tried_again_after_the_wait)
{
    SentinelFollower f;
    start(f, 2);
    f.on_address(Decoded(address("10.0.0.1", "6379")));
    ck_assert(f.on_connect_failed().kind == Kind::ask);
    ck_assert(f.on_address(Decoded(address("10.0.0.1", "6379"))).kind
              == Kind::back_off);
    ck_assert(f.on_timer().kind == Kind::ask);
    ck_assert(f.on_address(Decoded(address("10.0.0.1", "6379"))).kind
              == Kind::connect);
    f.on_connected();
    ck_assert(f.on_role(Decoded("-NOPERM no\r\n")).kind == Kind::ask);
}
END_TEST

START_TEST(a_lost_master_is_asked_for_at_once)
{
    SentinelFollower f;
    make_ready(f, 3);
    SentinelStep step = f.on_lost();
    ck_assert(step.kind == Kind::ask);
    ck_assert(!f.ready());

    /* lost while it is made */
    f.on_address(Decoded(address("10.0.0.1", "6379")));
    ck_assert(f.on_lost().kind == Kind::ask);
}
END_TEST

START_TEST(switch_master_moves_the_link)
{
    SentinelFollower f;
    make_ready(f, 3);
    ck_assert(f.on_message(Decoded(message("other 10.0.0.1 1 10.0.0.9 1"))).kind
              == Kind::none);
    ck_assert(f.ready());
    ck_assert(
        f.on_message(Decoded(message("mymaster 10.0.0.3 1 10.0.0.1 6379"))).kind
        == Kind::none);
    ck_assert(f.ready());

    const SentinelStep step = f.on_message(
        Decoded(message("mymaster 10.0.0.1 6379 10.0.0.2 6380")));
    ck_assert(step.kind == Kind::connect);
    ck_assert(!f.ready());
    ck_assert(f.host() == "10.0.0.2");
    ck_assert_uint_eq(f.port(), 6380);
    ck_assert(f.on_connected().kind == Kind::check_role);
    ck_assert(f.on_role(Decoded(kMaster)).kind == Kind::ready);
}
END_TEST

START_TEST(a_message_ends_the_wait)
{
    SentinelFollower f;
    start(f, 1);
    ck_assert(f.on_sentinel_failed().kind == Kind::back_off);
    ck_assert(f.on_message(Decoded(message("mymaster a 1 b 2"))).kind
              == Kind::connect);
    ck_assert(f.on_timer().kind == Kind::none);
    ck_assert(f.on_connect_failed().kind == Kind::ask);
}
END_TEST

START_TEST(what_comes_late_changes_nothing)
{
    SentinelFollower f;
    ck_assert(f.init("mymaster", 1, 0));
    ck_assert(f.on_message(Decoded(message("mymaster a 1 b 2"))).kind
              == Kind::none);
    ck_assert(f.on_timer().kind == Kind::none);
    ck_assert(f.on_connected().kind == Kind::none);
    ck_assert(f.on_lost().kind == Kind::none);
    make_ready(f, 1);
    ck_assert(f.start().kind == Kind::none);
    ck_assert(f.on_address(Decoded(address("b", "2"))).kind == Kind::none);
    ck_assert(f.on_sentinel_failed().kind == Kind::none);
    ck_assert(f.on_connect_failed().kind == Kind::none);
    ck_assert(f.on_role(Decoded(kReplica)).kind == Kind::none);
    ck_assert(f.ready());
    ck_assert(f.host() == "10.0.0.1");
}
END_TEST

int main()
{
    Suite *s = suite_create("sentinel");
    TCase *replies = tcase_create("replies");
    tcase_add_test(replies, commands);
    tcase_add_test(replies, addresses);
    tcase_add_test(replies, messages);
    tcase_add_test(replies, roles);
    suite_add_tcase(s, replies);

    TCase *steps = tcase_create("steps");
    tcase_add_test(steps, the_straight_way);
    tcase_add_test(steps, every_sentinel_is_asked_once_then_it_waits);
    tcase_add_test(steps, a_stale_sentinel_names_a_replica);
    tcase_add_test(steps, the_same_address_is_tried_again_after_the_wait);
    tcase_add_test(steps, a_lost_master_is_asked_for_at_once);
    tcase_add_test(steps, switch_master_moves_the_link);
    tcase_add_test(steps, a_message_ends_the_wait);
    tcase_add_test(steps, what_comes_late_changes_nothing);
    suite_add_tcase(s, steps);

    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
