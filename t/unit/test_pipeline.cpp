#include <check.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "esputnik_pipeline.h"

using namespace esputnik;

namespace {

char owner_a, owner_b;

/* Bytes that differ from command to command and along a command. */
std::string bytes_of(size_t number, size_t size)
{
    std::string s(size, '\0');
    for (size_t i = 0; i < size; i++) {
        s[i] = static_cast<char>(number * 31 + i * 7 + (i >> 8));
    }
    return s;
}

bool put(Pipeline &p, std::string_view bytes, void *owner = &owner_a,
         uint32_t replies = 1)
{
    char *out = p.add(bytes.size(), owner, replies);
    if (out == nullptr) {
        return false;
    }
    std::memcpy(out, bytes.data(), bytes.size());
    return true;
}

/* The owner of a deferred command, who holds its bytes. */
struct Holder {
    std::string bytes;
    unsigned written = 0;
};

bool defer(Pipeline &p, Holder *holder, uint32_t replies = 1)
{
    return p.defer(holder->bytes.size(), holder, replies);
}

/* What the connection does before it looks at output(). */
void write_deferred(Pipeline &p)
{
    Pipeline::Slot *slot = p.deferred();
    if (slot == nullptr) {
        return;
    }
    ck_assert_uint_eq(p.output().size, 0);

    auto *holder = static_cast<Holder *>(slot->owner);
    ck_assert_uint_eq(slot->end - slot->begin, holder->bytes.size());
    char *out = p.fill(slot);
    ck_assert_ptr_nonnull(out);
    std::memcpy(out, holder->bytes.data(), holder->bytes.size());
    holder->written++;

    ck_assert_ptr_null(p.deferred());
    ck_assert_ptr_eq(p.output().data, out);
    ck_assert_uint_eq(p.output().size, holder->bytes.size());
}

/* Writes up to n bytes, at most step at a time, and returns them. */
std::string take(Pipeline &p, size_t n, size_t step = SIZE_MAX)
{
    std::string wire;

    while (n != 0) {
        write_deferred(p);
        const Pipeline::Span span = p.output();
        if (span.size == 0) {
            ck_assert_uint_eq(p.unwritten(), 0);
            break;
        }
        ck_assert_uint_le(span.size, p.unwritten());
        const size_t some = std::min({n, step, span.size});
        wire.append(span.data, some);
        p.wrote(some);
        n -= some;
    }
    return wire;
}

std::string take_all(Pipeline &p, size_t step = SIZE_MAX)
{
    return take(p, SIZE_MAX, step);
}

/* The owner of the slot that takes the next reply; it is the last one. */
void *answer(Pipeline &p)
{
    bool last = false;
    Pipeline::Slot *slot = p.reply(&last);
    ck_assert_ptr_nonnull(slot);
    ck_assert(last);
    void *owner = slot->owner;
    p.pop();
    return owner;
}

std::string joined(const std::vector<std::string> &commands, size_t from = 0)
{
    std::string s;
    for (size_t i = from; i < commands.size(); i++) {
        s += commands[i];
    }
    return s;
}

std::vector<std::string> commands_of(std::initializer_list<size_t> sizes)
{
    std::vector<std::string> commands;
    for (size_t size : sizes) {
        commands.push_back(bytes_of(commands.size(), size));
    }
    return commands;
}

uint32_t random_state = 1;

uint32_t random_below(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return static_cast<uint32_t>(uint64_t{random_state} * n >> 32);
}

/* Kilobytes of the process' address space. */
long mapped_kb()
{
    long pages = 0;
    FILE *f = std::fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(std::fscanf(f, "%ld", &pages), 1);
    std::fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

} // namespace

START_TEST(empty)
{
    Pipeline p;
    bool last = false;

    ck_assert(p.empty());
    ck_assert_uint_eq(p.size(), 0);
    ck_assert_uint_eq(p.first(), p.last());
    ck_assert_uint_eq(p.unwritten(), 0);
    ck_assert_uint_eq(p.pending(), 0);
    ck_assert(!p.awaiting());
    ck_assert_uint_eq(p.output().size, 0);
    ck_assert_ptr_null(p.reply(&last));
    ck_assert_uint_eq(p.disconnect(), 0);
    p.disown(0);
    p.clear();
    ck_assert(p.empty());
}
END_TEST

START_TEST(slots_and_offsets)
{
    Pipeline p;
    const auto commands = commands_of({10, 1, 300});
    uint64_t at = 0;

    for (size_t i = 0; i < commands.size(); i++) {
        ck_assert(put(p, commands[i], i == 1 ? &owner_b : &owner_a, 1 + i));
        ck_assert_uint_eq(p.newest(), p.first() + i);
        ck_assert_uint_eq(p.last(), p.newest() + 1);
        const Pipeline::Slot &slot = p.slot(p.newest());
        ck_assert_uint_eq(slot.begin, at);
        at += commands[i].size();
        ck_assert_uint_eq(slot.end, at);
        ck_assert_uint_eq(slot.replies, 1 + i);
        ck_assert_ptr_eq(slot.owner, i == 1 ? &owner_b : &owner_a);
    }
    ck_assert_uint_eq(p.size(), 3);
    ck_assert_uint_eq(p.unwritten(), 311);
    ck_assert_uint_eq(p.pending(), 311);

    const uint64_t first = p.first();
    ck_assert(take(p, 10) == commands[0]);
    ck_assert(p.was_begun(first));
    ck_assert(!p.was_begun(first + 1));
    ck_assert_uint_eq(p.unwritten_before(first), 0);
    ck_assert_uint_eq(p.unwritten_before(first + 1), 0);
    ck_assert_uint_eq(p.unwritten_before(first + 2), commands[1].size());
    ck_assert_uint_eq(p.unwritten_before(p.last()), 301);
    ck_assert_uint_eq(p.unwritten(), 301);
    ck_assert_uint_eq(p.pending(), 311);
    answer(p);
    ck_assert_uint_eq(p.pending(), 301);
    ck_assert_uint_eq(p.first(), first + 1);

    /* the offsets go on when all is written */
    take_all(p);
    ck_assert(put(p, "next"));
    ck_assert_uint_eq(p.slot(p.newest()).begin, 311);
    ck_assert_uint_eq(p.newest(), first + 3);
}
END_TEST

START_TEST(replies_take_the_oldest_slot)
{
    Pipeline p;
    bool last = false;

    ck_assert(put(p, "one", &owner_a, 1));
    ck_assert(put(p, "two", &owner_b, 3));
    ck_assert(put(p, "three", &owner_a, 1));

    /* nothing was asked yet */
    ck_assert_ptr_null(p.reply(&last));
    take(p, 2);
    ck_assert(!p.awaiting());
    ck_assert_ptr_null(p.reply(&last));

    take(p, 3);
    ck_assert(p.awaiting());
    ck_assert_ptr_eq(answer(p), &owner_a);
    ck_assert(!p.awaiting());
    ck_assert_ptr_null(p.reply(&last));

    take(p, 1);
    for (int i = 0; i < 3; i++) {
        Pipeline::Slot *slot = p.reply(&last);
        ck_assert_ptr_nonnull(slot);
        ck_assert_ptr_eq(slot->owner, &owner_b);
        ck_assert_int_eq(last, i == 2);
        ck_assert_uint_eq(slot->replies, 2 - i);
    }
    p.pop();
    take_all(p);
    ck_assert_ptr_eq(answer(p), &owner_a);
    ck_assert_ptr_null(p.reply(&last));
    ck_assert(p.empty());
}
END_TEST

START_TEST(owners_leave)
{
    Pipeline p;

    for (int i = 0; i < 4; i++) {
        ck_assert(put(p, "command"));
    }
    const uint64_t first = p.first();
    p.disown(first + 1);
    p.disown(first + 1);
    p.disown(first + 4);   /* not there yet */
    ck_assert(put(p, "command"));

    take(p, 14);
    ck_assert_ptr_eq(answer(p), &owner_a);
    p.disown(first);       /* not there any more */
    ck_assert_ptr_null(answer(p));
    p.disown(first + 2);   /* not written: its bytes go out all the same */
    ck_assert(take_all(p) == "commandcommandcommand");
    ck_assert_ptr_null(answer(p));
    ck_assert_ptr_eq(answer(p), &owner_a);
    ck_assert_ptr_eq(answer(p), &owner_a);
    ck_assert(p.empty());
}
END_TEST

/* Whatever the pieces, the bytes are those that were added. */
START_TEST(output_is_what_was_added)
{
    constexpr size_t block = Pipeline::kBlockSize;
    const auto commands = commands_of({1, 100, block / 2, block / 2, block - 40,
                                       block, 3, 5 * block + 1, 200, block - 32,
                                       7, block + 1, 1});
    const std::string all = joined(commands);

    for (size_t step : {size_t{1}, size_t{7}, size_t{511}, size_t{4096},
                        block - 33, block - 32, block, block + 1, SIZE_MAX})
    {
        Pipeline p;
        for (const std::string &command : commands) {
            ck_assert(put(p, command));
        }
        ck_assert_uint_eq(p.unwritten(), all.size());
        ck_assert_msg(take_all(p, step) == all, "in steps of %zu", step);
        ck_assert_uint_eq(p.size(), commands.size());
    }

    /* written as they come */
    for (size_t some : {size_t{1}, size_t{1000}, block, 3 * block}) {
        Pipeline p;
        std::string wire;
        for (const std::string &command : commands) {
            ck_assert(put(p, command));
            wire += take(p, some);
        }
        wire += take_all(p);
        ck_assert_msg(wire == all, "%zu after each", some);
    }
}
END_TEST

/* Cut after so many bytes: what was written whole is of unknown outcome, the
 * rest goes out again from the first byte of its first command. */
static void cut_at(const std::vector<std::string> &commands, size_t cut,
                   size_t step, size_t answered)
{
    Pipeline p;
    size_t whole = 0;
    size_t end = 0;

    for (const std::string &command : commands) {
        ck_assert(put(p, command));
        end += command.size();
        whole += end <= cut;
    }
    answered = std::min(answered, whole);

    const std::string wire = take(p, cut, step);
    ck_assert(wire == joined(commands).substr(0, cut));
    for (size_t i = 0; i < answered; i++) {
        answer(p);
    }

    ck_assert_uint_eq(p.disconnect(), whole - answered);
    const uint64_t first = p.first();
    for (size_t i = answered; i < commands.size(); i++) {
        ck_assert_int_eq(p.was_begun(first + i - answered), i < whole);
    }
    for (size_t i = answered; i < whole; i++) {
        p.pop();
    }
    ck_assert(!p.awaiting());
    ck_assert_uint_eq(p.size(), commands.size() - whole);
    ck_assert_uint_eq(p.unwritten(), joined(commands, whole).size());
    ck_assert_uint_eq(p.pending(), p.unwritten());

    /* and what comes then is behind it */
    ck_assert(put(p, "behind"));
    ck_assert_msg(take_all(p, step) == joined(commands, whole) + "behind",
                  "cut at %zu", cut);
    for (size_t i = whole; i <= commands.size(); i++) {
        answer(p);
    }
    ck_assert(p.empty());
}

START_TEST(cut_at_every_byte)
{
    const auto commands = commands_of({5, 1, 9, 2, 30});

    for (size_t cut = 0; cut <= 47; cut++) {
        for (size_t answered = 0; answered <= 5; answered++) {
            cut_at(commands, cut, 1, answered);
            cut_at(commands, cut, SIZE_MAX, answered);
        }
    }
}
END_TEST

START_TEST(cut_around_blocks)
{
    constexpr size_t block = Pipeline::kBlockSize;
    const auto commands = commands_of(
        {10, block - 100, 200, 2 * block, 40000, 40000, block - 32, 1, 50});
    const size_t all = joined(commands).size();
    std::vector<size_t> cuts;
    size_t end = 0;

    for (const std::string &command : commands) {
        end += command.size();
        for (size_t near = end - std::min<size_t>(end, 3);
             near <= std::min(end + 3, all); near++)
        {
            cuts.push_back(near);
        }
    }
    for (int i = 0; i < 60; i++) {
        cuts.push_back(random_below(all + 1));
    }
    for (size_t cut : cuts) {
        cut_at(commands, cut, 4096, 0);
        cut_at(commands, cut, SIZE_MAX, 2);
    }
}
END_TEST

/* Broken again and again before anything got through. */
START_TEST(cut_again)
{
    Pipeline p;
    const auto commands = commands_of({100, 90000, 50});

    for (const std::string &command : commands) {
        ck_assert(put(p, command));
    }
    for (size_t cut : {0u, 1u, 99u, 50u}) {
        ck_assert(take(p, cut) == commands[0].substr(0, cut));
        ck_assert_uint_eq(p.disconnect(), 0);
    }
    take(p, 150);
    ck_assert_uint_eq(p.disconnect(), 1);
    p.pop();
    for (size_t cut : {89999u, 0u, 70000u}) {
        ck_assert(take(p, cut) == commands[1].substr(0, cut));
        ck_assert_uint_eq(p.disconnect(), 0);
    }
    ck_assert(take_all(p) == joined(commands, 1));
}
END_TEST

START_TEST(as_many_as_may_wait)
{
    Pipeline p;

    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < Pipeline::kMaxSlots; i++) {
            ck_assert(put(p, "x", i % 2 ? &owner_a : &owner_b));
        }
        const uint64_t last = p.last();
        ck_assert_ptr_null(p.add(1, &owner_a, 1));
        ck_assert_uint_eq(p.size(), Pipeline::kMaxSlots);
        ck_assert_uint_eq(p.last(), last);
        ck_assert_uint_eq(p.unwritten(), Pipeline::kMaxSlots);

