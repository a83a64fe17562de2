#include "ngx_esputnik_tls.h"

#if (NGX_SSL)
#include <openssl/x509v3.h>
#endif

namespace ngx_esputnik {

TlsConf *new_tls_conf(ngx_conf_t *cf)
{
    auto *tls = static_cast<TlsConf *>(ngx_pcalloc(cf->pool, sizeof(TlsConf)));
    if (tls != nullptr) {
        tls->on = NGX_CONF_UNSET;
        tls->verify = NGX_CONF_UNSET;
    }
    return tls;
}

TlsClient::TlsClient()
{
    ngx_memzero(&log_, sizeof(log_));
    log_.log_level = NGX_LOG_INFO;
    log_.writer = note;
    log_.wdata = this;
}

/* nginx's layer says what is wrong only to a log: this is the log.  A line is
 * "time [level] pid#tid: text (SSL: error:…)". */
void TlsClient::note(ngx_log_t *log, ngx_uint_t, u_char *text, size_t length)
{
    auto *client = static_cast<TlsClient *>(log->wdata);
    std::string_view line(reinterpret_cast<char *>(text), length);

    if (!line.empty() && line.back() == '\n') {
        line.remove_suffix(1);
    }

    for (std::string_view mark : {"#", ": ", "(SSL: "}) {
        const size_t at = line.find(mark);
        if (at == line.npos) {
            break;
        }
        line.remove_prefix(at + mark.size());
        if (mark.front() == '(' && !line.empty() && line.back() == ')') {
            line.remove_suffix(1);
        }
    }

    client->said_length_ = ngx_min(line.size(), sizeof(said_));
    ngx_memcpy(client->said_, line.data(), client->said_length_);
}

std::string_view TlsClient::reason(const char *otherwise)
{
    const ngx_str_t said = {said_length_, said_};
    const u_char *end = said.len != 0 ? ngx_snprintf(reason_, sizeof(reason_),
                                                     "%s: %V", otherwise, &said)
                                      : ngx_snprintf(reason_, sizeof(reason_),
                                                     "%s", otherwise);
    return {reinterpret_cast<char *>(reason_),
            static_cast<size_t>(end - reason_)};
}

#if (NGX_SSL)

namespace {

constexpr ngx_int_t kDepth = 9;   /* OpenSSL's own is 100 */

/* nginx has said what is wrong, but not which directive it is about. */
bool wrong_file(ngx_conf_t *cf, const char *directive, const ngx_str_t &path)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%s\" directive expects a readable PEM file, not "
                       "\"%V\"",
                       directive, &path);
    return false;
}

bool is_address(std::string_view host)
{
    u_char ip6[16];
    auto *text = reinterpret_cast<u_char *>(const_cast<char *>(host.data()));

    return ngx_inet_addr(text, host.size()) != INADDR_NONE
           || ngx_inet6_addr(text, host.size(), ip6) == NGX_OK;
}

} // namespace

bool make_tls(ngx_conf_t *cf, TlsConf *tls)
{
    tls->ssl.log = cf->log;

    if (ngx_ssl_create(&tls->ssl, NGX_SSL_TLSv1_2 | NGX_SSL_TLSv1_3, tls)
        != NGX_OK) {
        return false;
    }

    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(cf->pool, 0);
    if (cleanup == nullptr) {
        ngx_ssl_cleanup_ctx(&tls->ssl);
        return false;
    }
    cleanup->handler = ngx_ssl_cleanup_ctx;
    cleanup->data = &tls->ssl;

    if (tls->trusted.len != 0) {
        if (ngx_ssl_trusted_certificate(cf, &tls->ssl, &tls->trusted, kDepth)
            != NGX_OK) {
            return wrong_file(cf, "tls_trusted_certificate", tls->trusted);
        }

    } else if (tls->verify
               && SSL_CTX_set_default_verify_paths(tls->ssl.ctx) != 1) {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                      const_cast<char *>("the system's CA certificates cannot "
                                         "be read"));
        return false;
    }

    if (tls->certificate.len != 0
        && ngx_ssl_certificate(cf, &tls->ssl, &tls->certificate, &tls->key,
                               nullptr)
               != NGX_OK)
    {
        (void) wrong_file(cf, "tls_certificate", tls->certificate);
        return wrong_file(cf, "tls_certificate_key", tls->key);
    }

    return ngx_ssl_client_session_cache(cf, &tls->ssl, 1) == NGX_OK;
}

