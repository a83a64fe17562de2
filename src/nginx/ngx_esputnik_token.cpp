#include "ngx_esputnik_token.h"
#include "ngx_esputnik_directives.h"
#include "ngx_esputnik_secret.h"

#include "esputnik_token.h"

#include <new>

namespace ngx_esputnik {

struct TokenConf {
    ngx_int_t variable;
    esputnik::TokenList tokens;
};

namespace {

void end_token(void *data)
{
    static_cast<TokenConf *>(data)->~TokenConf();
}

TokenConf *new_token(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(cf->pool,
                                                       sizeof(TokenConf));
    if (cleanup == nullptr) {
        return nullptr;
    }

    auto *token = new (cleanup->data) TokenConf();
    cleanup->handler = end_token;
    return token;
}

} // namespace

bool authorized(ngx_http_request_t *r, const LocConf *conf)
{
    if (conf->token == nullptr) {
        return true;
    }

    const ngx_http_variable_value_t *given = ngx_http_get_indexed_variable(
        r, static_cast<ngx_uint_t>(conf->token->variable));

    if (given == nullptr || given->not_found) {
        return false;
    }

    return esputnik::token_matches(
        conf->token->tokens,
        {reinterpret_cast<char *>(given->data), given->len});
}

char *set_token(ngx_conf_t *cf, ngx_command_t *, void *conf) noexcept
{
    auto *lcf = static_cast<LocConf *>(conf);
    auto *value = static_cast<ngx_str_t *>(cf->args->elts);

    if (lcf->token != NGX_CONF_UNSET_PTR) {
        return const_cast<char *>("is duplicate");
    }

    if (cf->args->nelts == 2) {
        if (view(value[1]) != "off") {
            return refuse_value(cf, value[0], value[1],
                                "a variable and \"file=PATH\", or \"off\"");
        }
        lcf->token = nullptr;
        return NGX_CONF_OK;
    }

    if (value[1].len < 2 || value[1].data[0] != '$') {
        return refuse_value(cf, value[0], value[1],
                            "a variable, as in \"$http_x_webhook_token\"");
    }

    constexpr std::string_view prefix = "file=";
    if (view(value[2]).substr(0, prefix.size()) != prefix
        || value[2].len == prefix.size())
    {
        return refuse_value(cf, value[0], value[2], "\"file=PATH\"");
    }

    TokenConf *token = new_token(cf);
    if (token == nullptr) {
        return static_cast<char *>(NGX_CONF_ERROR);
    }

    ngx_str_t name = {value[1].len - 1, value[1].data + 1};
    token->variable = ngx_http_get_variable_index(cf, &name);
    if (token->variable == NGX_ERROR) {
        return static_cast<char *>(NGX_CONF_ERROR);
    }

    ngx_str_t path = {value[2].len - prefix.size(),
                      value[2].data + prefix.size()};
    ngx_str_t text;
    if (!read_secret_file(cf, value[0], &path, &text)) {
        return static_cast<char *>(NGX_CONF_ERROR);
    }

    size_t line = 0;
    const char *wrong = token->tokens.load(view(text), &line);
    if (wrong != nullptr) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid token file \"%V\" of \"%V\", line %uz: %s",
                           &path, &value[0], line, wrong);
        return static_cast<char *>(NGX_CONF_ERROR);
    }

    lcf->token = token;
    return NGX_CONF_OK;
}

} // namespace ngx_esputnik
