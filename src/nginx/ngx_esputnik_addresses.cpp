#include "ngx_esputnik_addresses.h"

namespace ngx_esputnik {

void Addresses::add(const struct sockaddr *sockaddr, socklen_t length)
{
    if (count_ == kMost || length > sizeof(ngx_sockaddr_t)) {
        return;
    }

    Address &address = addresses_[count_++];
    ngx_memzero(&address, sizeof(address));
    ngx_memcpy(&address.sockaddr, sockaddr, length);
    address.length = length;
}

void Addresses::add(const struct sockaddr *sockaddr, socklen_t length,
                    in_port_t port)
{
    const unsigned before = count_;

    add(sockaddr, length);
    if (count_ > before) {
        ngx_inet_set_port(addresses_[before].get(), port);
    }
}

Addresses::Address *Addresses::next()
{
    if (!more()) {
        return nullptr;
    }

    if (tried_ == 0) {
        /* nginx's resolver gives them in another order each time */
        first_ = 0;
        for (unsigned i = 0; i < count_; i++) {
            if (preferred_.length != 0
                && ngx_cmp_sockaddr(addresses_[i].get(), addresses_[i].length,
                                    preferred_.get(), preferred_.length, 1)
                       == NGX_OK)
            {
                first_ = i;
                break;
            }
        }
    }

    return &addresses_[at(tried_++)];
}

} // namespace ngx_esputnik
