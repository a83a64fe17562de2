/*
 * The command line of esputnik-spool.
 */

#ifndef ESPUTNIK_SPOOL_OPTIONS_H
#define ESPUTNIK_SPOOL_OPTIONS_H

#include <getopt.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "esputnik_journal_reader.h"
#include "esputnik_spool_dir.h"

namespace spool_tool {

enum Exit {
    kExitOk = 0,
    kExitWrong = 1, /* verify found problems; replay left records */
    kExitUsage = 2,
    kExitFailed = 3, /* a file or Redis */
    kExitLocked = 4, /* nginx has the spool */
};

enum class Command { list, print, verify, replay };

struct Options {
    Command command = Command::list;
    const char *dir = nullptr;
    const char *target = nullptr;
    const char *redis = nullptr;
    const char *user = nullptr;
    const char *password_file = nullptr;
    unsigned database = 0;
    uint64_t limit = 0;
    bool all = false;
    bool values = false;
    bool force = false;
};

constexpr char kUsage[] = R"(usage: esputnik-spool COMMAND DIR [OPTION]...

Commands:
  list      segments with records, events, bytes, times, target and state
  print     the events that wait, one a line, by segment
  verify    read everything, compare all sums, name what is torn or corrupt
  replay    send what waits to a Redis, in order, and mark it as delivered

Options:
  --target NAME         only records of this target; replay needs it when
                        the spool has several
  --all                 print: delivered records, too
  --values              print: the values alone
  --limit N             print: at most N events
  --redis ADDRESS       replay: HOST:PORT or unix:PATH
  --user NAME           replay: user of Redis' access control lists
  --password-file FILE  replay: the password is the file's first line
  --db N                replay: database, 0 unless given
  --force               replay: also while nginx has the spool; records may
                        then be sent twice
  --help, --version

Exit status: 0 done; 1 verify found problems, or replay left records whose
key is of another type; 2 wrong usage; 3 a file or Redis failed; 4 nginx
has the spool.
)";

constexpr char kVersion[] = "esputnik-spool, journal version 1";

inline bool parse_command(const char *word, Command *out)
{
    static const struct {
        const char *word;
        Command command;
    } commands[] = {
        {"list", Command::list},
        {"print", Command::print},
        {"verify", Command::verify},
        {"replay", Command::replay},
    };

    for (const auto &c : commands) {
        if (strcmp(word, c.word) == 0) {
            *out = c.command;
            return true;
        }
    }
    return false;
}

inline bool parse_number(const char *text, uint64_t max, uint64_t *out)
{
    char *end;
    if (*text < '0' || *text > '9') {
        return false;
    }
    *out = strtoull(text, &end, 10);
    return *end == '\0' && *out <= max;
}

inline int usage_error(const char *what, const char *value)
{
    fprintf(stderr, "esputnik-spool: %s%s%s\nTry 'esputnik-spool --help'.\n",
            what, *value ? ": " : "", value);
    return kExitUsage;
}

/* -1 to go on, else the exit status. */
inline int parse_options(int argc, char **argv, Options *o)
{
    enum {
        target = 256,
        all,
        values,
        limit,
        redis,
        user,
        password_file,
        db,
        force,
        help,
        version
    };
    static const struct option options[] = {
        {"target", required_argument, nullptr, target},
        {"all", no_argument, nullptr, all},
        {"values", no_argument, nullptr, values},
        {"limit", required_argument, nullptr, limit},
        {"redis", required_argument, nullptr, redis},
        {"user", required_argument, nullptr, user},
        {"password-file", required_argument, nullptr, password_file},
        {"db", required_argument, nullptr, db},
        {"force", no_argument, nullptr, force},
        {"help", no_argument, nullptr, help},
        {"version", no_argument, nullptr, version},
        {nullptr, 0, nullptr, 0},
    };

    for (int c; (c = getopt_long(argc, argv, "h", options, nullptr)) != -1;) {
        uint64_t n = 0;
        switch (c) {
        case target:
            o->target = optarg;
            break;
        case all:
            o->all = true;
            break;
        case values:
            o->values = true;
            break;
        case limit:
            if (!parse_number(optarg, UINT64_MAX, &n) || n == 0) {
                return usage_error("--limit takes a number above 0", optarg);
            }
            o->limit = n;
            break;
        case redis:
            o->redis = optarg;
            break;
        case user:
            o->user = optarg;
            break;
        case password_file:
            o->password_file = optarg;
            break;
        case db:
            if (!parse_number(optarg, 65535, &n)) {
                return usage_error("--db takes a number up to 65535", optarg);
            }
            o->database = static_cast<unsigned>(n);
            break;
        case force:
            o->force = true;
            break;
        case 'h':
        case help:
            fputs(kUsage, stdout);
            return kExitOk;
        case version:
            puts(kVersion);
            return kExitOk;
        default:
            fputs("Try 'esputnik-spool --help'.\n", stderr);
            return kExitUsage;
        }
    }

    if (argc - optind != 2) {
        return usage_error("expected a command and a folder", "");
    }
    if (!parse_command(argv[optind], &o->command)) {
        return usage_error("no such command", argv[optind]);
    }
    o->dir = argv[optind + 1];
    if (o->command == Command::replay && o->redis == nullptr) {
        return usage_error("replay needs --redis", "");
    }
    if (o->user != nullptr && o->password_file == nullptr) {
        return usage_error("--user needs --password-file", "");
    }
    if (o->command != Command::replay
        && (o->redis != nullptr || o->user != nullptr || o->force
            || o->password_file != nullptr || o->database != 0))
    {
        return usage_error("--redis, --user, --password-file, --db and "
                           "--force are for replay",
                           "");
    }
    if (o->command != Command::print && (o->all || o->values || o->limit != 0))
    {
        return usage_error("--all, --values and --limit are for print", "");
    }
    return -1;
}

} // namespace spool_tool

#endif
