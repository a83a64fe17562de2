#include "esputnik_journal_reader.h"

#include <cerrno>
#include <cstring>
#include <new>

#include "esputnik_sorted.h"
#include "esputnik_spool_dir.h"

namespace esputnik {

JournalReader::~JournalReader()
{
    for (JournalSource *s : sources_) {
        delete s;
    }
}

bool JournalReader::init(Files *files, std::string_view dir,
                         std::string_view target, SpoolShared *shared)
{
    files_ = files;
    shared_ = shared;
    dir_.clear();
    target_.clear();
    return !target.empty() && target.size() <= kTargetMax
           && dir_.append(dir.data(), dir.size()) && dir_.push('\0')
           && target_.append(target.data(), target.size());
}

bool JournalReader::give_up(int error)
{
    error_ = error;
    return false;
}

JournalSource *JournalReader::find(uint64_t id)
{
    for (JournalSource *s : sources_) {
        if (s->id() == id) {
            return s;
        }
    }
    return nullptr;
}

void JournalReader::drop(size_t i)
{
    for (Item &item : items_) {
        if (item.source == sources_[i]) {
            item.source = nullptr;
        }
    }
    delete sources_[i];
    sources_[i] = sources_.back();
    sources_.pop();
}

bool JournalReader::adopt(uint64_t id)
{
    JournalSource *s = new (std::nothrow)
        JournalSource(files_, dir_.data(), shared_, &reports_, id);
    if (s == nullptr || !sources_.push(s)) {
        delete s;
        return give_up(ENOMEM);
    }

    switch (s->adopt({target_.data(), target_.size()})) {
    case JournalSource::Adopted::ours:
    case JournalSource::Adopted::other:
        return true;
    case JournalSource::Adopted::gone:
        drop(sources_.size() - 1);
        return true;
    case JournalSource::Adopted::failed:
        give_up(s->error());
        drop(sources_.size() - 1);
        return false;
    }
    return false;
}

/* Looks for new segments, and forgets those that are gone. */
bool JournalReader::refresh()
{
    const int rc = list_segments(*files_, dir_.data(), &listed_);
    if (rc < 0) {
        return give_up(-rc);
    }

    for (size_t i = 0; i < sources_.size();) {
        if (contains(listed_, sources_[i]->id())) {
            i++;
        } else {
            /* removed by hand, or by a commit() that then failed */
            freed_ += sources_[i]->ours() ? sources_[i]->size() : 0;
            drop(i);
        }
    }
    for (uint64_t id : listed_) {
        if (find(id) == nullptr && !adopt(id)) {
            return false;
        }
    }
    return drop_replaced();
}

/* After a crash, or a failure, between the two steps of a compaction: the name of
 * the new segment may not be durable yet. */
bool JournalReader::drop_replaced()
{
    for (size_t i = 0; i < sources_.size(); i++) {
        const uint64_t id = sources_[i]->replaces();
        JournalSource *old = id != 0 ? find(id) : nullptr;
        if (old == nullptr || !old->ours()) {
            continue;
        }

        int rc = files_->fsync_dir(dir_.data());
        if (rc == 0) {
            rc = old->remove(&freed_);
        }
        if (rc < 0) {
            return give_up(-rc);
        }
        for (size_t k = 0; k < sources_.size(); k++) {
            if (sources_[k] == old) {
                drop(k);
                break;
            }
        }
        i = SIZE_MAX; /* the order has changed: once more from the start */
    }
    return true;
}

/* What was neither done nor held is read again. */
void JournalReader::rewind_unresolved()
{
    for (size_t i = items_.size(); i-- > 0;) {
        const Item &item = items_[i];
        if (!item.done && !item.held && item.source != nullptr) {
            item.source->rewind(item.range.from);
        }
    }
    items_.clear();
    bytes_.clear();
}

/* The source whose record comes next, with its head loaded. */
JournalSource *JournalReader::lowest(uint64_t before, bool *later)
{
    for (;;) {
        JournalSource *best = nullptr;
        for (JournalSource *s : sources_) {
            if (s->ours() && s->sequence() != UINT64_MAX
                && (best == nullptr || s->sequence() < best->sequence()))
            {
                best = s;
            }
        }
        if (best == nullptr) {
            return nullptr;
        }
        if (best->sequence() >= before) {
            *later = true;
            return nullptr;
        }
        if (best->has_head()) {
            return best;
        }
        if (best->load() == JournalSource::Head::failed) {
            give_up(best->error());
            return nullptr;
        }
    }
}

/* Moves the head of a source into the items, unless its keys wait. */
bool JournalReader::take(JournalSource *s)
{
    const Record &r = s->record();

    if (!held_keys_.empty() && keys_held(r.payload)) {
        /* its other keys wait with it, or they would overtake */
        if (!hold_keys(r.payload)) {
            return false;
        }
        s->pass();
        return true;
    }

    Item item = {};
    item.record = r;
    item.segment_id = s->id();
    item.offset = s->offset();
    item.range = s->range();
    item.source = s;
    item.copy = bytes_.size();

    if (!items_.reserve(items_.size() + 1)
        || !bytes_.reserve(bytes_.size() + r.target.size() + r.payload.size()))
    {
        return give_up(ENOMEM);
    }
    bytes_.append(r.target.data(), r.target.size());
    bytes_.append(r.payload.data(), r.payload.size());
    items_.push(item);
    s->pass();
    return true;
}

ReadResult JournalReader::read(uint64_t before, size_t max_bytes)
{
    rewind_unresolved();
    error_ = 0;

    if (!refresh()) {
        return ReadResult::failed;
    }
    skip_passed();
    for (JournalSource *s : sources_) {
        if (s->ours() && s->poll() == JournalSource::Head::failed) {
            give_up(s->error());
            return ReadResult::failed;
        }
    }

    bool later = false;
    while (JournalSource *s = lowest(before, &later)) {
        if (!items_.empty()
            && bytes_.size() + s->record().payload.size() > max_bytes) {
            break;
        }
        if (!take(s)) {
            break;
        }
    }

    for (Item &item : items_) {
        const char *p = bytes_.data() + item.copy;
        item.record.target = {p, item.record.target.size()};
        item.record.payload = {p + item.record.target.size(),
                               item.record.payload.size()};
    }

    /* What was taken before a failure is in order, and is delivered. */
    if (!items_.empty()) {
        return ReadResult::records;
    }
    if (error_ != 0) {
        return ReadResult::failed;
    }
    return later || holds() ? ReadResult::waiting : ReadResult::empty;
}

bool JournalReader::done(size_t i)
{
    Item &item = items_[i];
    if (item.done || item.source == nullptr || !item.source->mark(item.range)) {
        return false;
    }
    item.done = true;
    done_records_++;
    done_events_ += item.record.events;
    return true;
}

bool JournalReader::commit(CommitReport *report, bool compact)
{
    *report = {};
    report->records = done_records_;
    report->events = done_events_;
    report->freed = freed_;
    done_records_ = done_events_ = freed_ = 0;

    for (size_t i = 0; i < sources_.size();) {
        JournalSource *s = sources_[i];
        int rc = 0;
        bool gone = false;

        bool wanted = false;
        for (const Item &item : items_) {
            wanted |= item.source == s && !item.done && !item.held;
        }

        if (s->finished()) {
            rc = s->remove(&report->freed);
            gone = rc == 0;
        } else if (compact && !wanted && s->sparse()) {
            rc = s->compact(&report->freed);
            gone = rc == 0;
        } else if (s->ours()) {
            rc = s->write_marks();
            if (s->idle()) {
                s->park();
            }
        }

        if (rc < 0) {
            report->error = -rc;
        }
        if (gone) {
            drop(i);
        } else {
            i++;
        }
    }
    return report->error == 0;
}

int JournalReader::sync_marks()
{
    int error = 0;
    for (JournalSource *s : sources_) {
        const int rc = s->ours() ? s->sync_marks() : 0;
        if (rc < 0) {
            error = -rc;
        }
    }
    return error;
}

} // namespace esputnik
