#include "ngx_esputnik_cluster.h"
#include "ngx_esputnik_target.h"

#include <new>

namespace ngx_esputnik {

ClusterNode *ClusterNode::make(Cluster *cluster)
{
    Target *target = cluster->target();
    auto *node = new (std::nothrow) ClusterNode(cluster);
    if (node != nullptr && !node->links_.make(target, node, Link::Kind::redis))
    {
        delete node;
        return nullptr;
    }
    return node;
}

void ClusterNode::set(std::string_view host, in_port_t port)
{
    host_length_ = ngx_min(host.size(), sizeof(host_));
    ngx_memcpy(host_, host.data(), host_length_);
    port_ = port;
}

bool ClusterNode::up() const
{
    for (const Link *link : links_) {
        if (link->state() == Link::State::ready) {
            return true;
        }
    }
    return false;
}

bool ClusterNode::unused() const
{
    for (const Link *link : links_) {
        if (!link->unused()) {
            return false;
        }
    }
    return true;
}

void ClusterNode::close()
{
    for (Link *link : links_) {
        link->close();
    }
    closed = true;
    closed_at = ngx_current_msec;
}

bool ClusterNode::where(Link *, Place *place)
{
    place->host = host();
    place->port = port_;
    return true;
}

void ClusterNode::lost(Link *, ngx_msec_t)
{
    cluster_->refresh();
}

} // namespace ngx_esputnik
