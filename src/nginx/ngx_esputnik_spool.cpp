#include "ngx_esputnik_spool.h"
#include "ngx_esputnik_drain.h"
#include "ngx_esputnik_folder.h"
#include "ngx_esputnik_zone.h"

#include "esputnik_journal_record.h"

#include <csignal>
#include <new>

namespace ngx_esputnik {

namespace {

/* A sync that takes so many ms says that the disk is ill, not busy. */
constexpr ngx_msec_t kHangs = 10000;
constexpr size_t kCrowd = 32 * 1024 * 1024;   /* bytes that wait for it */
constexpr ngx_msec_t kGuard = 1000;         /* ms between two looks */
constexpr size_t kKeep = 256 * 1024;        /* of buffers, between bursts */

Spool *all_spools;

esputnik::OperationKind kind_of(esputnik::PushOp op)
{
    switch (op) {
    case esputnik::PushOp::lpush:
        return esputnik::OperationKind::lpush;
    case esputnik::PushOp::xadd:
        return esputnik::OperationKind::xadd;
    case esputnik::PushOp::rpush:
        break;
    }
    return esputnik::OperationKind::rpush;
}

/* One part of a plan as a record. */
bool build(esputnik::RecordBuilder &builder, const esputnik::PushPlan &plan,
           size_t part, std::string_view target, uint64_t now_ms)
{
    bool ok = builder.begin(target, now_ms);
    std::string_view last_key;
    bool first = true;

    esputnik::Operation op;
    op.kind = kind_of(plan.options().op);
    op.maxlen = plan.options().maxlen;
    op.dedup_window = static_cast<uint32_t>(plan.options().dedup_ms / 1000);

    plan.each(part, [&](std::string_view key, std::string_view value,
                        std::string_view identity) {
        if (first || key != last_key) {
            op.key = last_key = key;
            first = false;
            ok = ok && builder.operation(op);
        }
        /* an event is its own identity unless another was asked for */
        ok = ok
             && builder.value(value, identity == value ? std::string_view()
                                                       : identity);
    });

    return ok && builder.finish();
}

/* What an append can take of the disk: a new segment's header and the end mark
 * of the one before come with the records. */
size_t charge_of(size_t bytes)
{
    return static_cast<size_t>(esputnik::record_charge(bytes))
           + esputnik::kSegmentHeaderSize + 2 * esputnik::kSectorSize;
}

} // namespace

uint64_t now_us()
{
    struct timeval tv;
    ngx_gettimeofday(&tv);
    return static_cast<uint64_t>(tv.tv_sec) * 1000000
           + static_cast<uint64_t>(tv.tv_usec);
}

Spool::Spool(SpoolConf *conf) : conf_(conf)
{
    ngx_queue_init(&pending_waiters_);
    ngx_queue_init(&writing_waiters_);

    ngx_memzero(&self_, sizeof(self_));
    self_.fd = static_cast<ngx_socket_t>(-1);
    self_.data = this;

    ngx_memzero(&guard_, sizeof(guard_));
    guard_.data = &self_;
    guard_.handler = on_guard;
    guard_.log = conf->target->log;

    late_ = guard_;
    late_.handler = on_late;
    late_.cancelable = 1;
}

/* What the thread had in hand is done, and nobody heard of it.  The account
 * outlives this worker. */
Spool::~Spool()
{
    thread_.wait();
    delete drain_;

    if (busy_) {
        settle(static_cast<int64_t>(report_.bytes));
    }
    if (pending_charge_ != 0) {
        folder::account(conf_).give_back(folder::share(), pending_charge_);
    }
    folder::account(conf_).begin(folder::share());
    settle(static_cast<int64_t>(writer_.close()));

    if (guard_.timer_set) {
        ngx_del_timer(&guard_);
    }
    if (late_.timer_set) {
        ngx_del_timer(&late_);
    }
    if (pool_ != nullptr) {
        ngx_destroy_pool(pool_);
    }
}

bool Spool::init()
{
    pool_ = ngx_create_pool(1024, conf_->target->log);
    if (pool_ == nullptr) {
        return false;
    }

    task_ = ngx_thread_task_alloc(pool_, sizeof(Spool *));
    if (task_ == nullptr) {
        return false;
    }
    *static_cast<Spool **>(task_->ctx) = this;
    task_->handler = write;
    task_->event.handler = on_written;
    task_->event.data = this;
    task_->event.log = conf_->target->log;

    if (!writer_.init(&esputnik::posix_files(), view(conf_->folder->path),
                      view(conf_->target->name), &conf_->shared->spool))
    {
        return false;
    }

    drain_ = Drain::make(this, pool_);
    return drain_ != nullptr;
}

Spool *Spool::of(SpoolConf *conf)
{
    if (conf->runtime != nullptr) {
        return conf->runtime;
    }

    auto *spool = new (std::nothrow) Spool(conf);
    if (spool == nullptr) {
        return nullptr;
    }
    if (!spool->init()) {
        delete spool;
        return nullptr;
    }

    spool->next_ = all_spools;
    all_spools = spool;
    conf->runtime = spool;
    return spool;
}

ngx_int_t Spool::start(MainConf *main)
{
    if (main->spools.nelts == 0) {
        return NGX_OK;
    }

    /* a file that may grow no further is an error of one write, not the
     * worker's end */
    (void) std::signal(SIGXFSZ, SIG_IGN);

    auto **conf = static_cast<SpoolConf **>(main->spools.elts);
    for (ngx_uint_t i = 0; i < main->spools.nelts; i++) {
        Spool *spool = of(conf[i]);
        if (spool == nullptr) {
            return NGX_ERROR;
        }
        spool->drain_->start();
    }
    return NGX_OK;
}

void Spool::end_all()
{
    while (all_spools != nullptr) {
        Spool *spool = all_spools;
        all_spools = spool->next_;
        spool->conf_->runtime = nullptr;
        delete spool;
    }
}

esputnik::SpoolShared &Spool::shared() const
{
    return conf_->shared->spool;
}

bool Spool::spooling() const
{
    return shared().spooling();
}

SpoolResult Spool::append(const esputnik::PushPlan &plan, SpoolWaiter *waiter)
{
    const size_t before = pending_.size();
    const uint64_t now_ms = esputnik::posix_files().now_ms();
    esputnik::RecordBuilder builder(&pending_);

    for (size_t part = 0; part < plan.parts(); part++) {
        if (!plan.stored(part)
            && !build(builder, plan, part, view(conf_->target->name), now_ms))
        {
            pending_.truncate(before);
            return SpoolResult::failed;
        }
    }

    const size_t charge = charge_of(pending_.size() - before);
    const bool crowded = busy_ && pending_.size() > kCrowd;
    if (crowded
        || !folder::account(conf_).reserve(folder::share(), charge,
                                           conf_->folder->max_size))
    {
        pending_.truncate(before);
        return SpoolResult::full;
    }
    pending_charge_ += charge;

    /* from here on every worker queues behind */
    uint64_t sequence = shared().take(plan.parts_left(), now_us());
    (void) ngx_atomic_cmp_set(&conf_->shared->oldest_ms, 0, now_ms);
    for (size_t at = before; at < pending_.size();) {
        esputnik::RecordHeader header;
        if (!peek_record_header(pending_.data() + at, &header)) {
            break;
        }
        esputnik::set_record_sequence(pending_.data() + at, sequence++);
        at += header.padded_size();
    }

    waiter->waiting = true;
    waiter->deadline = ngx_current_msec + kHangs;
    ngx_queue_insert_tail(&pending_waiters_, &waiter->queue);
    if (!late_.timer_set) {
        ngx_add_timer(&late_, kHangs);
    }
    kick();
    return SpoolResult::queued;
}

/* Those whose time is up: whether their records will be safe nobody knows. */
void Spool::give_up(ngx_queue_t *waiters)
{
    while (!ngx_queue_empty(waiters)) {
        ngx_queue_t *q = ngx_queue_head(waiters);
        auto *waiter = ngx_queue_data(q, SpoolWaiter, queue);
        const auto left = static_cast<ngx_msec_int_t>(waiter->deadline
                                                      - ngx_current_msec);
        if (left > 0) {
            if (!late_.timer_set) {
                ngx_add_timer(&late_, static_cast<ngx_msec_t>(left));
            }
            return;
        }

        ngx_queue_remove(q);
        waiter->waiting = false;
        waiter->done(waiter, NGX_ETIMEDOUT, "the disk");
    }
}

void Spool::on_late(ngx_event_t *ev) noexcept
{
    auto *spool = static_cast<Spool *>(
        static_cast<ngx_connection_t *>(ev->data)->data);

    /* the older ones */
    spool->give_up(&spool->writing_waiters_);
    spool->give_up(&spool->pending_waiters_);
}

void Spool::cancel(SpoolWaiter *waiter)
{
    if (waiter->waiting) {
        ngx_queue_remove(&waiter->queue);
        waiter->waiting = false;
    }
}

void Spool::rest()
{
    if (!busy_ && pending_.empty() && writer_.segment_id() != 0) {
        resting_ = true;
        kick();
    }
}

void Spool::kick()
{
    if (busy_ || (pending_.empty() && !resting_)) {
        return;
    }

    esputnik::Buffer empty = static_cast<esputnik::Buffer &&>(writing_);
    empty.clear();
    empty.shrink(kKeep);
    writing_ = static_cast<esputnik::Buffer &&>(pending_);
    pending_ = static_cast<esputnik::Buffer &&>(empty);

    if (!ngx_queue_empty(&pending_waiters_)) {
        ngx_queue_add(&writing_waiters_, &pending_waiters_);
        ngx_queue_init(&pending_waiters_);
    }

    writing_charge_ = pending_charge_;
    pending_charge_ = 0;

    busy_ = true;
    good_ = false;
    report_ = esputnik::AppendReport();
    folder::account(conf_).begin(folder::share());
    thread_.give();

    if (ngx_thread_task_post(conf_->threads, task_) != NGX_OK) {
        thread_.take_back();
        report_.error = NGX_EAGAIN;
        report_.step = "the thread pool's queue";
        ngx_post_event(&task_->event, &ngx_posted_events);
        return;
    }

    if (!guard_.timer_set) {
        ngx_add_timer(&guard_, kGuard);
    }
}

/* In a thread. */
void Spool::write(void *data, ngx_log_t *) noexcept
{
    Spool *spool = *static_cast<Spool **>(data);

    const uint64_t closed = spool->resting_ ? spool->writer_.close() : 0;

    spool->good_ = spool->writing_.empty()
                   || spool->writer_.append(spool->writing_.data(),
                                            spool->writing_.size(),
                                            &spool->report_);
    spool->report_.bytes += closed;
    spool->thread_.done();
}

/* What was reserved against what it became. */
void Spool::settle(int64_t grown)
{
    folder::account(conf_).end(folder::share(), grown, writing_charge_);
    writing_charge_ = 0;
}

void Spool::on_written(ngx_event_t *ev) noexcept
{
    static_cast<Spool *>(ev->data)->written();
}

void Spool::written()
{
    busy_ = false;
    resting_ = false;

    if (guard_.timer_set) {
        ngx_del_timer(&guard_);
    }

    settle(static_cast<int64_t>(report_.bytes));

    const bool good = good_;
    const int error = report_.error;
    const char *step = report_.step;

    if (good && !writing_.empty()) {
        shared().appended(report_.records, report_.events);

    } else if (!good) {
        if (log_limit_.pass(step)) {
            ngx_log_error(NGX_LOG_ERR, conf_->target->log, error,
                          "esputnik: spool \"%V\": %s failed%s",
                          &conf_->folder->path, step, log_limit_.held());
        }
    }

    writing_.clear();

    /* done() may queue more: these are the next ones */
    ngx_queue_t done;
    ngx_queue_init(&done);
    if (!ngx_queue_empty(&writing_waiters_)) {
        ngx_queue_add(&done, &writing_waiters_);
        ngx_queue_init(&writing_waiters_);
    }

    kick();

    while (!ngx_queue_empty(&done)) {
        ngx_queue_t *q = ngx_queue_head(&done);
        auto *waiter = ngx_queue_data(q, SpoolWaiter, queue);
        ngx_queue_remove(q);
        waiter->waiting = false;
        waiter->done(waiter, good ? 0 : error, step);
    }

    drain_->wake();
}

void Spool::on_guard(ngx_event_t *ev) noexcept
{
    auto *spool = static_cast<Spool *>(
        static_cast<ngx_connection_t *>(ev->data)->data);

    if (spool->busy_) {
        ngx_add_timer(&spool->guard_, kGuard);
    }
}

} // namespace ngx_esputnik
