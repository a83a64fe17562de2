/*
 * The documented fields of an event and their types.
 * Source: the vendor's webhook documentation (fields of the event object).
 *
 * All tables are constant; every function here is reentrant.
 */

#ifndef ESPUTNIK_FIELDS_H
#define ESPUTNIK_FIELDS_H

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace esputnik {

enum class Field : uint8_t {
    activity_date_time,
    activity_status,
    broadcast_id,
    click_event_link,
    contact_id,
    email,
    external_customer_id,
    from,
    hard_bounce,
    iid,
    media_type,
    message_id,
    message_instance_id,
    message_language_code,
    message_name,
    message_tag,
    mobilepush,
    os_name,
    os_type,
    sms,
    source_event_id,
    source_event_key,
    source_event_type_key,
    status_data,
    status_description,
    subscription,
    subscriptions,
    viber,
    view_message_link,
    webpush,
    workflow_block_id,
    workflow_id,
    workflow_instance_id,
    none /* not a documented field; also the number of fields */
};

constexpr size_t kFieldCount = static_cast<size_t>(Field::none);

/* A set of fields, one bit each. */
using FieldSet = uint64_t;

constexpr FieldSet field_bit(Field f)
{
    return FieldSet{1} << static_cast<unsigned>(f);
}

enum class FieldType : uint8_t {
    string,
    integer, /* a JSON number without fraction or exponent, int64_t */
    boolean,
    container,    /* object or array */
    string_array, /* array of strings */
};

struct FieldInfo {
    std::string_view name;  /* as in the JSON, "contactId" */
    std::string_view snake; /* as in a variable, "contact_id" */
    FieldType type;

    constexpr bool scalar() const
    {
        return type == FieldType::string || type == FieldType::integer
               || type == FieldType::boolean;
    }
};

/* In the order of Field; the last row is Field::none's. */
inline constexpr FieldInfo kFields[kFieldCount + 1] = {
    {"activityDateTime", "activity_date_time", FieldType::string},
    {"activityStatus", "activity_status", FieldType::string},
    {"broadcastId", "broadcast_id", FieldType::integer},
    {"clickEventLink", "click_event_link", FieldType::string},
    {"contactId", "contact_id", FieldType::integer},
    {"email", "email", FieldType::string},
    {"externalCustomerId", "external_customer_id", FieldType::string},
    {"from", "from", FieldType::string},
    {"hardBounce", "hard_bounce", FieldType::boolean},
    {"iid", "iid", FieldType::string},
    {"mediaType", "media_type", FieldType::string},
    {"messageId", "message_id", FieldType::integer},
    {"messageInstanceId", "message_instance_id", FieldType::integer},
    {"messageLanguageCode", "message_language_code", FieldType::string},
    {"messageName", "message_name", FieldType::string},
    {"messageTag", "message_tag", FieldType::string},
    {"mobilepush", "mobilepush", FieldType::string},
    {"osName", "os_name", FieldType::string},
    {"osType", "os_type", FieldType::string},
    {"sms", "sms", FieldType::string},
    {"sourceEventId", "source_event_id", FieldType::integer},
    {"sourceEventKey", "source_event_key", FieldType::string},
    {"sourceEventTypeKey", "source_event_type_key", FieldType::string},
    {"statusData", "status_data", FieldType::container},
    {"statusDescription", "status_description", FieldType::string},
    {"subscription", "subscription", FieldType::container},
    {"subscriptions", "subscriptions", FieldType::string_array},
    {"viber", "viber", FieldType::string},
    {"viewMessageLink", "view_message_link", FieldType::string},
    {"webpush", "webpush", FieldType::string},
    {"workflowBlockId", "workflow_block_id", FieldType::string},
    {"workflowId", "workflow_id", FieldType::integer},
    {"workflowInstanceId", "workflow_instance_id", FieldType::string},
    {"", "", FieldType::container},
};

constexpr const FieldInfo &field_info(Field f)
{
    return kFields[static_cast<size_t>(f)];
}

/* "an integer", "a string" …: for messages. */
std::string_view field_type_name(FieldType t);

/* Field::none when the name is not a documented field's (case counts). */
Field find_field(const char *name, size_t length);

enum class Status : uint8_t {
    delivered,
    undelivered,
    read,
    clicked,
    unsubscribed,
    spam,
    sent,
    subscription_changed,
    unknown, /* a value outside the documented set */
    absent,  /* no activityStatus, or null */
};

constexpr size_t kStatusCount = static_cast<size_t>(Status::absent) + 1;

std::string_view status_name(Status s);
Status find_status(const char *name, size_t length);

} // namespace esputnik

#endif
