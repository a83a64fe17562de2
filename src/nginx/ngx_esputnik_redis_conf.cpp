#include "ngx_esputnik_redis_conf.h"
#include "ngx_esputnik_directives.h"
#include "ngx_esputnik_target.h"
#include "ngx_esputnik_tls.h"

#include "esputnik_url.h"

namespace ngx_esputnik {

namespace {

constexpr size_t kQueue = 32 * 1024 * 1024;

char *conf_error()
{
    return static_cast<char *>(NGX_CONF_ERROR);
}

void end_runtime(void *data)
{
    Target::end(static_cast<TargetConf *>(data));
}

/* A URL's deployment; nullptr after [emerg]. */
TargetConf *from_url(ngx_conf_t *cf, const ngx_str_t &text)
{
    esputnik::Url url;

    const char *wrong = esputnik::parse_url(view(text), &url);
    if (wrong != nullptr) {
        /* the URL may hold a password: it is not repeated */
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URL in \"esputnik_pass\" directive: %s",
                           wrong);
        return nullptr;
    }

    TargetConf *target = new_target_conf(cf);
    if (target == nullptr) {
        return nullptr;
    }

    if (url.has_user) {
        target->user = copy(cf->pool, {url.user.data(), url.user.size()});
    }
    if (url.has_password) {
        target->password = copy(cf->pool,
                                {url.password.data(), url.password.size()});
    }
    target->database = url.database;

    if (url.tls) {
        target->tls = new_tls_conf(cf);
        if (target->tls == nullptr) {
            return nullptr;
        }
        target->tls->on = target->tls->verify = 1;
    }

    ngx_str_t address;
    u_char *p;

    if (url.unix_socket) {
        p = static_cast<u_char *>(ngx_pnalloc(cf->pool, url.path.size() + 6));
        if (p == nullptr) {
            return nullptr;
        }
        ngx_str_t path = str(url.path);
        address.data = p;
        address.len = static_cast<size_t>(ngx_sprintf(p, "unix:%V", &path) - p);

    } else {
        p = static_cast<u_char *>(ngx_pnalloc(cf->pool, url.host.size() + 16));
        if (p == nullptr) {
            return nullptr;
        }
        ngx_str_t host = str(url.host);
        address.data = p;
        address.len = static_cast<size_t>(
            ngx_sprintf(p, url.host_is_ipv6 ? "[%V]:%ui" : "%V:%ui", &host,
                        static_cast<ngx_uint_t>(url.port))
            - p);
    }

    if (add_server(cf, target, address, esputnik::kRedisPort) != NGX_CONF_OK) {
        return nullptr;
    }

    /* what logs call it: the address and the database */
    p = static_cast<u_char *>(ngx_pnalloc(cf->pool, address.len + 32));
    if (p == nullptr) {
        return nullptr;
    }
    target->name.data = p;
    target->name.len = static_cast<size_t>(
        ngx_sprintf(p, "%s%V/%ui", url.tls ? "rediss://" : "", &address,
                    target->database)
        - p);

    return target;
}

bool same(const ngx_str_t &a, const ngx_str_t &b)
{
    return view(a) == view(b);
}

/* Whether two locations may share connections. */
bool same_target(const TargetConf *a, const TargetConf *b)
{
    return a->database == b->database && a->connections == b->connections
           && a->queue == b->queue && a->connect_timeout == b->connect_timeout
           && a->timeout == b->timeout && a->resolver == b->resolver
           && same(a->name, b->name) && same_login(a, b);
}

/* Names are asked for at run time where the location has a resolver, else
 * now. */
bool resolve_servers(ngx_conf_t *cf, TargetConf *target)
{
    auto *server = static_cast<ServerConf *>(target->servers.elts);

    for (ngx_uint_t i = 0; i < target->servers.nelts; i++) {
        if (server[i].addrs != nullptr || target->resolver != nullptr) {
            continue;
        }

        ngx_url_t u;
        ngx_memzero(&u, sizeof(u));
        u.url = server[i].name;
        u.default_port = server[i].port;

        if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%s in \"%V\" of \"esputnik_pass\", expected a "
                               "name that can be resolved, or a \"resolver\"",
                               u.err ? u.err : "failure", &u.url);
            return false;
        }

        server[i].addrs = u.addrs;
        server[i].naddrs = u.naddrs;
    }

    return true;
}

} // namespace

bool same_login(const TargetConf *a, const TargetConf *b)
{
    if (a->servers.nelts != b->servers.nelts
        || (a->tls == nullptr) != (b->tls == nullptr) || !same(a->user, b->user)
        || !same(a->password, b->password))
    {
        return false;
    }

    const auto *sa = static_cast<ServerConf *>(a->servers.elts);
    const auto *sb = static_cast<ServerConf *>(b->servers.elts);

    for (ngx_uint_t i = 0; i < a->servers.nelts; i++) {
        if (!same(sa[i].name, sb[i].name)) {
            return false;
        }
    }

    return true;
}

TargetConf *new_target_conf(ngx_conf_t *cf)
{
    auto *target = static_cast<TargetConf *>(
        ngx_pcalloc(cf->pool, sizeof(TargetConf)));

    if (target == nullptr
        || ngx_array_init(&target->servers, cf->pool, 2, sizeof(ServerConf))
               != NGX_OK)
    {
        return nullptr;
    }

    target->database = NGX_CONF_UNSET_UINT;
    target->connect_timeout = NGX_CONF_UNSET_MSEC;
    target->timeout = NGX_CONF_UNSET_MSEC;

    return target;
}

