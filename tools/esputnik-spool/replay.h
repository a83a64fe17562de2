/*
 * esputnik-spool replay: what nginx's drain does, by hand and one record after
 * another.
 */

#ifndef ESPUTNIK_SPOOL_REPLAY_H
#define ESPUTNIK_SPOOL_REPLAY_H

#include <hiredis/hiredis.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>

#include "options.h"

namespace spool_tool {

using namespace esputnik;

/* A blocking link.  Every call returns a reply, or nullptr when the link broke,
 * which has then been said on stderr. */
class Link {
public:
    Link() = default;
    ~Link()
    {
        if (context_ != nullptr) {
            redisFree(context_);
        }
    }

    Link(const Link &) = delete;
    Link &operator=(const Link &) = delete;

    bool connect(const Options &o);
    redisReply *command(Array<std::string_view> *arguments);

    /* A command of words; true when the answer is the status given. */
    bool expect(const char *status, std::initializer_list<std::string_view>);

    redisReply *words(std::initializer_list<std::string_view> list)
    {
        words_.clear();
        for (const std::string_view w : list) {
            if (!words_.push(w)) {
                return nullptr;
            }
        }
        return command(&words_);
    }

private:
    redisContext *context_ = nullptr;
    Array<std::string_view> words_;
    Array<const char *> pointers_;
    Array<size_t> lengths_;
};

inline redisReply *Link::command(Array<std::string_view> *arguments)
{
    pointers_.clear();
    lengths_.clear();
    for (const std::string_view a : *arguments) {
        if (!pointers_.push(a.data() != nullptr ? a.data() : "")
            || !lengths_.push(a.size()))
        {
            fputs("esputnik-spool: out of memory\n", stderr);
            return nullptr;
        }
    }

    void *reply = redisCommandArgv(context_, static_cast<int>(pointers_.size()),
                                   pointers_.data(), lengths_.data());
    if (reply == nullptr) {
        fprintf(stderr, "esputnik-spool: redis: %s\n", context_->errstr);
    }
    return static_cast<redisReply *>(reply);
}

inline bool Link::expect(const char *status,
                         std::initializer_list<std::string_view> list)
{
    redisReply *r = words(list);
    if (r == nullptr) {
        return false;
    }
    const bool ok = r->type == REDIS_REPLY_STATUS
                    && strcmp(r->str, status) == 0;
    if (!ok) {
        fprintf(stderr, "esputnik-spool: redis answers %.*s with %s\n",
                static_cast<int>(list.begin()->size()), list.begin()->data(),
                r->str != nullptr ? r->str : "something unexpected");
    }
    freeReplyObject(r);
    return ok;
}

/* The first line; false when it cannot be read. */
inline bool read_password(const char *path, char *out, size_t size)
{
    FILE *f = fopen(path, "re");
    if (f == nullptr || fgets(out, static_cast<int>(size), f) == nullptr) {
        fprintf(stderr, "esputnik-spool: %s: %s\n", path,
                f == nullptr ? strerror(errno) : "empty");
        if (f != nullptr) {
            fclose(f);
        }
        return false;
    }
    fclose(f);
    out[strcspn(out, "\r\n")] = '\0';
    return true;
}

inline bool Link::connect(const Options &o)
{
    const struct timeval timeout = {5, 0};

    if (strncmp(o.redis, "unix:", 5) == 0) {
        context_ = redisConnectUnixWithTimeout(o.redis + 5, timeout);
    } else {
        char host[256];
        const char *colon = strrchr(o.redis, ':');
        uint64_t port = 6379;
        size_t length = colon != nullptr ? static_cast<size_t>(colon - o.redis)
                                         : strlen(o.redis);
        if (length == 0 || length >= sizeof(host)
            || (colon != nullptr
                && (!parse_number(colon + 1, 65535, &port) || port == 0)))
        {
            fprintf(stderr,
                    "esputnik-spool: --redis takes HOST:PORT or "
                    "unix:PATH: %s\n",
                    o.redis);
            return false;
        }
        const char *from = o.redis;
        if (length > 2 && from[0] == '[' && from[length - 1] == ']') {
            from++;
            length -= 2;
        }
        memcpy(host, from, length);
        host[length] = '\0';
        context_ = redisConnectWithTimeout(host, static_cast<int>(port),
                                           timeout);
    }

    if (context_ == nullptr || context_->err != 0) {
        fprintf(stderr, "esputnik-spool: %s: %s\n", o.redis,
                context_ != nullptr ? context_->errstr : "out of memory");
        return false;
    }
    redisSetTimeout(context_, timeout);

    if (o.password_file != nullptr) {
        char password[1024];
        if (!read_password(o.password_file, password, sizeof(password))) {
            return false;
        }
        const bool ok = o.user != nullptr
                            ? expect("OK", {"AUTH", o.user, password})
                            : expect("OK", {"AUTH", password});
        explicit_bzero(password, sizeof(password));
        if (!ok) {
            return false;
        }
    }

    char number[16];
    snprintf(number, sizeof(number), "%u", o.database);
    return o.database == 0 || expect("OK", {"SELECT", number});
}

class Replay {
public:
    explicit Replay(const Options &o) : o_(o) {}

