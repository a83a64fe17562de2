/*
 * WAIT and WAITAOF: bytes, replies, and a real server without replicas.
 */

#include <check.h>

#include <cstdlib>

#include "decoded.h"
#include "esputnik_ack.h"
#include "server.h"

using namespace esputnik;

static Server server;
static void start_server()
{
    server.start();
}
static void stop_server()
{
    server.stop();
}

static const Ack kMemory = {};
static const Ack kTwo = {AckMode::replicas, 2};
static const Ack kAof = {AckMode::aof, 0};

static std::string bytes(const Ack &ack, uint64_t ms)
{
    Buffer out;
    ck_assert(append_ack(out, ack, ms));
    return {out.data(), out.size()};
}

static AckResult read(const std::string &wire, const Ack &ack)
{
    RedisError error;
    return read_ack(Decoded(wire), ack, &error);
}

START_TEST(commands)
{
    ck_assert(bytes(kTwo, 2500)
              == "*3\r\n$4\r\nWAIT\r\n$1\r\n2\r\n$4\r\n2500\r\n");
    ck_assert(bytes(kAof, 1)
              == "*4\r\n$7\r\nWAITAOF\r\n$1\r\n1\r\n$1\r\n0\r\n$1\r\n1\r\n");
    /* 0 would be for ever */
    ck_assert(bytes(kTwo, 0) == "*3\r\n$4\r\nWAIT\r\n$1\r\n2\r\n$1\r\n1\r\n");
    Buffer out;
    ck_assert(!append_ack(out, kMemory, 1));
    ck_assert(out.empty());
}
END_TEST

START_TEST(replicas)
{
    ck_assert(read(":2\r\n", kTwo) == AckResult::done);
    ck_assert(read(":3\r\n", kTwo) == AckResult::done);
    ck_assert(read(":1\r\n", kTwo) == AckResult::too_few);
    ck_assert(read(":0\r\n", kTwo) == AckResult::too_few);
    for (const char *wire :
         {":-1\r\n", "+OK\r\n", "$1\r\n2\r\n", "$-1\r\n", "*2\r\n:1\r\n:0\r\n"})
    {
        ck_assert_msg(read(wire, kTwo) == AckResult::protocol, "%s", wire);
    }
    ck_assert(read("-ERR WAIT cannot be used with replica instances. Please "
                   "also note that since Redis 4.0 if a replica is configured "
                   "to be writable (which is not the default) writes to "
                   "replicas are just local and are not propagated.\r\n",
                   kTwo)
              == AckResult::unsupported);
    ck_assert(read("-NOPERM no\r\n", kTwo) == AckResult::refused);
}
END_TEST

START_TEST(aof)
{
    ck_assert(read("*2\r\n:1\r\n:0\r\n", kAof) == AckResult::done);
    ck_assert(read("*2\r\n:1\r\n:2\r\n", kAof) == AckResult::done);
    ck_assert(read("*2\r\n:0\r\n:2\r\n", kAof) == AckResult::too_few);
    for (const char *wire :
         {":1\r\n", "*0\r\n", "*1\r\n:1\r\n", "*2\r\n:2\r\n:0\r\n",
          "*2\r\n+1\r\n:0\r\n", "*2\r\n:1\r\n$1\r\n0\r\n", "+OK\r\n"})
    {
        ck_assert_msg(read(wire, kAof) == AckResult::protocol, "%s", wire);
    }
    ck_assert(read("-ERR WAITAOF cannot be used when numlocal is set but "
                   "appendonly is disabled.\r\n",
                   kAof)
              == AckResult::unsupported);
    ck_assert(read("-ERR unknown command 'WAITAOF', with args beginning "
                   "with: '1' '0' '10' \r\n",
                   kAof)
              == AckResult::unsupported);
    ck_assert(read("-LOADING x\r\n", kAof) == AckResult::refused);
    ck_assert(read(":1\r\n", kMemory) == AckResult::protocol);
}
END_TEST

START_TEST(every_result_has_a_text)
{
    for (int r = 0; r <= static_cast<int>(AckResult::protocol); r++) {
        for (const Ack &ack : {kTwo, kAof}) {
            ck_assert_ptr_nonnull(ack_text(static_cast<AckResult>(r), ack));
        }
    }
    ck_assert_str_ne(ack_text(AckResult::unsupported, kTwo),
                     ack_text(AckResult::unsupported, kAof));
}
END_TEST

/* before 7.2 unknown, after it without an append only file: the same */
START_TEST(a_server_alone)
{
    Connection redis(server.path());
    RedisError error;
    ck_assert(redis.integer({"RPUSH", "k", "v"}) == 1);
    ck_assert(read_ack(redis.send(bytes(kTwo, 20)), kTwo, &error)
              == AckResult::too_few);
    ck_assert(read_ack(redis.send(bytes(kAof, 20)), kAof, &error)
              == AckResult::unsupported);
}
END_TEST

START_TEST(room_for_the_clock_of_redis)
{
    ck_assert_uint_eq(ack_wait_ms(3000), 2250);
    ck_assert_uint_eq(ack_wait_ms(600), 450);
    ck_assert_uint_eq(ack_wait_ms(400), 250);
    ck_assert_uint_eq(ack_wait_ms(300), 150);
    ck_assert_uint_eq(ack_wait_ms(100), 50);
    ck_assert_uint_eq(ack_wait_ms(1), 1);
}
END_TEST

int main()
{
    Suite *s = suite_create("ack");
    TCase *t = tcase_create("ack");
    tcase_add_unchecked_fixture(t, start_server, stop_server);
    tcase_add_test(t, commands);
    tcase_add_test(t, replicas);
    tcase_add_test(t, aof);
    tcase_add_test(t, every_result_has_a_text);
    tcase_add_test(t, a_server_alone);
    tcase_add_test(t, room_for_the_clock_of_redis);
    suite_add_tcase(s, t);

    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
