#include "esputnik_ack.h"

#include <algorithm>

#include "esputnik_command.h"

namespace esputnik {

namespace {

bool contains(std::string_view text, std::string_view part)
{
    return text.find(part) != std::string_view::npos;
}

AckResult classify(std::string_view text, RedisError *error)
{
    *error = classify_redis_error(text);

    /* Redis has no prefix of their own for these two (replication.c) */
    if (*error == RedisError::unknown_command
        || contains(text, "appendonly is disabled")
        || contains(text, "cannot be used with replica"))
    {
        return AckResult::unsupported;
    }
    return AckResult::refused;
}

} // namespace

bool append_ack(Buffer &out, const Ack &ack, uint64_t timeout_ms)
{
    char ms[20];
    const std::string_view timeout(
        ms, write_decimal(ms, timeout_ms ? timeout_ms : 1) - ms);

    switch (ack.mode) {
    case AckMode::memory:
        return false;

    case AckMode::replicas: {
        char count[20];
        return append_command(
            out, {"WAIT",
                  {count, static_cast<size_t>(write_decimal(count, ack.replicas)
                                              - count)},
                  timeout});
    }

    case AckMode::aof:
        return append_command(out, {"WAITAOF", "1", "0", timeout});
    }
    return false;
}

uint64_t ack_wait_ms(uint64_t reply_timeout_ms)
{
    constexpr uint64_t kTick = 100, kJourney = 50;
    const uint64_t rest = std::max(reply_timeout_ms / 4, kTick + kJourney);
    return reply_timeout_ms - std::min(rest, reply_timeout_ms / 2);
}

AckResult read_ack(const Reply &reply, const Ack &ack, RedisError *error)
{
    *error = RedisError::none;

    if (reply.is_error()) {
        return classify(reply.text(), error);
    }

    if (ack.mode == AckMode::replicas) {
        if (!reply.is(ReplyType::integer) || reply.integer() < 0) {
            return AckResult::protocol;
        }
        return reply.integer() >= static_cast<long long>(ack.replicas)
                   ? AckResult::done
                   : AckResult::too_few;
    }

    if (ack.mode == AckMode::aof) {
        /* [this server's own AOF: 0 or 1, replicas' AOFs] */
        if (reply.elements() != 2 || !reply.at(0).is(ReplyType::integer)
            || !reply.at(1).is(ReplyType::integer) || reply.at(0).integer() < 0
            || reply.at(0).integer() > 1)
        {
            return AckResult::protocol;
        }
        return reply.at(0).integer() == 1 ? AckResult::done
                                          : AckResult::too_few;
    }

    return AckResult::protocol;
}

const char *ack_text(AckResult result, const Ack &ack)
{
    const bool aof = ack.mode == AckMode::aof;

    switch (result) {
    case AckResult::done:
        return aof ? "fsynced" : "replicated";
    case AckResult::too_few:
        return aof ? "the append only file was not fsynced in time"
                   : "too few replicas acknowledged in time";
    case AckResult::unsupported:
        return aof ? "this Redis cannot confirm an fsync: WAITAOF needs "
                     "Redis 7.2 and appendonly yes"
                   : "this Redis cannot confirm replication: WAIT is unknown "
                     "here or the server is a replica";
    case AckResult::refused:
        return aof ? "WAITAOF was refused" : "WAIT was refused";
    case AckResult::protocol:
        break;
    }
    return aof ? "not a reply to WAITAOF" : "not a reply to WAIT";
}

} // namespace esputnik
