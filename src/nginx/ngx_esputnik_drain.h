/*
 * From the spool to Redis, in order: one worker at a time holds the target's
 * drain lock, reads in a thread, sends one atomic batch, marks it as
 * delivered, and goes on.
 *
 *     idle -> reading -> (asking) -> sending -> reading … -> idle
 *
 * A record whose keys are stuck, or whose list is full, is held back with all
 * that comes behind it for the same keys; the others go on.
 *
 * What is read and not yet marked when this worker is killed is sent again by
 * the next one.  A worker that ends marks what Redis has said that it has; only
 * the batch that is under way when it is told to stop is sent again.
 */

#ifndef NGX_ESPUTNIK_DRAIN_H
#define NGX_ESPUTNIK_DRAIN_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_delivery.h"
#include "ngx_esputnik_log.h"
#include "ngx_esputnik_thread.h"

#include "esputnik_journal_reader.h"

namespace ngx_esputnik {

class Spool;

class Drain {
public:
    /* nullptr when memory is short. */
    static Drain *make(Spool *spool, ngx_pool_t *pool);
    ~Drain();

    /* Looks after the spool from now on. */
    void start();

    /* There may be something to do. */
    void wake();

private:
    enum class State : uint8_t { idle, reading, asking, sending, holding };

    /* What the thread found. */
    enum class Found : uint8_t { records, empty, later, busy, failed };

    /* More than one read has. */
    static constexpr size_t kMostRecords = 64 * 1024;

    explicit Drain(Spool *spool);

    static void read(void *data, ngx_log_t *log) noexcept;
    static void on_read(ngx_event_t *ev) noexcept;
    static void on_timer(ngx_event_t *ev) noexcept;
    static void on_delivered(void *owner,
                             const Delivery::Verdict &verdict) noexcept;
    static bool on_length(Op *op, Outcome outcome, const esputnik::Reply *reply,
                          bool last, std::string_view why) noexcept;

    void run();
    bool sweep_due();
    void read_more();
    Found look();
    void commit(bool compact);
    void recount();
    void settle();
    void found();
    void send();
    bool pass_waiting();
    size_t plan_batch(esputnik::PushPlan &plan, bool *good);
    bool plan_record(const esputnik::JournalReader::Item &item,
                     esputnik::PushPlan &plan, bool first);
    static int slot_of(const esputnik::JournalReader::Item &item);
    void delivered(const Delivery::Verdict &verdict);
    void stuck(const Delivery::Verdict &verdict);
    bool hold(ngx_msec_t time);
    void try_later();
    void waits_for(std::string_view why);

    /* esputnik_max_length: ngx_esputnik_drain_room.cpp */
    bool bounded(const esputnik::JournalReader::Item &item) const;
    bool has_room(const esputnik::JournalReader::Item &item,
                  size_t events) const;
    bool may_take(const esputnik::JournalReader::Item &item) const;
    void note_room(std::string_view key, uint64_t length);
    void ask();
    bool take_length(const esputnik::Reply &reply);
    void answered();

    void pause(ngx_msec_t ms);
    void report();
    void leave();
    void let_go();

    Spool *spool_;

    /* the thread's, while reading */
    ngx_thread_task_t *task_ = nullptr;
    ThreadMark thread_;
    esputnik::JournalReader *reader_ = nullptr;
    esputnik::SpoolShared::Ticket ticket_ = {};
    esputnik::CommitReport commit_;
    int lock_ = -1;
    int error_ = 0;
    Found found_ = Found::empty;
    bool release_ = false;         /* try held records again */
    bool leaving_ = false;         /* the last time: nothing more to be read */

    State state_ = State::idle;
    bool lists_ = false;           /* the batch is for lists, not streams */
    bool trying_ = false;          /* not all that was held is looked at yet */
    bool full_ = false;            /* a list of the next record's is */
    unsigned looks_ = 0;           /* since the folder was read last */
    size_t next_ = 0;              /* of the reader's items */
    size_t batch_ = 0;             /* how many are under way */
    size_t most_ = kMostRecords;   /* in a batch; one more with each that is
                                      stored */
    ngx_msec_t held_at_ = 0;
    ngx_msec_t held_for_ = 0;      /* until what is held is tried again */
    ngx_msec_t delay_ = 0;
    Delivery *delivery_ = nullptr;

    OwnedOp<Drain> lengths_;       /* what is asked of the next record's lists */
    size_t asked_ = 0;             /* of the reader's items: all before it were
                                      asked about, or needed not */
    esputnik::Buffer room_key_;    /* the list that Redis told of last */
    uint64_t room_ = 0;            /* events that it may take */

    LogLimit log_limit_{10000};
    ngx_event_t timer_;
    ngx_connection_t self_;
};

} // namespace ngx_esputnik

#endif
