/*
 * The two forms in which a cluster tells its topology.
 */

#include "esputnik_cluster.h"

#include <utility>

namespace esputnik {

/* A map in the making; what the two forms of the reply have in common. */
class Topology {
public:
    explicit Topology(const Asked &asked) : asked_(asked) {}

    const char *slots(const Reply &reply);
    const char *shards(const Reply &reply);

    const char *finish(SlotMap *map)
    {
        if (fresh_.covered_ == 0) {
            return "no slot is served";
        }
        *map = std::move(fresh_);
        return nullptr;
    }

private:
    struct Address {
        std::string_view host;  /* empty: not known */
        std::string_view id;
        long long port = 0;
    };

    struct Member {             /* of CLUSTER SHARDS */
        Address address;
        bool master = false;
        bool failed = false;
    };

    std::string_view host_of(const Reply *name, std::string_view ip) const;
    const char *node(const Address &address, size_t *index);
    const char *range(const Reply &from, const Reply &to, size_t node);
    const char *shard(const Reply &reply);
    const char *member(const Reply &reply, Member *out) const;

    Asked asked_;
    SlotMap fresh_;
};

namespace {

bool is_text(const Reply &reply)
{
    return reply.is(ReplyType::string) || reply.is(ReplyType::status);
}

constexpr const char *kShape = "not the shape of a topology";

} // namespace

/* NULL and "" mean the host that was asked; "?" that the node has no name of
 * the preferred kind, its address may still be in the reply. */
std::string_view Topology::host_of(const Reply *name, std::string_view ip) const
{
    if (name == nullptr) {
        return ip.empty() ? asked_.host : ip;
    }
    if (!is_text(*name) || name->text().empty()) {
        return asked_.host;
    }
    return name->text() == "?" ? ip : name->text();
}

const char *Topology::node(const Address &address, size_t *index)
{
    *index = SlotMap::kNone;
    if (address.port < 1 || address.port > 65535) {
        return "a node's port is out of range";
    }
    if (address.host.empty()) {
        return nullptr;
    }
    if (!valid_host(address.host)) {
        return "a node's host is not a host";
    }
    if (address.id.size() > kMaxHostLength) {
        return "a node's id is too long";
    }
    if (!fresh_.prepare()
        || !fresh_.add(address.host, static_cast<uint16_t>(address.port),
                       address.id, index))
    {
        return fresh_.nodes() == kMaxNodes ? "too many nodes" : "out of memory";
    }
    return nullptr;
}

const char *Topology::range(const Reply &from, const Reply &to, size_t node)
{
    if (!from.is(ReplyType::integer) || !to.is(ReplyType::integer)) {
        return kShape;
    }
    const long long first = from.integer();
    const long long last = to.integer();
    if (first < 0 || last >= static_cast<long long>(kSlots) || first > last) {
        return "a range of slots is out of bounds";
    }
    if (node == SlotMap::kNone) {
        return nullptr;
    }
    for (long long slot = first; slot <= last; slot++) {
        const unsigned s = static_cast<unsigned>(slot);
        if (fresh_.node_of(s) != SlotMap::kNone) {
            return "two ranges of slots overlap";
        }
        fresh_.set(s, static_cast<uint16_t>(node));
    }
    return nullptr;
}

/* [[first, last, [host, port, id, [metadata …]], replica …] …] */
const char *Topology::slots(const Reply &reply)
{
    if (!reply.is_array()) {
        return kShape;
    }

    Reply entry = reply.first();
    for (size_t i = 0; i < reply.elements(); i++, entry = entry.next()) {
        if (entry.elements() < 3) {
            return kShape;
        }
        const Reply master = entry.at(2);
        if (master.elements() < 2 || !master.at(1).is(ReplyType::integer)) {
            return kShape;
        }

        Address address;
        std::string_view ip;
        if (master.elements() > 3 && master.at(3).is_array()) {
            const Reply pairs = master.at(3);
            for (size_t k = 0; k + 1 < pairs.elements(); k += 2) {
                if (is_text(pairs.at(k)) && pairs.at(k).text() == "ip"
                    && is_text(pairs.at(k + 1)))
                {
                    ip = pairs.at(k + 1).text();
                }
            }
        }
        const Reply name = master.first();
        address.host = host_of(&name, ip);
        address.port = master.at(1).integer();
        if (master.elements() > 2 && is_text(master.at(2))) {
            address.id = master.at(2).text();
        }

        size_t index;
        const char *error = node(address, &index);
        if (error == nullptr) {
            error = range(entry.at(0), entry.at(1), index);
        }
        if (error) {
            return error;
        }
    }
    return nullptr;
}

/* Names and values in turn: id, port, tls-port, ip, endpoint, hostname, role,
 * replication-offset, health.  A port is left out when it is not served. */
const char *Topology::member(const Reply &reply, Member *out) const
{
    if (!reply.is_array() || reply.elements() % 2) {
        return kShape;
    }

    Reply endpoint;
    bool has_endpoint = false;
    std::string_view ip;
    long long port = 0;
    long long tls_port = 0;

    Reply name = reply.first();
    for (size_t i = 0; i < reply.elements(); i += 2) {
        const Reply value = name.next();
        if (!is_text(name)) {
            return kShape;
        }
        const std::string_view key = name.text();
        const std::string_view text = is_text(value) ? value.text()
                                                     : std::string_view();
        const bool number = value.is(ReplyType::integer);

        if (key == "id") {
            out->address.id = text;
        } else if (key == "port" && number) {
            port = value.integer();
        } else if (key == "tls-port" && number) {
            tls_port = value.integer();
        } else if (key == "ip") {
            ip = text;
        } else if (key == "endpoint") {
            endpoint = value;
            has_endpoint = true;
        } else if (key == "role") {
            out->master = text == "master" || text == "primary";
        } else if (key == "health") {
            out->failed = text == "fail" || text == "failed";
        }
        name = value.next();
    }

    out->address.host = host_of(has_endpoint ? &endpoint : nullptr, ip);
    out->address.port = asked_.tls && tls_port ? tls_port : port;
    return nullptr;
}

const char *Topology::shard(const Reply &reply)
{
    if (!reply.is_array() || reply.elements() % 2) {
        return kShape;
    }

    Reply ranges;
    Reply members;
    bool has_ranges = false;
    bool has_members = false;
    Reply name = reply.first();
    for (size_t i = 0; i < reply.elements(); i += 2) {
        const Reply value = name.next();
        if (is_text(name) && name.text() == "slots") {
            ranges = value;
            has_ranges = true;
        } else if (is_text(name) && name.text() == "nodes") {
            members = value;
            has_members = true;
        }
        name = value.next();
    }
    if (!has_ranges || !has_members || !ranges.is_array() || !members.is_array()
        || ranges.elements() % 2)
    {
        return kShape;
    }
    if (ranges.elements() == 0) {
        return nullptr;
    }

    /* after a failover the dead master can still be listed as one */
    Member master;
    Reply item = members.first();
    for (size_t i = 0; i < members.elements(); i++, item = item.next()) {
        Member m;
        if (const char *error = member(item, &m)) {
            return error;
        }
        if (m.master && (!master.master || master.failed)) {
            master = m;
        }
    }

    size_t index = SlotMap::kNone;
    if (master.master && !master.failed) {
        if (const char *error = node(master.address, &index)) {
            return error;
        }
    }

    Reply from = ranges.first();
    for (size_t i = 0; i < ranges.elements(); i += 2) {
        const Reply to = from.next();
        if (const char *error = range(from, to, index)) {
            return error;
        }
        from = to.next();
    }
    return nullptr;
}

const char *Topology::shards(const Reply &reply)
{
    if (!reply.is_array()) {
        return kShape;
    }
    Reply item = reply.first();
    for (size_t i = 0; i < reply.elements(); i++, item = item.next()) {
        if (const char *error = shard(item)) {
            return error;
        }
    }
    return nullptr;
}

const char *read_cluster_slots(const Reply &reply, const Asked &asked,
                               SlotMap *map)
{
    Topology topology(asked);
    const char *error = topology.slots(reply);
    return error ? error : topology.finish(map);
}

const char *read_cluster_shards(const Reply &reply, const Asked &asked,
                                SlotMap *map)
{
    Topology topology(asked);
    const char *error = topology.shards(reply);
    return error ? error : topology.finish(map);
}

} // namespace esputnik