        ck_assert(take_all(p) == std::string(Pipeline::kMaxSlots, 'x'));
        ck_assert_ptr_null(p.add(1, &owner_a, 1));
        ck_assert_ptr_eq(answer(p), &owner_b);
        ck_assert(put(p, "y", &owner_b));
        ck_assert_ptr_null(p.add(1, &owner_a, 1));
        take_all(p);
        for (size_t i = 1; i < Pipeline::kMaxSlots; i++) {
            ck_assert_ptr_eq(answer(p), i % 2 ? &owner_a : &owner_b);
        }
        ck_assert_ptr_eq(answer(p), &owner_b);
        ck_assert(p.empty());
    }
}
END_TEST

/* The slots grow while the oldest is anywhere in their ring. */
START_TEST(slots_grow)
{
    for (size_t gone = 0; gone < 64; gone++) {
        Pipeline p;
        for (size_t i = 0; i < gone; i++) {
            ck_assert(put(p, "x"));
            take_all(p);
            answer(p);
        }
        for (size_t i = 0; i < 300; i++) {
            ck_assert(
                put(p, bytes_of(i, 1 + i % 9), i % 3 ? &owner_a : &owner_b));
        }
        std::string want;
        for (size_t i = 0; i < 300; i++) {
            want += bytes_of(i, 1 + i % 9);
        }
        ck_assert(take_all(p, 100) == want);
        for (size_t i = 0; i < 300; i++) {
            ck_assert_ptr_eq(answer(p), i % 3 ? &owner_a : &owner_b);
        }
    }
}
END_TEST

