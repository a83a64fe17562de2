#include <check.h>

#include <string>

#include "esputnik_redis_error.h"

using namespace esputnik;

/* As Redis 7.0 and its cluster write them. */
START_TEST(texts_of_redis)
{
    const struct {
        const char *text;
        RedisError error;
    } rows[] = {
        {"OOM command not allowed when used memory > 'maxmemory'.",
         RedisError::oom},
        {"LOADING Redis is loading the dataset in memory", RedisError::loading},
        {"READONLY You can't write against a read only replica.",
         RedisError::readonly},
        {"MISCONF Redis is configured to save RDB snapshots, but it's "
         "currently unable to persist to disk.",
         RedisError::misconf},
        {"MISCONF Errors writing to the AOF file: No space left on device",
         RedisError::misconf},
        {"NOREPLICAS Not enough good replicas to write.",
         RedisError::noreplicas},
        {"BUSY Redis is busy running a script. You can only call SCRIPT KILL "
         "or SHUTDOWN NOSAVE.",
         RedisError::busy},
        {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data "
         "is set to 'no'.",
         RedisError::masterdown},
        {"CLUSTERDOWN The cluster is down", RedisError::clusterdown},
        {"CLUSTERDOWN Hash slot not served", RedisError::clusterdown},
        {"TRYAGAIN Multiple keys request during rehashing of slot",
         RedisError::tryagain},
        {"MOVED 3999 127.0.0.1:6381", RedisError::moved},
        {"ASK 3999 127.0.0.1:6381", RedisError::ask},
        {"CROSSSLOT Keys in request don't hash to the same slot",
         RedisError::crossslot},
        {"NOAUTH Authentication required.", RedisError::noauth},
        {"WRONGPASS invalid username-password pair or user is disabled.",
         RedisError::wrongpass},
        {"ERR invalid password", RedisError::wrongpass},
        {"ERR Client sent AUTH, but no password is set", RedisError::wrongpass},
        {"ERR AUTH <password> called without any password configured for the "
         "default user. Are you sure your configuration is correct?",
         RedisError::wrongpass},
        {"NOPERM this user has no permissions to run the 'rpush' command",
         RedisError::noperm},
        {"NOPERM No permissions to access a key", RedisError::noperm},
        {"WRONGTYPE Operation against a key holding the wrong kind of value",
         RedisError::wrongtype},
        {"NOSCRIPT No matching script. Please use EVAL.", RedisError::noscript},
        {"EXECABORT Transaction discarded because of previous errors.",
         RedisError::execabort},
        {"ERR max number of clients reached", RedisError::max_clients},
        {"ERR max number of clients + cluster connections reached",
         RedisError::max_clients},
        {"DENIED Redis is running in protected mode because protected mode "
         "is enabled",
         RedisError::denied},
        {"ERR unknown command 'WAITAOF', with args beginning with: ",
         RedisError::unknown_command},
        {"ERR unknown command `rpush`, with args beginning with: ",
         RedisError::unknown_command},
        {"ERR DB index is out of range", RedisError::other},
        {"ERR", RedisError::other},
        {"", RedisError::other},
        {"upstream failure", RedisError::other},
    };
    for (const auto &r : rows) {
        ck_assert_msg(classify_redis_error(r.text) == r.error, "%s", r.text);
    }
}
END_TEST

/* A word counts whole and in capitals. */
START_TEST(near_misses)
{
    for (const char *text :
         {"OOMX x", "oom x", " OOM", "BUSYKEY Target key name already exists.",
          "BUSYGROUP Consumer Group name already exists", "ASKING", "MOVEDX",
          "ERROR max number of clients", "ERR Max number of clients", "NOAUTHX",
          "OOM\tx", "ERR OOM"})
    {
        ck_assert_msg(classify_redis_error(text) == RedisError::other, "%s",
                      text);
    }
    ck_assert(classify_redis_error("OOM") == RedisError::oom);
    ck_assert(classify_redis_error(std::string_view("OOM\0x", 5))
              == RedisError::other);
}
END_TEST

