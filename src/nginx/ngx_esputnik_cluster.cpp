#include "ngx_esputnik_cluster.h"
#include "ngx_esputnik_log.h"
#include "ngx_esputnik_target.h"

#include <new>

namespace ngx_esputnik {

namespace {

constexpr ngx_msec_t kSweep = 1000;       /* ms between looks at nodes that
                                             have left and are still in use */
constexpr ngx_msec_t kForgotten = 60000;  /* ms until a node that has left
                                             gives its place away */

/* "127.0.0.1:7000" or "[::1]:7000" without the port and the brackets. */
std::string_view host_of(std::string_view peer)
{
    const size_t colon = peer.rfind(':');
    if (colon != peer.npos) {
        peer.remove_suffix(peer.size() - colon);
    }
    if (peer.size() > 2 && peer.front() == '[') {
        peer.remove_prefix(1);
        peer.remove_suffix(1);
    }
    return peer;
}

/* Redirections may name no host: then it is the one that answered. */
std::string_view host_of(const esputnik::Redirect &to, const Link *from)
{
    return to.host.empty()
               ? static_cast<const ClusterNode *>(from->owner())->host()
               : to.host;
}

} // namespace

Cluster::Cluster(Target *target) : target_(target)
{
    ngx_queue_init(&waiting_);

    op_ = {{on_reply, nullptr, 0, 0, nullptr, nullptr}, this};

    ngx_memzero(&self_, sizeof(self_));
    self_.fd = static_cast<ngx_socket_t>(-1);
    self_.data = this;

    ngx_memzero(&refresh_timer_, sizeof(refresh_timer_));
    refresh_timer_.data = &self_;
    refresh_timer_.handler = on_refresh;
    refresh_timer_.log = target->log();
    refresh_timer_.cancelable = 1;

    sweep_timer_ = refresh_timer_;
    sweep_timer_.handler = on_sweep;

    next_event_ = refresh_timer_;
    next_event_.handler = on_next;

    seed_ = static_cast<size_t>(ngx_random());
}

Cluster *Cluster::make(Target *target)
{
    auto *cluster = new (std::nothrow) Cluster(target);
    if (cluster == nullptr) {
        return nullptr;
    }

    cluster->look_ = new (std::nothrow)
        Link(target, cluster, target->conf()->connections, Link::Kind::redis);
    if (cluster->look_ == nullptr) {
        delete cluster;
        return nullptr;
    }

    cluster->look_->limit_replies(esputnik::kTopologyLimit);
    return cluster;
}

Cluster::~Cluster()
{
    delete look_;

    while (nodes_ != nullptr) {
        ClusterNode *node = nodes_;
        nodes_ = node->next;
        delete node;
    }

    if (refresh_timer_.timer_set) {
        ngx_del_timer(&refresh_timer_);
    }
    if (sweep_timer_.timer_set) {
        ngx_del_timer(&sweep_timer_);
    }
    if (next_event_.posted) {
        ngx_delete_posted_event(&next_event_);
    }
}

Cluster::Found Cluster::link_of(uint16_t slot, esputnik::AckMode lane,
                                Link **link, std::string_view *why)
{
    if (map_.empty() && !looking_) {
        gate_.want();
        if (gate_.delay(ngx_current_msec) == 0) {
            look();
        }
    }

    if (map_.empty()) {
        if (looking_) {
            return Found::later;
        }
        schedule();
        *why = {reinterpret_cast<char *>(why_), why_length_};
        return Found::none;
    }

    const size_t number = map_.node_of(slot);
    if (number == esputnik::SlotMap::kNone) {
        refresh();
        *why = "no node of the cluster serves the list's slot";
        return Found::none;
    }

    *link = masters_[number]->link(lane);
    return Found::link;
}

void Cluster::wait(ClusterWaiter *waiter)
{
    if (!waiter->waits) {
        waiter->waits = true;
        ngx_queue_insert_tail(&waiting_, &waiter->queue);
    }
}

void Cluster::leave(ClusterWaiter *waiter)
{
    if (waiter->waits) {
        waiter->waits = false;
        ngx_queue_remove(&waiter->queue);
    }
}

Link *Cluster::link_of(const esputnik::Redirect &to, const Link *from,
                       esputnik::AckMode lane)
{
    ClusterNode *found = node(host_of(to, from), to.port);
    return found != nullptr ? found->link(lane) : nullptr;
}

void Cluster::moved(const esputnik::Redirect &to, const Link *from)
{
    (void) map_.assign(to.slot, host_of(to, from), to.port);
    (void) sync();
}

void Cluster::refresh()
{
    gate_.want();
    schedule();
}

void Cluster::schedule()
{
    if (gate_.wanted() && !refresh_timer_.timer_set) {
        ngx_add_timer(&refresh_timer_,
                      ngx_max(gate_.delay(ngx_current_msec), 1));
    }
}

void Cluster::on_refresh(ngx_event_t *ev) noexcept
{
    Cluster *cluster = of(ev);

    if (cluster->gate_.wanted()) {
        cluster->look();
    }
}

void Cluster::look()
{
    gate_.begin(ngx_current_msec);
    looking_ = true;
    asked_ = 0;

    /* one that answers is better than one that does not, and not always the
     * same one */
    first_++;
    for (size_t i = 0; i < masters_.size(); i++) {
        const size_t number = (first_ + i) % masters_.size();
        if (masters_[number]->up()) {
            first_ = number;
            break;
        }
    }

    ask_next();
}

bool Cluster::where(Link *, Place *place)
{
    const auto *servers = static_cast<ServerConf *>(
        target_->conf()->servers.elts);
    const size_t i = asked_ - 1;

    if (i < map_.nodes()) {
        const size_t number = (first_ + i) % map_.nodes();
        place->host = map_.host(number);
        place->port = map_.port(number);
    } else {
        place->server = &servers[(seed_ + i) % target_->conf()->servers.nelts];
    }
    return true;
}

void Cluster::ask_next()
{
    const size_t all = map_.nodes() + target_->conf()->servers.nelts;

    while (asked_ < all) {
        asked_++;
        look_->close();
        if (ask(true)) {
            return;
        }
        failed(look_->refusal());
    }

    end_look(false);
}

bool Cluster::ask(bool shards)
{
    esputnik::Buffer bytes;

    shards_ = shards;
    if (!(shards ? append_cluster_shards(bytes) : append_cluster_slots(bytes)))
    {
        return false;
    }

    char *out = look_->send(&op_.op, bytes.size(), 1, target_->conf()->timeout);
    if (out == nullptr) {
        return false;
    }
    ngx_memcpy(out, bytes.data(), bytes.size());
    return true;
}

bool Cluster::on_reply(Op *op, Outcome outcome, const esputnik::Reply *reply,
                       bool, std::string_view why) noexcept
{
    Cluster *cluster = OwnedOp<Cluster>::of(op);

    if (outcome == Outcome::reply) {
        cluster->take(*reply);
        return true;
    }

    /* not from here: the link is on its way down */
    cluster->failed(why);
    ngx_post_event(&cluster->next_event_, &ngx_posted_events);
    return true;
}

void Cluster::on_next(ngx_event_t *ev) noexcept
{
    of(ev)->ask_next();
}

void Cluster::take(const esputnik::Reply &reply)
{
    if (reply.is_error()) {
        failed(reply.text());

        /* Redis before 7 has no CLUSTER SHARDS */
        const auto error = esputnik::classify_redis_error(reply.text());
        const bool unknown = error == esputnik::RedisError::other
                             || error == esputnik::RedisError::unknown_command;
        if (!shards_ || !unknown || !ask(false)) {
            ngx_post_event(&next_event_, &ngx_posted_events);
        }
        return;
    }

    esputnik::Asked asked;
    asked.host = host_of(look_->peer());
    asked.tls = target_->conf()->tls != nullptr;

    const char *wrong = shards_ ? read_cluster_shards(reply, asked, &map_)
                                : read_cluster_slots(reply, asked, &map_);
    if (wrong != nullptr) {
        failed(wrong);
        ngx_post_event(&next_event_, &ngx_posted_events);
        return;
    }

    if (!sync()) {
        failed("no memory for the cluster's nodes");
        end_look(false);
        return;
    }

    look_->close();
    end_look(true);
}

void Cluster::failed(std::string_view why)
{
    u_char text[200];
    const ngx_str_t printable = {copy_printable(why, text, sizeof(text)), text};
    const u_char *end = ngx_snprintf(
        why_, sizeof(why_), "the cluster's topology cannot be read: %V",
        &printable);

    why_length_ = static_cast<size_t>(end - why_);
    target_->complain(look_->peer(),
                      {reinterpret_cast<char *>(why_), why_length_});
}

void Cluster::end_look(bool good)
{
    looking_ = false;
    seed_++;
    gate_.end(good);

    std::string_view why(reinterpret_cast<char *>(why_), why_length_);
    if (!map_.empty()) {
        why = {};
        sweep();
    }

    /* those who wait may come again at once */
    ngx_queue_t waiting;
    ngx_queue_init(&waiting);
    if (!ngx_queue_empty(&waiting_)) {
        ngx_queue_add(&waiting, &waiting_);
        ngx_queue_init(&waiting_);
    }

    while (!ngx_queue_empty(&waiting)) {
        ClusterWaiter *waiter = ngx_queue_data(ngx_queue_head(&waiting),
                                               ClusterWaiter, queue);
        leave(waiter);
        waiter->done(waiter, why);
    }

    if (!map_.empty()) {
        schedule();  /* an empty one is asked for by the next request */
    }
}

ClusterNode *Cluster::node(std::string_view host, in_port_t port)
{
    ClusterNode *free = nullptr;

    for (ClusterNode *n = nodes_; n != nullptr; n = n->next) {
        if (n->port() == port && n->host() == host) {
            n->closed = false;
            return n;
        }
        if (n->closed && ngx_current_msec - n->closed_at >= kForgotten) {
            free = n;
        }
    }

    if (free == nullptr) {
        free = ClusterNode::make(this);
        if (free == nullptr) {
            return nullptr;
        }
        free->next = nodes_;
        nodes_ = free;
    }

    free->set(host, port);
    free->closed = false;
    return free;
}

/* The nodes of the map as it is now.  False leaves an empty map. */
bool Cluster::sync()
{
    bool good = masters_.resize(map_.nodes());

    for (size_t i = 0; good && i < map_.nodes(); i++) {
        masters_[i] = node(map_.host(i), map_.port(i));
        good = masters_[i] != nullptr;
    }

    if (!good) {
        map_ = esputnik::SlotMap();
        masters_.clear();
    }
    return good;
}

/* Nodes that are no part of the map any more end when nothing is under way. */
void Cluster::sweep()
{
    bool busy = false;

    for (ClusterNode *n = nodes_; n != nullptr; n = n->next) {
        if (n->closed
            || map_.find(n->host(), n->port()) != esputnik::SlotMap::kNone) {
            continue;
        }
        if (n->unused()) {
            n->close();
        } else {
            busy = true;
        }
    }

    if (busy && !sweep_timer_.timer_set) {
        ngx_add_timer(&sweep_timer_, kSweep);
    }
}

void Cluster::on_sweep(ngx_event_t *ev) noexcept
{
    of(ev)->sweep();
}

} // namespace ngx_esputnik
