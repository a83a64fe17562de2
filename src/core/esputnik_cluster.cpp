#include "esputnik_cluster.h"

#include "esputnik_command.h"

namespace esputnik {

bool valid_host(std::string_view host)
{
    if (host.empty() || host.size() > kMaxHostLength) {
        return false;
    }
    for (char c : host) {
        const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
                          || (c >= '0' && c <= '9') || c == '.' || c == '-'
                          || c == '_' || c == ':' || c == '%';
        if (!good) {
            return false;
        }
    }
    return true;
}

std::string_view SlotMap::host(size_t node) const
{
    const Node &n = nodes_[node];
    return {text_.data() + n.host, n.host_length};
}

std::string_view SlotMap::id(size_t node) const
{
    const Node &n = nodes_[node];
    return {text_.data() + n.id, n.id_length};
}

size_t SlotMap::node_of(unsigned slot) const
{
    if (slot >= slots_.size() || slots_[slot] == kNobody) {
        return kNone;
    }
    return slots_[slot];
}

size_t SlotMap::find(std::string_view h, uint16_t p) const
{
    for (size_t i = 0; i < nodes_.size(); i++) {
        if (nodes_[i].port == p && host(i) == h) {
            return i;
        }
    }
    return kNone;
}

bool SlotMap::same_as(const SlotMap &other) const
{
    if (nodes_.size() != other.nodes_.size() || covered_ != other.covered_) {
        return false;
    }

    /* the order of the nodes is not part of it */
    Array<uint16_t> there;
    if (!there.resize(nodes_.size())) {
        return false;
    }
    for (size_t i = 0; i < nodes_.size(); i++) {
        const size_t j = other.find(host(i), port(i));
        if (j == kNone) {
            return false;
        }
        there[i] = static_cast<uint16_t>(j);
    }

    for (unsigned slot = 0; slot < slots_.size(); slot++) {
        const size_t mine = node_of(slot);
        const size_t theirs = other.node_of(slot);
        if ((mine == kNone ? kNone : there[mine]) != theirs) {
            return false;
        }
    }
    return true;
}

bool SlotMap::prepare()
{
    if (slots_.empty()) {
        if (!slots_.resize(kSlots)) {
            return false;
        }
        for (uint16_t &node : slots_) {
            node = kNobody;
        }
    }
    return true;
}

bool SlotMap::add(std::string_view h, uint16_t p, std::string_view node_id,
                  size_t *node)
{
    *node = find(h, p);
    if (*node != kNone) {
        return true;
    }
    if (nodes_.size() == kMaxNodes
        || !text_.reserve(text_.size() + h.size() + node_id.size()))
    {
        return false;
    }

    Node n = {};
    n.port = p;
    n.host = static_cast<uint32_t>(text_.size());
    n.host_length = static_cast<uint16_t>(h.size());
    n.id = static_cast<uint32_t>(text_.size() + h.size());
    n.id_length = static_cast<uint16_t>(node_id.size());
    if (!nodes_.push(n)) {
        return false;
    }
    /* reserved above */
    text_.append(h.data(), h.size());
    text_.append(node_id.data(), node_id.size());
    *node = nodes_.size() - 1;
    return true;
}

void SlotMap::set(unsigned slot, uint16_t node)
{
    if (slots_[slot] == kNobody) {
        covered_++;
    } else {
        nodes_[slots_[slot]].slots--;
    }
    slots_[slot] = node;
    nodes_[node].slots++;
}

bool SlotMap::assign(unsigned slot, std::string_view h, uint16_t p)
{
    size_t node;
    if (slot >= kSlots || p == 0 || !valid_host(h) || !prepare()
        || !add(h, p, {}, &node))
    {
        return false;
    }
    set(slot, static_cast<uint16_t>(node));
    return true;
}

bool append_cluster_shards(Buffer &out)
{
    return append_command(out, {"CLUSTER", "SHARDS"});
}

bool append_cluster_slots(Buffer &out)
{
    return append_command(out, {"CLUSTER", "SLOTS"});
}

} // namespace esputnik
