/* The lines of esputnik_redis NAME { }. */

#include "ngx_esputnik_conf.h"
#include "ngx_esputnik_directives.h"
#include "ngx_esputnik_redis_conf.h"
#include "ngx_esputnik_secret.h"
#include "ngx_esputnik_tls.h"

#include "esputnik_sentinel.h"
#include "esputnik_url.h"

namespace ngx_esputnik {

namespace {

char *conf_error()
{
    return static_cast<char *>(NGX_CONF_ERROR);
}

char *is_duplicate()
{
    return const_cast<char *>("is duplicate");
}

char *set_server(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value)
{
    for (ngx_uint_t i = 1; i < cf->args->nelts; i++) {
        if (add_server(cf, target, value[i], esputnik::kRedisPort)
            != NGX_CONF_OK) {
            return conf_error();
        }
    }
    return NGX_CONF_OK;
}

char *set_text(ngx_conf_t *cf, ngx_str_t *field, ngx_str_t *value,
               const char *expected)
{
    if (field->len != 0) {
        return is_duplicate();
    }
    if (value[1].len == 0) {
        return refuse_value(cf, value[0], value[1], expected);
    }
    *field = value[1];
    return NGX_CONF_OK;
}

char *set_user(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value)
{
    return set_text(cf, &target->user, value, "a name");
}

char *set_password(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value)
{
    return set_text(cf, &target->password, value, "a password");
}

char *set_secret(ngx_conf_t *cf, ngx_str_t *field, ngx_str_t *value)
{
    if (field->len != 0) {
        return is_duplicate();
    }

    ngx_str_t text;
    if (!read_secret_file(cf, value[0], &value[1], &text)) {
        return conf_error();
    }

    /* the first line, as in nginx's ssl_password_file */
    size_t length = 0;
    while (length < text.len && text.data[length] != '\n'
           && text.data[length] != '\r')
    {
        length++;
    }

    if (length == 0) {
        return refuse_value(cf, value[0], value[1],
                            "a file whose first line is the password");
    }

    *field = {length, text.data};
    return NGX_CONF_OK;
}

char *set_password_file(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value)
{
    return set_secret(cf, &target->password, value);
}

char *set_sentinel(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value)
{
    return set_text(cf, &target->sentinel, value, "the name of a master");
}

char *set_sentinel_user(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value)
{
    return set_text(cf, &target->sentinel_user, value, "a name");
}

char *set_sentinel_password_file(ngx_conf_t *cf, TargetConf *target,
                                 ngx_str_t *value)
{
    return set_secret(cf, &target->sentinel_password, value);
}

char *set_switch(ngx_conf_t *cf, ngx_flag_t *field, ngx_str_t *value)
{
    if (*field != NGX_CONF_UNSET) {
        return is_duplicate();
    }
    if (view(value[1]) != "on" && view(value[1]) != "off") {
        return refuse_value(cf, value[0], value[1], "\"on\" or \"off\"");
    }
    *field = view(value[1]) == "on";
    return NGX_CONF_OK;
}

char *set_cluster(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value)
{
    return set_switch(cf, &target->cluster, value);
}

char *set_tls(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value)
{
    return set_switch(cf, &target->tls->on, value);
}

char *set_tls_verify(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value)
{
    return set_switch(cf, &target->tls->verify, value);
}

char *set_tls_trusted(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value)
{
    return set_text(cf, &target->tls->trusted, value, "a file");
}

char *set_tls_certificate(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value)
{
    return set_text(cf, &target->tls->certificate, value, "a file");
}

char *set_tls_key(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value)
{
    return set_text(cf, &target->tls->key, value, "a file");
}

char *set_tls_name(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value)
{
    if (value[1].len > esputnik::kMaxHostLength
        || (value[1].len != 0 && !esputnik::valid_host(view(value[1]))))
    {
        return refuse_value(cf, value[0], value[1], "a host's name");
    }
    return set_text(cf, &target->tls->name, value, "a host's name");
}

char *set_database(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value)
{
    if (target->database != NGX_CONF_UNSET_UINT) {
        return is_duplicate();
    }

    const ngx_int_t n = ngx_atoi(value[1].data, value[1].len);
    if (n == NGX_ERROR || n > static_cast<ngx_int_t>(esputnik::kMaxDatabase)) {
        return refuse_value(cf, value[0], value[1], "a number from 0 to 65535");
    }
    target->database = static_cast<ngx_uint_t>(n);
    return NGX_CONF_OK;
}

char *set_connections(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value)
{
    const ngx_int_t n = ngx_atoi(value[1].data, value[1].len);
    if (n < 1 || n > 64) {
        return refuse_value(cf, value[0], value[1], "a number from 1 to 64");
    }
    if (target->connections != 0) {
        return is_duplicate();
    }
    target->connections = static_cast<ngx_uint_t>(n);
    return NGX_CONF_OK;
}

char *set_msec(ngx_conf_t *cf, ngx_msec_t *field, ngx_str_t *value)
{
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

char *set_connect_timeout(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value)
{
    return set_msec(cf, &target->connect_timeout, value);
}

char *set_timeout(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value)
{
    return set_msec(cf, &target->timeout, value);
}

char *set_queue(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value)
{
    const ssize_t size = ngx_parse_size(&value[1]);
    if (size == NGX_ERROR || size < 64 * 1024) {
        return refuse_value(cf, value[0], value[1],
                            "a size of at least \"64k\"");
    }
    if (target->queue != 0) {
        return is_duplicate();
    }
    target->queue = static_cast<size_t>(size);
    return NGX_CONF_OK;
}

struct Line {
    ngx_str_t name;
    bool many;     /* takes several values */
    char *(*set)(ngx_conf_t *cf, TargetConf *target, ngx_str_t *value);
};

const Line lines[] = {
    {ngx_string("server"), true, set_server},
    {ngx_string("user"), false, set_user},
    {ngx_string("password"), false, set_password},
    {ngx_string("password_file"), false, set_password_file},
    {ngx_string("database"), false, set_database},
    {ngx_string("connections"), false, set_connections},
    {ngx_string("connect_timeout"), false, set_connect_timeout},
    {ngx_string("timeout"), false, set_timeout},
    {ngx_string("queue"), false, set_queue},
    {ngx_string("cluster"), false, set_cluster},
    {ngx_string("sentinel"), false, set_sentinel},
    {ngx_string("sentinel_user"), false, set_sentinel_user},
    {ngx_string("sentinel_password_file"), false, set_sentinel_password_file},
    {ngx_string("tls"), false, set_tls},
    {ngx_string("tls_verify"), false, set_tls_verify},
    {ngx_string("tls_trusted_certificate"), false, set_tls_trusted},
    {ngx_string("tls_certificate"), false, set_tls_certificate},
    {ngx_string("tls_certificate_key"), false, set_tls_key},
    {ngx_string("tls_server_name"), false, set_tls_name},
};

} // namespace

char *set_redis_line(ngx_conf_t *cf, ngx_command_t *, void *conf) noexcept
{
    auto *value = static_cast<ngx_str_t *>(cf->args->elts);
    auto *target = static_cast<TargetConf *>(conf);

    for (const Line &line : lines) {
        if (view(line.name) != view(value[0])) {
            continue;
        }

        if (cf->args->nelts < 2 || (cf->args->nelts > 2 && !line.many)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid number of arguments in \"%V\" "
                               "directive, expected %s",
                               &value[0], line.many ? "one or more" : "one");
            return conf_error();
        }

        char *rc = line.set(cf, target, value);
        if (rc != NGX_CONF_OK && rc != NGX_CONF_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" directive %s",
                               &value[0], rc);
            return conf_error();
        }
        return rc;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown directive \"%V\" in \"esputnik_redis\" block",
                       &value[0]);
    return conf_error();
}

} // namespace ngx_esputnik