START_TEST(wrapped)
{
    ck_assert(classify_redis_error(
                  "EXECABORT Transaction discarded because of: OOM command "
                  "not allowed when used memory > 'maxmemory'.")
              == RedisError::oom);
    ck_assert(classify_redis_error(
                  "EXECABORT Transaction discarded because of: READONLY You "
                  "can't write against a read only replica.")
              == RedisError::readonly);
    ck_assert(classify_redis_error(
                  "EXECABORT Transaction discarded because of: ERR odd")
              == RedisError::execabort);
    ck_assert(classify_redis_error(
                  "ERR Error running script (call to f_6f): @user_script:1: "
                  "@user_script: 1: -OOM command not allowed")
              == RedisError::oom);
    ck_assert(classify_redis_error(
                  "ERR Error running script (call to f_6f): @user_script:1: "
                  "user_script:1: attempt to call a nil value")
              == RedisError::other);
    /* only these two wrap: a payload quoted in another text is no cause */
    ck_assert(classify_redis_error("ERR odd: -OOM x") == RedisError::other);
    ck_assert(classify_redis_error("WRONGTYPE x because of: OOM x")
              == RedisError::wrongtype);
}
END_TEST

START_TEST(names)
{
    for (size_t i = 1; i < static_cast<size_t>(RedisError::count); i++) {
        const RedisError e = static_cast<RedisError>(i);
        ck_assert(!redis_error_name(e).empty());
        for (size_t j = 0; j < i; j++) {
            ck_assert(redis_error_name(e)
                      != redis_error_name(static_cast<RedisError>(j)));
        }
        const std::string text = std::string(redis_error_name(e)) + " x";
        ck_assert_msg(classify_redis_error(text) == e, "%s", text.c_str());
    }
}
END_TEST

/* F12 to F21: what a spool takes, what it holds back, what ends a link. */
START_TEST(consequences)
{
    using E = RedisError;
    using S = RedisScope;
    const struct {
        RedisError error;
        bool passing, spoolable, closes;
        RedisScope scope;
    } rows[] = {
        {E::oom, true, true, false, S::target},
        {E::loading, true, true, false, S::target},
        {E::readonly, true, true, true, S::target},
        {E::misconf, true, true, false, S::target},
        {E::noreplicas, true, true, false, S::target},
        {E::busy, true, true, false, S::target},
        {E::masterdown, true, true, true, S::target},
        {E::clusterdown, true, true, false, S::slot},
        {E::tryagain, true, true, false, S::slot},
        {E::moved, false, true, false, S::slot},
        {E::ask, false, true, false, S::slot},
        {E::crossslot, false, false, false, S::command},
        {E::noauth, false, true, true, S::target},
        {E::wrongpass, false, true, true, S::target},
        {E::noperm, false, true, false, S::key},
        {E::wrongtype, false, true, false, S::key},
        {E::noscript, false, false, false, S::command},
        {E::execabort, false, true, false, S::command},
        {E::max_clients, true, true, true, S::target},
        {E::denied, false, true, true, S::target},
        {E::unknown_command, false, true, false, S::target},
        {E::other, false, true, false, S::target},
    };
    ck_assert_uint_eq(sizeof(rows) / sizeof(rows[0]) + 1,
                      static_cast<size_t>(E::count));
    for (const auto &r : rows) {
        const std::string name(redis_error_name(r.error));
        ck_assert_msg(redis_error_passing(r.error) == r.passing, "%s",
                      name.c_str());
        ck_assert_msg(redis_error_spoolable(r.error) == r.spoolable, "%s",
                      name.c_str());
        ck_assert_msg(redis_error_closes(r.error) == r.closes, "%s",
                      name.c_str());
        ck_assert_msg(redis_error_scope(r.error) == r.scope, "%s",
                      name.c_str());
        ck_assert(!r.passing || r.spoolable);
    }
}
END_TEST

int main()
{
    Suite *s = suite_create("redis_error");
    TCase *t = tcase_create("redis_error");
    tcase_add_test(t, texts_of_redis);
    tcase_add_test(t, near_misses);
    tcase_add_test(t, wrapped);
    tcase_add_test(t, names);
    tcase_add_test(t, consequences);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
