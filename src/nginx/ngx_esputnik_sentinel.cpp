#include "ngx_esputnik_sentinel.h"
#include "ngx_esputnik_target.h"

#include <new>

namespace ngx_esputnik {

namespace {

using Step = esputnik::SentinelStep;

constexpr ngx_msec_t kShort = 1000;      /* ms: a link that lasted less */
constexpr ngx_msec_t kListen = 500;      /* ms until the next sentinel is
                                            listened to */
constexpr ngx_msec_t kPing = 1000;       /* ms between two signs of life of the
                                            sentinel that is listened to */

char *append(Link *link, Op *op, const esputnik::Buffer &bytes,
             ngx_msec_t timeout)
{
    char *out = link->send(op, bytes.size(), 1, timeout);
    if (out != nullptr) {
        ngx_memcpy(out, bytes.data(), bytes.size());
    }
    return out;
}

} // namespace

Sentinel::Sentinel(Target *target) : target_(target)
{
    address_ = {{on_address, nullptr, 0, 0, nullptr, nullptr}, this};
    role_ = {{on_role, nullptr, 0, 0, nullptr, nullptr}, this};
    subscription_ = {{on_subscribed, nullptr, 0, 0, nullptr, nullptr}, this};
    ping_ = {{on_pong, nullptr, 0, 0, nullptr, nullptr}, this};

    ngx_memzero(&self_, sizeof(self_));
    self_.fd = static_cast<ngx_socket_t>(-1);
    self_.data = this;

    ngx_memzero(&timer_, sizeof(timer_));
    timer_.data = &self_;
    timer_.handler = on_timer;
    timer_.log = target->log();
    timer_.cancelable = 1;

    listen_timer_ = timer_;
    listen_timer_.handler = on_listen;
}

Sentinel *Sentinel::make(Target *target)
{
    auto *sentinel = new (std::nothrow) Sentinel(target);

    if (sentinel != nullptr && !sentinel->init()) {
        delete sentinel;
        return nullptr;
    }
    return sentinel;
}

bool Sentinel::init()
{
    const TargetConf *conf = target_->conf();
    const ngx_uint_t count = conf->servers.nelts + 1;

    server_count_ = conf->servers.nelts;
    sentinels_ = static_cast<Link **>(
        ngx_calloc(count * sizeof(Link *), conf->log));

    if (sentinels_ == nullptr
        || !follower_.init(view(conf->sentinel), server_count_,
                           static_cast<uint32_t>(ngx_random())))
    {
        return false;
    }

    while (link_count_ < count) {
        auto *link = new (std::nothrow)
            Link(target_, this, link_count_, Link::Kind::sentinel);
        if (link == nullptr) {
            return false;
        }
        sentinels_[link_count_++] = link;
    }

    listening_to_ = static_cast<ngx_uint_t>(ngx_random()) % server_count_;
    return true;
}

Sentinel::~Sentinel()
{
    while (link_count_ > 0) {
        delete sentinels_[--link_count_];
    }
    if (sentinels_ != nullptr) {
        ngx_free(sentinels_);
    }
    if (timer_.timer_set) {
        ngx_del_timer(&timer_);
    }
    if (listen_timer_.timer_set) {
        ngx_del_timer(&listen_timer_);
    }
}

bool Sentinel::where(Link *link, Place *place)
{
    if (link->kind() == Link::Kind::sentinel) {
        const auto *servers = static_cast<ServerConf *>(
            target_->conf()->servers.elts);
        const bool asks = link->number() < server_count_;
        place->server = &servers[asks ? link->number() : listening_to_];
        return true;
    }

    if (!begun_) {
        begun_ = true;
        follow(follower_.start(), {});
        listen();
    }

    place->host = follower_.host();
    place->port = follower_.port();
    return located_;
}

void Sentinel::follow(Step step, std::string_view peer)
{
    for (;;) {
        if (step.why != nullptr) {
            target_->complain(peer, step.why);
        }

        switch (step.kind) {

        case Step::Kind::none:
        case Step::Kind::check_role:  /* is part of the greeting */
        case Step::Kind::ready:
            return;

        case Step::Kind::ask:
            located_ = false;
            if (ask(step.sentinel)) {
                return;
            }
            peer = sentinels_[step.sentinel]->peer();
            step = follower_.on_sentinel_failed();
            break;

        case Step::Kind::connect:
            located_ = true;
            move();
            return;

        case Step::Kind::back_off:
            pause(step.delay_ms,
                  step.why != nullptr ? step.why : "no master is known");
            return;
        }
    }
}

bool Sentinel::ask(size_t number)
{
    Link *link = sentinels_[number];
    const TargetConf *conf = target_->conf();
    esputnik::Buffer bytes;

    asked_ = number;

    if (address_.op.link != nullptr) {
        /* what was asked before the master moved */
        address_.op.link->cancel(&address_.op);
    }

    return append_sentinel_address(bytes, view(conf->sentinel))
           && append(link, &address_.op, bytes, conf->connect_timeout)
                  != nullptr;
}

bool Sentinel::on_address(Op *op, Outcome outcome, const esputnik::Reply *reply,
                          bool, std::string_view) noexcept
{
    Sentinel *s = OwnedOp<Sentinel>::of(op);

    Link *link = s->sentinels_[s->asked_];
    if (outcome == Outcome::unknown && link->state() == Link::State::ready) {
        link->leave("the sentinel does not answer");
    }

    s->follow(outcome == Outcome::reply ? s->follower_.on_address(*reply)
                                        : s->follower_.on_sentinel_failed(),
              link->peer());
    return true;
}

/* All links to the master go where the follower says; one that is there
 * already is asked whether it still leads to a master. */
void Sentinel::move()
{
    Link *there = nullptr;

    for (Link *link : *masters_) {
        if (!located_) {
            break;
        }
        if (link->state() == Link::State::ready
            && link->is_at(follower_.host(), follower_.port()))
        {
            link->release();
            /* the first ones are not kept by a WAIT */
            there = there != nullptr ? there : link;
        } else {
            link->move();
        }
    }

    if (there != nullptr && located_) {
        check(there);
    }
}

void Sentinel::check(Link *link)
{
    esputnik::Buffer bytes;

    if (role_.op.link == nullptr && append_role(bytes)) {
        (void) append(link, &role_.op, bytes, target_->conf()->timeout);
    }
}

bool Sentinel::on_role(Op *op, Outcome outcome, const esputnik::Reply *reply,
                       bool, std::string_view) noexcept
{
    Sentinel *sentinel = OwnedOp<Sentinel>::of(op);

    if (outcome != Outcome::reply) {
        return true;  /* and lost() is called */
    }

    (void) sentinel->follower_.on_connected();
    Step step = sentinel->follower_.on_role(*reply);

    if (step.kind == Step::Kind::none) {
        /* a link that was made meanwhile was heard first */
        if (read_role(*reply) == esputnik::Role::master) {
            return true;
        }
        step = sentinel->follower_.on_lost();
    }

    if (step.kind != Step::Kind::ready) {
        sentinel->located_ = false;
        for (Link *link : *sentinel->masters_) {
            if (link->state() == Link::State::ready) {
                link->leave("it is no master any more");
            }
        }
        sentinel->follow(step, {});
    }
    return true;
}

/* A pause in which requests are refused at once. */
void Sentinel::pause(ngx_msec_t ms, std::string_view why)
{
    located_ = false;
    ngx_add_timer(&timer_, ms);

    u_char text[200];
    ngx_str_t reason = str(why);
    const u_char *end = ngx_snprintf(text, sizeof(text),
                                     "the master cannot be found: %V", &reason);

    for (Link *link : *masters_) {
        link->hold(
            {reinterpret_cast<char *>(text), static_cast<size_t>(end - text)});
    }
}

void Sentinel::on_timer(ngx_event_t *ev) noexcept
{
    Sentinel *s = of(ev);

    for (Link *link : *s->masters_) {
        link->release();
    }

    if (s->calming_) {
        s->calming_ = false;
        s->follow(s->follower_.on_lost(), {});
    } else {
        s->follow(s->follower_.on_timer(), {});
    }
}

void Sentinel::connected(Link *link)
{
    if (link->kind() == Link::Kind::master) {
        follow(follower_.on_connected(), link->peer());
    }
}

/* Of several links to one address the first drives the follower; the others
 * hear the same rule. */
const char *Sentinel::refuses(Link *, const esputnik::Reply &role)
{
    const Step step = follower_.on_role(role);

    switch (step.kind) {

    case Step::Kind::ready:
        return nullptr;

    case Step::Kind::none:
        return read_role(role) == esputnik::Role::master
                   ? nullptr
                   : "the server is not the master";

    default:
        rejection_ = step;
        rejected_ = true;
        return step.why;
    }
}

void Sentinel::ready(Link *link)
{
    if (link->kind() == Link::Kind::master) {
        link->look();
    }
}

void Sentinel::lost(Link *link, ngx_msec_t lasted)
{
    if (link->kind() == Link::Kind::sentinel) {
        if (link->number() == server_count_) {
            subscribed_ = false;
            listening_to_ = (listening_to_ + 1) % server_count_;
            ngx_add_timer(&listen_timer_, kListen);
        }
        return;
    }

    if (rejected_) {
        rejected_ = false;
        follow(rejection_, link->peer());
        return;
    }

    if (!located_ || !link->is_at(follower_.host(), follower_.port())) {
        return;  /* another one is looked for already */
    }

    quick_ = lasted == 0 || lasted >= kShort ? 0 : quick_ + 1;

    if (quick_ > 1) {
        /* a server that is a master and drops its links again */
        using Follower = esputnik::SentinelFollower;
        const ngx_msec_t ms = Follower::kFirstWait << ngx_min(quick_, 4);
        calming_ = true;
        pause(ngx_min(ms, Follower::kLongestWait), link->refusal());
        return;
    }

    follow(follower_.on_lost(), link->peer());
}

bool Sentinel::message(Link *link, const esputnik::Reply &reply)
{
    if (link->kind() != Link::Kind::sentinel || link->number() != server_count_)
    {
        return false;
    }

    const Step step = follower_.on_message(reply);
    if (step.kind == Step::Kind::connect) {
        calming_ = false;
        if (timer_.timer_set) {
            ngx_del_timer(&timer_);
        }
    }
    follow(step, link->peer());
    return true;
}

void Sentinel::listen()
{
    Link *link = sentinels_[server_count_];
    esputnik::Buffer bytes;

    if (subscription_.op.link != nullptr || ngx_exiting || ngx_terminate) {
        return;
    }

    if (!append_sentinel_subscribe(bytes)
        || append(link, &subscription_.op, bytes, target_->conf()->timeout)
               == nullptr)
    {
        if (!listen_timer_.timer_set) {
            ngx_add_timer(&listen_timer_, kListen);
        }
    }
}

void Sentinel::on_listen(ngx_event_t *ev) noexcept
{
    Sentinel *s = of(ev);

    if (s->subscribed_) {
        s->ping();
    } else {
        s->listen();
    }
}

/* What follows on this link comes to message(). */
bool Sentinel::on_subscribed(Op *op, Outcome outcome,
                             const esputnik::Reply *reply, bool,
                             std::string_view) noexcept
{
    Sentinel *s = OwnedOp<Sentinel>::of(op);

    if (outcome != Outcome::reply) {
        return true;
    }
    s->subscribed_ = reply->is_array();
    if (s->subscribed_) {
        ngx_add_timer(&s->listen_timer_, kPing);
    }
    return s->subscribed_;
}

/* A subscription is silent by nature: without this a sentinel that is frozen,
 * or gone without a word, would be listened to for ever. */
void Sentinel::ping()
{
    static constexpr std::string_view kCommand = "*1\r\n$4\r\nPING\r\n";
    Link *link = sentinels_[server_count_];

    if (ngx_exiting || ngx_terminate) {
        return;
    }

    ngx_add_timer(&listen_timer_, kPing);

    if (ping_.op.link != nullptr || link->state() != Link::State::ready) {
        return;
    }

    char *out = link->send(&ping_.op, kCommand.size(), 1,
                           target_->conf()->timeout);
    if (out != nullptr) {
        ngx_memcpy(out, kCommand.data(), kCommand.size());
    }
}

/* A message on its way when PING was sent is taken for the answer, and the
 * answer for a message later: each is a sign of life. */
bool Sentinel::on_pong(Op *op, Outcome outcome, const esputnik::Reply *reply,
                       bool, std::string_view) noexcept
{
    Sentinel *s = OwnedOp<Sentinel>::of(op);
    Link *link = s->sentinels_[s->server_count_];

    if (outcome == Outcome::reply) {
        return s->message(link, *reply);
    }
    if (outcome == Outcome::unknown && link->state() == Link::State::ready) {
        link->leave("the sentinel does not answer");
    }
    return true;
}

} // namespace ngx_esputnik
