/*
 * The links of a worker to one server: as many as `connections` says for each
 * lane, of which those that nothing uses are never connected.
 */

#ifndef NGX_ESPUTNIK_LINKS_H
#define NGX_ESPUTNIK_LINKS_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_link.h"

namespace ngx_esputnik {

class Links {
public:
    Links() = default;
    ~Links() { clear(); }

    Links(const Links &) = delete;
    Links &operator=(const Links &) = delete;

    /* False when memory is short. */
    bool make(Target *target, LinkOwner *owner, Link::Kind kind);
    void clear();

    /* The one that the next command goes to. */
    Link *next(esputnik::AckMode lane)
    {
        const ngx_uint_t of = static_cast<ngx_uint_t>(lane) * each_;
        return links_[each_ == 1 ? of : of + next_++ % each_];
    }

    Link **begin() const { return links_; }
    Link **end() const { return links_ + count_; }

private:
    static constexpr ngx_uint_t kLanes = 3;   /* of esputnik::AckMode */

    Link **links_ = nullptr;
    ngx_uint_t count_ = 0;
    ngx_uint_t each_ = 0;
    ngx_uint_t next_ = 0;
};

} // namespace ngx_esputnik

#endif
