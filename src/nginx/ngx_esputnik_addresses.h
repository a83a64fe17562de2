/*
 * The addresses of a server's name in the order in which a link tries them:
 * each once, and first the one that worked last.  They are copies.
 */

#ifndef NGX_ESPUTNIK_ADDRESSES_H
#define NGX_ESPUTNIK_ADDRESSES_H

#include "ngx_esputnik.h"

namespace ngx_esputnik {

class Addresses {
public:
    static constexpr unsigned kMost = 16;   /* of one name; more are left out */

    struct Address {
        ngx_sockaddr_t sockaddr;
        socklen_t length;       /* 0: none */

        struct sockaddr *get() { return &sockaddr.sockaddr; }
    };

    /* Forgets the name's addresses, not the one that worked. */
    void clear() { count_ = tried_ = 0; }

    void add(const struct sockaddr *sockaddr, socklen_t length);

    /* The same with this port. */
    void add(const struct sockaddr *sockaddr, socklen_t length, in_port_t port);

    /* The next one to try; nullptr when all have been. */
    Address *next();
    bool more() const { return tried_ < count_; }
    void give_up() { tried_ = count_; }

    /* Of the one that next() gave last: it is the first one the next time, or
     * the one behind it is. */
    void worked() { preferred_ = addresses_[at(tried_ - 1)]; }
    void leave() { preferred_ = addresses_[at(tried_)]; }

private:
    unsigned at(unsigned n) const { return (first_ + n) % count_; }

    Address addresses_[kMost];
    Address preferred_ = {};
    unsigned count_ = 0;
    unsigned first_ = 0;
    unsigned tried_ = 0;
};

} // namespace ngx_esputnik

#endif
