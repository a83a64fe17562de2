#include "esputnik_push.h"

#include <algorithm>

#include "esputnik_command.h"
#include "esputnik_script.h"
#include "esputnik_slot.h"

namespace esputnik {

namespace {

std::string_view op_name(PushOp op)
{
    switch (op) {
    case PushOp::lpush:
        return "LPUSH";
    case PushOp::xadd:
        return "XADD";
    case PushOp::rpush:
        break;
    }
    return "RPUSH";
}

/* Two takers of the same pieces, so that size and bytes cannot differ. */

struct Counter {
    size_t size = 0;

    void array(size_t n) { size += array_size(n); }
    void bulk(std::string_view s) { size += bulk_size(s.size()); }
    void number(uint64_t n) { size += bulk_size(decimal_length(n)); }
    void name(const MarkName &m, unsigned) { size += bulk_size(m.size()); }

    template <class Item>
    void asides(const Item *, size_t n)
    {
        size += bulk_size(n);
    }
};

struct Writer {
    char *out;

    void array(size_t n) { out = write_array(out, n); }
    void bulk(std::string_view s) { out = write_bulk(out, s); }

    void number(uint64_t n)
    {
        char digits[20];
        const size_t length = write_decimal(digits, n) - digits;
        bulk({digits, length});
    }

    void name(const MarkName &m, unsigned index)
    {
        out = m.write(write_bulk_header(out, m.size()), index);
        *out++ = '\r';
        *out++ = '\n';
    }

