/*
 * A deployment of Redis as this worker sees it: its links, and what is logged
 * about it.  Made when a request first needs it, ended with the worker.
 */

#ifndef NGX_ESPUTNIK_TARGET_H
#define NGX_ESPUTNIK_TARGET_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_conf.h"
#include "ngx_esputnik_lengths.h"
#include "ngx_esputnik_links.h"
#include "ngx_esputnik_log.h"

namespace ngx_esputnik {

class Cluster;
class Sentinel;

class Target final : public LinkOwner {
public:
    /* This worker's; nullptr when memory is short. */
    static Target *of(TargetConf *conf);

    /* When the configuration is dropped, or the worker exits: closes the
     * connections without a word to anybody. */
    static void end(TargetConf *conf);
    static void end_all();

    const TargetConf *conf() const { return conf_; }
    ngx_log_t *log() const { return conf_->log; }

    /* The link that the next command goes to; not of a cluster's. */
    Link *link(esputnik::AckMode lane = esputnik::AckMode::memory)
    {
        return links_.next(lane);
    }

    /* The one to the list of this name; nullptr when there is none now. */
    Link *link_to(std::string_view key);

    /* nullptr when it is none. */
    Cluster *cluster() const { return cluster_; }

    /* A fault of a link: logged, the same one at most every ten seconds. */
    void complain(std::string_view peer, std::string_view why);

    /* Which of the requests that were not stored have a line in the log. */
    LogLimit &refusals() { return refusals_; }

    /* esputnik_max_length: what a reply told of a list … */
    void note_length(std::string_view key, uint64_t length, uint64_t max)
    {
        lengths_.note(key, length, max);
    }

    /* … and all about it. */
    Lengths &lengths() { return lengths_; }

    /* of a plain one's links */
    bool where(Link *link, Place *place) override;
    void ready(Link *link) override { link->look(); }

private:
    explicit Target(TargetConf *conf);
    ~Target();

    bool make_links();

    TargetConf *conf_;
    Sentinel *sentinel_ = nullptr;
    Cluster *cluster_ = nullptr;
    Links links_;

    Lengths lengths_{this};

    LogLimit complaints_{10000};
    LogLimit refusals_{1000};

    Target *next_target_ = nullptr;
};

} // namespace ngx_esputnik

#endif
