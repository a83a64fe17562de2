#include "esputnik_full_lists.h"

#include "esputnik_fnv.h"

namespace esputnik {

namespace {

/* 0 marks a free place */
uint64_t hash_of(std::string_view key)
{
    const uint64_t hash = fnv1a(key);
    return hash ? hash : 1;
}

} // namespace

FullLists::List *FullLists::find(uint64_t hash)
{
    for (List &list : lists_) {
        if (list.hash == hash) {
            return &list;
        }
    }
    return nullptr;
}

/* For one more: a free one, or that of the list told longest ago. */
FullLists::List *FullLists::place()
{
    List *list = find(0);
    if (list != nullptr) {
        used_++;
        return list;
    }

    list = lists_;
    for (List &other : lists_) {
        if (other.told < list->told) {
            list = &other;
        }
    }
    return list;
}

void FullLists::note(std::string_view key, uint64_t length, uint64_t max)
{
    const bool over = max != 0 && length >= max;
    if (!over && used_ == 0) {
        return;  /* the usual case */
    }

    const uint64_t hash = hash_of(key);
    List *list = find(hash);

    if (list == nullptr) {
        if (!over) {
            return;
        }
        list = place();
        *list = List();
        list->hash = hash;
        list->max = max;

    } else if (over && max < list->max) {
        list->max = max;

    } else if (length < list->max) {
        *list = List();
        used_--;
        return;
    }

    list->length = length;
    list->told = ++clock_;
}

bool FullLists::full(std::string_view key, uint64_t max) const
{
    if (used_ == 0 || max == 0) {
        return false;
    }

    const uint64_t hash = hash_of(key);
    for (const List &list : lists_) {
        if (list.hash == hash) {
            return list.length >= max;
        }
    }
    return false;
}

bool FullLists::look(std::string_view key, uint64_t now_ms)
{
    List *list = find(hash_of(key));

    if (list == nullptr || list->due > now_ms + (kLooks - 1) * kLookInterval) {
        return false;
    }

    list->due = (list->due > now_ms ? list->due : now_ms) + kLookInterval;
    return true;
}

} // namespace esputnik
