#include "ngx_esputnik_links.h"
#include "ngx_esputnik_target.h"

#include <new>

namespace ngx_esputnik {

bool Links::make(Target *target, LinkOwner *owner, Link::Kind kind)
{
    each_ = target->conf()->connections;
    links_ = static_cast<Link **>(
        ngx_calloc(kLanes * each_ * sizeof(Link *), target->log()));
    if (links_ == nullptr) {
        return false;
    }

    while (count_ < kLanes * each_) {
        const auto lane = static_cast<esputnik::AckMode>(count_ / each_);
        auto *link = new (std::nothrow) Link(target, owner, count_, kind, lane);
        if (link == nullptr) {
            return false;
        }
        links_[count_++] = link;
    }
    return true;
}

void Links::clear()
{
    while (count_ > 0) {
        delete links_[--count_];
    }
    if (links_ != nullptr) {
        ngx_free(links_);
        links_ = nullptr;
    }
}

} // namespace ngx_esputnik
