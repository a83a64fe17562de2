/*
 * For tests of the parser: bodies whose last byte is the last one of a page,
 * with an inaccessible page behind it, and results as one line of text.
 */

#ifndef ESPUTNIK_T_PARSING_H
#define ESPUTNIK_T_PARSING_H

#include <check.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "esputnik_parser.h"

/* Check's own comparison would keep a pointer into a string that is gone. */
#define ASSERT_TEXT(got, want)                                                 \
    do {                                                                       \
        const std::string got_ = (got);                                        \
        const std::string want_ = (want);                                      \
        ck_assert_msg(got_ == want_, "got \"%s\", expected \"%s\"",            \
                      got_.c_str(), want_.c_str());                            \
    } while (0)

namespace parsing {

/* A read beyond the bytes is a SIGSEGV. */
class Guarded {
public:
    explicit Guarded(std::string_view bytes)
    {
        const size_t page = sysconf(_SC_PAGESIZE);
        const size_t room = (bytes.size() + page - 1) / page * page + page;
        size_ = room + page;
        map_ = static_cast<char *>(mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (map_ == MAP_FAILED || mprotect(map_ + room, page, PROT_NONE) != 0) {
            std::abort();
        }
        data_ = map_ + room - bytes.size();
        if (!bytes.empty()) {
            std::memcpy(data_, bytes.data(), bytes.size());
        }
        length_ = bytes.size();
    }

    ~Guarded() { munmap(map_, size_); }

    Guarded(const Guarded &) = delete;
    Guarded &operator=(const Guarded &) = delete;

    const char *data() const { return data_; }
    size_t size() const { return length_; }

private:
    char *map_;
    char *data_;
    size_t size_;
    size_t length_;
};

/* "wrong_type @14 #0 contactId"; " limit 16" where there is one. */
inline std::string describe(const esputnik::Problem &p)
{
    std::string s(esputnik::reason_name(p.reason));
    if (p.offset != esputnik::Problem::kUnknown) {
        s += " @" + std::to_string(p.offset);
    }
    if (p.event != esputnik::Problem::kUnknown) {
        s += " #" + std::to_string(p.event);
    }
    if (p.field != esputnik::Field::none) {
        s += " " + std::string(esputnik::field_info(p.field).name);
    }
    if (p.limit != 0) {
        s += " limit " + std::to_string(p.limit);
    }
    return s;
}

/* A refused body's problem, or "ok" with the number of events and, with
 * keep_going, their problems: "ok 3; wrong_type @14 #0 contactId". */
inline std::string outcome(esputnik::Parser &parser, std::string_view body,
                           const esputnik::ParseOptions &options)
{
    const Guarded bytes(body);
    switch (parser.parse(bytes.data(), bytes.size(), options)) {
    case esputnik::ParseResult::refused:
        if (!parser.batch().events.empty()) {
            return "refused, with events";
        }
        return describe(parser.problem());
    case esputnik::ParseResult::no_memory:
        return "no memory";
    default:
        break;
    }

    const esputnik::Batch &batch = parser.batch();
    std::string s = "ok " + std::to_string(batch.events.size());
    for (const esputnik::Event &e : batch.events) {
        if (e.problem != 0) {
            s += "; " + describe(batch.problems[e.problem - 1]);
        }
    }
    return s;
}

inline std::string outcome(std::string_view body,
                           const esputnik::ParseOptions &options = {})
{
    esputnik::Parser parser;
    return outcome(parser, body, options);
}

/* Nothing is required. */
inline esputnik::ParseOptions lenient()
{
    esputnik::ParseOptions o;
    o.required = 0;
    return o;
}

} // namespace parsing

#endif
