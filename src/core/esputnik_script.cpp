#include "esputnik_script.h"

#include <cstring>

#include "esputnik_command.h"
#include "esputnik_sha1.h"
#include "esputnik_slot.h"

namespace esputnik {

namespace {

/*
 * Order matters.  Reads come first.  The first write is a push: Redis refuses
 * it when memory is short, and once a script has written, it refuses no later
 * write for that reason.  Marks come after the pushes, so a push that failed
 * leaves none, and their own failure (an ACL) does not undo what is stored.
 *
 * pcall keeps the error's own prefix, which Redis 6.2 hides behind another.
 *
 * unpack() takes 1,000 at a time: Lua's C stack has room for 8,000.  The reply
 * is as long for 10,000 lists as for one, since replies have a bound
 * (esputnik_reply.h) and a script whose reply is refused has been executed.
 */
constexpr std::string_view kScript = R"lua(
local command, maxlen, slice = ARGV[1], ARGV[2], tonumber(ARGV[3])
local aside = ARGV[4]
local dedup = slice > 0
local lists = dedup and #KEYS / 11 or #KEYS
local stream = command == 'XADD'
local at = 4 + lists
local now, plan = 0, {}
local planned, pushed, duplicates, again = 0, 0, 0, 0
local longest, length, trouble = 1, 0, ''

if dedup then
    local time = redis.call('TIME')
    now = math.floor((time[1] * 1000 + math.floor(time[2] / 1000)) / slice)
end

for i = 1, lists do
    local length = redis.pcall(stream and 'XLEN' or 'LLEN', KEYS[i])
    if type(length) == 'table' then
        return length
    end
    local n = tonumber(ARGV[4 + i])
    local g = {length = length, from = at + 1, to = at + n}
    plan[i] = g
    at = at + n

    if dedup then
        local ring = lists + (i - 1) * 10
        local known, values, digests = {}, {}, {}
        g.current = KEYS[ring + now % 10 + 1]
        g.oldest = KEYS[ring + (now + 1) % 10 + 1]
        g.begun = redis.call('EXISTS', g.current) == 1
        -- more time left than a slice: not old, the clock was set back
        g.drop = not g.begun and redis.call('PTTL', g.oldest) <= slice
        for r = ring + 1, ring + 10 do
            if not g.drop or KEYS[r] ~= g.oldest then
                for from = at + 1, at + n, 1000 do
                    local found = redis.pcall('SMISMEMBER', KEYS[r],
                        unpack(ARGV, from, math.min(from + 999, at + n)))
                    if found.err then
                        return found
                    end
                    for k = 1, #found do
                        if found[k] == 1 then
                            known[ARGV[from + k - 1]] = true
                        end
                    end
                end
            end
        end
        for k = 1, n do
            local digest = ARGV[at + k]
            if not known[digest] then
                known[digest] = true
                values[#values + 1] = ARGV[g.from + k - 1]
                digests[#digests + 1] = digest
            elseif string.sub(aside, planned + k, planned + k) == '1' then
                again = again + 1
            else
                duplicates = duplicates + 1
            end
        end
        at = at + n
        g.values, g.digests = values, digests
        g.from, g.to = 1, #values
    end
    planned = planned + n
end

for i = 1, lists do
    local g = plan[i]
    local values = g.values or ARGV
    if stream then
        for k = g.from, g.to do
            local id
            if maxlen == '0' then
                id = redis.pcall('XADD', KEYS[i], '*', 'event', values[k])
            else
                id = redis.pcall('XADD', KEYS[i], 'MAXLEN', '~', maxlen, '*',
                    'event', values[k])
            end
            if type(id) == 'table' then
                return id
            end
        end
        if g.to >= g.from then
            g.length = redis.call('XLEN', KEYS[i])
        end
    else
        for from = g.from, g.to, 1000 do
            local length = redis.pcall(command, KEYS[i],
                unpack(values, from, math.min(from + 999, g.to)))
            if type(length) == 'table' then
                return length
            end
            g.length = length
        end
    end
    pushed = pushed + g.to - g.from + 1
    if g.length > length then
        longest, length = i, g.length
    end
end

if dedup then
    for i = 1, lists do
        local g = plan[i]
        if g.to >= g.from then
            local ends, try
            if not g.begun then
                -- may we? a set without an end would remember for ever
                ends = string.format('%.0f', (now + 10) * slice)
                try = redis.pcall('PEXPIREAT', g.current, ends)
            end
            if type(try) ~= 'table' then
                for from = 1, g.to, 1000 do
                    try = redis.pcall('SADD', g.current,
                        unpack(g.digests, from, math.min(from + 999, g.to)))
                end
            end
            if not g.begun then
                redis.pcall('PEXPIREAT', g.current, ends)
            end
            if g.drop then
                redis.pcall('UNLINK', g.oldest)
            end
            if type(try) == 'table' then
                trouble = try.err
            end
        end
    end
end

return {pushed, duplicates, again, longest, length, trouble}
)lua";

constexpr Sha1Hex kSha = sha1(kScript);

constexpr std::string_view kWord = "dedup:";

/*
 * The smallest number whose slot is the given one, for names with stray
 * braces.  They come from payloads, so finding it must not cost a search each:
 * a table, made at the first such name.
 */
struct Tags {
    uint32_t of[kSlots];

    Tags()
    {
        std::memset(of, 0xff, sizeof(of));
        unsigned missing = kSlots;
        for (uint32_t n = 0; missing > 0; n++) {
            char digits[20];
            const size_t length = write_decimal(digits, n) - digits;
            uint32_t &tag = of[crc16({digits, length}) & (kSlots - 1)];
            if (tag == UINT32_MAX) {
                tag = n;
                missing--;
            }
        }
    }
};

unsigned tag_of_slot(unsigned slot)
{
    static const Tags tags;
    return tags.of[slot];
}

} // namespace

std::string_view push_script()
{
    return kScript;
}

std::string_view push_script_sha()
{
    return kSha.view();
}

bool append_script_load(Buffer &out)
{
    return append_command(out, {"SCRIPT", "LOAD", kScript});
}

uint64_t dedup_slice(uint64_t window_ms)
{
    return window_ms / 8 + (window_ms % 8 != 0);
}

MarkName::MarkName(std::string_view list, uint64_t window_ms)
    : list_(list), window_(window_ms)
{
    if (hash_tag(list).size() != list.size()) {
        separator_ = ':'; /* has a tag, which goes first */
    } else if (!list.empty() && list.find('}') == std::string_view::npos) {
        separator_ = '}'; /* all of it becomes the tag */
    } else {
        separator_ = ';';               /* braces that cannot be wrapped */
        tag_ = tag_of_slot(key_slot(list));
    }
}

size_t MarkName::size() const
{
    size_t n = list_.size() + 1 + kWord.size() + decimal_length(window_) + 2;
    if (separator_ == '}') {
        n += 1;
    } else if (separator_ == ';') {
        n += 2 + decimal_length(tag_);
    }
    return n;
}

char *MarkName::write(char *out, unsigned index) const
{
    if (separator_ != ':') {
        *out++ = '{';
    }
    if (separator_ == ';') {
        out = write_decimal(out, tag_);
        *out++ = '}';
    }
    if (!list_.empty()) {
        std::memcpy(out, list_.data(), list_.size());
        out += list_.size();
    }
    *out++ = separator_;
    std::memcpy(out, kWord.data(), kWord.size());
    out = write_decimal(out + kWord.size(), window_);
    *out++ = ':';
    *out++ = static_cast<char>('0' + index);
    return out;
}

} // namespace esputnik
