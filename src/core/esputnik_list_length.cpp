#include "esputnik_list_length.h"

#include "esputnik_command.h"
#include "esputnik_redis_error.h"

namespace esputnik {

namespace {

constexpr std::string_view kVerb = "LLEN";

} // namespace

size_t list_length_size(std::string_view key)
{
    return array_size(2) + bulk_size(kVerb.size()) + bulk_size(key.size());
}

char *write_list_length(char *out, std::string_view key)
{
    out = write_array(out, 2);
    out = write_bulk(out, kVerb);
    return write_bulk(out, key);
}

ListLength read_list_length(const Reply &reply, uint64_t *length)
{
    *length = 0;

    if (reply.is_error()) {
        return classify_redis_error(reply.text()) == RedisError::noperm
                   ? ListLength::denied
                   : ListLength::refused;
    }
    if (!reply.is(ReplyType::integer) || reply.integer() < 0) {
        return ListLength::protocol;
    }
    *length = static_cast<uint64_t>(reply.integer());
    return ListLength::known;
}

} // namespace esputnik
