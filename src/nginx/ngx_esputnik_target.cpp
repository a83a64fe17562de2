#include "ngx_esputnik_target.h"
#include "ngx_esputnik_cluster.h"
#include "ngx_esputnik_sentinel.h"

#include "esputnik_slot.h"

#include <new>

namespace ngx_esputnik {

namespace {

Target *all_targets;

} // namespace

Target::Target(TargetConf *conf) : conf_(conf) {}

Target *Target::of(TargetConf *conf)
{
    if (conf->runtime != nullptr) {
        return conf->runtime;
    }

    auto *target = new (std::nothrow) Target(conf);
    if (target == nullptr) {
        return nullptr;
    }

    if (!target->make_links()) {
        delete target;
        return nullptr;
    }

    target->next_target_ = all_targets;
    all_targets = target;
    conf->runtime = target;
    return target;
}

bool Target::make_links()
{
    if (conf_->cluster) {
        cluster_ = Cluster::make(this);
        return cluster_ != nullptr;
    }

    if (conf_->sentinel.len == 0) {
        return links_.make(this, this, Link::Kind::redis);
    }

    sentinel_ = Sentinel::make(this);
    if (sentinel_ == nullptr
        || !links_.make(this, sentinel_, Link::Kind::master)) {
        return false;
    }
    sentinel_->guide(&links_);
    return true;
}

Target::~Target()
{
    links_.clear();
    delete sentinel_;
    delete cluster_;
}

void Target::end(TargetConf *conf)
{
    Target *target = conf->runtime;
    if (target == nullptr) {
        return;
    }

    Target **at = &all_targets;
    while (*at != target) {
        at = &(*at)->next_target_;
    }
    *at = target->next_target_;

    conf->runtime = nullptr;
    delete target;
}

void Target::end_all()
{
    while (all_targets != nullptr) {
        end(all_targets->conf_);
    }
}

bool Target::where(Link *, Place *place)
{
    place->server = static_cast<ServerConf *>(conf_->servers.elts);
    return true;
}

Link *Target::link_to(std::string_view key)
{
    if (cluster_ == nullptr) {
        return link();
    }

    Link *link = nullptr;
    std::string_view why;
    (void) cluster_->link_of(esputnik::key_slot(key), esputnik::AckMode::memory,
                             &link, &why);
    return link;
}

void Target::complain(std::string_view peer, std::string_view why)
{
    if (!complaints_.pass(why)) {
        return;
    }

    u_char printable[256];
    ngx_str_t text = {copy_printable(why, printable, sizeof(printable)),
                      printable};
    ngx_str_t at = str(peer);
    ngx_log_error(NGX_LOG_ERR, log(), 0, "esputnik: redis \"%V\" at %V: %V%s",
                  &conf_->name, &at, &text, complaints_.held());
}

} // namespace ngx_esputnik
