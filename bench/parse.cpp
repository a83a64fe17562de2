/*
 * How fast the parser is, against a bare yajl: the same bodies go through
 * Parser::parse() and through yajl as it comes (its own UTF-8 check on, every
 * callback there and empty), in turns, so that both see the same machine.
 * Prints the best rates, since whatever else runs only takes away, for 1, 4, 100 and 10,000 events of about 450 bytes.
 *
 * A make target for it, from the top folder:
 *
 *   PARSER := $(addprefix src/core/esputnik_,$(addsuffix .cpp, \
 *       parser walk syntax problem fields utf8 arena))
 *
 *   build/bench-parse: bench/parse.cpp $(PARSER)
 *           $(CXX) -std=gnu++17 -O2 -g -fno-exceptions -fno-rtti \
 *               -Wall -Wextra -Werror -Iinclude -Isrc/core \
 *               -o $@ bench/parse.cpp $(PARSER) -lyajl
 *
 * Usage: bench-parse [SECONDS]   per number of events, 1 unless told
 */

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <yajl/yajl_parse.h>

#include "esputnik_parser.h"

namespace {

using esputnik::Field;
using esputnik::field_bit;

double now()
{
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* In the documented shape, values of the usual length. */
std::string make_body(size_t events)
{
    std::string body = "[";
    for (size_t i = 0; i < events; i++) {
        char event[1024];
        std::snprintf(
            event, sizeof(event),
            "%s{\"broadcastId\":3459207,\"messageName\":\"Autumn sale\","
            "\"iid\":\"99d591ab-e7a5-49ed-8e16-%012zu\","
            "\"contactId\":%zu,\"externalCustomerId\":\"7894%zu\","
            "\"email\":\"reader%zu@example.com\",\"mediaType\":\"email\","
            "\"activityStatus\":\"DELIVERED\",\"messageId\":2489300,"
            "\"messageInstanceId\":4702518,"
            "\"activityDateTime\":\"2023-09-14T08:30:03\","
            "\"viewMessageLink\":\"https://mail.example.com/J9o6Ev%zu\","
            "\"messageTag\":\"spring,sale\",\"statusData\":{}}",
            i ? "," : "", i, 1967597908 + i, i, i, i);
        body += event;
    }
    return body + "]";
}

int on_null(void *)
{
    return 1;
}
int on_boolean(void *, int)
{
    return 1;
}
int on_number(void *, const char *, size_t)
{
    return 1;
}
int on_text(void *, const unsigned char *, size_t)
{
    return 1;
}
int on_edge(void *)
{
    return 1;
}

const yajl_callbacks kEmpty = {
    on_null, on_boolean, nullptr, nullptr, on_number, on_text,
    on_edge, on_text,    on_edge, on_edge, on_edge,
};

bool bare(const std::string &body)
{
    yajl_handle h = yajl_alloc(&kEmpty, nullptr, nullptr);
    const auto *bytes = reinterpret_cast<const unsigned char *>(body.data());
    const bool ok = yajl_parse(h, bytes, body.size()) == yajl_status_ok
                    && yajl_complete_parse(h) == yajl_status_ok;
    yajl_free(h);
    return ok;
}

} // namespace

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? std::atof(argv[1]) : 1.0;
    esputnik::Parser parser;
    esputnik::ParseOptions plain;
    esputnik::ParseOptions wanting;
    wanting.wanted = field_bit(Field::contact_id)
                     | field_bit(Field::activity_status);

    std::printf("%8s %9s %11s %11s %11s %8s %8s\n", "events", "bytes",
                "yajl MB/s", "parser", "2 wanted", "parser%", "wanted%");

    for (size_t events : {1, 4, 100, 10000}) {
        const std::string body = make_body(events);
        const auto ours = [&](const esputnik::ParseOptions &o) {
            return parser.parse(body.data(), body.size(), o)
                       == esputnik::ParseResult::ok
                   && parser.batch().events.size() == events;
        };
        const size_t batch = 1 + 400000 / body.size();
        double best[3] = {1e9, 1e9, 1e9};
        const double until = now() + seconds;

        do {
            for (int which = 0; which < 3; which++) {
                const double start = now();
                for (size_t i = 0; i < batch; i++) {
                    const bool ok = which == 0
                                        ? bare(body)
                                        : ours(which == 1 ? plain : wanting);
                    if (!ok) {
                        std::fprintf(stderr, "the body was refused\n");
                        return 1;
                    }
                }
                best[which] = std::min(best[which], (now() - start) / batch);
            }
        } while (now() < until);

        double rate[3];
        for (int which = 0; which < 3; which++) {
            rate[which] = body.size() / best[which] * 1e-6;
        }
        std::printf("%8zu %9zu %11.1f %11.1f %11.1f %7.1f%% %7.1f%%\n", events,
                    body.size(), rate[0], rate[1], rate[2],
                    100 * rate[1] / rate[0], 100 * rate[2] / rate[0]);
    }
    return 0;
}
