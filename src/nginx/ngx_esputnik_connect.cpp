/* The link's way up: name, connection, greeting. */

#include "ngx_esputnik_link.h"
#include "ngx_esputnik_count.h"
#include "ngx_esputnik_target.h"

namespace ngx_esputnik {

void Link::connect()
{
    Place place = {nullptr, {}, 0};

    state_ = State::locating;

    if (!owner_->where(this, &place)) {
        return;  /* move() or hold() comes, or has come */
    }

    go(place);
}

void Link::go(const Place &place)
{
    std::string_view host = place.host;
    port_ = place.port;

    if (place.server != nullptr) {
        host = view(place.server->host);
        port_ = place.server->port;
        if (host.size() > 2 && host.front() == '[') {
            host = {host.data() + 1, host.size() - 2};
        }
    }

    /* in lower case: nginx's resolver writes it so, and in place */
    host_length_ = ngx_min(host.size(), sizeof(host_));
    ngx_strlow(reinterpret_cast<u_char *>(host_), str(host).data, host_length_);

    addresses_.clear();

    if (place.server != nullptr && place.server->addrs != nullptr) {
        const ServerConf &server = *place.server;
        for (ngx_uint_t i = 0; i < server.naddrs; i++) {
            addresses_.add(server.addrs[i].sockaddr, server.addrs[i].socklen);
        }
        connect_to(addresses_.next());
        return;
    }

    ngx_sockaddr_t addr;
    socklen_t socklen = 0;
    auto *text = reinterpret_cast<u_char *>(host_);

    ngx_memzero(&addr, sizeof(addr));
    addr.sockaddr_in.sin_addr.s_addr = ngx_inet_addr(text, host_length_);

    if (addr.sockaddr_in.sin_addr.s_addr != INADDR_NONE) {
        addr.sockaddr.sa_family = AF_INET;
        socklen = sizeof(struct sockaddr_in);
    }
#if (NGX_HAVE_INET6)
    else if (ngx_inet6_addr(text, host_length_,
                            addr.sockaddr_in6.sin6_addr.s6_addr)
             == NGX_OK)
    {
        addr.sockaddr.sa_family = AF_INET6;
        socklen = sizeof(struct sockaddr_in6);
    }
#endif

    if (socklen == 0) {
        resolve();
        return;
    }

    addresses_.add(&addr.sockaddr, socklen, port_);
    connect_to(addresses_.next());
}

void Link::resolve()
{
    const TargetConf *conf = target_->conf();

    set_peer({host_, host_length_});

    ngx_resolver_ctx_t *ctx = conf->resolver != nullptr
                                  ? ngx_resolve_start(conf->resolver, nullptr)
                                  : nullptr;
    if (ctx == nullptr || ctx == NGX_NO_RESOLVER) {
        down("no resolver for this name");
        return;
    }

    ctx->name = {host_length_, reinterpret_cast<u_char *>(host_)};
    ctx->handler = on_resolved;
    ctx->data = this;
    ctx->timeout = ngx_min(conf->resolver_timeout, conf->connect_timeout);

    /* the handler may run before the call returns */
    resolving_ = ctx;
    state_ = State::resolving;
    tell();

    if (ngx_resolve_name(ctx) != NGX_OK) {
        /* nginx has freed the context */
        resolving_ = nullptr;
        down("the resolver failed");
    }
}

void Link::on_resolved(ngx_resolver_ctx_t *ctx) noexcept
{
    static_cast<Link *>(ctx->data)->resolved(ctx);
}

void Link::resolved(ngx_resolver_ctx_t *ctx)
{
    if (ctx->state != 0 || ctx->naddrs == 0) {
        u_char text[128];
        const u_char *end = ngx_snprintf(text, sizeof(text),
                                         "the name cannot be resolved: %s",
                                         ngx_resolver_strerror(ctx->state));
        down({reinterpret_cast<char *>(text), size_t(end - text)});
        return;
    }

    /* they belong to the context */
    for (ngx_uint_t i = 0; i < ctx->naddrs; i++) {
        addresses_.add(ctx->addrs[i].sockaddr, ctx->addrs[i].socklen, port_);
    }

    resolving_ = nullptr;
    ngx_resolve_name_done(ctx);

    connect_to(addresses_.next());
}

/* What fails before the link is ready may be this address's fault alone: the
 * name's others are tried at once, and a pause comes behind the last.  A
 * server that has told its role is not left for another behind the owner's
 * back. */
bool Link::try_another(std::string_view why)
{
    if (held_ || state_ < State::connecting || state_ == State::ready
        || (state_ == State::greeting && kind_ == Kind::master)
        || ((ngx_exiting || ngx_terminate) && pipeline_.empty())
        || !addresses_.more())
    {
        return false;
    }

    set_reason(why);
    target_->complain(peer(), refusal());
    count::not_connected(target_->conf());

    disconnect();
    connect_to(addresses_.next());
    return true;
}

void Link::connect_to(Addresses::Address *address)
{
    struct sockaddr *addr = address->get();

    u_char text[NGX_SOCKADDR_STRLEN];
    const size_t length = ngx_sock_ntop(addr, address->length, text,
                                        sizeof(text), 1);
    const std::string_view name = {reinterpret_cast<char *>(text), length};

    state_ = State::connecting;
    set_peer(name);

    if (!decoder_.reset()) {
        down("no memory for a connection");
        return;
    }
    if (reply_limit_ != 0) {
        decoder_.set_limit(reply_limit_);
    }

    /* nginx would log a socket file that is not there as [crit]; what is
     * wrong is said once, by down() */
    ngx_log_t quiet = *target_->log();
    quiet.log_level = NGX_LOG_EMERG;

    ngx_str_t peer = str(name);
    ngx_peer_connection_t pc;
    ngx_memzero(&pc, sizeof(pc));
    pc.sockaddr = addr;
    pc.socklen = address->length;
    pc.name = &peer;
    pc.get = ngx_event_get_peer;
    pc.log = &quiet;
    pc.log_error = NGX_ERROR_ERR;
    pc.so_keepalive = 1;

    const ngx_int_t rc = ngx_event_connect_peer(&pc);

    connection_ = pc.connection;

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED) {
        cannot_connect(ngx_socket_errno);
        return;
    }

