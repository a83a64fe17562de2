#include <check.h>

#include <cstring>

#include "esputnik_redis_look.h"
#include "esputnik_redis_warnings.h"

using namespace esputnik;

namespace {

constexpr uint32_t bit(RedisWarning w)
{
    return uint32_t{1} << static_cast<uint32_t>(w);
}

constexpr uint32_t kReplica = bit(RedisWarning::replica);
constexpr uint32_t kNoAof = bit(RedisWarning::no_appendonly);

/* As in the zone: zero bytes are the start. */
class Zeroed {
public:
    Zeroed() { std::memset(bytes_, 0, sizeof(bytes_)); }
    RedisWarnings *operator->()
    {
        return reinterpret_cast<RedisWarnings *>(bytes_);
    }

private:
    alignas(RedisWarnings) unsigned char bytes_[sizeof(RedisWarnings)];
};

} // namespace

START_TEST(one_server)
{
    Zeroed w;

    ck_assert_uint_eq(w->read(), 0);
    w->tell(1, 0, kNoAof);
    ck_assert_uint_eq(w->read(), kNoAof);
    w->tell(1, 0, kReplica);
    ck_assert_uint_eq(w->read(), kReplica);
    w->tell(1, 0, 0);
    ck_assert_uint_eq(w->read(), 0);
}
END_TEST

START_TEST(several_servers)
{
    Zeroed w;

    w->tell(7, 1, kNoAof);
    w->tell(8, 1, 0);
    w->tell(9, 1, kReplica);
    ck_assert_uint_eq(w->read(), kNoAof | kReplica);
    w->tell(8, 1, 0);
    w->tell(9, 1, 0);
    ck_assert_uint_eq(w->read(), kNoAof);
    w->tell(7, 1, 0);
    ck_assert_uint_eq(w->read(), 0);
}
END_TEST

START_TEST(a_reload)
{
    Zeroed w;

    w->tell(7, 1, kNoAof);
    w->tell(8, 1, kReplica);
    ck_assert_uint_eq(w->read(), kNoAof | kReplica);

    /* 7 has left meanwhile: the first word of the next one forgets it */
    w->tell(8, 2, 0);
    ck_assert_uint_eq(w->read(), 0);

    /* a worker of the one before still looks */
    w->tell(8, 1, kReplica);
    w->tell(7, 1, kNoAof);
    ck_assert_uint_eq(w->read(), 0);

    w->tell(7, 2, kNoAof);
    ck_assert_uint_eq(w->read(), kNoAof);
}
END_TEST

START_TEST(more_servers_than_seats)
{
    Zeroed w;
    const uint32_t all = 3 * RedisWarnings::kServers;

    for (uint32_t server = 1; server <= all; server++) {
        w->tell(server, 1, server == all ? kNoAof : 0);
    }
    ck_assert_uint_eq(w->read(), kNoAof);

    /* the seats of the generation before are free */
    for (uint32_t server = 1; server <= RedisWarnings::kServers; server++) {
        w->tell(1000 + server, 2, kReplica);
    }
    ck_assert_uint_eq(w->read(), kReplica);
    for (uint32_t server = 1; server <= RedisWarnings::kServers; server++) {
        w->tell(1000 + server, 2, 0);
    }
    ck_assert_uint_eq(w->read(), 0);
}
END_TEST

START_TEST(logged_once)
{
    Zeroed w;
    const auto aof = static_cast<uint32_t>(RedisWarning::no_appendonly);

    ck_assert(w->first_time(aof));
    ck_assert(!w->first_time(aof));
    ck_assert(w->first_time(static_cast<uint32_t>(RedisWarning::eviction)));
    w->tell(1, 1, kNoAof);
    w->tell(1, 1, 0);
    ck_assert(!w->first_time(aof));
}
END_TEST

int main()
{
    Suite *suite = suite_create("redis_warnings");
    TCase *tc = tcase_create("redis_warnings");
    tcase_add_test(tc, one_server);
    tcase_add_test(tc, several_servers);
    tcase_add_test(tc, a_reload);
    tcase_add_test(tc, more_servers_than_seats);
    tcase_add_test(tc, logged_once);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