/* Steady traffic needs one block; what a burst took goes back. */
START_TEST(blocks_are_reused)
{
    Pipeline p;

    ck_assert(put(p, "x"));
    char *const place = p.output().data;
    take_all(p);
    answer(p);
    for (int i = 0; i < 10000; i++) {
        ck_assert(put(p, bytes_of(i, 400)));
        ck_assert_ptr_eq(p.output().data, place);
        take_all(p);
        answer(p);
    }

    /* no strings here, which take memory of their own */
    const long before = mapped_kb();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 400; i++) {
            ck_assert_ptr_nonnull(p.add(60000, &owner_a, 1));
        }
        ck_assert_ptr_nonnull(p.add(8 << 20, &owner_a, 1));
        ck_assert_int_ge(mapped_kb() - before, 400 * 55 + 8 * 1024);
        while (p.output().size != 0) {
            p.wrote(p.output().size);
        }
        while (!p.empty()) {
            answer(p);
        }
        /* but a few */
        ck_assert_int_le(mapped_kb() - before, 6 * 1024);
    }

    /* those are taken first */
    const long kept = mapped_kb();
    for (int i = 0; i < 8; i++) {
        ck_assert_ptr_nonnull(p.add(60000, &owner_a, 1));
    }
    ck_assert_int_eq(mapped_kb(), kept);
}
END_TEST