    ngx_connection_t *c = connection_;

    pool_ = ngx_create_pool(256, target_->log());
    if (pool_ == nullptr) {
        down("no memory for a connection");
        return;
    }

    c->pool = pool_;
    c->data = this;
    c->log = target_->log();
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = on_read;
    c->write->handler = on_write;

    if (addr->sa_family != AF_UNIX) {
        (void) ngx_tcp_nodelay(c);
    }

    tell();
    ngx_add_timer(c->write, target_->conf()->connect_timeout);

    if (rc == NGX_OK) {
        connected();
    }
}

void Link::on_write(ngx_event_t *ev) noexcept
{
    Link *link = of(ev);

    if (ev->timedout) {
        link->down(link->state_ == State::connecting
                       ? std::string_view("connecting took too long")
                       : std::string_view("Redis did not answer the greeting "
                                          "in time"));
        return;
    }

    switch (link->state_) {

    case State::connecting:
        link->connected();
        break;

    case State::greeting:
        link->write_greeting();
        break;

    case State::ready:
        link->flush();
        break;

    case State::down:
    case State::locating:
    case State::resolving:
    case State::securing:
        break;
    }
}

void Link::connected()
{
    int err = 0;
    socklen_t len = sizeof(err);

    if (getsockopt(connection_->fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err != 0) {
        cannot_connect(err);
        return;
    }

    if (target_->conf()->tls != nullptr) {
        secure();
    } else {
        greet();
    }
}

/* Within the time for connecting, whose timer runs. */
void Link::secure()
{
    state_ = State::securing;

    switch (tls_.start(target_->conf()->tls, connection_, {host_, host_length_},
                       on_secured))
    {
    case NGX_AGAIN:
        return;

    case NGX_OK:
        secured();
        return;

    default:
        down(tls_.reason("the TLS handshake failed"));
    }
}

void Link::on_secured(ngx_connection_t *c) noexcept
{
    auto *link = static_cast<Link *>(c->data);

    if (c->write->timedout) {
        link->down("the TLS handshake took too long");
        return;
    }

    c->read->handler = on_read;
    c->write->handler = on_write;
    link->secured();
}

void Link::secured()
{
    ngx_connection_t *c = connection_;
    const ngx_uint_t era = era_;

    if (!c->ssl->handshaked) {
        down(tls_.reason("the TLS handshake failed"));
        return;
    }

    const char *fault = tls_.fault(c);
    if (fault != nullptr) {
        down(tls_.reason(fault));
        return;
    }

    greet();

    if (era_ == era && c->read->ready) {
        /* it has said something already, as that it does not know us */
        ngx_post_event(c->read, &ngx_posted_events);
    }
}

void Link::greet()
{
    owner_->connected(this);

    if (!compose_greeting()) {
        down("no memory for a connection");
        return;
    }

    state_ = State::greeting;
    write_greeting();
}

void Link::cannot_connect(ngx_err_t err)
{
    u_char text[128];
    u_char *end = ngx_cpymem(text, "cannot connect: ", 16);
    end = ngx_strerror(err, end, static_cast<size_t>(text + 128 - end));
    down({reinterpret_cast<char *>(text), size_t(end - text)});
}

} // namespace ngx_esputnik