ngx_int_t TlsClient::start(TlsConf *conf, ngx_connection_t *c,
                           std::string_view host,
                           ngx_connection_handler_pt done)
{
    const std::string_view name = conf->name.len != 0 ? view(conf->name) : host;

    conf_ = conf;
    said_length_ = 0;

    if (name.size() >= sizeof(name_)) {
        return NGX_ERROR;
    }
    if (name != std::string_view(reinterpret_cast<char *>(name_), name_length_))
    {
        forget();   /* a session of another peer's */
    }
    name_length_ = name.size();
    ngx_memcpy(name_, name.data(), name_length_);
    name_[name_length_] = '\0';

    c->log = &log_;
    c->read->log = &log_;
    c->write->log = &log_;

    if (ngx_ssl_create_connection(&conf->ssl, c, NGX_SSL_CLIENT) != NGX_OK) {
        return NGX_ERROR;
    }

    /* RFC 6066: an address is no name for SNI */
    if (name_length_ != 0 && !is_address(name)
        && SSL_set_tlsext_host_name(c->ssl->connection,
                                    reinterpret_cast<char *>(name_))
               == 0)
    {
        return NGX_ERROR;
    }

    c->ssl->save_session = save;
    if (session_ != nullptr && ngx_ssl_set_session(c, session_) != NGX_OK) {
        return NGX_ERROR;
    }

    const ngx_int_t rc = ngx_ssl_handshake(c);
    if (rc == NGX_AGAIN) {
        c->ssl->handler = done;
    }
    return rc;
}

const char *TlsClient::fault(ngx_connection_t *c)
{
    if (!conf_->verify) {
        return nullptr;
    }

    said_length_ = 0;

    const long rc = SSL_get_verify_result(c->ssl->connection);
    if (rc != X509_V_OK) {
        const std::string_view what = X509_verify_cert_error_string(rc);
        said_length_ = ngx_min(what.size(), sizeof(said_));
        ngx_memcpy(said_, what.data(), said_length_);
        return "the certificate of Redis is not valid";
    }

    bool same;
    const std::string_view name(reinterpret_cast<char *>(name_), name_length_);

    if (is_address(name)) {
        X509 *cert = SSL_get_peer_certificate(c->ssl->connection);
        same = cert != nullptr
               && X509_check_ip_asc(cert, reinterpret_cast<char *>(name_), 0)
                      == 1;
        X509_free(cert);
    } else {
        ngx_str_t text = str(name);
        same = ngx_ssl_check_host(c, &text) == NGX_OK;
    }

    if (!same) {
        said_length_ = ngx_min(name.size(), sizeof(said_));
        ngx_memcpy(said_, name.data(), said_length_);
        return "the certificate of Redis is not for this name";
    }
    return nullptr;
}

void TlsClient::save(ngx_connection_t *c)
{
    auto *client = static_cast<TlsClient *>(c->log->wdata);
    ngx_ssl_session_t *session = ngx_ssl_get_session(c);

    if (session != nullptr) {
        client->forget();
        client->session_ = session;
    }
}

void TlsClient::forget()
{
    if (session_ != nullptr) {
        ngx_ssl_free_session(session_);
        session_ = nullptr;
    }
}

void TlsClient::stop(ngx_connection_t *c, bool clean)
{
    if (c->ssl == nullptr) {
        return;
    }

    c->ssl->no_wait_shutdown = 1;
    c->ssl->no_send_shutdown = clean ? 0 : 1;

    if (ngx_ssl_shutdown(c) == NGX_AGAIN) {
        /* it could not be written: without a word, then */
        c->timedout = 1;
        (void) ngx_ssl_shutdown(c);
    }
}

#else

bool make_tls(ngx_conf_t *cf, TlsConf *)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "TLS to Redis expects an nginx that was built with "
                       "OpenSSL");
    return false;
}

ngx_int_t TlsClient::start(TlsConf *, ngx_connection_t *, std::string_view,
                           ngx_connection_handler_pt)
{
    return NGX_ERROR;
}

const char *TlsClient::fault(ngx_connection_t *)
{
    return "TLS is not built in";
}

void TlsClient::forget() {}

void TlsClient::stop(ngx_connection_t *, bool) {}

#endif

} // namespace ngx_esputnik
