#include "esputnik_parser.h"

#include <cstring>

#include "esputnik_syntax.h"
#include "esputnik_utf8.h"
#include "esputnik_walk.h"

namespace esputnik {

namespace {

/* What a worker keeps between two bodies. */
constexpr size_t kKeepBytes = 512 * 1024;
constexpr size_t kKeepEvents = 1024;

constexpr FieldSet kScalarFields = (field_bit(Field::none) - 1)
                                   & ~(field_bit(Field::status_data)
                                       | field_bit(Field::subscription)
                                       | field_bit(Field::subscriptions));

void *arena_allocate(void *arena, size_t size)
{
    return static_cast<Arena *>(arena)->allocate(size);
}

void *arena_reallocate(void *arena, void *p, size_t size)
{
    return static_cast<Arena *>(arena)->reallocate(p, size);
}

void arena_release(void *arena, void *p)
{
    static_cast<Arena *>(arena)->release(p);
}

/* Notes where the last token that yajl reported ended. */
struct Trace {
    yajl_handle yajl;
    size_t end;

    static int note(void *ctx)
    {
        Trace &t = *static_cast<Trace *>(ctx);
        t.end = yajl_get_bytes_consumed(t.yajl);
        return 1;
    }

    static int boolean(void *ctx, int) { return note(ctx); }
    static int number(void *ctx, const char *, size_t) { return note(ctx); }
    static int text(void *ctx, const unsigned char *, size_t)
    {
        return note(ctx);
    }
};

constexpr yajl_callbacks kTraceTable = {
    Trace::note,   Trace::boolean, nullptr,     nullptr,
    Trace::number, Trace::text,    Trace::note, Trace::text,
    Trace::note,   Trace::note,    Trace::note,
};

yajl_handle start_yajl(const yajl_callbacks *table, Arena *arena, void *ctx)
{
    yajl_alloc_funcs memory = {arena_allocate, arena_reallocate, arena_release,
                               arena};

    /* never freed: all it has is the arena's */
    const yajl_handle yajl = yajl_alloc(table, &memory, ctx);
    /* scan() sees to UTF-8, and finds more than yajl would */
    yajl_config(yajl, yajl_dont_validate_strings, 1);
    return yajl;
}

yajl_status feed(yajl_handle yajl, std::string_view text)
{
    return yajl_parse(yajl,
                      reinterpret_cast<const unsigned char *>(text.data()),
                      text.size());
}

} // namespace

Value Batch::value(size_t event, Field f) const
{
    if (f == Field::none || !(wanted & field_bit(f))) {
        return {nullptr, 0};
    }
    return values[slot(event, f)];
}

void ParserCallbacks::walk()
{
    Problem &problem = parser.problem_;
    yajl = start_yajl(&kTable, &parser.arena_, this);
    const yajl_status status = feed(yajl, batch.body);

    if (no_memory || problem.reason != Reason::none) {
        return;
    }

    if (end != 0) {
        const size_t rest = skip_space(batch.body, end);
        if (rest != length) {
            refuse(Reason::trailing_garbage, rest);
        }
        return;
    }

    if (status == yajl_status_error) {
        refuse(Reason::not_json, offending_token());
        if (batch.body.substr(0, 3) == "\xEF\xBB\xBF") {
            problem.note = "it starts with a byte order mark";
        }
        return;
    }

    if (skip_space(batch.body, 0) == length) {
        refuse(Reason::empty_body, length);
        return;
    }

    if (depth == 0) {
        /* a number at the top level shows itself only now */
        yajl_complete_parse(yajl);
        if (problem.reason != Reason::none) {
            return;
        }
    }
    refuse(Reason::not_json, length);
    problem.note = "it ends too early";
}

/* How far yajl says it came is, by the kind of fault, before, inside or behind
 * the token.  But between that token and the last one that it reported stands
 * a separator or nothing. */
size_t ParserCallbacks::offending_token()
{
    const size_t reached = here();
    size_t from = 0;

    if (in_event()) {
        /* the event once more, with other callbacks: cheaper than to note the
         * place in every callback of every body */
        const size_t start = batch.events.back().offset;
        Trace trace = {nullptr, 0};
        parser.arena_.reset(0);
        trace.yajl = start_yajl(&kTraceTable, &parser.arena_, &trace);
        feed(trace.yajl, batch.body.substr(start));
        from = start + trace.end;
    } else if (!batch.events.empty()) {
        from = batch.events.back().offset + batch.events.back().length;
    } else if (depth == 1) {
        from = skip_space(batch.body, 0) + 1;
    }

    Token token = next_token(batch.body, from);
    const char c = token.start < length ? body[token.start] : '\0';
    if (c == ',' || c == ':') {
        const char before = from > 0 ? body[from - 1] : '\0';
        const bool slash = reached < length && body[reached] == '/';
        /* nothing is to be separated behind a bracket; behind others yajl is
         * past a separator that it took, or before a comment */
        if (before != '[' && before != '{'
            && (reached > token.end || (reached == token.end && slash)))
        {
            token = next_token(batch.body, token.end);
        }
    }
    /* yajl takes 01 for two tokens; a person does not */
    return word_start(batch.body, token.start);
}

void ParserCallbacks::scan()
{
    Problem &problem = parser.problem_;
    size_t offset;
    const ScanResult found = scan_body(body, length, &offset);

    if (found == ScanResult::clean
        || (problem.reason != Reason::none && detected < offset))
    {
        return;
    }

    problem = Problem();
    problem.offset = offset;
    if (found == ScanResult::bad_utf8) {
        problem.reason = Reason::bad_utf8;
    } else {
        problem.reason = Reason::not_json;
        problem.note = "a vertical tab or a form feed is no white space";
    }

    for (size_t i = 0; i < batch.events.size(); i++) {
        const Event &e = batch.events[i];
        /* an event that was not closed has no length yet */
        if (offset > e.offset
            && (e.length == 0 || offset < e.offset + e.length)) {
            problem.event = i;
        }
    }
}

ParseResult Parser::parse(const char *body, size_t length,
                          const ParseOptions &options)
{
    batch_.body = {body, length};
    batch_.events.clear();
    batch_.problems.clear();
    batch_.values.clear();
    batch_.wanted = options.wanted & kScalarFields;
    batch_.wanted_count = __builtin_popcountll(batch_.wanted);
    std::memset(batch_.status_count, 0, sizeof(batch_.status_count));
    text_.clear();
    problem_ = Problem();

    if (!arena_.reset(Arena::yajl_bound(length, options.max_depth))) {
        return ParseResult::no_memory;
    }

    ParserCallbacks state(*this, options);
    state.walk();
    if (state.no_memory) {
        return ParseResult::no_memory;
    }
    state.scan();

    if (problem_.reason == Reason::none) {
        return ParseResult::ok;
    }
    /* nothing of a refused body is to be used */
    batch_.events.clear();
    batch_.problems.clear();
    batch_.values.clear();
    std::memset(batch_.status_count, 0, sizeof(batch_.status_count));
    return ParseResult::refused;
}

void Parser::trim()
{
    arena_.trim(kKeepBytes);
    text_.shrink(kKeepBytes);
    batch_.events.shrink(kKeepEvents);
    batch_.problems.shrink(kKeepEvents);
    batch_.values.shrink(kKeepEvents * 8);
}

} // namespace esputnik
