/*
 * TLS towards Redis through nginx's own OpenSSL layer: the context that a
 * deployment has, and the client's side of one connection after the other.
 */

#ifndef NGX_ESPUTNIK_TLS_H
#define NGX_ESPUTNIK_TLS_H

#include "ngx_esputnik.h"

namespace ngx_esputnik {

struct TlsConf {
    ngx_flag_t on;
    ngx_flag_t verify;
    ngx_str_t trusted;       /* CA certificates; empty: the system's */
    ngx_str_t certificate;   /* the client's; empty: none */
    ngx_str_t key;
    ngx_str_t name;          /* empty: the host that is connected to */
#if (NGX_SSL)
    ngx_ssl_t ssl;
#endif
};

/* With nothing set; nullptr when memory is short. */
TlsConf *new_tls_conf(ngx_conf_t *cf);

/* Reads the files and makes the context; false after [emerg]. */
bool make_tls(ngx_conf_t *cf, TlsConf *tls);

/* One TLS record at most: what OpenSSL has not sent to its last byte, Redis
 * cannot have read. */
constexpr size_t kTlsWrite = 16 * 1024;

/* The client of one link.  Keeps the session for the next connection to the
 * same peer, and the words of OpenSSL, which are told once, by the link. */
class TlsClient {
public:
    TlsClient();
    ~TlsClient() { forget(); }

    TlsClient(const TlsClient &) = delete;
    TlsClient &operator=(const TlsClient &) = delete;

    /* Begins the handshake; the host is a name or an address without brackets.
     * NGX_AGAIN: done(c) comes when it has ended, well or not, or when
     * c->write has timed out. */
    ngx_int_t start(TlsConf *conf, ngx_connection_t *c, std::string_view host,
                    ngx_connection_handler_pt done);

    /* After the handshake: nullptr when the peer is who it has to be, else
     * what is wrong. */
    const char *fault(ngx_connection_t *c);

    /* What OpenSSL complained about last, or `otherwise`, behind which it
     * stands.  Valid until the next call. */
    std::string_view reason(const char *otherwise);

    /* Before the connection is closed; clean says goodbye to the peer. */
    static void stop(ngx_connection_t *c, bool clean);

    /* The next connection is to another peer. */
    void forget();

private:
    static void note(ngx_log_t *log, ngx_uint_t level, u_char *text,
                     size_t length);
    static void save(ngx_connection_t *c);

    TlsConf *conf_ = nullptr;
    ngx_log_t log_;
    size_t said_length_ = 0;
    u_char said_[200];
    size_t reason_length_ = 0;
    u_char reason_[256];
    size_t name_length_ = 0;
    u_char name_[256];       /* ends with NUL */
#if (NGX_SSL)
    ngx_ssl_session_t *session_ = nullptr;
#endif
};

} // namespace ngx_esputnik

#endif