    template <class Item>
    void asides(const Item *items, size_t n)
    {
        out = write_bulk_header(out, n);
        for (size_t i = 0; i < n; i++) {
            *out++ = items[i].aside ? '1' : '0';
        }
        *out++ = '\r';
        *out++ = '\n';
    }
};

} // namespace

void PushPlan::begin(const PushOptions &options)
{
    options_ = options;
    items_.clear();
    groups_.clear();
    parts_.clear();
    sorted_ = true;
    any_aside_ = false;
}

bool PushPlan::add(std::string_view key, std::string_view value,
                   std::string_view identity, bool aside)
{
    Item item = {};
    item.key = key;
    item.value = value;
    item.identity = identity;
    item.order = static_cast<uint32_t>(items_.size());
    item.aside = aside;
    any_aside_ = any_aside_ || aside;
    if (options_.dedup_ms) {
        item.digest = identity_digest(identity);
    }

    if (!items_.empty() && items_.back().key == key) {
        item.slot = items_.back().slot;
    } else {
        item.slot = options_.cluster ? key_slot(key) : 0;
        sorted_ = items_.empty();
    }
    return items_.push(item);
}

bool PushPlan::finish()
{
    groups_.clear();
    parts_.clear();

    /* sorted, not hashed: keys come from the payload, and a sort has no worst
     * case that a sender could aim at */
    if (!sorted_) {
        std::sort(items_.begin(), items_.end(),
                  [](const Item &a, const Item &b) {
                      if (a.slot != b.slot) {
                          return a.slot < b.slot;
                      }
                      const int c = a.key.compare(b.key);
                      return c ? c < 0 : a.order < b.order;
                  });
        sorted_ = true;
    }

    for (uint32_t i = 0; i < items_.size(); i++) {
        const Item &item = items_[i];
        if (i > 0 && items_[i - 1].key == item.key) {
            groups_.back().count++;
            continue;
        }
        const uint32_t group = static_cast<uint32_t>(groups_.size());
        if (!groups_.push({i, 1})) {
            return false;
        }
        if (i > 0 && items_[i - 1].slot == item.slot) {
            parts_.back().count++;
        } else if (!parts_.push({group, 1, item.slot, false})) {
            return false;
        }
    }

    if (options_.cluster) {
        return true;
    }
    /* where to send it, should somebody ask */
    for (Part &part : parts_) {
        part.slot = key_slot(key_of(groups_[part.first]));
    }
    return true;
}

size_t PushPlan::parts_left() const
{
    size_t n = 0;
    for (const Part &part : parts_) {
        n += part.stored ? 0 : 1;
    }
    return n;
}

size_t PushPlan::events(size_t part) const
{
    const Part &p = parts_[part];
    size_t n = 0;
    for (uint32_t g = p.first; g < p.first + p.count; g++) {
        n += groups_[g].count;
    }
    return n;
}

size_t PushPlan::asides(size_t part) const
{
    size_t n = 0;
    if (any_aside_) {
        const Item *items = items_of(parts_[part]);
        for (size_t i = 0; i < events(part); i++) {
            n += items[i].aside;
        }
    }
    return n;
}

bool PushPlan::is_script(size_t part) const
{
    const Part &p = parts_[part];
    return options_.dedup_ms > 0 || p.count > 1
           || (options_.op == PushOp::xadd && groups_[p.first].count > 1);
}

template <class Out>
void PushPlan::emit_script(size_t number, PushForm form, Out &out) const
{
    const Part &part = parts_[number];
    const bool dedup = options_.dedup_ms > 0;
    const Group *groups = &groups_[part.first];
    const size_t n = events(number);
    const size_t keys = part.count * (dedup ? 1 + kMarkKeys : size_t{1});

    out.array(3 + keys + 4 + part.count + n * (dedup ? 2 : 1));
    if (form == PushForm::eval) {
        out.bulk("EVAL");
        out.bulk(push_script());
    } else {
        out.bulk("EVALSHA");
        out.bulk(push_script_sha());
    }
    out.number(keys);

    for (uint32_t i = 0; i < part.count; i++) {
        out.bulk(key_of(groups[i]));
    }
    if (dedup) {
        for (uint32_t i = 0; i < part.count; i++) {
            const MarkName name(key_of(groups[i]), options_.dedup_ms);
            for (unsigned k = 0; k < kMarkKeys; k++) {
                out.name(name, k);
            }
        }
    }

    out.bulk(op_name(options_.op));
    out.number(options_.maxlen);
    out.number(dedup ? dedup_slice(options_.dedup_ms) : 0);
    out.asides(items_of(part), dedup && asides(number) > 0 ? n : 0);
    for (uint32_t i = 0; i < part.count; i++) {
        out.number(groups[i].count);
    }
    for (uint32_t i = 0; i < part.count; i++) {
        const Item *items = &items_[groups[i].first];
        for (uint32_t k = 0; k < groups[i].count; k++) {
            out.bulk(items[k].value);
        }
        for (uint32_t k = 0; dedup && k < groups[i].count; k++) {
            out.bulk(items[k].digest.view());
        }
    }
}

template <class Out>
void PushPlan::emit(size_t number, PushForm form, Out &out) const
{
    const Part &part = parts_[number];
    if (is_script(number)) {
        emit_script(number, form, out);
        return;
    }

    const Group &group = groups_[part.first];
    const Item *items = &items_[group.first];
    if (options_.op != PushOp::xadd) {
        out.array(2 + group.count);
        out.bulk(op_name(options_.op));
        out.bulk(items->key);
        for (uint32_t i = 0; i < group.count; i++) {
            out.bulk(items[i].value);
        }
        return;
    }

    out.array(options_.maxlen ? 8 : 5);
    out.bulk("XADD");
    out.bulk(items->key);
    if (options_.maxlen) {
        out.bulk("MAXLEN");
        out.bulk("~");
        out.number(options_.maxlen);
    }
    out.bulk("*");
    out.bulk("event");
    out.bulk(items->value);
}

size_t PushPlan::size(size_t part, PushForm form) const
{
    Counter counter;
    emit(part, form, counter);
    return counter.size;
}

char *PushPlan::write(size_t part, PushForm form, char *out) const
{
    Writer writer = {out};
    emit(part, form, writer);
    return writer.out;
}

bool PushPlan::append(size_t part, PushForm form, Buffer &out) const
{
    const size_t before = out.size();
    if (!out.resize(before + size(part, form))) {
        return false;
    }
    write(part, form, out.data() + before);
    return true;
}

PushResult PushPlan::read_script(size_t number, const Reply &reply,
                                 PushCounts *counts) const
{
    enum { pushed, duplicates, again, longest, length, numbers };

    const Part &part = parts_[number];
    uint64_t n[numbers];

    if (reply.elements() != numbers + 1) {
        return PushResult::protocol;
    }

    Reply item = reply.first();
    for (uint64_t &value : n) {
        if (!item.is(ReplyType::integer) || item.integer() < 0) {
            return PushResult::protocol;
        }
        value = static_cast<uint64_t>(item.integer());
        item = item.next();
    }

    if (!item.is(ReplyType::string)) {
        return PushResult::protocol;
    }

    const size_t all = events(number);
    const size_t aside = asides(number);
    if (n[duplicates] > all - aside || n[again] > aside
        || n[pushed] != all - n[duplicates] - n[again]
        || (options_.dedup_ms == 0 && n[pushed] != all) || n[longest] < 1
        || n[longest] > part.count)
    {
        return PushResult::protocol;
    }

    /* no list is longer, so it has its share at least; a stream may be trimmed
     * to less than was pushed */
    if (options_.op != PushOp::xadd
        && n[length] < (n[pushed] + part.count - 1) / part.count)
    {
        return PushResult::protocol;
    }

    counts->pushed += n[pushed];
    counts->duplicates += n[duplicates];
    if (n[length] > counts->length) {
        counts->length = n[length];
        counts->longest = key_of(groups_[part.first + n[longest] - 1]);
    }
    if (!item.text().empty()) {
        counts->trouble = item.text();
    }
    return PushResult::stored;
}

PushResult PushPlan::read(size_t number, const Reply &reply, PushCounts *counts,
                          RedisError *error) const
{
    const Part &part = parts_[number];
    const bool script = is_script(number);

    *error = RedisError::none;
    if (reply.is_error()) {
        *error = classify_redis_error(reply.text());
        return script && *error == RedisError::noscript ? PushResult::no_script
                                                        : PushResult::refused;
    }
    if (script) {
        return read_script(number, reply, counts);
    }

    const uint32_t pushed = groups_[part.first].count;
    if (options_.op == PushOp::xadd) {
        /* the new entry's id, "1526919030474-55" */
        if (!reply.is(ReplyType::string)
            || reply.text().find('-') == std::string_view::npos)
        {
            return PushResult::protocol;
        }
    } else {
        if (!reply.is(ReplyType::integer)
            || reply.integer() < static_cast<long long>(pushed))
        {
            return PushResult::protocol;
        }
        if (static_cast<uint64_t>(reply.integer()) > counts->length) {
            counts->length = static_cast<uint64_t>(reply.integer());
            counts->longest = key_of(groups_[part.first]);
        }
    }
    counts->pushed += pushed;
    return PushResult::stored;
}

} // namespace esputnik
