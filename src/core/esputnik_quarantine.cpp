#include "esputnik_quarantine.h"

#include <cstdarg>
#include <cstdio>

namespace esputnik {

namespace {

/* Appends what fits; a head is far below its maximum. */
class Line {
public:
    Line(char *out, size_t size) : out_(out), size_(size) {}

    __attribute__((format(printf, 2, 3))) void print(const char *format, ...)
    {
        va_list args;
        va_start(args, format);
        const int n = std::vsnprintf(out_ + used_, size_ - used_, format, args);
        va_end(args);

        if (n > 0 && static_cast<size_t>(n) < size_ - used_) {
            used_ += static_cast<size_t>(n);
        }
    }

    void escaped(std::string_view text)
    {
        used_ += json_escape(text, out_ + used_, size_ - used_);
    }

    size_t used() const { return used_; }

private:
    char *out_;
    size_t size_;
    size_t used_ = 0;
};

} // namespace

size_t quarantine_head(const Problem &problem, time_t now, char *out,
                       size_t size)
{
    Line line(out, size);

    const std::string_view reason = reason_name(problem.reason);
    line.print("{\"reason\":\"%.*s\",\"detail\":\"",
               static_cast<int>(reason.size()), reason.data());

    char detail[256];
    line.escaped({detail, problem_detail(problem, detail, sizeof(detail))});
    line.print("\"");

    if (problem.offset != Problem::kUnknown) {
        line.print(",\"offset\":%zu", problem.offset);
    }
    if (problem.event != Problem::kUnknown) {
        line.print(",\"event\":%zu", problem.event);
    }
    if (problem.field != Field::none) {
        const std::string_view name = field_info(problem.field).name;
        line.print(",\"field\":\"%.*s\"", static_cast<int>(name.size()),
                   name.data());
    }

    struct tm utc;
    ::gmtime_r(&now, &utc);
    line.print(",\"time\":\"%04d-%02d-%02dT%02d:%02d:%02dZ\"}\n",
               utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
               utc.tm_min, utc.tm_sec);

    return line.used();
}

} // namespace esputnik
