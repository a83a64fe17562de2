/*
 * A Redis Cluster as this worker sees it: the map of its slots, links to its
 * masters, and the look at its topology, by a link of its own, whenever
 * something shows that the map is out of date.
 *
 * A node outlives its part in the cluster: links are never freed before the
 * worker ends, for requests remember them; their connections are closed, and
 * a node that joins later takes the place.
 */

#ifndef NGX_ESPUTNIK_CLUSTER_H
#define NGX_ESPUTNIK_CLUSTER_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_links.h"

#include "esputnik_cluster.h"
#include "esputnik_redirect.h"

namespace ngx_esputnik {

class Cluster;

/* Somebody who waits for the first map. */
struct ClusterWaiter {
    /* why is empty when there is a map, which need not have the slot. */
    void (*done)(ClusterWaiter *waiter, std::string_view why) noexcept;
    ngx_queue_t queue;
    bool waits;
};

class ClusterNode final : public LinkOwner {
public:
    /* nullptr when memory is short. */
    static ClusterNode *make(Cluster *cluster);

    void set(std::string_view host, in_port_t port);

    std::string_view host() const { return {host_, host_length_}; }
    in_port_t port() const { return port_; }

    Link *link(esputnik::AckMode lane) { return links_.next(lane); }

    /* A connection is there. */
    bool up() const;

    /* Nothing is under way. */
    bool unused() const;

    void close();

    bool where(Link *link, Place *place) override;
    void ready(Link *link) override { link->look(); }
    void lost(Link *link, ngx_msec_t lasted) override;

    ClusterNode *next = nullptr;
    ngx_msec_t closed_at = 0;   /* of one that is no part of the map */
    bool closed = false;

private:
    explicit ClusterNode(Cluster *cluster) : cluster_(cluster) {}

    Cluster *cluster_;
    Links links_;
    in_port_t port_ = 0;
    size_t host_length_ = 0;
    char host_[esputnik::kMaxHostLength];
};

class Cluster final : public LinkOwner {
public:
    enum class Found : uint8_t {
        link,
        later,   /* the map is being asked for: wait() */
        none,
    };

    /* nullptr when memory is short. */
    static Cluster *make(Target *target);
    ~Cluster();

    /* The link to the master of a slot; why, of none, is valid until the next
     * call. */
    Found link_of(uint16_t slot, esputnik::AckMode lane, Link **link,
                  std::string_view *why);

    void wait(ClusterWaiter *waiter);
    static void leave(ClusterWaiter *waiter);

    /* Where a redirection of the one behind `from` leads to; nullptr when
     * memory is short. */
    Link *link_of(const esputnik::Redirect &to, const Link *from,
                  esputnik::AckMode lane);

    /* It is so from now on. */
    void moved(const esputnik::Redirect &to, const Link *from);

    /* The map may be out of date. */
    void refresh();

    Target *target() const { return target_; }

    /* of the link that looks */
    bool where(Link *link, Place *place) override;

private:
    explicit Cluster(Target *target);

    static Cluster *of(ngx_event_t *ev)
    {
        return static_cast<Cluster *>(
            static_cast<ngx_connection_t *>(ev->data)->data);
    }

    static void on_refresh(ngx_event_t *ev) noexcept;
    static void on_next(ngx_event_t *ev) noexcept;
    static void on_sweep(ngx_event_t *ev) noexcept;
    static bool on_reply(Op *op, Outcome outcome, const esputnik::Reply *reply,
                         bool last, std::string_view why) noexcept;

    void schedule();
    void look();
    void ask_next();
    bool ask(bool shards);
    void take(const esputnik::Reply &reply);
    void failed(std::string_view why);
    void end_look(bool good);
    bool sync();
    void sweep();
    ClusterNode *node(std::string_view host, in_port_t port);

    Target *target_;
    esputnik::SlotMap map_;
    esputnik::RefreshGate gate_;
    ClusterNode *nodes_ = nullptr;             /* all, closed ones too */
    esputnik::Array<ClusterNode *> masters_;   /* by their number in the map */
    ngx_queue_t waiting_;                      /* of ClusterWaiter */

    Link *look_ = nullptr;
    OwnedOp<Cluster> op_;
    bool looking_ = false;
    bool shards_ = false;                      /* which question it was */
    size_t asked_ = 0;                         /* of this look */
    size_t first_ = 0;                         /* node that was asked first */
    size_t seed_ = 0;

    size_t why_length_ = 0;
    u_char why_[256];                          /* the last look's failure */

    ngx_event_t refresh_timer_;
    ngx_event_t sweep_timer_;
    ngx_event_t next_event_;
    ngx_connection_t self_;                    /* behind the events */
};

} // namespace ngx_esputnik

#endif
