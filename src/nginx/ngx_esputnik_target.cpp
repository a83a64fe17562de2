#include "ngx_esputnik_target.h"
#include "ngx_esputnik_cluster.h"
#include "ngx_esputnik_sentinel.h"

#include "esputnik_command.h"
#include "esputnik_slot.h"

#include <new>

namespace ngx_esputnik {

namespace {

constexpr ngx_msec_t kLengthInterval = 100;  /* between two looks at a list */

Target *all_targets;

} // namespace

Target::Target(TargetConf *conf) : conf_(conf)
{
    length_ = {{on_length, nullptr, 0, 0, nullptr}, this};
}

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
        || !links_.make(this, sentinel_, Link::Kind::master))
    {
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
    (void) cluster_->link_of(esputnik::key_slot(key),
                             esputnik::AckMode::memory, &link, &why);
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

bool Target::list_full(std::string_view key, uint64_t max, ngx_msec_t timeout)
{
    if (!full_lists_.full(key, max)) {
        return false;
    }

    if (length_.op.link == nullptr
        && ngx_current_msec - length_asked_ >= kLengthInterval)
    {
        length_asked_ = ngx_current_msec;
        length_max_ = max;
        length_key_.clear();

        const size_t size = esputnik::array_size(2) + esputnik::bulk_size(4)
                            + esputnik::bulk_size(key.size());
        Link *link = length_key_.append(key.data(), key.size())
                         ? link_to(key)
                         : nullptr;
        char *out = link != nullptr ? link->send(&length_.op, size, 1, timeout)
                                    : nullptr;
        if (out != nullptr) {
            out = esputnik::write_array(out, 2);
            out = esputnik::write_bulk(out, "LLEN");
            (void) esputnik::write_bulk(out, key);
        }
    }

    return true;
}

bool Target::on_length(Op *op, Outcome outcome, const esputnik::Reply *reply,
                       bool, std::string_view) noexcept
{
    Target *target = OwnedOp<Target>::of(op);

    if (outcome == Outcome::reply) {
        /* what is no list is not full: the next push tells what is wrong */
        const bool known = reply->is(esputnik::ReplyType::integer);
        target->full_lists_.note(
            {target->length_key_.data(), target->length_key_.size()},
            known ? static_cast<uint64_t>(reply->integer()) : 0,
            target->length_max_);
    }
    return true;
}

} // namespace ngx_esputnik
