#include "esputnik_journal_segment.h"

#include <cerrno>
#include <cstring>

namespace esputnik {

namespace {

constexpr size_t kWindow = 64 * 1024;

bool all_zero(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

} // namespace

void SegmentWalker::start(Files *files, int fd, uint64_t segment_id,
                          const RangeSet *delivered, uint64_t offset,
                          uint64_t limit)
{
    files_ = files;
    delivered_ = delivered;
    fd_ = fd;
    segment_id_ = segment_id;
    offset_ = position_ = round_up(offset, 8);
    window_from_ = window_size_ = 0;
    error_ = 0;
    limit_ = limit;
}

void SegmentWalker::set_limit(uint64_t limit)
{
    /* bytes that were being written may have been looked at */
    window_size_ = 0;
    limit_ = limit;
}

/* n bytes at offset, or nullptr: error_ says why, 0 when the file ends
 * before. */
const char *SegmentWalker::view(uint64_t offset, size_t n)
{
    if (offset > limit_ || n > limit_ - offset) {
        return nullptr;
    }

    if (offset < window_from_ || offset + n > window_from_ + window_size_) {
        uint64_t wanted = n > kWindow ? n : kWindow;
        if (wanted > limit_ - offset) {
            wanted = limit_ - offset;
        }

        window_size_ = 0;
        if (!window_.reserve(wanted)) {
            error_ = -ENOMEM;
            return nullptr;
        }
        const ssize_t got = read_all(*files_, fd_, window_.data(), wanted,
                                     offset);
        if (got < 0) {
            error_ = static_cast<int>(got);
            return nullptr;
        }
        window_from_ = offset;
        window_size_ = static_cast<uint64_t>(got);

        if (window_size_ < wanted) {
            /* a failed append was cut back meanwhile */
            limit_ = offset + window_size_;
            if (window_size_ < n) {
                return nullptr;
            }
        }
    }
    return window_.data() + (offset - window_from_);
}

/* Where the delivered range ends that holds offset, or offset. */
uint64_t SegmentWalker::delivered_end(uint64_t offset) const
{
    const uint64_t end = delivered_->skip(static_cast<uint32_t>(offset));
    return end < limit_ ? end : limit_;
}

bool SegmentWalker::good_record(uint64_t offset, RecordHeader *h)
{
    const char *p = view(offset, kRecordHeaderSize);
    if (p == nullptr || !check_record_header(p, segment_id_, h)) {
        return false;
    }
    const uint64_t end = delivered_end(offset);
    if (end > offset && h->size() > end - offset) {
        return false; /* none was marked up to its middle */
    }
    p = view(offset, h->size());
    return p != nullptr && check_record_body(p, *h, segment_id_);
}

/* Nothing good at from: where is the next good record, or delivered range? */
SegmentWalker::Step SegmentWalker::resynchronise(uint64_t from)
{
    uint64_t at = from;
    RecordHeader h;

    while (at < limit_) {
        const uint64_t end = delivered_end(at);
        if (end > at) {
            offset_ = from;
            position_ = at > from ? at : round_up(end, 8);
            return Step::corrupt;
        }
        if (limit_ - at < kRecordHeaderSize) {
            break;
        }
        const char *p = view(at, kRecordHeaderSize);
        if (p == nullptr) {
            break;
        }
        if (!check_record_header(p, segment_id_, &h)) {
            at += 8;
            continue;
        }
        if (good_record(at, &h)) {
            offset_ = from;
            position_ = at;
            return Step::corrupt;
        }
        if (error_ != 0) {
            break;
        }

        /* The header is right, so is its length; what lies inside was sent
         * by somebody, and is not searched. */
        at += h.padded_size();
    }

    offset_ = position_ = from;
    return error_ != 0 ? Step::failed : Step::bad_tail;
}

SegmentWalker::Step SegmentWalker::next()
{
    error_ = 0;

    for (;;) {
        if (position_ >= limit_) {
            offset_ = position_;
            return Step::limit;
        }

        /* the gap before the next append's sector */
        const uint64_t sector = round_up(position_, kSectorSize);
        if (sector != position_) {
            const uint64_t end = sector < limit_ ? sector : limit_;
            const char *p = view(position_, end - position_);
            if (p != nullptr && all_zero(p, end - position_)) {
                position_ = sector;
                continue;
            }
        }
        if (error_ != 0) {
            return Step::failed;
        }

        RecordHeader h;
        if (!good_record(position_, &h)) {
            if (error_ != 0) {
                return Step::failed;
            }
            if (position_ >= limit_) {
                continue;
            }
            return resynchronise(position_);
        }

        const char *p = view(position_, h.size());
        offset_ = position_;
        position_ += h.padded_size();
        if (h.kind == RecordKind::end) {
            return Step::end_mark;
        }

        p += kRecordHeaderSize;
        record_.sequence = h.sequence;
        record_.time_ms = h.time_ms;
        record_.events = h.events;
        record_.target = {p, h.target_length};
        record_.payload = {p + h.target_length, h.payload_length};
        return Step::record;
    }
}

} // namespace esputnik
