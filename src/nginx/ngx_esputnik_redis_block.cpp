/* The block esputnik_redis NAME { } as a whole: whether its lines go
 * together. */

#include "ngx_esputnik_conf.h"
#include "ngx_esputnik_directives.h"
#include "ngx_esputnik_redis_conf.h"
#include "ngx_esputnik_tls.h"

#include "esputnik_sentinel.h"
#include "esputnik_url.h"

namespace ngx_esputnik {

namespace {

char *conf_error()
{
    return static_cast<char *>(NGX_CONF_ERROR);
}

bool wrong_block(ngx_conf_t *cf, const TargetConf *target, const char *what,
                 const char *expected)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "%s in \"esputnik_redis\" block \"%V\", expected %s",
                       what, &target->name, expected);
    return false;
}

bool has_socket(const TargetConf *target)
{
    const auto *servers = static_cast<ServerConf *>(target->servers.elts);

    for (ngx_uint_t i = 0; i < target->servers.nelts; i++) {
        if (view(servers[i].name).substr(0, 5) == "unix:") {
            return true;
        }
    }
    return false;
}

/* Sentinels have a port of their own. */
bool read_sentinels(ngx_conf_t *cf, TargetConf *target)
{
    const ngx_array_t servers = target->servers;
    const auto *server = static_cast<ServerConf *>(servers.elts);

    if (ngx_array_init(&target->servers, cf->pool, servers.nelts,
                       sizeof(ServerConf))
        != NGX_OK)
    {
        return false;
    }

    for (ngx_uint_t i = 0; i < servers.nelts; i++) {
        if (add_server(cf, target, server[i].name, esputnik::kSentinelPort)
            != NGX_CONF_OK)
        {
            return false;
        }
    }
    return true;
}

bool check_tls(ngx_conf_t *cf, TargetConf *target)
{
    TlsConf *tls = target->tls;

    if (tls->on != 1) {
        if (tls->verify != NGX_CONF_UNSET || tls->trusted.len != 0
            || tls->certificate.len != 0 || tls->key.len != 0
            || tls->name.len != 0)
        {
            return wrong_block(cf, target, "\"tls_\" lines without TLS",
                               "\"tls on\"");
        }
        target->tls = nullptr;
        return true;
    }

    if ((tls->certificate.len != 0) != (tls->key.len != 0)) {
        return wrong_block(cf, target,
                           "one of a certificate and its key is missing",
                           "\"tls_certificate\" and "
                           "\"tls_certificate_key\"");
    }

    if (has_socket(target)) {
        return wrong_block(cf, target, "\"tls on\" with a unix socket",
                           "\"host:port\"");
    }

    if (tls->verify == NGX_CONF_UNSET) {
        tls->verify = 1;
    }
    return make_tls(cf, tls);
}

bool check_block(ngx_conf_t *cf, TargetConf *target)
{
    const bool sentinel = target->sentinel.len != 0;

    if (target->cluster == NGX_CONF_UNSET) {
        target->cluster = 0;
    }

    if (target->servers.nelts == 0) {
        return wrong_block(cf, target, "no \"server\"", "one");
    }

    if (sentinel && target->cluster) {
        return wrong_block(cf, target, "\"sentinel\" and \"cluster on\"",
                           "one of them");
    }

    if (target->servers.nelts > 1 && !sentinel && !target->cluster) {
        return wrong_block(cf, target, "several servers",
                           "one, or \"sentinel\" or \"cluster on\"");
    }

    if (target->cluster && target->database != NGX_CONF_UNSET_UINT
        && target->database != 0)
    {
        return wrong_block(cf, target, "\"database\" with \"cluster on\"",
                           "none, or 0");
    }

    if (target->cluster && has_socket(target)) {
        return wrong_block(cf, target, "\"cluster on\" with a unix socket",
                           "\"host:port\"");
    }

    if (target->user.len != 0 && target->password.len == 0) {
        return wrong_block(cf, target, "\"user\" without a password",
                           "\"password\" or \"password_file\"");
    }

    if (!sentinel
        && (target->sentinel_user.len != 0
            || target->sentinel_password.len != 0))
    {
        return wrong_block(cf, target, "\"sentinel_\" lines alone",
                           "\"sentinel\" with the name of a master");
    }

    if (target->sentinel_user.len != 0 && target->sentinel_password.len == 0) {
        return wrong_block(cf, target, "\"sentinel_user\" without a password",
                           "\"sentinel_password_file\"");
    }

    return (!sentinel || read_sentinels(cf, target)) && check_tls(cf, target);
}

} // namespace

char *set_redis_block(ngx_conf_t *cf, ngx_command_t *, void *conf) noexcept
{
    auto *main = static_cast<MainConf *>(conf);
    auto *value = static_cast<ngx_str_t *>(cf->args->elts);

    if (value[1].len == 0 || esputnik::has_redis_scheme(view(value[1]))) {
        return refuse_value(cf, value[0], value[1], "a name");
    }

    auto **known = static_cast<TargetConf **>(main->blocks.elts);
    for (ngx_uint_t i = 0; i < main->blocks.nelts; i++) {
        if (view(known[i]->name) == view(value[1])) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate \"esputnik_redis\" block \"%V\"",
                               &value[1]);
            return conf_error();
        }
    }

    TargetConf *target = new_target_conf(cf);
    if (target == nullptr) {
        return conf_error();
    }
    target->name = value[1];
    target->cluster = NGX_CONF_UNSET;
    target->tls = new_tls_conf(cf);
    if (target->tls == nullptr) {
        return conf_error();
    }

    auto **added = static_cast<TargetConf **>(ngx_array_push(&main->blocks));
    if (added == nullptr) {
        return conf_error();
    }
    *added = target;

    ngx_conf_t outer = *cf;
    cf->handler = set_redis_line;
    cf->handler_conf = target;

    char *rc = ngx_conf_parse(cf, nullptr);

    *cf = outer;

    if (rc != NGX_CONF_OK) {
        return rc;
    }

    return check_block(cf, target) ? NGX_CONF_OK : conf_error();
}

} // namespace ngx_esputnik
