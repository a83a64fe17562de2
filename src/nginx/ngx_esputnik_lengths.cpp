#include "ngx_esputnik_lengths.h"
#include "ngx_esputnik_target.h"

#include "esputnik_list_length.h"

#include <new>

namespace ngx_esputnik {

namespace {

constexpr std::string_view kNotALength =
    "Redis sent a reply that is no length of a list";

} // namespace

Lengths::~Lengths()
{
    while (looks_ != nullptr) {
        Look *look = looks_;
        looks_ = look->next;
        while (!ngx_queue_empty(&look->waiters)) {
            cancel(ngx_queue_data(ngx_queue_head(&look->waiters), LengthWaiter,
                                  queue));
        }
        delete look;
    }
}

void Lengths::cancel(LengthWaiter *waiter)
{
    if (waiter->waiting) {
        ngx_queue_remove(&waiter->queue);
        waiter->waiting = false;
    }
}

Room Lengths::room(std::string_view key, uint64_t max, ngx_msec_t timeout,
                   LengthWaiter *waiter, std::string_view *why)
{
    if (!lists_.full(key, max)) {
        return Room::yes;
    }

    *why = kFull;

    Look *look = find(key);
    if (look == nullptr && lists_.look(key, ngx_current_msec)) {
        look = begin(key, max, timeout, why);
    }
    if (look == nullptr || waiter == nullptr) {
        return Room::no;
    }

    waiter->max = max;
    waiter->link = look->link;
    waiter->waiting = true;
    ngx_queue_insert_tail(&look->waiters, &waiter->queue);
    return Room::asking;
}

Lengths::Look *Lengths::find(std::string_view key)
{
    for (Look *look = looks_; look != nullptr; look = look->next) {
        if (look->name() == key) {
            return look;
        }
    }
    return nullptr;
}

Lengths::Look *Lengths::begin(std::string_view key, uint64_t max,
                              ngx_msec_t timeout, std::string_view *why)
{
    Link *link = target_->link_to(key);
    if (link == nullptr) {
        return nullptr;
    }

    auto *look = new (std::nothrow) Look();
    if (look == nullptr) {
        return nullptr;
    }
    if (!look->key.append(key.data(), key.size())) {
        delete look;
        return nullptr;
    }

    look->op.done = on_length;
    look->owner = this;
    look->link = link;
    look->max = max;
    ngx_queue_init(&look->waiters);

    char *out = link->send(&look->op, esputnik::list_length_size(key), 1,
                           timeout);
    if (out == nullptr) {
        *why = link->refusal();
        delete look;
        return nullptr;
    }

    (void) esputnik::write_list_length(out, key);

    look->next = looks_;
    looks_ = look;
    return look;
}

bool Lengths::on_length(Op *op, Outcome outcome, const esputnik::Reply *reply,
                        bool, std::string_view why) noexcept
{
    auto *look = reinterpret_cast<Look *>(op);

    if (outcome != Outcome::reply) {
        look->owner->end(look, nullptr, why);
        return true;
    }

    uint64_t length;
    switch (esputnik::read_list_length(*reply, &length)) {
    case esputnik::ListLength::denied:
        look->owner->target_->complain(look->link->peer(), reply->text());
        break;

    case esputnik::ListLength::protocol:
        look->owner->end(look, nullptr, kNotALength);
        return false;

    case esputnik::ListLength::known:
    case esputnik::ListLength::refused:
        break;
    }

    look->owner->end(look, &length, {});
    return true;
}

void Lengths::end(Look *look, const uint64_t *length, std::string_view why)
{
    Look **at = &looks_;
    while (*at != look) {
        at = &(*at)->next;
    }
    *at = look->next;

    if (length != nullptr) {
        lists_.note(look->name(), *length, look->max);
    }

    /* done() may begin the next look */
    ngx_queue_t waiters;
    ngx_queue_init(&waiters);
    if (!ngx_queue_empty(&look->waiters)) {
        ngx_queue_add(&waiters, &look->waiters);
    }
    delete look;

    while (!ngx_queue_empty(&waiters)) {
        auto *waiter = ngx_queue_data(ngx_queue_head(&waiters), LengthWaiter,
                                      queue);
        cancel(waiter);
        if (length != nullptr && *length >= waiter->max) {
            why = kFull;
        } else if (length != nullptr) {
            why = {};
        }
        waiter->done(waiter, why);
    }
}

} // namespace ngx_esputnik