START_TEST(cleared)
{
    Pipeline p;

    for (int round = 0; round < 3; round++) {
        const long before = mapped_kb();
        for (int i = 0; i < 400; i++) {
            ck_assert_ptr_nonnull(p.add(60000, &owner_a, 1));
        }
        p.wrote(p.output().size);
        p.wrote(1000);
        p.clear();
        ck_assert(p.empty());
        ck_assert_uint_eq(p.unwritten(), 0);
        ck_assert_uint_eq(p.pending(), 0);
        ck_assert_uint_eq(p.output().size, 0);
        ck_assert_uint_eq(p.disconnect(), 0);
        ck_assert_int_le(mapped_kb() - before, 6 * 1024);

        ck_assert(put(p, "begins anew"));
        ck_assert(take_all(p, 3) == "begins anew");
        ck_assert_ptr_eq(answer(p), &owner_a);
    }
}
END_TEST

/* What nobody wants any more is not written, and has no reply. */
START_TEST(withdrawn)
{
    const auto commands = commands_of({10, 20000, 30, 40000, 50, 60});
    Pipeline p;
    uint64_t number[6];

    for (size_t i = 0; i < commands.size(); i++) {
        ck_assert(put(p, commands[i], i % 2 ? &owner_b : &owner_a));
        number[i] = p.newest();
    }
    ck_assert(take(p, 15) == joined(commands).substr(0, 15));

    ck_assert(!p.withdraw(number[0]));     /* written */
    ck_assert(!p.withdraw(number[1]));     /* begun */
    ck_assert(p.withdraw(number[2]));
    ck_assert(p.withdraw(number[3]));
    ck_assert(p.withdraw(number[5]));
    ck_assert(!p.withdraw(number[5] + 1)); /* never queued */
    p.compact();
    p.sweep();
    ck_assert_uint_eq(p.unwritten(), 20010 - 15 + 50);

    ck_assert(put(p, "more", &owner_a));
    ck_assert(take_all(p)
              == joined(commands).substr(15, 20010 - 15) + commands[4]
                     + "more");

    ck_assert_ptr_eq(answer(p), &owner_a);
    ck_assert_ptr_eq(answer(p), &owner_b);
    ck_assert_uint_eq(p.first(), number[4]);
    ck_assert_ptr_eq(answer(p), &owner_a);
    ck_assert_ptr_eq(answer(p), &owner_a);
    ck_assert(p.empty());
    ck_assert(!p.withdraw(number[0]));     /* gone */

    /* all that there is */
    ck_assert(put(p, "one"));
    ck_assert(put(p, "two"));
    ck_assert(p.withdraw(p.newest()));
    ck_assert(p.withdraw(p.newest() - 1));
    p.compact();
    p.sweep();
    ck_assert(p.empty());
    ck_assert_uint_eq(p.unwritten(), 0);
    ck_assert_uint_eq(p.pending(), 0);
    ck_assert(put(p, "three"));
    ck_assert(take_all(p) == "three");
    ck_assert_ptr_eq(answer(p), &owner_a);

    /* what is sent again on the next connection is without it */
    ck_assert(put(p, "four"));
    ck_assert(put(p, "five"));
    ck_assert(put(p, "six"));
    ck_assert(take(p, 2) == "fo");
    ck_assert(p.withdraw(p.newest() - 1));
    p.compact();
    p.sweep();
    ck_assert_uint_eq(p.disconnect(), 0);
    ck_assert(take_all(p) == "foursix");
}
END_TEST

