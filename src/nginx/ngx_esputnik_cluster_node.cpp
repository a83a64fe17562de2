#include "ngx_esputnik_cluster.h"
#include "ngx_esputnik_target.h"

#include <new>

namespace ngx_esputnik {

ClusterNode *ClusterNode::make(Cluster *cluster)
{
    Target *target = cluster->target();
    const TargetConf *conf = target->conf();

    auto *node = new (std::nothrow) ClusterNode(cluster);
    if (node == nullptr) {
        return nullptr;
    }

    node->links_ = static_cast<Link **>(
        ngx_calloc(conf->connections * sizeof(Link *), conf->log));

    while (node->links_ != nullptr && node->link_count_ < conf->connections) {
        auto *link = new (std::nothrow) Link(target, node, node->link_count_,
                                             Link::Kind::redis);
        if (link == nullptr) {
            break;
        }
        node->links_[node->link_count_++] = link;
    }

    if (node->link_count_ < conf->connections) {
        delete node;
        return nullptr;
    }
    return node;
}

ClusterNode::~ClusterNode()
{
    while (link_count_ > 0) {
        delete links_[--link_count_];
    }
    if (links_ != nullptr) {
        ngx_free(links_);
    }
}

void ClusterNode::set(std::string_view host, in_port_t port)
{
    host_length_ = ngx_min(host.size(), sizeof(host_));
    ngx_memcpy(host_, host.data(), host_length_);
    port_ = port;
}

bool ClusterNode::up() const
{
    for (ngx_uint_t i = 0; i < link_count_; i++) {
        if (links_[i]->state() == Link::State::ready) {
            return true;
        }
    }
    return false;
}

bool ClusterNode::unused() const
{
    for (ngx_uint_t i = 0; i < link_count_; i++) {
        if (!links_[i]->unused()) {
            return false;
        }
    }
    return true;
}

void ClusterNode::close()
{
    for (ngx_uint_t i = 0; i < link_count_; i++) {
        links_[i]->close();
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
