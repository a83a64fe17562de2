#include "ngx_esputnik_delivery.h"
#include "ngx_esputnik_log.h"
#include "ngx_esputnik_target.h"

#include <new>

namespace ngx_esputnik {

namespace {

constexpr size_t kStock = 64;
constexpr size_t kStockEvents = 256;  /* a huge plan's memory is not kept */
constexpr ngx_msec_t kPatience = 600000;

Delivery *stock;
size_t stock_size;

} // namespace

Delivery::Delivery()
{
    ngx_memzero(&self_, sizeof(self_));
    self_.fd = static_cast<ngx_socket_t>(-1);
    self_.data = this;

    ngx_memzero(&timer_, sizeof(timer_));
    timer_.data = &self_;
    timer_.handler = on_timer;

    waiter_.done = on_map;
    waiter_.waits = false;
}

Delivery::~Delivery()
{
    rest();
}

/* Nothing is waited for any more. */
void Delivery::rest()
{
    Cluster::leave(&waiter_);

    if (timer_.timer_set) {
        ngx_del_timer(&timer_);
    }
}

Delivery *Delivery::take()
{
    if (stock != nullptr) {
        Delivery *d = stock;
        stock = d->next_;
        stock_size--;
        return d;
    }

    return new (std::nothrow) Delivery();
}

void Delivery::end_all()
{
    while (stock != nullptr) {
        Delivery *d = stock;
        stock = d->next_;
        delete d;
    }
    stock_size = 0;
}

void Delivery::drop()
{
    rest();
    patient_ = false;

    if (stock_size == kStock || plan_.events() > kStockEvents) {
        delete this;
        return;
    }

    next_ = stock;
    stock = this;
    stock_size++;
}

void Delivery::abandon()
{
    for (Part &part : parts_) {
        if (part.open) {
            if (part.op.link != nullptr) {
                part.op.link->cancel(&part.op);
            }
            leave_ack(&part);
        }
    }
    drop();
}

bool Delivery::send(Target *target, const esputnik::Ack &ack,
                    ngx_msec_t timeout, void *owner, Done done)
{
    target_ = target;
    timer_.log = target->log();
    ack_ = ack;
    timeout_ = timeout;
    deadline_ = ngx_current_msec + timeout;
    owner_ = owner;
    done_ = nullptr;       /* not before all parts have been sent */
    link_ = nullptr;
    end_ = End::stored;
    error_ = esputnik::RedisError::none;
    counts_ = esputnik::PushCounts();
    why_length_ = 0;
    open_ = 0;
    parts_.clear();
    ack_bytes_.clear();

    if (!parts_.resize(plan_.parts())
        || (ack.mode != esputnik::AckMode::memory
            && !append_ack(ack_bytes_, ack, esputnik::ack_wait_ms(timeout))))
    {
        parts_.clear();
        fail(End::not_sent, "no memory for the command");
        return false;
    }

    for (size_t i = 0; i < parts_.size(); i++) {
        Part &part = parts_[i];
        part.op.done = on_reply;
        part.confirmation.op.done = on_confirmed;
        part.delivery = this;
        part.index = i;
        part.form = esputnik::PushForm::evalsha;
        part.hops = esputnik::CommandWay(plan_.slot(i), deadline_);
        part.open = true;
        open_++;
    }

    for (Part &part : parts_) {
        send_part(&part);
    }

    if (open_ == 0) {
        return false;
    }

    done_ = done;
    return true;
}

Delivery::Verdict Delivery::verdict() const
{
    return {end_,
            error_,
            counts_,
            {reinterpret_cast<const char *>(why_), why_length_}};
}

/* nullptr when the part has to wait for it, or has failed. */
Link *Delivery::link_for(Part *part)
{
    Cluster *cluster = target_->cluster();

    if (cluster == nullptr) {
        return target_->link(ack_.mode);
    }

    Link *link = part->hop;
    std::string_view why;

    part->hop = nullptr;
    if (link != nullptr) {
        return link;
    }

    switch (cluster->link_of(plan_.slot(part->index), ack_.mode, &link, &why)) {

    case Cluster::Found::link:
        return link;

    case Cluster::Found::later:
        part->way = Way::map;
        cluster->wait(&waiter_);
        arm();
        return nullptr;

    case Cluster::Found::none:
        break;
    }

    fail(End::not_sent, why);
    close(part);
    return nullptr;
}

void Delivery::send_part(Part *part)
{
    const auto left = static_cast<ngx_msec_int_t>(deadline_ - ngx_current_msec);

    part->way = Way::sent;
    part->refused = false;

    if (left <= 0) {
        fail(End::not_sent, "Redis did not answer in time");
        close(part);
        return;
    }

    Link *link = link_for(part);
    if (link == nullptr) {
        return;
    }

    const size_t size = (part->ask ? esputnik::kAsking.size() : 0)
                        + plan_.size(part->index, part->form);
    const uint32_t replies = part->ask ? 2 : 1;

    part->asked = part->asking = part->ask;
    part->ask = false;
    part->link = link_ = link;

    const ngx_msec_t time = reply_time(link, static_cast<ngx_msec_t>(left));

    char *out;
    if (!link->offer(&part->op, size, replies, time, write_part, &out)) {
        fail(End::not_sent, link->refusal());
        close(part);
        return;
    }

    if (out != nullptr) {
        write_part(&part->op, out);
    }
    ask_ack(part, time);
}

void Delivery::write_part(Op *op, char *out) noexcept
{
    const auto *part = reinterpret_cast<Part *>(op);

    if (part->asked) {
        ngx_memcpy(out, esputnik::kAsking.data(), esputnik::kAsking.size());
        out += esputnik::kAsking.size();
    }
    (void) part->delivery->plan_.write(part->index, part->form, out);
}

/* A link that is silent for esputnik_timeout is left, so that a reply for which
 * there is patience comes, or the connection ends.  What is not on its way yet
 * need not wait for that. */
ngx_msec_t Delivery::reply_time(const Link *link, ngx_msec_t left) const
{
    return patient_ && link->state() == Link::State::ready ? kPatience : left;
}

void Delivery::ask_ack(Part *part, ngx_msec_t timeout)
{
    if (!ack_bytes_.empty()) {
        part->confirmation.question = {ack_bytes_.data(), ack_bytes_.size()};
        part->link->confirm(&part->confirmation, &part->op, timeout);
    }
}

void Delivery::leave_ack(Part *part)
{
    if (part->confirmation.op.link != nullptr) {
        part->confirmation.op.link->cancel(&part->confirmation);
    }
}

/* Another connection would confirm what it has written itself, which is
 * nothing. */
void Delivery::ask_again(Part *part)
{
    if (part->link->era() != part->era
        || part->link->state() != Link::State::ready) {
        fail(End::unknown, "the connection was lost before a confirmation");
        close(part);
        return;
    }
    part->way = Way::stored;
    ask_ack(part, reply_time(part->link, timeout_));
}

/* For the parts that wait. */
void Delivery::arm()
{
    bool any = false;
    ngx_msec_int_t wait = 0;

    for (const Part &part : parts_) {
        ngx_msec_t when = deadline_;

        if (!part.open
            || (part.way != Way::map && part.way != Way::pause
                && part.way != Way::doubt))
        {
            continue;
        }
        if (part.way == Way::doubt
            || (part.way == Way::pause
                && static_cast<ngx_msec_int_t>(part.wake - when) < 0))
        {
            when = part.wake;
        }

        const auto left = static_cast<ngx_msec_int_t>(when - ngx_current_msec);
        wait = any ? ngx_min(wait, left) : left;
        any = true;
    }

    if (timer_.timer_set) {
        ngx_del_timer(&timer_);
    }
    ngx_add_timer(&timer_, static_cast<ngx_msec_t>(ngx_max(wait, 1)));
}

void Delivery::on_timer(ngx_event_t *ev) noexcept
{
    Delivery *d = of(ev);
    const ngx_msec_t now = ngx_current_msec;
    const bool late = static_cast<ngx_msec_int_t>(now - d->deadline_) >= 0;
    bool more = false;

    for (Part &part : d->parts_) {
        if (!part.open) {
            continue;
        }

        const bool due = static_cast<ngx_msec_int_t>(now - part.wake) >= 0;

        if (part.way == Way::doubt && due) {
            d->ask_again(&part);
        } else if ((part.way == Way::map && late)
                   || (part.way == Way::pause && (late || due)))
        {
            d->send_part(&part);
        }

        more = more
               || (part.open && part.way != Way::sent
                   && part.way != Way::stored);
    }

    if (more && !d->timer_.timer_set) {
        d->arm();
    }
    d->finish();
}

void Delivery::on_map(ClusterWaiter *waiter, std::string_view why) noexcept
{
    auto *d = reinterpret_cast<Delivery *>(reinterpret_cast<char *>(waiter)
                                           - offsetof(Delivery, waiter_));

    for (Part &part : d->parts_) {
        if (!part.open || part.way != Way::map) {
            continue;
        }
        if (why.empty()) {
            d->send_part(&part);
        } else {
            d->fail(End::not_sent, why);
            d->close(&part);
        }
    }

    d->finish();
}

/* The first fault is the one that is told, but for an unknown outcome, which
 * matters more than a refusal. */
void Delivery::fail(End end, std::string_view why)
{
    if (end_ != End::stored && !(end == End::unknown && end_ != end)) {
        return;
    }

    end_ = end;
    why_length_ = copy_printable(why, why_, sizeof(why_));
}

void Delivery::close(Part *part)
{
    part->open = false;
    open_--;
}

void Delivery::finish()
{
    if (open_ != 0 || done_ == nullptr) {
        return;
    }

    Done done = done_;
    done_ = nullptr;
    rest();

    done(owner_, verdict());
    drop();
}

} // namespace ngx_esputnik
