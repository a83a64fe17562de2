#include "ngx_esputnik_look.h"
#include "ngx_esputnik_target.h"
#include "ngx_esputnik_zone.h"

namespace ngx_esputnik {

namespace {

/* A cluster's masters keep their parts of the lists each for itself; of any
 * other deployment it is the one server that counts, wherever it is now. */
uint32_t server_of(const TargetConf *conf, const Link *link)
{
    constexpr uint32_t kOnlyOne = 1;

    if (!conf->cluster) {
        return kOnlyOne;
    }

    const ngx_str_t peer = str(link->peer());
    return ngx_max(ngx_murmur_hash2(peer.data, peer.len), kOnlyOne);
}

} // namespace

Look::Look()
{
    op_.done = on_reply;
    op_.link = nullptr;
}

void Look::at(Target *target, Link *link)
{
    if (op_.link != nullptr) {
        return;  /* one that the connection before did not get is queued */
    }

    esputnik::Buffer commands;
    if (!append_look(commands)) {
        return;
    }

    target_ = target;
    link_ = link;
    facts_ = esputnik::RedisFacts();

    char *out = link->send(&op_, commands.size(), esputnik::kLookCommands,
                           target->conf()->timeout);
    if (out != nullptr) {
        ngx_memcpy(out, commands.data(), commands.size());
    }
}

bool Look::on_reply(Op *op, Outcome outcome, const esputnik::Reply *reply,
                    bool last, std::string_view) noexcept
{
    auto *look = reinterpret_cast<Look *>(reinterpret_cast<char *>(op)
                                          - offsetof(Look, op_));

    if (outcome != Outcome::reply) {
        return true;  /* the next connection tries again */
    }

    read_look(*reply, &look->facts_);
    if (!last) {
        return true;
    }

    const TargetConf *conf = look->target_->conf();
    esputnik::RedisWarnings &warnings = conf->shared->warnings;
    uint32_t found = 0;

    for (uint32_t i = 0;
         i < static_cast<uint32_t>(esputnik::RedisWarning::count); i++)
    {
        const auto warning = static_cast<esputnik::RedisWarning>(i);
        if (!has_warning(look->facts_, warning)) {
            continue;
        }
        found |= uint32_t{1} << i;
        if (warnings.first_time(i)) {
            ngx_log_error(NGX_LOG_WARN, conf->log, 0,
                          "esputnik: redis \"%V\" %s", &conf->name,
                          warning_text(warning));
        }
    }

    warnings.tell(server_of(conf, look->link_), conf->generation, found);
    return true;
}

} // namespace ngx_esputnik