    int run();

private:
    enum class Sent { ok, stuck, stopped };

    int lock();
    bool choose_target(Buffer *target);
    int drain();
    Sent send(const Record &r);
    Sent keys_fit(const Record &r);
    Sent answer(redisReply *r, size_t operations);
    bool add_operation(const Operation &op, OperationReader *values,
                       size_t *commands);

    const Options &o_;
    Link link_;
    JournalReader reader_;
    Array<std::string_view> arguments_;
};

inline int Replay::lock()
{
    struct stat st;
    if (stat(o_.dir, &st) < 0 || !S_ISDIR(st.st_mode)) {
        fprintf(stderr, "esputnik-spool: %s: no such folder\n", o_.dir);
        return kExitFailed;
    }

    if (!o_.force) {
        /* kept until the end of the process */
        const char *step = "";
        const int fd = lock_spool(o_.dir, static_cast<uid_t>(-1),
                                  static_cast<gid_t>(-1), &step);
        if (fd == -EWOULDBLOCK) {
            fprintf(stderr,
                    "esputnik-spool: %s is in use by nginx or another"
                    " replay\n",
                    o_.dir);
            return kExitLocked;
        }
        if (fd < 0) {
            fprintf(stderr, "esputnik-spool: %s: %s: %s\n", o_.dir, step,
                    strerror(-fd));
            return kExitFailed;
        }
    }

    /* What is made here must be nginx's to remove. */
    if (geteuid() == 0 && st.st_uid != 0
        && (setegid(st.st_gid) < 0 || seteuid(st.st_uid) < 0))
    {
        perror("esputnik-spool: cannot become the folder's owner");
        return kExitFailed;
    }
    return kExitOk;
}

inline bool Replay::choose_target(Buffer *target)
{
    Array<TargetStats> targets;
    Array<SpoolReport> reports;

    const int rc = scan_spool(posix_files(), o_.dir, &targets, &reports);
    if (rc < 0) {
        fprintf(stderr, "esputnik-spool: %s: %s\n", o_.dir, strerror(-rc));
        return false;
    }
    if (o_.target != nullptr) {
        return target->append(o_.target, strlen(o_.target));
    }
    if (targets.size() > 1) {
        fputs("esputnik-spool: several targets, choose one with --target:\n",
              stderr);
        for (const TargetStats &t : targets) {
            fprintf(stderr, "  %.*s\n", static_cast<int>(t.target_length),
                    t.target);
        }
        return false;
    }
    return targets.empty()
           || target->append(targets[0].target, targets[0].target_length);
}

/* The commands of one operation, their arguments one after another; sends all
 * but the last value's XADD where there are several. */
inline bool Replay::add_operation(const Operation &op, OperationReader *values,
                                  size_t *commands)
{
    char maxlen[24];
    snprintf(maxlen, sizeof(maxlen), "%" PRIu64, op.maxlen);

    arguments_.clear();
    if (op.kind != OperationKind::xadd) {
        if (!arguments_.push(op.kind == OperationKind::rpush ? "RPUSH"
                                                             : "LPUSH")
            || !arguments_.push(op.key))
        {
            return false;
        }
    }

    for (OperationValue v; values->value(&v);) {
        if (op.kind != OperationKind::xadd) {
            if (!arguments_.push(v.bytes)) {
                return false;
            }
            continue;
        }

        redisReply *r = op.maxlen > 0
                            ? link_.words({"XADD", op.key, "MAXLEN", "~",
                                           maxlen, "*", "event", v.bytes})
                            : link_.words(
                                {"XADD", op.key, "*", "event", v.bytes});
        if (r == nullptr) {
            return false;
        }
        freeReplyObject(r);
        ++*commands;
    }

    if (op.kind != OperationKind::xadd) {
        redisReply *r = link_.command(&arguments_);
        if (r == nullptr) {
            return false;
        }
        freeReplyObject(r);
        ++*commands;
    }
    return true;
}

/* EXEC runs the commands of sound keys although another one's is of the wrong
 * type, so the types are looked at before, under WATCH. */
inline Replay::Sent Replay::keys_fit(const Record &record)
{
    OperationReader ops(record.payload);

    for (Operation op; ops.next(&op);) {
        if (!link_.expect("OK", {"WATCH", op.key})) {
            return Sent::stopped;
        }
        redisReply *r = link_.words({"TYPE", op.key});
        if (r == nullptr) {
            return Sent::stopped;
        }
        const char *wanted = op.kind == OperationKind::xadd ? "stream" : "list";
        const bool fits = r->type == REDIS_REPLY_STATUS
                          && (strcmp(r->str, wanted) == 0
                              || strcmp(r->str, "none") == 0);
        if (r->type == REDIS_REPLY_ERROR) {
            fprintf(stderr, "esputnik-spool: redis: %s\n", r->str);
            freeReplyObject(r);
            return Sent::stopped;
        }
        freeReplyObject(r);
        if (!fits) {
            return link_.expect("OK", {"UNWATCH"}) ? Sent::stuck
                                                   : Sent::stopped;
        }
    }
    return Sent::ok;
}

inline Replay::Sent Replay::answer(redisReply *r, size_t commands)
{
    Sent sent = Sent::ok;

    if (r->type == REDIS_REPLY_ERROR) {
        fprintf(stderr, "esputnik-spool: redis: %s\n", r->str);
        sent = Sent::stopped;
    } else if (r->type != REDIS_REPLY_ARRAY || r->elements != commands) {
        fputs("esputnik-spool: redis: the keys were changed meanwhile\n",
              stderr);
        sent = Sent::stopped;
    } else {
        for (size_t i = 0; i < r->elements; i++) {
            if (r->element[i]->type == REDIS_REPLY_ERROR) {
                fprintf(stderr, "esputnik-spool: redis: %s\n",
                        r->element[i]->str);
                sent = Sent::stopped;
            }
        }
    }
    freeReplyObject(r);
    return sent;
}

inline Replay::Sent Replay::send(const Record &record)
{
    const Sent fit = keys_fit(record);
    if (fit != Sent::ok) {
        return fit;
    }
    if (!link_.expect("OK", {"MULTI"})) {
        return Sent::stopped;
    }

    OperationReader ops(record.payload);
    size_t commands = 0;
    for (Operation op; ops.next(&op);) {
        if (!add_operation(op, &ops, &commands)) {
            return Sent::stopped;
        }
    }

    redisReply *r = link_.words({"EXEC"});
    return r != nullptr ? answer(r, commands) : Sent::stopped;
}

inline int Replay::drain()
{
    uint64_t records = 0, events = 0, stuck = 0;
    bool stopped = false;
    ReadResult result;
    CommitReport report;

    while ((result = reader_.read(UINT64_MAX, 64 * 1024))
           == ReadResult::records) {
        bool held = false;
        for (size_t i = 0; i < reader_.items().size() && !stopped && !held; i++)
        {
            const Record &r = reader_.items()[i].record;
            bool kept = true;
            switch (send(r)) {
            case Sent::ok:
                records++;
                events += r.events;
                kept = reader_.done(i);
                break;
            case Sent::stuck:
                /* which of the items behind it share its key, the next
                 * read() knows */
                stuck++;
                held = true;
                kept = reader_.hold(i);
                break;
            case Sent::stopped:
                stopped = true;
                break;
            }
            if (!kept) {
                fputs("esputnik-spool: out of memory\n", stderr);
                stopped = true;
            }
        }

        if (!reader_.commit(&report)) {
            fprintf(stderr, "esputnik-spool: marks: %s\n",
                    strerror(report.error));
            stopped = true;
        }
        if (stopped) {
            break;
        }
    }

    if (!stopped && !reader_.commit(&report)) {
        fprintf(stderr, "esputnik-spool: %s\n", strerror(report.error));
        stopped = true;
    }
    const int unsynced = reader_.sync_marks();
    if (unsynced != 0) {
        fprintf(stderr, "esputnik-spool: marks: %s\n", strerror(unsynced));
    }
    for (const SpoolReport &r : reader_.reports()) {
        fprintf(stderr,
                "esputnik-spool: %016" PRIx64 " at %" PRIu64 ": %s (%" PRIu64
                " bytes)%s%s\n",
                r.segment_id, r.offset, report_text(r.kind), r.length,
                r.error != 0 ? ": " : "",
                r.error != 0 ? strerror(r.error) : "");
    }
    printf("%" PRIu64 " records with %" PRIu64 " events sent\n", records,
           events);

    if (stopped || result == ReadResult::failed) {
        fputs("esputnik-spool: stopped; what was not sent stays\n", stderr);
        return kExitFailed;
    }
    if (stuck > 0) {
        fputs("esputnik-spool: records stay whose key is of another type\n",
              stderr);
        return kExitWrong;
    }
    return kExitOk;
}

inline int Replay::run()
{
    const int rc = lock();
    if (rc != kExitOk) {
        return rc;
    }

    Buffer target;
    if (!choose_target(&target)) {
        return kExitFailed;
    }
    if (target.empty()) {
        puts("0 records with 0 events sent");
        return kExitOk;
    }
    if (!reader_.init(&posix_files(), o_.dir, {target.data(), target.size()},
                      nullptr))
    {
        return usage_error("--target takes 1 to 255 bytes", "");
    }
    return link_.connect(o_) ? drain() : static_cast<int>(kExitFailed);
}

inline int replay(const Options &o)
{
    Replay r(o);
    return r.run();
}

} // namespace spool_tool

#endif
