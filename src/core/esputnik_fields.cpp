#include "esputnik_fields.h"

#include <cstring>

#include "esputnik_field_lookup.h"

namespace esputnik {

namespace {

constexpr std::string_view kStatusNames[] = {
    "DELIVERED",    "UNDELIVERED", "READ", "CLICKED",
    "UNSUBSCRIBED", "SPAM",        "SENT", "SUBSCRIPTION_CHANGED",
    "unknown",      "absent",
};

static_assert(sizeof(kStatusNames) / sizeof(kStatusNames[0]) == kStatusCount,
              "a name for each status");

/* The length is known to the compiler: a few word comparisons. */
template <size_t N>
bool is(const char *s, const char (&literal)[N])
{
    return std::memcmp(s, literal, N - 1) == 0;
}

} // namespace

std::string_view field_type_name(FieldType t)
{
    switch (t) {
    case FieldType::string:
        return "a string";
    case FieldType::integer:
        return "an integer";
    case FieldType::boolean:
        return "true or false";
    case FieldType::container:
        return "an object or an array";
    case FieldType::string_array:
        return "an array of strings";
    }
    return "";
}

Field find_field(const char *name, size_t length)
{
    if (length > kLongest) {
        return Field::none;
    }
    char padded[kPadded] = {};
    std::memcpy(padded, name, length);
    return look_up_field(padded, length);
}

std::string_view status_name(Status s)
{
    return kStatusNames[static_cast<size_t>(s)];
}

Status find_status(const char *s, size_t length)
{
    switch (length) {
    case 4:
        return is(s, "READ")   ? Status::read
               : is(s, "SENT") ? Status::sent
               : is(s, "SPAM") ? Status::spam
                               : Status::unknown;
    case 7:
        return is(s, "CLICKED") ? Status::clicked : Status::unknown;
    case 9:
        return is(s, "DELIVERED") ? Status::delivered : Status::unknown;
    case 11:
        return is(s, "UNDELIVERED") ? Status::undelivered : Status::unknown;
    case 12:
        return is(s, "UNSUBSCRIBED") ? Status::unsubscribed : Status::unknown;
    case 20:
        return is(s, "SUBSCRIPTION_CHANGED") ? Status::subscription_changed
                                             : Status::unknown;
    default:
        return Status::unknown;
    }
}

} // namespace esputnik
