#include "esputnik_full_lists.h"

namespace esputnik {

namespace {

/* FNV-1a; 0 marks a free place */
uint64_t hash_of(std::string_view key)
{
    uint64_t hash = 14695981039346656037u;
    for (const char c : key) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
    }
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

void FullLists::note(std::string_view key, uint64_t length, uint64_t max)
{
    const bool over = max != 0 && length >= max;
    if (!over && used_ == 0) {
        return;  /* the usual case */
    }

    const uint64_t hash = hash_of(key);
    List *list = find(hash);

    if (!over) {
        if (list != nullptr) {
            *list = List();
            used_--;
        }
        return;
    }

    if (list == nullptr) {
        list = find(0);
        if (list != nullptr) {
            used_++;
        } else {
            list = lists_;
            for (List &other : lists_) {
                if (other.told < list->told) {
                    list = &other;
                }
            }
        }
    }

    list->hash = hash;
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

} // namespace esputnik