namespace {

bool limit_memory(bool on)
{
    static rlimit usual;
    rlimit limit;

    if (!on) {
        return setrlimit(RLIMIT_AS, &usual) == 0;
    }
    if (getrlimit(RLIMIT_AS, &usual) != 0) {
        return false;
    }
    limit = usual;
    limit.rlim_cur = 1 << 20;   /* below what is there: nothing can be added */
    return setrlimit(RLIMIT_AS, &limit) == 0;
}

/* In a process of its own; 0, or the line that is wrong. */
int without_memory()
{
#define MUST(what)                                                             \
    do {                                                                       \
        if (!(what)) {                                                         \
            return __LINE__;                                                   \
        }                                                                      \
    } while (0)

    Pipeline p;
    const std::string small = bytes_of(1, 2000);   /* slots suffice */
    const std::string large = bytes_of(2, 100000);
    std::string want;
    want.reserve(2 * Pipeline::kBlockSize);

    /* the first block */
    MUST(limit_memory(true));
    MUST(p.add(10, &owner_a, 1) == nullptr);
    MUST(p.empty() && p.unwritten() == 0 && p.output().size == 0);
    MUST(limit_memory(false));

    /* another one, of the usual size and of its own */
    MUST(put(p, small));
    want += small;
    MUST(limit_memory(true));
    MUST(p.add(large.size(), &owner_a, 1) == nullptr);
    MUST(p.size() == 1 && p.unwritten() == want.size());
    size_t more = 0;
    while (put(p, small)) {
        want += small;
        more++;
    }
    MUST(more == Pipeline::kBlockSize / 2000 - 1);
    MUST(p.size() == 1 + more && p.unwritten() == want.size());
    MUST(p.add(large.size(), &owner_a, 1) == nullptr);

    /* what was taken is whole, and its room is used again */
    MUST(limit_memory(false));
    std::string wire = take(p, want.size() - 500);
    MUST(limit_memory(true));
    MUST(p.add(2000, &owner_a, 1) == nullptr);
    MUST(limit_memory(false));
    wire += take_all(p);
    MUST(wire == want);
    MUST(limit_memory(true));
    MUST(put(p, small));
    MUST(p.add(large.size(), &owner_a, 1) == nullptr);
    MUST(limit_memory(false));
    MUST(take_all(p) == small);

    /* a deferred one needs none before its turn, and keeps it until then */
    Holder holder{bytes_of(3, 100000)};
    MUST(limit_memory(true));
    MUST(defer(p, &holder));
    MUST(p.deferred() != nullptr && p.fill(p.deferred()) == nullptr);
    MUST(p.deferred() != nullptr && p.output().size == 0);
    MUST(limit_memory(false));
    MUST(take_all(p) == holder.bytes);

    /* and when there is memory again, all goes on */
    MUST(put(p, large));
    MUST(put(p, small));
    MUST(take_all(p) == large + small);
    MUST(p.size() == more + 5);
    return 0;
}

} // namespace

START_TEST(no_memory)
{
    int result[2];
    ck_assert_int_eq(pipe(result), 0);

    const pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        const int line = without_memory();
        _exit(write(result[1], &line, sizeof(line)) == sizeof(line) ? 0 : 1);
    }
    close(result[1]);
    int line = -1;
    const ssize_t n = read(result[0], &line, sizeof(line));
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    close(result[0]);
    ck_assert_int_eq(n, sizeof(line));
    ck_assert_int_eq(line, 0);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* A deferred command leaves in its turn, with the bytes that its owner has
 * then. */