char *add_server(ngx_conf_t *cf, TargetConf *target, const ngx_str_t &address,
                 in_port_t default_port)
{
    ngx_url_t u;
    ngx_memzero(&u, sizeof(u));
    u.url = address;
    u.default_port = default_port;
    u.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in the server's address \"%V\", expected "
                           "\"host:port\" or \"unix:/path\"",
                           u.err ? u.err : "failure", &u.url);
        return conf_error();
    }

    auto *server = static_cast<ServerConf *>(ngx_array_push(&target->servers));
    if (server == nullptr) {
        return conf_error();
    }

    ngx_memzero(server, sizeof(ServerConf));
    server->name = address;
    server->addrs = u.addrs;   /* known for an IP address and a path */
    server->naddrs = u.naddrs;
    server->host = u.host;
    server->port = u.port;

    return NGX_CONF_OK;
}

TargetConf *target_conf(ngx_conf_t *cf, MainConf *main, LocConf *conf,
                        ngx_http_core_loc_conf_t *clcf)
{
    TargetConf *target = nullptr;

    auto **block = static_cast<TargetConf **>(main->blocks.elts);
    for (ngx_uint_t i = 0; i < main->blocks.nelts; i++) {
        if (same(block[i]->name, conf->pass)) {
            target = static_cast<TargetConf *>(
                ngx_pcalloc(cf->pool, sizeof(TargetConf)));
            if (target == nullptr) {
                return nullptr;
            }
            *target = *block[i];
        }
    }

    if (target == nullptr) {
        if (!esputnik::has_redis_scheme(view(conf->pass))
            && view(conf->pass).find("://") != std::string_view::npos)
        {
            /* a URL may hold a password: it is not repeated */
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid URL in \"esputnik_pass\" directive, "
                               "expected \"redis://\", \"rediss://\" or "
                               "\"redis+unix://\"");
            return nullptr;
        }

        if (!esputnik::has_redis_scheme(view(conf->pass))) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "no \"esputnik_redis\" block is named \"%V\", "
                               "which \"esputnik_pass\" expects",
                               &conf->pass);
            return nullptr;
        }
        target = from_url(cf, conf->pass);
        if (target == nullptr) {
            return nullptr;
        }
    }

    if (target->database == NGX_CONF_UNSET_UINT) {
        target->database = 0;
    }
    if (target->connections == 0) {
        target->connections = 1;
    }
    if (target->queue == 0) {
        target->queue = kQueue;
    }
    if (target->connect_timeout == NGX_CONF_UNSET_MSEC) {
        target->connect_timeout = conf->connect_timeout;
    }
    if (target->timeout == NGX_CONF_UNSET_MSEC) {
        target->timeout = conf->timeout;
    }

    if (clcf->resolver != nullptr && clcf->resolver->connections.nelts != 0) {
        target->resolver = clcf->resolver;
        target->resolver_timeout = clcf->resolver_timeout;
    }

    if (!resolve_servers(cf, target)) {
        return nullptr;
    }

    auto **known = static_cast<TargetConf **>(main->targets.elts);
    for (ngx_uint_t i = 0; i < main->targets.nelts; i++) {
        if (same_target(known[i], target)) {
            return known[i];
        }
    }

    /* of a block it is made with the block */
    if (target->tls != nullptr && esputnik::has_redis_scheme(view(conf->pass))
        && !make_tls(cf, target->tls))
    {
        return nullptr;
    }

    target->log = clcf->error_log != nullptr ? clcf->error_log : cf->log;

    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(cf->pool, 0);
    if (cleanup == nullptr) {
        return nullptr;
    }
    cleanup->handler = end_runtime;
    cleanup->data = target;

    auto **added = static_cast<TargetConf **>(ngx_array_push(&main->targets));
    if (added == nullptr) {
        return nullptr;
    }
    *added = target;
    return target;
}

char *set_pass(ngx_conf_t *cf, ngx_command_t *, void *conf) noexcept
{
    auto *lcf = static_cast<LocConf *>(conf);
    const ngx_str_t *value = static_cast<ngx_str_t *>(cf->args->elts);

    if (lcf->pass.len != 0) {
        return const_cast<char *>("is duplicate");
    }

    if (lcf->status != static_cast<ngx_uint_t>(StatusWord::none)) {
        return const_cast<char *>("cannot share a location with "
                                  "\"esputnik_status\"");
    }

    if (value[1].len == 0) {
        return refuse_value(cf, value[0], value[1],
                            "a \"redis://\" URL or the name of an "
                            "\"esputnik_redis\" block");
    }

    /* seen here, so that the message has the directive's own line */
    if (esputnik::has_redis_scheme(view(value[1]))
        && from_url(cf, value[1]) == nullptr)
    {
        return conf_error();
    }

    lcf->pass = value[1];
    lcf->pass_file = cf->conf_file->file.name;
    lcf->pass_line = cf->conf_file->line;

    auto *clcf = static_cast<ngx_http_core_loc_conf_t *>(
        ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    clcf->handler = content_handler;

    return NGX_CONF_OK;
}

} // namespace ngx_esputnik
