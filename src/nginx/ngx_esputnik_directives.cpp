#include "ngx_esputnik_directives.h"
#include "ngx_esputnik_conf.h"

namespace ngx_esputnik {

namespace {

constexpr size_t kShown = 128;  /* bytes of a wrong value */

char *conf_error()
{
    return static_cast<char *>(NGX_CONF_ERROR);
}

char *is_duplicate()
{
    return const_cast<char *>("is duplicate");
}

ngx_str_t *values(ngx_conf_t *cf)
{
    return static_cast<ngx_str_t *>(cf->args->elts);
}

template <class T>
T *slot(ngx_command_t *cmd, void *conf)
{
    return reinterpret_cast<T *>(static_cast<char *>(conf) + cmd->offset);
}

} // namespace

char *refuse_value(ngx_conf_t *cf, const ngx_str_t &directive,
                   const ngx_str_t &value, const char *expected)
{
    /* a log line is 2 KB at most, and the expectation comes last */
    const ngx_str_t shown = {ngx_min(value.len, kShown), value.data};

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V%s\" in \"%V\" directive, "
                       "expected %s",
                       &shown, shown.len < value.len ? "..." : "", &directive,
                       expected);
    return conf_error();
}

/* A string with variables; an empty one would be no key. */
char *set_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept
{
    const ngx_str_t *value = values(cf);

    if (value[1].len == 0) {
        return refuse_value(cf, value[0], value[1], "a key of 1 to 1024 bytes");
    }

    char *rc = ngx_http_set_complex_value_slot(cf, cmd, conf);
    if (rc != NGX_CONF_OK) {
        return rc;
    }

    const auto *key = *slot<ngx_http_complex_value_t *>(cmd, conf);
    if (key->lengths == nullptr && key->value.len > 1024) {
        return refuse_value(cf, value[0], value[1], "a key of 1 to 1024 bytes");
    }

    return NGX_CONF_OK;
}

/* One of the words of an ngx_conf_enum_t table in cmd->post. */
char *set_word(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept
{
    auto *field = slot<ngx_uint_t>(cmd, conf);
    const ngx_str_t *value = values(cf);

    if (*field != NGX_CONF_UNSET_UINT) {
        return is_duplicate();
    }

    const auto *words = static_cast<ngx_conf_enum_t *>(cmd->post);
    u_char expected[128];
    u_char *p = expected;

    for (ngx_uint_t i = 0; words[i].name.len != 0; i++) {
        if (words[i].name.len == value[1].len
            && ngx_strcmp(words[i].name.data, value[1].data) == 0)
        {
            *field = words[i].value;
            return NGX_CONF_OK;
        }
        p = ngx_snprintf(p, static_cast<size_t>(expected + 127 - p), "%s\"%V\"",
                         i ? " or " : "", &words[i].name);
    }
    *p = '\0';

    return refuse_value(cf, value[0], value[1],
                        reinterpret_cast<char *>(expected));
}

char *set_invalid(ngx_conf_t *cf, ngx_command_t *, void *conf) noexcept
{
    auto *lcf = static_cast<LocConf *>(conf);
    ngx_str_t *value = values(cf);

    if (lcf->invalid != NGX_CONF_UNSET_UINT) {
        return is_duplicate();
    }

    if (view(value[1]) == "reject") {
        lcf->invalid = static_cast<ngx_uint_t>(Invalid::reject);
        return cf->args->nelts == 2 ? NGX_CONF_OK
                                    : refuse_value(cf, value[0], value[2],
                                                   "nothing after \"reject\"");
    }

    if (view(value[1]) != "quarantine") {
        return refuse_value(cf, value[0], value[1],
                            "\"reject\" or \"quarantine [key]\"");
    }

    lcf->invalid = static_cast<ngx_uint_t>(Invalid::quarantine);

    ngx_str_t key = ngx_string("esputnik:invalid");
    if (cf->args->nelts == 3) {
        key = value[2];
    }
    if (key.len == 0 || key.len > 1024) {
        return refuse_value(cf, value[0], key, "a key of 1 to 1024 bytes");
    }

    auto *cv = static_cast<ngx_http_complex_value_t *>(
        ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t)));
    if (cv == nullptr) {
        return conf_error();
    }

    ngx_http_compile_complex_value_t ccv;
    ngx_memzero(&ccv, sizeof(ccv));
    ccv.cf = cf;
    ccv.value = &key;
    ccv.complex_value = cv;
    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return conf_error();
    }

    lcf->invalid_key = cv;
    return NGX_CONF_OK;
}

char *set_require(ngx_conf_t *cf, ngx_command_t *, void *conf) noexcept
{
    auto *lcf = static_cast<LocConf *>(conf);
    const ngx_str_t *value = values(cf);

    if (lcf->required_set != NGX_CONF_UNSET) {
        return is_duplicate();
    }

    lcf->required_set = 1;
    lcf->required = 0;

    if (cf->args->nelts == 2 && view(value[1]) == "off") {
        return NGX_CONF_OK;
    }

    for (ngx_uint_t i = 1; i < cf->args->nelts; i++) {
        const auto field = esputnik::find_field(
            reinterpret_cast<char *>(value[i].data), value[i].len);
        if (field == esputnik::Field::none) {
            return refuse_value(cf, value[0], value[i],
                                "the names of documented fields, or \"off\" "
                                "alone");
        }
        lcf->required |= esputnik::field_bit(field);
    }

    return NGX_CONF_OK;
}

char *set_number(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept
{
    auto *field = slot<ngx_int_t>(cmd, conf);
    const auto *range = static_cast<const Range *>(cmd->post);
    const ngx_str_t *value = values(cf);

    if (*field != NGX_CONF_UNSET) {
        return is_duplicate();
    }

    if (range->off && view(value[1]) == "off") {
        *field = 0;
        return NGX_CONF_OK;
    }

    const ngx_int_t n = ngx_atoi(value[1].data, value[1].len);
    if (n == NGX_ERROR || n < range->min || n > range->max) {
        return refuse_value(cf, value[0], value[1], range->expected);
    }

    *field = n;
    return NGX_CONF_OK;
}

char *set_time(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) noexcept
{
    auto *field = slot<ngx_msec_t>(cmd, conf);
    ngx_str_t *value = values(cf);

    if (*field != NGX_CONF_UNSET_MSEC) {
        return is_duplicate();
    }

    const ngx_int_t ms = ngx_parse_time(&value[1], 0);
    if (ms == NGX_ERROR || ms == 0) {
        return refuse_value(cf, value[0], value[1],
                            "a time above zero, as in \"500ms\" or \"3s\"");
    }

    *field = static_cast<ngx_msec_t>(ms);
    return NGX_CONF_OK;
}

} // namespace ngx_esputnik
