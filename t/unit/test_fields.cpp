#include <check.h>

#include <cstdlib>
#include <string>

#include "esputnik_field_lookup.h"
#include "esputnik_fields.h"
#include "parsing.h"

using namespace esputnik;

namespace {

/* The vendor's table of fields. */
const struct {
    const char *name;
    FieldType type;
} kDocumented[] = {
    {"contactId", FieldType::integer},
    {"email", FieldType::string},
    {"activityStatus", FieldType::string},
    {"messageId", FieldType::integer},
    {"messageInstanceId", FieldType::integer},
    {"messageTag", FieldType::string},
    {"activityDateTime", FieldType::string},
    {"statusDescription", FieldType::string},
    {"viewMessageLink", FieldType::string},
    {"clickEventLink", FieldType::string},
    {"broadcastId", FieldType::integer},
    {"externalCustomerId", FieldType::string},
    {"from", FieldType::string},
    {"hardBounce", FieldType::boolean},
    {"iid", FieldType::string},
    {"mediaType", FieldType::string},
    {"messageLanguageCode", FieldType::string},
    {"messageName", FieldType::string},
    {"mobilepush", FieldType::string},
    {"webpush", FieldType::string},
    {"osName", FieldType::string},
    {"osType", FieldType::string},
    {"sms", FieldType::string},
    {"viber", FieldType::string},
    {"sourceEventId", FieldType::integer},
    {"sourceEventKey", FieldType::string},
    {"sourceEventTypeKey", FieldType::string},
    {"statusData", FieldType::container},
    {"subscription", FieldType::container},
    {"subscriptions", FieldType::string_array},
    {"workflowBlockId", FieldType::string},
    {"workflowId", FieldType::integer},
    {"workflowInstanceId", FieldType::string},
};

constexpr size_t kDocumentedCount = sizeof(kDocumented)
                                    / sizeof(kDocumented[0]);

std::string snake(std::string_view name)
{
    std::string s;
    for (char c : name) {
        if (c >= 'A' && c <= 'Z') {
            s += '_';
            c = static_cast<char>(c - 'A' + 'a');
        }
        s += c;
    }
    return s;
}

Field find(std::string_view name)
{
    const parsing::Guarded bytes(name);
    return find_field(bytes.data(), bytes.size());
}

/* As in the middle of a body. */
Field find_inside(std::string_view name)
{
    const std::string text = std::string(name) + "\":\"something more\"}]";
    const parsing::Guarded bytes(text);
    return look_up_field(bytes.data(), name.size());
}

} // namespace

START_TEST(documented)
{
    ck_assert_uint_eq(kDocumentedCount, kFieldCount);

    FieldSet all = 0;
    for (const auto &d : kDocumented) {
        const Field f = find(d.name);
        ck_assert_msg(f != Field::none, "%s", d.name);
        ck_assert(find_inside(d.name) == f);
        const FieldInfo &info = field_info(f);
        ck_assert_str_eq(info.name.data(), d.name);
        ck_assert_msg(info.snake == snake(d.name), "%s", d.name);
        ck_assert_msg(info.type == d.type, "%s", d.name);
        ck_assert_int_eq(info.scalar(),
                         d.type != FieldType::container
                             && d.type != FieldType::string_array);
        all |= field_bit(f);
    }
    ck_assert_uint_eq(all, field_bit(Field::none) - 1);
    ck_assert(find("subscription") == Field::subscription);
    ck_assert(find("activityDateTime") == Field::activity_date_time);
    ck_assert(find("contactId") == Field::contact_id);
    ck_assert(find("workflowInstanceId") == Field::workflow_instance_id);
}
END_TEST

START_TEST(not_documented)
{
    static const char *const kOthers[] = {
        "",
        "i",
        "id",
        "IID",
        "sm",
        "smss",
        "contactid",
        "ContactId",
        "contact_id",
        "contactId ",
        " contactId",
        "emaiI",
        "messageLanguageCodes",
        "aFieldOfTheFutureWithALongName",
        "activityStatus\xFF",
        "\xD1\x82",
    };
    for (const char *name : kOthers) {
        ck_assert_msg(find(name) == Field::none, "%s", name);
        ck_assert_msg(find_inside(name) == Field::none, "%s", name);
    }
    ck_assert(field_info(Field::none).name.empty());
}
END_TEST

/* Each byte of each name counts, and so does the length. */
START_TEST(near_misses)
{
    for (const auto &d : kDocumented) {
        std::string name = d.name;
        for (size_t i = 0; i < name.size(); i++) {
            for (int bit = 0; bit < 8; bit++) {
                std::string other = name;
                other[i] = static_cast<char>(other[i] ^ (1 << bit));
                ck_assert_msg(find(other) == Field::none, "%s", other.c_str());
                ck_assert(find_inside(other) == Field::none);
            }
            /* only "subscriptions" begins with another field's name */
            ck_assert(find(name.substr(0, i)) == Field::none
                      || name.substr(0, i) == "subscription");
        }
        ck_assert(find(name + '\0') == Field::none);
        ck_assert(find_inside(name + '\0') == Field::none);
    }
}
END_TEST

START_TEST(statuses)
{
    static const char *const kNames[] = {
        "DELIVERED",    "UNDELIVERED", "READ", "CLICKED",
        "UNSUBSCRIBED", "SPAM",        "SENT", "SUBSCRIPTION_CHANGED",
    };
    for (size_t i = 0; i < sizeof(kNames) / sizeof(kNames[0]); i++) {
        const Status s = static_cast<Status>(i);
        const std::string name = kNames[i];
        ck_assert_str_eq(status_name(s).data(), kNames[i]);
        ck_assert(find_status(name.data(), name.size()) == s);
        for (size_t n = 0; n < name.size(); n++) {
            std::string other = name;
            other[n] ^= 0x20;
            ck_assert(find_status(other.data(), other.size())
                      == Status::unknown);
            ck_assert(find_status(name.data(), n) == Status::unknown);
        }
    }
    ck_assert_str_eq(status_name(Status::unknown).data(), "unknown");
    ck_assert_str_eq(status_name(Status::absent).data(), "absent");
    ck_assert(find_status("absent", 6) == Status::unknown);
}
END_TEST

START_TEST(type_names)
{
    ck_assert_str_eq(field_type_name(FieldType::string).data(), "a string");
    ck_assert_str_eq(field_type_name(FieldType::integer).data(), "an integer");
    ck_assert_str_eq(field_type_name(FieldType::boolean).data(),
                     "true or false");
    ck_assert_str_eq(field_type_name(FieldType::container).data(),
                     "an object or an array");
    ck_assert_str_eq(field_type_name(FieldType::string_array).data(),
                     "an array of strings");
}
END_TEST

int main()
{
    Suite *suite = suite_create("fields");
    TCase *tcase = tcase_create("fields");
    tcase_add_test(tcase, documented);
    tcase_add_test(tcase, not_documented);
    tcase_add_test(tcase, near_misses);
    tcase_add_test(tcase, statuses);
    tcase_add_test(tcase, type_names);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
