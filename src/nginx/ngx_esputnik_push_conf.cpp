/* The directives that say how events are pushed: esputnik_push,
 * esputnik_dedup, esputnik_ack, esputnik_shards. */

#include "ngx_esputnik_conf.h"
#include "ngx_esputnik_directives.h"

#include "esputnik_shard.h"

namespace ngx_esputnik {

namespace {

constexpr time_t kLongestWindow = 30 * 24 * 3600;  /* seconds */

ngx_str_t *values(ngx_conf_t *cf)
{
    return static_cast<ngx_str_t *>(cf->args->elts);
}

char *is_duplicate()
{
    return const_cast<char *>("is duplicate");
}

/* The number behind "prefix"; NGX_ERROR when it is none, or not above zero. */
ngx_int_t number_after(const ngx_str_t &text, std::string_view prefix)
{
    if (view(text).substr(0, prefix.size()) != prefix) {
        return NGX_ERROR;
    }
    const ngx_int_t n = ngx_atoi(text.data + prefix.size(),
                                 text.len - prefix.size());
    return n > 0 ? n : NGX_ERROR;
}

ngx_http_complex_value_t *compile(ngx_conf_t *cf, ngx_str_t *text)
{
    auto *cv = static_cast<ngx_http_complex_value_t *>(
        ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t)));
    if (cv == nullptr) {
        return nullptr;
    }

    ngx_http_compile_complex_value_t ccv;
    ngx_memzero(&ccv, sizeof(ccv));
    ccv.cf = cf;
    ccv.value = text;
    ccv.complex_value = cv;
    return ngx_http_compile_complex_value(&ccv) == NGX_OK ? cv : nullptr;
}

} // namespace

char *set_push(ngx_conf_t *cf, ngx_command_t *, void *conf) noexcept
{
    auto *lcf = static_cast<LocConf *>(conf);
    const ngx_str_t *value = values(cf);

    if (lcf->push != NGX_CONF_UNSET_UINT) {
        return is_duplicate();
    }

    if (view(value[1]) == "rpush") {
        lcf->push = static_cast<ngx_uint_t>(Push::rpush);
    } else if (view(value[1]) == "lpush") {
        lcf->push = static_cast<ngx_uint_t>(Push::lpush);
    } else if (view(value[1]) == "xadd") {
        lcf->push = static_cast<ngx_uint_t>(Push::xadd);
    } else {
        return refuse_value(cf, value[0], value[1],
                            "\"rpush\", \"lpush\" or \"xadd [maxlen=N]\"");
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    const ngx_int_t maxlen = number_after(value[2], "maxlen=");
    if (maxlen == NGX_ERROR || lcf->push != static_cast<ngx_uint_t>(Push::xadd))
    {
        return refuse_value(cf, value[0], value[2],
                            "\"maxlen=N\", and behind \"xadd\" only");
    }
    lcf->push_maxlen = static_cast<ngx_uint_t>(maxlen);
    return NGX_CONF_OK;
}

char *set_dedup(ngx_conf_t *cf, ngx_command_t *, void *conf) noexcept
{
    auto *lcf = static_cast<LocConf *>(conf);
    ngx_str_t *value = values(cf);

    if (lcf->dedup_window != NGX_CONF_UNSET_MSEC) {
        return is_duplicate();
    }

    if (view(value[1]) == "off" && cf->args->nelts == 2) {
        lcf->dedup_window = 0;
        return NGX_CONF_OK;
    }

    const ngx_int_t window = ngx_parse_time(&value[1], 1);
    if (window == NGX_ERROR || window == 0 || window > kLongestWindow) {
        return refuse_value(cf, value[0], value[1],
                            "a time from 1s to 30d, as in \"24h\", or \"off\"");
    }
    lcf->dedup_window = static_cast<ngx_msec_t>(window) * 1000;

    if (cf->args->nelts == 3) {
        if (value[2].len == 0) {
            return refuse_value(cf, value[0], value[2],
                                "a string that identifies an event");
        }
        lcf->dedup_identity = compile(cf, &value[2]);
        if (lcf->dedup_identity == nullptr) {
            return static_cast<char *>(NGX_CONF_ERROR);
        }
    }
    return NGX_CONF_OK;
}

char *set_ack(ngx_conf_t *cf, ngx_command_t *, void *conf) noexcept
{
    auto *lcf = static_cast<LocConf *>(conf);
    const ngx_str_t *value = values(cf);

    if (lcf->ack_set != NGX_CONF_UNSET) {
        return is_duplicate();
    }
    lcf->ack_set = 1;

    if (view(value[1]) == "memory") {
        lcf->ack.mode = esputnik::AckMode::memory;
        return NGX_CONF_OK;
    }
    if (view(value[1]) == "aof") {
        lcf->ack.mode = esputnik::AckMode::aof;
        return NGX_CONF_OK;
    }

    const ngx_int_t replicas = number_after(value[1], "replicas=");
    if (replicas == NGX_ERROR || replicas > 100) {
        return refuse_value(cf, value[0], value[1],
                            "\"memory\", \"replicas=N\" or \"aof\"");
    }
    lcf->ack.mode = esputnik::AckMode::replicas;
    lcf->ack.replicas = static_cast<uint32_t>(replicas);
    return NGX_CONF_OK;
}

char *set_shards(ngx_conf_t *cf, ngx_command_t *, void *conf) noexcept
{
    auto *lcf = static_cast<LocConf *>(conf);
    ngx_str_t *value = values(cf);

    if (lcf->shards != NGX_CONF_UNSET_UINT) {
        return is_duplicate();
    }

    if (view(value[1]) == "off" && cf->args->nelts == 2) {
        lcf->shards = 0;
        return NGX_CONF_OK;
    }

    const ngx_int_t n = ngx_atoi(value[1].data, value[1].len);
    if (n < 1 || n > static_cast<ngx_int_t>(esputnik::kMaxShards)) {
        return refuse_value(cf, value[0], value[1],
                            "a number from 1 to 16384, or \"off\"");
    }
    lcf->shards = static_cast<ngx_uint_t>(n);

    if (cf->args->nelts == 3) {
        if (value[2].len == 0) {
            return refuse_value(cf, value[0], value[2],
                                "a string with variables");
        }
        lcf->shard_by = compile(cf, &value[2]);
        if (lcf->shard_by == nullptr) {
            return static_cast<char *>(NGX_CONF_ERROR);
        }
    }
    return NGX_CONF_OK;
}

} // namespace ngx_esputnik
