#include "ngx_esputnik_gauge.h"

#include <csignal>

namespace ngx_esputnik {

namespace {

size_t place = kNoPlace;

/* This worker is the only one that writes it. */
template <class T>
void change(std::atomic<T> &gauge, T by)
{
    gauge.store(gauge.load(std::memory_order_relaxed) + by,
                std::memory_order_relaxed);
}

std::atomic<int32_t> *state_gauge(esputnik::TargetGauges *g,
                                  LinkGauge::State state)
{
    switch (state) {
    case LinkGauge::State::up:
        return &g->up;
    case LinkGauge::State::connecting:
        return &g->connecting;
    case LinkGauge::State::down:
        return &g->down;
    case LinkGauge::State::idle:
        break;
    }
    return nullptr;
}

} // namespace

bool worker_lives(ngx_pid_t pid)
{
    return pid == ngx_pid || kill(pid, 0) == 0 || ngx_errno == NGX_EPERM;
}

void take_place(SharedRoot *root)
{
    for (size_t i = 0; i < root->places && place == kNoPlace; i++) {
        const ngx_atomic_uint_t pid = root->workers[i];

        /* that of a worker which was killed is free again */
        if ((pid == 0 || !worker_lives(static_cast<ngx_pid_t>(pid)))
            && ngx_atomic_cmp_set(&root->workers[i], pid,
                                  static_cast<ngx_atomic_uint_t>(ngx_pid)))
        {
            place = i;
            for (SharedTarget *t = root->targets; t != nullptr; t = t->next) {
                t->gauges[i].clear();
            }
            for (SharedFolder *f = root->folders; f != nullptr; f = f->next) {
                f->account.abandon(i, f->account.under_way(i));
            }
        }
    }
}

void leave_place(SharedRoot *root)
{
    if (place != kNoPlace) {
        root->workers[place] = 0;
        place = kNoPlace;
    }
}

size_t my_place()
{
    return place;
}

esputnik::TargetGauges *gauges_of(SharedTarget *target)
{
    return place != kNoPlace ? &target->gauges[place] : nullptr;
}

esputnik::Counters &SharedRoot::mine()
{
    return counters[place != kNoPlace ? place % counter_slots : 0];
}

void LinkGauge::tell(SharedTarget *target, State state, size_t in_flight,
                     size_t queue_bytes, uint64_t commands)
{
    if (commands > commands_) {
        target->counters.commands.add(commands - commands_);
    }
    commands_ = commands;

    esputnik::TargetGauges *g = gauges_of(target);
    if (g == nullptr) {
        return;
    }

    if (state != state_) {
        std::atomic<int32_t> *from = state_gauge(g, state_);
        std::atomic<int32_t> *to = state_gauge(g, state);
        if (from != nullptr) {
            change(*from, -1);
        }
        if (to != nullptr) {
            change(*to, 1);
        }
        state_ = state;
    }

    const auto now_in_flight = static_cast<int64_t>(in_flight);
    if (now_in_flight != in_flight_) {
        change(g->in_flight, now_in_flight - in_flight_);
        in_flight_ = now_in_flight;
    }

    const auto now_bytes = static_cast<int64_t>(queue_bytes);
    if (now_bytes != queue_bytes_) {
        change(g->queue_bytes, now_bytes - queue_bytes_);
        queue_bytes_ = now_bytes;
    }
}

} // namespace ngx_esputnik
