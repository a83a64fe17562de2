/*
 * The script's name, digests, and the names of the sets of marks.
 */

#include <check.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "esputnik_digest.h"
#include "esputnik_script.h"
#include "esputnik_sha1.h"
#include "esputnik_slot.h"
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

static std::string mark(std::string_view list, uint64_t window, unsigned i)
{
    const MarkName name(list, window);
    std::string out(name.size(), '?');
    ck_assert_ptr_eq(name.write(&out[0], i), &out[0] + out.size());
    return out;
}

/* FIPS 180-4's examples, and the lengths around a block's end */
START_TEST(sha1_vectors)
{
    ck_assert(sha1("abc").view() == "a9993e364706816aba3e25717850c26c9cd0d89d");
    ck_assert(sha1("").view() == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    ck_assert(
        sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq").view()
        == "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    ck_assert(sha1(std::string(55, 'a')).view()
              == "c1c8bbdc22796e28c0e15163d20899b65621d65a");
    ck_assert(sha1(std::string(64, 'a')).view()
              == "0098ba824b5c16427bd7a1122a5a442a25ec644d");
}
END_TEST

START_TEST(redis_gives_the_script_the_same_name)
{
    Connection redis(server.path());
    Buffer load;
    ck_assert(append_script_load(load));
    const Reply &reply = redis.send({load.data(), load.size()});
    ck_assert_msg(reply.is(ReplyType::string), "%.*s",
                  static_cast<int>(reply.text().size()), reply.text().data());
    ck_assert(reply.text() == push_script_sha());
}
END_TEST

/* key 00 … 0f, text 00 01 02 …, as the reference code and OpenSSL give */
START_TEST(siphash_vectors)
{
    static const struct {
        size_t length;
        const char *hex;
    } rows[] = {
        {0, "a3817f04ba25a8e66df67214c7550293"},
        {1, "da87c1d86b99af44347659119b22fc45"},
        {7, "a1f1ebbed8dbc153c0b84aa61ff08239"},
        {8, "3b62a9ba6258f5610f83e264f31497b4"},
        {15, "5493e99933b0a8117e08ec0f97cfc3d9"},
        {63, "5150d1772f50834a503e069a973fbd7c"},
    };
    uint8_t key[16];
    char text[64];
    for (unsigned i = 0; i < 64; i++) {
        text[i] = static_cast<char>(i);
    }
    for (unsigned i = 0; i < 16; i++) {
        key[i] = static_cast<uint8_t>(i);
    }
    for (const auto &row : rows) {
        const Hash128 hash = siphash128({text, row.length}, key);
        char hex[33];
        for (unsigned i = 0; i < 16; i++) {
            snprintf(hex + 2 * i, 3, "%02x", hash.bytes[i]);
        }
        ck_assert_str_eq(hex, row.hex);
    }
}
END_TEST

/* computed by OpenSSL; other digests would forget what Redis remembers at an upgrade */
START_TEST(digests_stay)
{
    static const uint8_t fixed[kDigestSize] = {0xe0, 0x4e, 0xc9, 0xff, 0xd0,
                                               0xd8, 0xa8, 0x67, 0xb9, 0x4a,
                                               0x5c, 0x90, 0xe1, 0xcf};
    const Digest digest = identity_digest("{\"contactId\":1}");
    ck_assert_mem_eq(digest.bytes, fixed, kDigestSize);
    ck_assert_uint_eq(digest.view().size(), kDigestSize);
    ck_assert(digest.view() != identity_digest("{\"contactId\":2}").view());
}
END_TEST

START_TEST(names_of_marks)
{
    ck_assert(mark("esputnik:events", 86400000, 3)
              == "{esputnik:events}dedup:86400000:3");
    ck_assert(mark("esputnik:events:{7}", 1000, 9)
              == "esputnik:events:{7}:dedup:1000:9");
    ck_assert(mark("a{b", 1000, 0) == "{a{b}dedup:1000:0");
    ck_assert(mark("a{}b", 1000, 0) == "{3991}a{}b;dedup:1000:0");
}
END_TEST

START_TEST(marks_are_in_the_slot_of_their_list)
{
    static const char *const lists[] = {
        "esputnik:events",
        "{x}",
        "a{x}b",
        "a{}b",
        "a}b",
        "a}",
        "}",
        "{",
        "{}",
        "{}{x}",
        "}{",
        "a{b",
        "{{x}}",
        "a}{b}",
        "}{x}y",
        "",
        "{}}",
        "x{}",
    };
    for (const char *list : lists) {
        ck_assert_msg(key_slot(mark(list, 5000, 4)) == key_slot(list), "%s: %s",
                      list, mark(list, 5000, 4).c_str());
        for (const char *other : lists) {
            if (strcmp(list, other) != 0) {
                ck_assert(mark(list, 5000, 4) != mark(other, 5000, 4));
            }
        }
    }
}
END_TEST

START_TEST(every_slot_has_a_number)
{
    static bool seen[kSlots];
    unsigned found = 0;
    for (unsigned i = 0; found < kSlots; i++) {
        ck_assert_uint_lt(i, 1000000);
        const std::string list = "}" + std::to_string(i);
        const unsigned slot = key_slot(list);
        if (!seen[slot]) {
            seen[slot] = true;
            found++;
            ck_assert_uint_eq(key_slot(mark(list, 1, 0)), slot);
        }
    }
}
END_TEST

START_TEST(slices)
{
    ck_assert_uint_eq(dedup_slice(86400000), 10800000);
    ck_assert_uint_eq(dedup_slice(1), 1);
    ck_assert_uint_eq(dedup_slice(8), 1);
    ck_assert_uint_eq(dedup_slice(9), 2);
}
END_TEST

int main()
{
    Suite *s = suite_create("script");
    TCase *names = tcase_create("names");
    tcase_add_test(names, sha1_vectors);
    tcase_add_test(names, siphash_vectors);
    tcase_add_test(names, digests_stay);
    tcase_add_test(names, names_of_marks);
    tcase_add_test(names, marks_are_in_the_slot_of_their_list);
    tcase_add_test(names, every_slot_has_a_number);
    tcase_add_test(names, slices);
    suite_add_tcase(s, names);

    TCase *redis = tcase_create("redis");
    tcase_add_unchecked_fixture(redis, start_server, stop_server);
    tcase_add_test(redis, redis_gives_the_script_the_same_name);
    suite_add_tcase(s, redis);

    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
