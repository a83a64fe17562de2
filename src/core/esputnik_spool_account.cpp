#include "esputnik_spool_account.h"

namespace esputnik {

/* The share comes before the sum where something begins and after it where it
 * ends: whoever finds the share empty finds the sum whole. */

bool SpoolAccount::reserve(size_t i, uint64_t bytes, uint64_t limit)
{
    share(i, bytes);

    const int64_t before = sum_.fetch_add(static_cast<int64_t>(bytes));
    const uint64_t used = before > 0 ? static_cast<uint64_t>(before) : 0;

    if (limit != 0 && used + bytes > limit) {
        give_back(i, bytes);
        return false;
    }
    return true;
}

void SpoolAccount::give_back(size_t i, uint64_t reserved)
{
    sum_.fetch_sub(static_cast<int64_t>(reserved));
    share(i, 0 - reserved);
}

void SpoolAccount::begin(size_t i)
{
    share(i, kTask);
}

void SpoolAccount::end(size_t i, int64_t grown, uint64_t reserved)
{
    sum_.fetch_add(grown - static_cast<int64_t>(reserved));
    ended_.fetch_add(1);
    share(i, 0 - reserved - kTask);
}

void SpoolAccount::abandon(size_t i, uint64_t had)
{
    uint64_t expected = had;
    if (shares_[i].compare_exchange_strong(expected, 0)) {
        sum_.fetch_sub(static_cast<int64_t>(had % kTask));
    }
}

/* Changes that cancel each other leave the sum as it was, and the count may
 * have seen the one and not the other: hence their number. */
bool SpoolAccount::correct(Mark before, uint64_t counted)
{
    return ended_.load() == before.ended
           && sum_.compare_exchange_strong(before.sum,
                                           static_cast<int64_t>(counted));
}

} // namespace esputnik
