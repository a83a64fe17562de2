/*
 * esputnik_max_length, as one worker sees the lists of a target: which of them
 * are full, and whether they still are.  A request for a full list waits until
 * Redis has told; all that come meanwhile wait for the same answer.
 */

#ifndef NGX_ESPUTNIK_LENGTHS_H
#define NGX_ESPUTNIK_LENGTHS_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_op.h"

#include "esputnik_array.h"
#include "esputnik_full_lists.h"

namespace ngx_esputnik {

class Target;

enum class Room : uint8_t {
    yes,
    no,
    asking,     /* Redis is being asked: done() follows */
};

/* Who waits for a list's length; stays where it is until done() or
 * Lengths::cancel(). */
struct LengthWaiter {
    ngx_queue_t queue;
    /* why is empty when there is room, else a text that is valid during the
     * call: the list is full, or Redis did not tell. */
    void (*done)(LengthWaiter *waiter, std::string_view why) noexcept;
    uint64_t max;
    Link *link;         /* that was asked */
    bool waiting;
};

class Lengths {
public:
    static constexpr std::string_view kFull = "the list is full";

    explicit Lengths(Target *target) : target_(target) {}
    ~Lengths();

    Lengths(const Lengths &) = delete;
    Lengths &operator=(const Lengths &) = delete;

    /* What a reply told of a list: FullLists::note(). */
    void note(std::string_view key, uint64_t length, uint64_t max)
    {
        lists_.note(key, length, max);
    }

    /* As far as is known without asking. */
    bool full(std::string_view key, uint64_t max) const
    {
        return lists_.full(key, max);
    }

    /* Whether the list may take more; *why is set when it may not.  Without a
     * waiter a look is begun all the same, for the next one who comes. */
    Room room(std::string_view key, uint64_t max, ngx_msec_t timeout,
              LengthWaiter *waiter, std::string_view *why);

    static void cancel(LengthWaiter *waiter);

private:
    /* LLEN, under way. */
    struct Look {
        Op op;                  /* first: an Op * is its Look * */
        Lengths *owner;
        Link *link;
        uint64_t max;
        ngx_queue_t waiters;
        esputnik::Buffer key;
        Look *next;

        std::string_view name() const { return {key.data(), key.size()}; }
    };

    static bool on_length(Op *op, Outcome outcome, const esputnik::Reply *reply,
                          bool last, std::string_view why) noexcept;

    Look *find(std::string_view key);
    Look *begin(std::string_view key, uint64_t max, ngx_msec_t timeout,
                std::string_view *why);
    void end(Look *look, const uint64_t *length, std::string_view why);

    Target *target_;
    esputnik::FullLists lists_;
    Look *looks_ = nullptr;     /* of one list one at a time */
};

} // namespace ngx_esputnik

#endif