START_TEST(deferred)
{
    constexpr size_t block = Pipeline::kBlockSize;

    for (size_t size : {size_t{1}, size_t{5000}, block - 32, block, 3 * block})
    {
        for (size_t step : {size_t{7}, size_t{4096}, SIZE_MAX}) {
            Pipeline p;
            Holder a{bytes_of(1, size)};
            Holder b{bytes_of(2, size + 1)};
            Holder c{bytes_of(3, size + 2)};

            /* first, after a copied one, after a deferred one, last */
            ck_assert(defer(p, &a));
            ck_assert_uint_eq(p.slot(p.newest()).begin, 0);
            ck_assert_uint_eq(p.slot(p.newest()).end, size);
            ck_assert(put(p, "copied"));
            ck_assert(put(p, "copied, too"));
            ck_assert(defer(p, &b));
            ck_assert(defer(p, &c));
            ck_assert(put(p, "the last"));
            ck_assert_uint_eq(p.size(), 6);
            ck_assert_uint_eq(p.unwritten(), 3 * size + 3 + 25);
            ck_assert_uint_eq(p.pending(), p.unwritten());
            ck_assert_uint_eq(a.written + b.written + c.written, 0);

            ck_assert(take(p, size, step) == a.bytes);
            ck_assert_uint_eq(b.written, 0);
            ck_assert(take_all(p, step)
                      == "copiedcopied, too" + b.bytes + c.bytes + "the last");
            ck_assert_uint_eq(a.written, 1);
            ck_assert_uint_eq(b.written, 1);
            ck_assert_uint_eq(c.written, 1);
            ck_assert_ptr_null(p.deferred());

            ck_assert_ptr_eq(answer(p), &a);
            ck_assert_ptr_eq(answer(p), &owner_a);
            ck_assert_ptr_eq(answer(p), &owner_a);
            ck_assert_ptr_eq(answer(p), &b);
            ck_assert_ptr_eq(answer(p), &c);
            ck_assert_ptr_eq(answer(p), &owner_a);
            ck_assert(p.empty());
        }
    }
}
END_TEST

/* It takes no memory before its turn, and what it took is given back. */
START_TEST(deferred_takes_no_memory)
{
    Pipeline p;
    std::vector<Holder> holders(400, Holder{bytes_of(1, 60000)});

    ck_assert(put(p, "x"));
    const long before = mapped_kb();
    for (Holder &holder : holders) {
        ck_assert(defer(p, &holder));
    }
    ck_assert_int_le(mapped_kb() - before, 64);

    for (size_t left = p.unwritten(); left != 0; left = p.unwritten()) {
        write_deferred(p);
        p.wrote(std::min<size_t>(p.output().size, 50000));
        ck_assert_int_le(mapped_kb() - before, 256);
    }
}
END_TEST

/* What nobody can write any more is not sent, and has no reply. */
START_TEST(deferred_owner_leaves)
{
    Pipeline p;
    Holder a{"first"};
    Holder b{"second"};
    Holder c{"third"};
    bool last = false;

    /* in the midst: the replies of the others stay their own */
    ck_assert(defer(p, &a));
    ck_assert(defer(p, &b));
    ck_assert(defer(p, &c));
    p.disown(p.newest() - 1);
    ck_assert_uint_eq(p.unwritten(), 16);
    ck_assert(take_all(p) == "firstthird");
    ck_assert_uint_eq(b.written, 0);
    ck_assert_ptr_eq(answer(p), &a);
    ck_assert_ptr_eq(answer(p), &c);
    ck_assert_ptr_null(p.reply(&last));
    ck_assert(p.empty());

    /* the only one */
    ck_assert(defer(p, &a));
    p.disown(p.newest());
    ck_assert(!p.empty());
    ck_assert_ptr_null(p.deferred());
    ck_assert(p.empty());
    ck_assert_uint_eq(p.unwritten(), 0);
    ck_assert_uint_eq(p.pending(), 0);

    /* the last one, behind what is copied */
    ck_assert(put(p, "copied"));
    ck_assert(defer(p, &a));
    p.disown(p.newest());
    ck_assert(take_all(p) == "copied");
    ck_assert_uint_eq(p.unwritten(), 0);
    ck_assert(put(p, "next"));
    ck_assert(take_all(p) == "next");
    ck_assert_ptr_eq(answer(p), &owner_a);
    ck_assert_ptr_eq(answer(p), &owner_a);
    ck_assert(p.empty());

    /* when it has written it, it may go: that is as if it were copied */
    a.written = 0;
    ck_assert(defer(p, &a));
    write_deferred(p);
    p.disown(p.newest());
    ck_assert(take_all(p) == "first");
    ck_assert_ptr_null(answer(p));
    ck_assert(p.empty());
}
END_TEST

