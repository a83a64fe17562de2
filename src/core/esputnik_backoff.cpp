#include "esputnik_backoff.h"

namespace esputnik {

void Backoff::lost(uint64_t ready_for)
{
    if (ready_for >= kBackoffMax) {
        step_ = 0;
        at_once_ = true;
    }
}

uint32_t Backoff::ceiling() const
{
    if (at_once_) {
        return 0;
    }
    if (step_ == 0) {
        return kBackoffFirst;
    }
    return step_ > kBackoffMax / 2 ? kBackoffMax : step_ * 2;
}

uint32_t Backoff::next(uint32_t random)
{
    const uint32_t step = ceiling();
    if (step == 0) {
        at_once_ = false;
        return 0;
    }
    step_ = step;

    /* the high bits choose: a fraction of the range, not a remainder */
    const uint32_t range = step / 2 + 1;
    const uint64_t offset = (uint64_t{random} * range) >> 32;
    return step - step / 2 + static_cast<uint32_t>(offset);
}

} // namespace esputnik
