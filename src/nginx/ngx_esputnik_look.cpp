#include "ngx_esputnik_look.h"
#include "ngx_esputnik_target.h"
#include "ngx_esputnik_zone.h"

namespace ngx_esputnik {

namespace {

/* Of all workers, since nginx started. */
bool first_to_warn(SharedTarget *shared, size_t warning)
{
    const ngx_atomic_uint_t bit = ngx_atomic_uint_t{1} << warning;

    for ( ;; ) {
        const ngx_atomic_uint_t warned = shared->warned;
        if (warned & bit) {
            return false;
        }
        if (ngx_atomic_cmp_set(&shared->warned, warned, warned | bit)) {
            return true;
        }
    }
}

} // namespace

Look::Look()
{
    op_.done = on_reply;
    op_.link = nullptr;
}

void Look::at(Target *target, Link *link)
{
    const uint32_t peer = ngx_murmur_hash2(
        reinterpret_cast<u_char *>(const_cast<char *>(link->peer().data())),
        link->peer().size());

    if (op_.link != nullptr || seen_ == peer) {
        return;
    }

    esputnik::Buffer commands;
    if (!append_look(commands)) {
        return;
    }

    target_ = target;
    facts_ = esputnik::RedisFacts();
    peer_ = peer;

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
    look->seen_ = look->peer_;

    for (size_t i = 0; i < static_cast<size_t>(esputnik::RedisWarning::count);
         i++)
    {
        const auto warning = static_cast<esputnik::RedisWarning>(i);
        if (has_warning(look->facts_, warning)
            && first_to_warn(conf->shared, i))
        {
            ngx_log_error(NGX_LOG_WARN, conf->log, 0,
                          "esputnik: redis \"%V\" %s", &conf->name,
                          warning_text(warning));
        }
    }

    return true;
}

} // namespace ngx_esputnik
