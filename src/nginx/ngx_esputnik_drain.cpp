#include "ngx_esputnik_drain.h"
#include "ngx_esputnik_count.h"
#include "ngx_esputnik_folder.h"
#include "ngx_esputnik_spool.h"
#include "ngx_esputnik_target.h"
#include "ngx_esputnik_zone.h"

#include "esputnik_spool_dir.h"

#include <new>

namespace ngx_esputnik {

namespace {

constexpr size_t kReadBytes = 256 * 1024;
constexpr ngx_msec_t kLook = 1000;        /* ms: another worker may have gone */
constexpr unsigned kLooksToSweep = 5;     /* where the folder holds something */
constexpr unsigned kLooksToFind = 10;     /* where nothing is known of */
constexpr ngx_msec_t kSoon = 5;           /* ms: a record is still being added */
constexpr ngx_msec_t kHeld = 500;         /* ms between looks while some wait */

} // namespace

Drain::Drain(Spool *spool) : spool_(spool)
{
    ngx_memzero(&self_, sizeof(self_));
    self_.fd = static_cast<ngx_socket_t>(-1);
    self_.data = this;

    ngx_memzero(&timer_, sizeof(timer_));
    timer_.data = &self_;
    timer_.handler = on_timer;
    timer_.log = spool->conf()->target->log;
    timer_.cancelable = 1;

    lengths_ = {{on_length, nullptr, 0, 0, nullptr, nullptr}, this};
}

Drain *Drain::make(Spool *spool, ngx_pool_t *pool)
{
    auto *drain = new (std::nothrow) Drain(spool);
    if (drain == nullptr) {
        return nullptr;
    }

    drain->task_ = ngx_thread_task_alloc(pool, sizeof(Drain *));
    if (drain->task_ == nullptr) {
        delete drain;
        return nullptr;
    }

    *static_cast<Drain **>(drain->task_->ctx) = drain;
    drain->task_->handler = read;
    drain->task_->event.handler = on_read;
    drain->task_->event.data = drain;
    drain->task_->event.log = spool->conf()->target->log;
    return drain;
}

Drain::~Drain()
{
    thread_.wait();

    if (timer_.timer_set) {
        ngx_del_timer(&timer_);
    }
    if (delivery_ != nullptr) {
        delivery_->abandon();
    }
    if (lengths_.op.link != nullptr) {
        lengths_.op.link->cancel(&lengths_.op);
    }
    if (state_ == State::reading) {
        settle();  /* the thread is done, and found() has not been called */
    }
    if (reader_ != nullptr && reader_->uncommitted()) {
        /* here and now: few bytes, and no sync but for a removed segment's */
        commit_ = esputnik::CommitReport();
        found_ = Found::later;
        folder::account(spool_->conf()).begin(folder::share());
        commit(false);
        settle();
        report();
    }
    let_go();
}

void Drain::start()
{
    pause(spool_->spooling() ? 1 : kLook);
}

void Drain::wake()
{
    if (state_ == State::idle && spool_->spooling()) {
        run();
    }
}

void Drain::pause(ngx_msec_t ms)
{
    if (ngx_exiting || ngx_terminate) {
        leave();
        return;
    }
    ngx_add_timer(&timer_, ms);
}

void Drain::on_timer(ngx_event_t *ev) noexcept
{
    static_cast<Drain *>(static_cast<ngx_connection_t *>(ev->data)->data)
        ->run();
}

void Drain::run()
{
    if ((ngx_exiting || ngx_terminate)
        && (state_ == State::idle || state_ == State::holding))
    {
        leave();
        return;
    }

    switch (state_) {

    case State::idle:
        if (!spool_->spooling() && reader_ == nullptr) {
            spool_->rest();
            if (!sweep_due()) {
                pause(kLook);
                return;
            }
        }
        looks_ = 0;
        read_more();
        return;

    case State::holding:
        state_ = State::sending;
        send();
        return;

    case State::reading:
    case State::asking:
    case State::sending:
        return;
    }
}

/* While nothing is known to wait: segments whose writers have ended since they
 * were read, and those of workers that count in another zone, before a reload
 * that has changed it or on the other side of a binary upgrade.  The latter
 * can be anywhere, so one worker looks for them whatever is counted. */
bool Drain::sweep_due()
{
    looks_++;
    if (folder::account(spool_->conf()).sum() != 0) {
        return looks_ >= kLooksToSweep;
    }
    return ngx_worker == 0 && looks_ >= kLooksToFind;
}

void Drain::read_more()
{
    if (timer_.timer_set) {
        ngx_del_timer(&timer_);
    }

    state_ = State::reading;
    leaving_ = ngx_exiting || ngx_terminate;
    ticket_ = spool_->shared().begin_read(now_us());
    release_ = reader_ != nullptr && reader_->holds()
               && ngx_current_msec - held_at_ >= held_for_;
    if (release_) {
        held_at_ = ngx_current_msec;
    }

    commit_ = esputnik::CommitReport();
    folder::account(spool_->conf()).begin(folder::share());
    thread_.give();

    if (ngx_thread_task_post(spool_->conf()->threads, task_) != NGX_OK) {
        thread_.take_back();
        settle();
        state_ = State::idle;
        if (!leaving_) {
            pause(kLook);
        }
    }
}

/* In a thread. */
void Drain::read(void *data, ngx_log_t *) noexcept
{
    Drain *drain = *static_cast<Drain **>(data);
    drain->found_ = drain->look();
    drain->thread_.done();
}

Drain::Found Drain::look()
{
    esputnik::Files &files = esputnik::posix_files();
    const SpoolConf *conf = spool_->conf();
    auto *path = reinterpret_cast<char *>(conf->folder->path.data);

    error_ = 0;

    if (lock_ < 0) {
        lock_ = esputnik::lock_drain(files, path, view(conf->target->name));
        if (lock_ < 0) {
            error_ = -lock_;
            lock_ = -1;
            return error_ == EWOULDBLOCK ? Found::busy : Found::failed;
        }

        /* what another worker has marked since is on the disk */
        delete reader_;
        reader_ = new (std::nothrow) esputnik::JournalReader();
        if (reader_ == nullptr
            || !reader_->init(&files, view(conf->folder->path),
                              view(conf->target->name), &conf->shared->spool))
        {
            let_go();  /* half a reader would find nothing, and say empty */
            error_ = ENOMEM;
            return Found::failed;
        }
        recount();
    } else {
        commit(!leaving_);
    }

    if (leaving_) {
        return Found::later;
    }
    if (release_) {
        reader_->release();
    }

    switch (reader_->read(ticket_.before, kReadBytes)) {

    case esputnik::ReadResult::records:
        return Found::records;

    case esputnik::ReadResult::empty:
        commit(true);
        recount();
        return Found::empty;

    case esputnik::ReadResult::waiting:
        commit(true);
        if (reader_->holds()) {
            recount();
        }
        return Found::later;

    case esputnik::ReadResult::failed:
        break;
    }

    error_ = reader_->error();
    return Found::failed;
}

void Drain::commit(bool compact)
{
    esputnik::CommitReport done;

    (void) reader_->commit(&done, compact);
    commit_.freed += done.freed;
    commit_.records += done.records;
    commit_.events += done.events;
    if (done.error != 0) {
        commit_.error = done.error;
    }
}

/* Where there is time for it: the account of the folder may have gone wrong,
 * by a worker that was killed or another nginx. */
void Drain::recount()
{
    if (folder::recount(spool_->conf())) {
        commit_.freed = 0;
    }
}

/* What the thread's task has changed. */
void Drain::settle()
{
    folder::account(spool_->conf())
        .end(folder::share(), -static_cast<int64_t>(commit_.freed), 0);
    spool_->shared().delivered(commit_.records, commit_.events);
}

void Drain::on_read(ngx_event_t *ev) noexcept
{
    static_cast<Drain *>(ev->data)->found();
}

void Drain::found()
{
    state_ = State::idle;

    settle();
    report();

    if (ngx_exiting || ngx_terminate) {
        let_go();
        return;
    }

    switch (found_) {

    case Found::records:
        if (!spool_->spooling()) {
            spool_->shared().found();
            ngx_log_error(NGX_LOG_NOTICE, spool_->conf()->target->log, 0,
                          "esputnik: spool \"%V\" holds events for redis "
                          "\"%V\" that other workers have left",
                          &spool_->conf()->folder->path,
                          &spool_->conf()->target->name);
        }
        spool_->conf()->shared->oldest_ms = reader_->items()[0].record.time_ms;
        state_ = State::sending;
        next_ = asked_ = 0;
        send();
        return;

    case Found::empty: {
        const bool ends = spool_->spooling();
        if (!spool_->shared().finish_read(ticket_)) {
            read_more();  /* something was added meanwhile */
            return;
        }
        spool_->conf()->shared->oldest_ms = 0;
        if (ends) {
            ngx_log_error(NGX_LOG_NOTICE, spool_->conf()->target->log, 0,
                          "esputnik: spool \"%V\" is empty, redis \"%V\" has "
                          "all events",
                          &spool_->conf()->folder->path,
                          &spool_->conf()->target->name);
        }
        most_ = kMostRecords;
        room_ = 0;  /* the direct way goes to the same list */
        if (commit_.error == 0) {
            let_go();
        }
        /* else the reader alone knows what was delivered: without it the next
         * one would send all of that again */
        spool_->rest();
        pause(kLook);
        return;
    }

    case Found::later:
        if (reader_->holds()) {
            if (trying_) {
                /* many keys in a long journal: not all the time */
                trying_ = false;
                held_for_ = ngx_max(held_for_,
                                    4 * (ngx_current_msec - held_at_));
            }
            pause(kHeld);
        } else {
            /* of another zone, and ahead of this clock */
            pause(spool_->spooling() ? kSoon : kLook);
        }
        return;

    case Found::busy:
    case Found::failed:
        pause(kLook);
        return;
    }
}

void Drain::report()
{
    ngx_log_t *log = spool_->conf()->target->log;
    const ngx_str_t *path = &spool_->conf()->folder->path;

    if (found_ == Found::failed && log_limit_.pass("read")) {
        ngx_log_error(NGX_LOG_ERR, log, error_,
                      "esputnik: spool \"%V\" cannot be read", path);
    }

    if (commit_.error != 0 && log_limit_.pass("commit")) {
        ngx_log_error(NGX_LOG_ERR, log, commit_.error,
                      "esputnik: marking what was delivered of spool \"%V\" "
                      "failed",
                      path);
    }

    if (reader_ == nullptr) {
        return;
    }

    for (const esputnik::SpoolReport &r : reader_->reports()) {
        const ngx_uint_t level = r.kind == esputnik::ReportKind::torn_tail
                                     ? NGX_LOG_NOTICE
                                     : NGX_LOG_CRIT;
        ngx_log_error(level, log, r.error,
                      "esputnik: spool \"%V\", segment %016xL at %uL, %uL "
                      "bytes: %s",
                      path, static_cast<int64_t>(r.segment_id), r.offset,
                      r.length, report_text(r.kind));
    }
    reader_->clear_reports();
}

/* This worker takes no more; it marks what it has delivered, in the thread.
 * Should it end before that is back, ~Drain() does the rest. */
void Drain::leave()
{
    state_ = State::idle;

    if (reader_ != nullptr && reader_->uncommitted()) {
        read_more();
    } else {
        let_go();
    }
}

/* Another worker may drain from here on. */
void Drain::let_go()
{
    delete reader_;
    reader_ = nullptr;

    if (lock_ >= 0) {
        (void) esputnik::posix_files().close(lock_);
        lock_ = -1;
    }
}

} // namespace ngx_esputnik
