/*
 * A spool as this worker sees it: records that wait to be on the disk, written
 * by a thread of nginx' pool, all that came meanwhile with one fsync; and the
 * drain that brings them to Redis.
 */

#ifndef NGX_ESPUTNIK_SPOOL_H
#define NGX_ESPUTNIK_SPOOL_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_log.h"
#include "ngx_esputnik_spool_conf.h"
#include "ngx_esputnik_thread.h"

#include "esputnik_journal_writer.h"
#include "esputnik_push.h"

namespace ngx_esputnik {

class Drain;

/* Microseconds since 1970: what the sequences of records follow. */
uint64_t now_us();

/* Who waits for a record to be safe; stays where it is until done() or
 * Spool::cancel(). */
struct SpoolWaiter {
    ngx_queue_t queue;
    ngx_msec_t deadline;   /* of ngx_current_msec: the disk, too, may hang */
    /* error is 0 when the record is on the disk, else errno; why says what
     * failed. */
    void (*done)(SpoolWaiter *waiter, ngx_err_t error,
                 const char *why) noexcept;
    bool waiting;
};

enum class SpoolResult : uint8_t {
    queued,     /* done() follows */
    full,       /* max_size, or what waits for a disk that is too slow */
    failed,     /* memory */
};

class Spool {
public:
    /* This worker's; nullptr when memory is short. */
    static Spool *of(SpoolConf *conf);

    /* All spools of the configuration, in every worker's start: what earlier
     * workers left is drained without a request coming. */
    static ngx_int_t start(MainConf *main);
    static void end_all();

    /* Newer events of the target have to queue behind. */
    bool spooling() const;

    /* The plan's pushes as records, one for each of its parts. */
    SpoolResult append(const esputnik::PushPlan &plan, SpoolWaiter *waiter);

    /* Nobody waits any more; the record is written all the same. */
    void cancel(SpoolWaiter *waiter);

    const SpoolConf *conf() const { return conf_; }
    esputnik::SpoolShared &shared() const;

    /* The target is not spooling any more: the open segment is ended, so that
     * it can be removed. */
    void rest();

    LogLimit &log_limit() { return log_limit_; }

private:
    explicit Spool(SpoolConf *conf);
    ~Spool();

    static void write(void *data, ngx_log_t *log) noexcept;
    static void on_written(ngx_event_t *ev) noexcept;
    static void on_guard(ngx_event_t *ev) noexcept;
    static void on_late(ngx_event_t *ev) noexcept;

    bool init();
    void settle(int64_t grown);
    void kick();
    void written();
    void give_up(ngx_queue_t *waiters);

    SpoolConf *conf_;
    Drain *drain_ = nullptr;
    esputnik::JournalWriter writer_;
    LogLimit log_limit_{1000};

    esputnik::Buffer pending_;      /* records to come */
    ngx_queue_t pending_waiters_;
    size_t pending_charge_ = 0;     /* reserved of the folder's size */

    /* what the thread has in hand */
    ngx_thread_task_t *task_ = nullptr;
    ThreadMark thread_;
    bool busy_ = false;
    bool resting_ = false;          /* it ends the segment */
    esputnik::Buffer writing_;
    ngx_queue_t writing_waiters_;
    size_t writing_charge_ = 0;
    esputnik::AppendReport report_;
    bool good_ = false;

    ngx_event_t guard_;             /* keeps a worker that shuts down until the
                                       thread is done */
    ngx_event_t late_;              /* the first waiter's deadline */
    ngx_connection_t self_;
    ngx_pool_t *pool_ = nullptr;
    Spool *next_ = nullptr;
};

} // namespace ngx_esputnik

#endif