START_TEST(deferred_is_withdrawn)
{
    Pipeline p;
    Holder a{bytes_of(1, 1000)};
    Holder b{bytes_of(2, 2000)};
    Holder c{bytes_of(3, 3000)};

    for (unsigned gone = 0; gone < 32; gone++) {
        std::string want;
        a.written = b.written = c.written = 0;
        ck_assert(defer(p, &a));
        ck_assert(put(p, "one"));
        ck_assert(defer(p, &b));
        ck_assert(defer(p, &c));
        ck_assert(put(p, "two"));
        const uint64_t first = p.newest() - 4;
        const std::string bytes[] = {a.bytes, "one", b.bytes, c.bytes, "two"};
        for (unsigned i = 0; i < 5; i++) {
            if (gone & 1u << i) {
                ck_assert(p.withdraw(first + i));
            } else {
                want += bytes[i];
            }
        }
        p.compact();
        p.sweep();
        ck_assert_uint_eq(p.unwritten(), want.size());
        ck_assert_uint_eq(p.pending(), want.size());
        ck_assert(put(p, "behind"));
        ck_assert_msg(take_all(p, 900) == want + "behind", "%x", gone);
        while (!p.empty()) {
            answer(p);
        }
    }
}
END_TEST

/* The connection breaks: what was begun goes out again from its first byte,
 * and is not asked of its owner twice. */
START_TEST(deferred_again)
{
    for (size_t cut = 0; cut <= 26; cut++) {
        Pipeline p;
        Holder a{"the first "};
        Holder b{"the second"};

        ck_assert(defer(p, &a));
        ck_assert(put(p, "copied"));
        ck_assert(defer(p, &b));
        const size_t whole = cut < 10 ? 0 : cut < 16 ? 1 : cut < 26 ? 2 : 3;

        const std::string all = "the first copiedthe second";
        ck_assert(take(p, cut, 3) == all.substr(0, cut));
        ck_assert_uint_eq(p.disconnect(), whole);
        for (size_t i = 0; i < whole; i++) {
            p.pop();
        }
        const size_t from = whole == 0 ? 0 : whole == 1 ? 10 : 16;
        ck_assert(take_all(p, 4) == (whole == 3 ? "" : all.substr(from)));
        ck_assert_uint_eq(a.written, 1);
        ck_assert_uint_eq(b.written, 1);

        /* given up before its turn */
        ck_assert(defer(p, &a));
        while (!p.empty()) {
            p.pop();
        }
        p.clear();
        ck_assert_ptr_null(p.deferred());
        ck_assert(put(p, "anew"));
        ck_assert(take_all(p) == "anew");
    }
}
END_TEST

/*
 * Anything at any time, against a model: a list of commands, and what of them
 * is written.
 */
