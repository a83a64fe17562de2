#include "esputnik_list_push.h"

#include "esputnik_command.h"

namespace esputnik {

namespace {

char *write_head(char *out, std::string_view verb, std::string_view key,
                 size_t events)
{
    out = write_array(out, 2 + events);
    out = write_bulk(out, verb);
    return write_bulk(out, key);
}

} // namespace

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
    out = write_head(out, verb, key, batch.events.size());

    for (const Event &event : batch.events) {
        out = write_bulk(out, batch.bytes(event));
    }

    return out;
}

void slice_events(const Batch &batch, EventSlice *out)
{
    for (const Event &event : batch.events) {
        *out++ = {event.offset, event.length};
    }
}

char *write_list_push(char *out, std::string_view verb, std::string_view key,
                      std::string_view body, const EventSlice *events,
                      size_t count)
{
    out = write_head(out, verb, key, count);

    for (size_t i = 0; i < count; i++) {
        out = write_bulk(out, body.substr(events[i].offset, events[i].length));
    }

    return out;
}

} // namespace esputnik
