#include <check.h>

#include <cstring>
#include <string>

#include "esputnik_url.h"

using namespace esputnik;

namespace {

/* All that was read, in one line. */
std::string describe(std::string_view text)
{
    Url u;
    if (const char *error = parse_url(text, &u)) {
        return std::string("error: ") + error;
    }
    std::string s = u.unix_socket ? "unix" : u.tls ? "tls" : "tcp";
    if (u.has_user) {
        s += " user=" + std::string(u.user.data(), u.user.size());
    }
    if (u.has_password) {
        s += " password=" + std::string(u.password.data(), u.password.size());
    }
    if (u.unix_socket) {
        s += " path=" + std::string(u.path);
    } else {
        s += u.host_is_ipv6 ? " [" + std::string(u.host) + "]"
                            : " " + std::string(u.host);
        s += ":" + std::to_string(u.port);
    }
    return s + "/" + std::to_string(u.database);
}

void good(std::string_view text, const char *what)
{
    const std::string got = describe(text);
    ck_assert_str_eq(got.c_str(), what);
    ck_assert(has_redis_scheme(text));
}

/* Refused, and the message has these words. */
void bad(std::string_view text, const char *words)
{
    const std::string got = describe(text);
    ck_assert_msg(got.compare(0, 7, "error: ") == 0, "taken: %s", got.c_str());
    ck_assert_msg(got.find(words) != got.npos, "%s", got.c_str());
}

} // namespace

START_TEST(tcp)
{
    good("redis://localhost", "tcp localhost:6379/0");
    good("redis://localhost/", "tcp localhost:6379/0");
    good("redis://127.0.0.1:6380/0", "tcp 127.0.0.1:6380/0");
    good("redis://queue.example.com:1/15", "tcp queue.example.com:1/15");
    good("redis://h:65535/65535", "tcp h:65535/65535");
    good("redis://my_redis-1", "tcp my_redis-1:6379/0");
    good("rediss://h", "tls h:6379/0");
    good("rediss://h:6390/2", "tls h:6390/2");
    good("REDIS://Host", "tcp Host:6379/0");
    good("redis://h/007", "tcp h:6379/7");
}
END_TEST

START_TEST(ipv6)
{
    good("redis://[::1]", "tcp [::1]:6379/0");
    good("redis://[2001:db8::7]:6380/3", "tcp [2001:db8::7]:6380/3");
    good("redis://u:p@[::ffff:10.0.0.1]:1", "tcp user=u password=p "
                                            "[::ffff:10.0.0.1]:1/0");
    bad("redis://[::1", "\"]\" is expected");
    bad("redis://[::1:6379", "\"]\" is expected");
    bad("redis://[]", "IPv6 address is expected");
    bad("redis://[localhost]", "IPv6 address is expected");
    bad("redis://[1234]", "IPv6 address is expected");
    bad("redis://[::1]6379", "port");
    bad("redis://[::1]x", "port");
    bad("redis://::1", "brackets");
    bad("redis://2001:db8::7:6379/0", "brackets");
}
END_TEST

START_TEST(userinfo)
{
    good("redis://user:secret@h", "tcp user=user password=secret h:6379/0");
    good("redis://:secret@h:1/2", "tcp password=secret h:1/2");
    good("redis://user@h", "tcp user=user h:6379/0");
    good("redis://user:@h", "tcp user=user password= h:6379/0");
    good("redis://a%40b:p%3Aq%2Fr%25@h",
         "tcp user=a@b password=p:q/r% h:6379/0");
    good("redis://u:a:b:c@h", "tcp user=u password=a:b:c h:6379/0");
    good("redis://u:%d0%BF@h", "tcp user=u password=\xd0\xbf h:6379/0");
    bad("redis://@h", "user or a password");
    bad("redis://:@h", "user or a password");
    bad("redis://u:a@b@h", "%40");
    bad("redis://u:%@h", "hexadecimal");
    bad("redis://u:%4@h", "hexadecimal");
    bad("redis://u:%4g@h", "hexadecimal");
    bad("redis://u:%g4@h", "hexadecimal");
    bad("redis://%zz:p@h", "hexadecimal");
    bad("redis://u:a%00b@h", "%00");
}
END_TEST

START_TEST(host_and_port)
{
    bad("redis://", "host");
    bad("redis:///0", "host");
    bad("redis://:6379", "host");
    bad("redis://u:p@", "host");
    bad("redis://u:p@:1/0", "host");
    bad("redis://h:", "port");
    bad("redis://h:0", "port");
    bad("redis://h:65536", "port");
    bad("redis://h:99999999999999999999", "port");
    bad("redis://h:-1", "port");
    bad("redis://h:+1", "port");
    bad("redis://h:12a/0", "port");
    bad("redis://h:1:2", "port");
    bad("redis://h%41", "character");
    bad("redis://h;x", "character");
    bad("redis://h,i", "character");
    bad("redis://$host", "character");
}
END_TEST

START_TEST(database)
{
    for (const char *db :
         {"a", "-1", "+1", "65536", "4294967296", "99999999999999999999", "1a",
          "1/", "1/2", "/", "1,", "0x1", "%31"})
    {
        bad(std::string("redis://h/") + db, "number from 0 to 65535");
    }
    bad("redis://h/1?x=2", "nothing but");
    bad("redis://h?db=1", "nothing but");
    bad("redis://h/0#1", "nothing but");
}
END_TEST

