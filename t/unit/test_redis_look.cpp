#include <check.h>

#include <cstring>
#include <string>

#include "esputnik_redis_look.h"

using namespace esputnik;
using Result = ReplyDecoder::Result;

namespace {

std::string bulk(const std::string &text)
{
    return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

/* What is seen in these replies, as they come over the wire. */
RedisFacts look(const std::string &wire)
{
    ReplyDecoder d;
    RedisFacts facts;
    Reply r;

    ck_assert(d.reset());
    ck_assert(d.feed(wire.data(), wire.size()) == Result::need_more);
    while (d.next(&r) == Result::reply) {
        read_look(r, &facts);
    }
    ck_assert(!d.partial());
    return facts;
}

std::string warnings(const RedisFacts &facts)
{
    std::string s;
    for (size_t i = 0; i < static_cast<size_t>(RedisWarning::count); i++) {
        const RedisWarning w = static_cast<RedisWarning>(i);
        ck_assert_str_ne(warning_text(w), "");
        s += has_warning(facts, w) ? '1' : '0';
    }
    return s;
}

void expect_warnings(const RedisFacts &facts, const char *which)
{
    const std::string got = warnings(facts);
    ck_assert_str_eq(got.c_str(), which);
}

void expect_nothing(const RedisFacts &facts)
{
    ck_assert(facts.role == RedisRole::unknown);
    ck_assert(facts.appendonly == RedisSwitch::unknown);
    ck_assert(facts.maxmemory == RedisSwitch::unknown);
    ck_assert_str_eq(facts.policy, "");
    ck_assert_str_eq(facts.version, "");
    expect_warnings(facts, "000");
}

/* Lines of a Redis 7.0.15, shortened. */
const char *kServer = "# Server\r\nredis_version:7.0.15\r\n"
                      "redis_git_sha1:00000000\r\nredis_mode:standalone\r\n";
const char *kMaster = "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"
                      "master_failover_state:no-failover\r\n";
const char *kReplica = "# Replication\r\nrole:slave\r\nmaster_host:10.0.0.1\r\n"
                       "slave_read_only:1\r\n";
const char *kAof = "# Persistence\r\nloading:0\r\naof_enabled:1\r\n"
                   "aof_rewrite_in_progress:0\r\n";
const char *kNoAof = "# Persistence\r\nloading:0\r\naof_enabled:0\r\n";

std::string memory(const char *limit, const char *policy)
{
    return std::string("# Memory\r\nused_memory:1\r\nmaxmemory:") + limit
           + "\r\nmaxmemory_human:0B\r\nmaxmemory_policy:" + policy + "\r\n";
}

} // namespace

START_TEST(questions)
{
    Buffer b;

    ck_assert(append_look(b));
    const std::string sent(b.data(), b.size());
    ck_assert_str_eq(sent.c_str(), "*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"
                                   "*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n"
                                   "*2\r\n$4\r\nINFO\r\n$11\r\npersistence\r\n"
                                   "*2\r\n$4\r\nINFO\r\n$6\r\nmemory\r\n");
    ck_assert_uint_eq(kLookCommands, 4);
}
END_TEST

START_TEST(sound_master)
{
    const RedisFacts f = look(bulk(kServer) + bulk(kMaster) + bulk(kAof)
                              + bulk(memory("0", "noeviction")));
    ck_assert(f.role == RedisRole::master);
    ck_assert(f.appendonly == RedisSwitch::on);
    ck_assert(f.maxmemory == RedisSwitch::off);
    ck_assert_str_eq(f.policy, "noeviction");
    ck_assert_str_eq(f.version, "7.0.15");
    ck_assert(!f.valkey);
    expect_warnings(f, "000");
}
END_TEST

START_TEST(warnings_follow)
{
    expect_warnings(look(bulk(kReplica)), "100");
    expect_warnings(look(bulk("role:replica\r\n")), "100");
    expect_warnings(look(bulk(kNoAof)), "010");
    for (const char *policy : {"allkeys-lru", "allkeys-lfu", "allkeys-random"})
    {
        expect_warnings(look(bulk(memory("1048576", policy))), "001");
        expect_warnings(look(bulk(memory("0", policy))), "000");
        /* the limit is hidden: better warned */
        expect_warnings(look(bulk(std::string("maxmemory_policy:") + policy)),
                        "001");
    }
    for (const char *policy : {"noeviction", "volatile-lru", "volatile-lfu",
                               "volatile-random", "volatile-ttl"})
    {
        expect_warnings(look(bulk(memory("1", policy))), "000");
    }
    expect_warnings(
        look(bulk(kReplica) + bulk(kNoAof) + bulk(memory("1", "allkeys-lru"))),
        "111");
}
END_TEST

/* An ACL, a managed service, a proxy: unknown, no warning, no error. */
START_TEST(hidden)
{
    expect_nothing(look(
        "-NOPERM this user has no permissions to run the 'info' command\r\n"));
    expect_nothing(look("-ERR unknown command 'INFO'\r\n"));
    expect_nothing(look("$-1\r\n+OK\r\n:1\r\n*1\r\n$10\r\nrole:slave\r\n"));
    expect_nothing(look(bulk("") + bulk("\r\n") + bulk("# Server\r\n")));
    expect_nothing(look("+role:slave\r\n"));

    const RedisFacts f = look("-NOPERM no\r\n" + bulk(kMaster)
                              + "-NOPERM no\r\n");
    ck_assert(f.role == RedisRole::master);
    ck_assert(f.appendonly == RedisSwitch::unknown);
    expect_warnings(f, "000");
}
END_TEST

START_TEST(valkey)
{
    for (const char *text : {"redis_version:7.2.4\r\nvalkey_version:8.0.1\r\n",
                             "valkey_version:8.0.1\nredis_version:7.2.4"})
    {
        const RedisFacts f = look(bulk(text));
        ck_assert_str_eq(f.version, "8.0.1");
        ck_assert(f.valkey);
    }
}
END_TEST

/* What a peer sends goes to the log only when it looks as it should. */
START_TEST(odd_values)
{
    expect_nothing(look(bulk("role:\r\nrole:active-replica\r\nrole master\r\n"
                             "aof_enabled:\r\naof_enabled:2\r\n"
                             "aof_enabled:yes\r\nmaxmemory:\r\n"
                             "maxmemory:-1\r\nmaxmemory:1k\r\n")));
    expect_nothing(look(bulk("xrole:slave\r\nrolex:slave\r\n:\r\n:::\r\n"
                             "role: slave\r\nROLE:slave\r\n\r\r\n\n\n")));
    expect_nothing(look(bulk("maxmemory_policy:all keys\r\n"
                             "maxmemory_policy:allkeys-\x1b[31m\r\n"
                             "redis_version:7\" x\r\n")));
    expect_nothing(look(bulk("redis_version:" + std::string(33, '7'))));
    expect_nothing(look(bulk(std::string("redis_version:7\0", 16))));

    const RedisFacts f = look(bulk("redis_version:" + std::string(32, '7')));
    ck_assert_uint_eq(std::strlen(f.version), 32);
}
END_TEST

int main()
{
    Suite *s = suite_create("redis_look");
    TCase *t = tcase_create("redis_look");
    tcase_add_test(t, questions);
    tcase_add_test(t, sound_master);
    tcase_add_test(t, warnings_follow);
    tcase_add_test(t, hidden);
    tcase_add_test(t, valkey);
    tcase_add_test(t, odd_values);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
