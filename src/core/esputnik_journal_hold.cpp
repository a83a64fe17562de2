/*
 * Which records are held back, and what of them need not be read again.
 */

#include <cerrno>

#include "esputnik_fnv.h"
#include "esputnik_journal_reader.h"
#include "esputnik_sorted.h"

namespace esputnik {

/* Two keys of one sum only wait for each other. */
bool JournalReader::keys_held(std::string_view payload) const
{
    OperationReader reader(payload);
    for (Operation op; reader.next(&op);) {
        if (contains(held_keys_, fnv1a(op.key))) {
            return true;
        }
    }
    return false;
}

bool JournalReader::hold_keys(std::string_view payload)
{
    OperationReader reader(payload);
    for (Operation op; reader.next(&op);) {
        if (!insert(&held_keys_, fnv1a(op.key))) {
            return give_up(ENOMEM);
        }
    }
    return true;
}

void JournalReader::forget_passed()
{
    passed_keys_.clear();
    for (JournalSource *s : sources_) {
        s->forget();
    }
}

/* Before all sources begin anew: how far each has come, and the keys of what was
 * left on the way there.  Where the way before has not been covered again, this
 * one is added to it. */
bool JournalReader::note_passed()
{
    bool covered = true;
    for (JournalSource *s : sources_) {
        covered = covered && !s->behind();
    }
    if (covered) {
        forget_passed();
    }

    for (uint64_t hash : held_keys_) {
        if (!insert(&passed_keys_, hash)) {
            return false;
        }
    }
    for (JournalSource *s : sources_) {
        s->remember();
    }
    return true;
}

/* Each record that was left on the way has one of these keys. */
void JournalReader::skip_passed()
{
    if (passed_keys_.empty()) {
        return;
    }
    for (uint64_t hash : passed_keys_) {
        if (!contains(held_keys_, hash)) {
            return;
        }
    }
    for (JournalSource *s : sources_) {
        s->resume();
    }
    forget_passed();
}

bool JournalReader::hold(size_t i)
{
    if (!hold_keys(items_[i].record.payload)) {
        return false;
    }
    items_[i].held = true;
    return true;
}

void JournalReader::release()
{
    rewind_unresolved();
    if (!note_passed()) {
        forget_passed();  /* memory is short: all is looked at again */
    }
    held_keys_.clear();
    for (JournalSource *s : sources_) {
        if (s->ours()) {
            s->rewind();
        }
    }
}

} // namespace esputnik
