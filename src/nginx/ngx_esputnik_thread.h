/*
 * Whether a thread has a task of ours in hand, for the end of the worker.
 *
 * nginx' thread pool ends before the modules do, and waits until its threads
 * have done all that was posted.  But it gives up at once when its queue
 * (max_queue) has no room for the tasks by which it ends them; what the thread
 * uses must not go before it then.
 */

#ifndef NGX_ESPUTNIK_THREAD_H
#define NGX_ESPUTNIK_THREAD_H

#include "ngx_esputnik.h"

#include <atomic>

namespace ngx_esputnik {

class ThreadMark {
public:
    /* Before the task is posted; after it could not be. */
    void give() { given_.store(true, std::memory_order_relaxed); }
    void take_back() { given_.store(false, std::memory_order_relaxed); }

    /* The last that the thread does. */
    void done() { given_.store(false, std::memory_order_release); }

    /* At the worker's end. */
    void wait() const
    {
        while (given_.load(std::memory_order_acquire)) {
            ngx_msleep(1);
        }
    }

private:
    std::atomic<bool> given_{false};
};

} // namespace ngx_esputnik

#endif