START_TEST(random_work)
{
    struct Command {
        std::unique_ptr<Holder> holder;
        void *owner;
        uint32_t replies;
        uint64_t number;
        bool deferred;   /* and not with the pipeline yet */
        bool skipped;    /* in its turn, for its owner has left */

        size_t size() const { return holder->bytes.size(); }
    };

    for (uint32_t seed = 1; seed <= 40; seed++) {
        Pipeline p;
        std::vector<Command> queue;   /* not answered yet, oldest first */
        size_t written = 0;           /* bytes of the queue, from its start */
        size_t added = 0;
        random_state = seed;

        auto whole = [&] {
            size_t n = 0;
            for (size_t end = 0; n < queue.size(); n++) {
                end += queue[n].size();
                if (end > written) {
                    break;
                }
            }
            return n;
        };
        auto total = [&] {
            size_t n = 0;
            for (const Command &c : queue) {
                n += c.size();
            }
            return n;
        };
        auto answered = [&] {
            do {
                written -= queue[0].size();
                queue.erase(queue.begin());
            } while (!queue.empty() && queue[0].skipped);
        };
        /* what is written next, and from which of its bytes on */
        auto next = [&](size_t *at) {
            size_t n = whole();
            size_t begin = 0;
            for (size_t i = 0; i < n; i++) {
                begin += queue[i].size();
            }
            *at = written - begin;
            return n;
        };
        /* the n next bytes on the wire */
        auto write = [&](size_t n) {
            std::string wire;
            while (n != 0 && written != total()) {
                size_t at;
                Command &c = queue[next(&at)];
                if (c.deferred && c.owner == nullptr) {
                    written += c.size();
                    c.deferred = false;
                    c.skipped = true;
                    if (queue[0].skipped) {
                        answered();
                    }
                    continue;
                }
                c.deferred = false;
                const size_t some = std::min(n, c.size() - at);
                wire += c.holder->bytes.substr(at, some);
                written += some;
                n -= some;
            }
            return wire;
        };

        for (int i = 0; i < 1500; i++) {
            switch (random_below(9)) {

            case 0:
            case 1:
            case 2: {
                const uint32_t kind = random_below(40);
                const size_t size = 1
                                    + (kind == 0  ? random_below(300000)
                                       : kind < 5 ? random_below(70000)
                                                  : random_below(2000));
                Command c{};
                c.holder.reset(new Holder{bytes_of(added++, size)});
                c.owner = c.holder.get();
                c.replies = 1 + random_below(3);
                c.deferred = random_below(seed % 4 + 1) != 0;
                ck_assert(c.deferred
                              ? defer(p, c.holder.get(), c.replies)
                              : put(p, c.holder->bytes, c.owner, c.replies));
                c.number = p.newest();
                queue.push_back(std::move(c));
                break;
            }

            case 3:
            case 4: {
                size_t n = random_below(random_below(5) ? 3000 : 200000);
                n = std::min(n, total() - written);
                const std::string wire = take(p, n, 1 + random_below(100000));
                ck_assert(wire == write(n));
                break;
            }

            case 5:
            case 6: {
                bool last = false;
                Pipeline::Slot *slot = p.reply(&last);
                if (whole() == 0) {
                    ck_assert_ptr_null(slot);
                    break;
                }
                ck_assert_ptr_nonnull(slot);
                ck_assert_ptr_eq(slot->owner, queue[0].owner);
                ck_assert_int_eq(last, --queue[0].replies == 0);
                if (last) {
                    p.pop();
                    answered();
                }
                break;
            }

            case 7:
                if (!queue.empty() && random_below(2)) {
                    const size_t which = random_below(queue.size());
                    p.disown(queue[which].number);
                    queue[which].owner = nullptr;
                } else if (random_below(10) == 0) {
                    const size_t n = whole();
                    const uint64_t until = p.first() + p.disconnect();
                    ck_assert(n == queue.size() || until <= queue[n].number);
                    ck_assert(n == 0 || until > queue[n - 1].number);
                    while (p.first() < until) {
                        p.pop();
                    }
                    queue.erase(queue.begin(), queue.begin() + n);
                    written = 0;
                }
                break;

            case 8: {
                const uint32_t one_in = 1 + random_below(20);
                size_t begin = 0;
                for (size_t k = 0; k < queue.size();) {
                    const size_t size = queue[k].size();
                    if (random_below(one_in) == 0) {
                        const bool can = begin >= written;
                        ck_assert_int_eq(p.withdraw(queue[k].number), can);
                        if (can) {
                            queue.erase(queue.begin() + k);
                            continue;
                        }
                    }
                    begin += size;
                    k++;
                }
                p.compact();
                p.sweep();
                break;
            }
            }

            size_t at;
            const size_t n = next(&at);
            ck_assert_uint_ge(p.size(), queue.size());
            ck_assert_int_eq(p.empty(), queue.empty());
            ck_assert_uint_eq(p.unwritten(), total() - written);
            ck_assert_uint_eq(p.pending(), total());
            ck_assert_int_eq(p.awaiting(), whole() != 0);
            ck_assert_int_eq(p.output().size == 0,
                             n == queue.size() || queue[n].deferred);
            for (const Command &c : queue) {
                ck_assert_uint_le(c.holder->written, 1);
            }
        }
    }
}
END_TEST

int main()
{
    Suite *s = suite_create("pipeline");
    TCase *t = tcase_create("pipeline");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, empty);
    tcase_add_test(t, slots_and_offsets);
    tcase_add_test(t, replies_take_the_oldest_slot);
    tcase_add_test(t, owners_leave);
    tcase_add_test(t, output_is_what_was_added);
    tcase_add_test(t, cut_at_every_byte);
    tcase_add_test(t, cut_around_blocks);
    tcase_add_test(t, cut_again);
    tcase_add_test(t, as_many_as_may_wait);
    tcase_add_test(t, slots_grow);
    tcase_add_test(t, blocks_are_reused);
    tcase_add_test(t, cleared);
    tcase_add_test(t, withdrawn);
    tcase_add_test(t, no_memory);
    tcase_add_test(t, deferred);
    tcase_add_test(t, deferred_takes_no_memory);
    tcase_add_test(t, deferred_owner_leaves);
    tcase_add_test(t, deferred_is_withdrawn);
    tcase_add_test(t, deferred_again);
    tcase_add_test(t, random_work);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
