#include "esputnik_list_push.h"

#include "esputnik_command.h"

namespace esputnik {

size_t list_push_size(std::string_view verb, std::string_view key,
                      const Batch &batch)
{
    size_t size = array_size(2 + batch.events.size()) + bulk_size(verb.size())
                  + bulk_size(key.size());

    for (const Event &event : batch.events) {
        size += bulk_size(event.length);
    }

    return size;
}

char *write_list_push(char *out, std::string_view verb, std::string_view key,
                      const Batch &batch)
{
    out = write_array(out, 2 + batch.events.size());
    out = write_bulk(out, verb);
    out = write_bulk(out, key);

    for (const Event &event : batch.events) {
        out = write_bulk(out, batch.bytes(event));
    }

    return out;
}

} // namespace esputnik