START_TEST(unix_socket)
{
    good("redis+unix:///run/redis.sock", "unix path=/run/redis.sock/0");
    good("redis+unix:///run/redis.sock?db=3", "unix path=/run/redis.sock/3");
    good("redis+unix://u:p@/r.sock", "unix user=u password=p path=/r.sock/0");
    good("redis+unix://:p%2f@/r.sock?db=1", "unix password=p/ path=/r.sock/1");
    good("redis+unix:///a%20b%3Fc.sock", "unix path=/a b?c.sock/0");
    good("redis+unix:///a@b.sock", "unix path=/a@b.sock/0");
    bad("redis+unix://", "absolute path");
    bad("redis+unix://run/redis.sock", "absolute path");
    bad("redis+unix://localhost/run/redis.sock", "absolute path");
    bad("redis+unix://?db=1", "absolute path");
    bad("redis+unix:///", "end in");
    bad("redis+unix:///run/", "end in");
    bad("redis+unix:///a?", "\"db=N\"");
    bad("redis+unix:///a?x=1", "\"db=N\"");
    bad("redis+unix:///a?DB=1", "\"db=N\"");
    bad("redis+unix:///a?db", "\"db=N\"");
    bad("redis+unix:///a?db=", "number");
    bad("redis+unix:///a?db=x", "number");
    bad("redis+unix:///a?db=1&db=2", "number");
    bad("redis+unix:///a?db=1&x=2", "number");
    bad("redis+unix:///a#b", "%23");
    bad("redis+unix:///a%00b", "%00");
    bad("redis+unix:///a%2", "hexadecimal");
}
END_TEST

START_TEST(unix_path_length)
{
    const std::string longest = "/" + std::string(106, 'p');
    good("redis+unix://" + longest, ("unix path=" + longest + "/0").c_str());
    bad("redis+unix://" + longest + "p", "107 bytes");

    /* counted decoded */
    std::string encoded = "/";
    for (int i = 0; i < 106; i++) {
        encoded += "%70";
    }
    good("redis+unix://" + encoded, ("unix path=" + longest + "/0").c_str());
    bad("redis+unix://" + encoded + "%70", "107 bytes");
}
END_TEST

START_TEST(schemes)
{
    for (const char *text : {"", "r", "redis", "redis:", "redis:/", "redis:/h",
                             "http://h", "redissss://h", "unix:/a", "h:6379",
                             "//h", "redis+tls://h", "redis+unix:/a"})
    {
        bad(text, "is expected");
        ck_assert(!has_redis_scheme(text));
    }
    ck_assert(has_redis_scheme("redis://"));
    ck_assert(has_redis_scheme("rediss://x"));
    ck_assert(has_redis_scheme("redis+unix://x"));
}
END_TEST

START_TEST(bytes_that_no_url_has)
{
    for (int c = 0; c < 256; c++) {
        if (c > ' ' && c < 0x7f) {
            continue;
        }
        const std::string byte(1, static_cast<char>(c));
        bad("redis://h" + byte, "percent-encoded");
        bad("redis://u:p" + byte + "@h", "percent-encoded");
        bad("redis://h/0" + byte, "percent-encoded");
        bad("redis+unix:///a" + byte, "percent-encoded");
        bad(byte + "redis://h", "percent-encoded");
    }
}
END_TEST

/* Every beginning of a good URL is taken or refused, never read past: the
 * copies end where the memory does. */
START_TEST(cut_at_every_byte)
{
    for (std::string_view whole :
         {"rediss://us%65r:p%40ss@[2001:db8::1]:6380/12",
          "redis+unix://us%65r:p%40@/var/run/r%20s.sock?db=12"})
    {
        for (size_t n = 0; n <= whole.size(); n++) {
            char *copy = new char[n];
            if (n) {
                std::memcpy(copy, whole.data(), n);
            }
            Url u;
            const char *error = parse_url({copy, n}, &u);
            ck_assert(n < whole.size() || error == nullptr);
            delete[] copy;
        }
    }
}
END_TEST

START_TEST(used_again)
{
    Url u;

    ck_assert_ptr_null(parse_url("rediss://u:p@h:1/2", &u));
    ck_assert_ptr_null(parse_url("redis://[::1]", &u));
    ck_assert(!u.tls && !u.has_user && !u.has_password && u.host_is_ipv6);
    ck_assert_uint_eq(u.user.size() + u.password.size(), 0);
    ck_assert_uint_eq(u.port, kRedisPort);
    ck_assert_uint_eq(u.database, 0);
    ck_assert_ptr_null(parse_url("redis+unix:///a%62", &u));
    ck_assert(u.unix_socket && !u.host_is_ipv6 && u.host.empty());
    ck_assert(u.path == "/ab");
}
END_TEST

int main()
{
    Suite *s = suite_create("url");
    TCase *t = tcase_create("url");
    tcase_add_test(t, tcp);
    tcase_add_test(t, ipv6);
    tcase_add_test(t, userinfo);
    tcase_add_test(t, host_and_port);
    tcase_add_test(t, database);
    tcase_add_test(t, unix_socket);
    tcase_add_test(t, unix_path_length);
    tcase_add_test(t, schemes);
    tcase_add_test(t, bytes_that_no_url_has);
    tcase_add_test(t, cut_at_every_byte);
    tcase_add_test(t, used_again);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
