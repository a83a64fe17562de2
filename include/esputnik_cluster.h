/*
 * Which node of a Redis Cluster serves which slot, read from the replies to
 * CLUSTER SHARDS (Redis 7) and CLUSTER SLOTS (all versions).
 *
 * Masters only: a push is a write.  A slot that no node serves now (a range
 * that is missing, a master that is marked as failed or has no known address)
 * belongs to nobody; the others go on.
 *
 * Nodes are told apart by host and port, as connections are.
 *
 * Ownership: a map owns its texts; views that it gives out are valid until it
 * is changed.  Not thread-safe.
 */

#ifndef ESPUTNIK_CLUSTER_H
#define ESPUTNIK_CLUSTER_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_array.h"
#include "esputnik_reply.h"
#include "esputnik_slot.h"

namespace esputnik {

constexpr size_t kMaxNodes = 1000;
constexpr size_t kMaxHostLength = 255;

/* The most bytes that a topology may take on the wire: a reply to CLUSTER
 * SLOTS with every slot a range of its own and two replicas. */
constexpr size_t kTopologyLimit = 8 * 1024 * 1024;

/* A name or address fit to connect to and to be logged. */
bool valid_host(std::string_view host);

/* The node that was asked, and how. */
struct Asked {
    std::string_view host;  /* stands in where the reply names no host */
    bool tls = false;       /* take tls-port where the reply has both */
};

class SlotMap {
public:
    static constexpr size_t kNone = SIZE_MAX;

    bool empty() const { return nodes_.empty(); }

    size_t nodes() const { return nodes_.size(); }
    std::string_view host(size_t node) const;
    uint16_t port(size_t node) const { return nodes_[node].port; }
    std::string_view id(size_t node) const;   /* may be empty */
    size_t slots_of(size_t node) const { return nodes_[node].slots; }

    /* The master of a slot; kNone when nobody serves it. */
    size_t node_of(unsigned slot) const;

    /* Slots that have a master. */
    size_t covered() const { return covered_; }

    /* kNone when there is no such node: how the owner of the connections
     * finds those that a new map keeps. */
    size_t find(std::string_view host, uint16_t port) const;

    /* The same nodes serve the same slots. */
    bool same_as(const SlotMap &other) const;

    /* What MOVED says, ahead of the next look at the topology; a node that
     * was not known is added.  False when memory is short or the map is
     * full: it is then as it was. */
    bool assign(unsigned slot, std::string_view host, uint16_t port);

private:
    friend class Topology;

    struct Node {
        uint32_t host;          /* offsets into text_ */
        uint32_t id;
        uint16_t host_length;
        uint16_t id_length;
        uint16_t port;
        uint16_t slots;
    };

    static constexpr uint16_t kNobody = 0xffff;

    bool add(std::string_view host, uint16_t port, std::string_view id,
             size_t *node);
    void set(unsigned slot, uint16_t node);
    bool prepare();

    Array<Node> nodes_;
    Buffer text_;
    Array<uint16_t> slots_;     /* kSlots of them, or none */
    size_t covered_ = 0;
};

/*
 * Reads a whole topology and replaces *map by it.  nullptr when all went well;
 * else a literal that says what was wrong, and *map is as it was.
 *
 * Refused: another shape, slots or ports out of range, hosts that are no
 * hosts, two masters of one slot, more than kMaxNodes nodes, no slot served.
 */
const char *read_cluster_slots(const Reply &reply, const Asked &asked,
                               SlotMap *map);
const char *read_cluster_shards(const Reply &reply, const Asked &asked,
                                SlotMap *map);

/* Appends CLUSTER SHARDS or CLUSTER SLOTS; false when memory is short. */
bool append_cluster_shards(Buffer &out);
bool append_cluster_slots(Buffer &out);

} // namespace esputnik

#endif
