#include "ngx_esputnik_body.h"
#include "ngx_esputnik_answer.h"
#include "ngx_esputnik_handler.h"
#include "ngx_esputnik_token.h"

namespace ngx_esputnik {

namespace {

constexpr size_t kFirstRoom = 4096;
constexpr size_t kFirstRead = 4096;

ngx_http_request_body_filter_pt next_filter;

/* Room for size more bytes in memory of our own. */
bool make_room(Context *ctx, size_t size)
{
    if (ctx->body_owned && ctx->body_room - ctx->body.len >= size) {
        return true;
    }

    ngx_http_request_t *r = ctx->request;
    size_t room;

    if (!ctx->body_owned && r->headers_in.content_length_n > 0) {
        room = static_cast<size_t>(r->headers_in.content_length_n);
    } else {
        room = ngx_max(ctx->body_room * 2, kFirstRoom);
    }
    room = ngx_max(room, ctx->body.len + size);

    auto *data = static_cast<u_char *>(ngx_palloc(r->pool, room));
    if (data == nullptr) {
        return false;
    }

    if (ctx->body.len != 0) {
        ngx_memcpy(data, ctx->body.data, ctx->body.len);
    }
    if (ctx->body_owned) {
        (void) ngx_pfree(r->pool, ctx->body.data);
    }

    ctx->body.data = data;
    ctx->body_room = room;
    ctx->body_owned = 1;
    return true;
}

bool too_large(const Context *ctx, size_t more)
{
    const off_t max = ctx->conf->max_body;
    return max != 0 && static_cast<off_t>(ctx->body.len + more) > max;
}

/* The rest is not wanted: answered from the event loop, since a filter has no
 * way to answer. */
void refuse_soon(Context *ctx, esputnik::Reason reason)
{
    if (ctx->body_refusal == esputnik::Reason::none) {
        ctx->body_refusal = reason;
        ngx_post_event(&ctx->body_timer, &ngx_posted_events);
    }
}

/* The body's bytes are those of the connection: frames of HTTP/2 and HTTP/3
 * stand between them. */
bool in_stream_order(const ngx_http_request_t *r)
{
    return r->http_version <= NGX_HTTP_VERSION_11;
}

/* What is in nginx's header buffer stays where it is until the request ends;
 * an HTTP/2 frame's buffer does not. */
bool stays(const ngx_http_request_t *r, const ngx_buf_t *b)
{
    return in_stream_order(r) && b->pos >= r->header_in->start
           && b->last <= r->header_in->end;
}

bool take(Context *ctx, ngx_buf_t *b)
{
    const auto size = static_cast<size_t>(b->last - b->pos);

    if (ctx->body.len == 0 && stays(ctx->request, b)) {
        /* the usual small POST came with its headers: no copy */
        ctx->body = {size, b->pos};
        return true;
    }

    if (b->pos == ctx->body.data + ctx->body.len
        && (ctx->body_owned || stays(ctx->request, b)))
    {
        /* it has been read to where it belongs */
        ctx->body.len += size;
        return true;
    }

    if (!make_room(ctx, size)) {
        return false;
    }

    ngx_memcpy(ctx->body.data + ctx->body.len, b->pos, size);
    ctx->body.len += size;
    return true;
}

/*
 * nginx reads a long body through a buffer of client_body_buffer_size.  With
 * the length known, that buffer becomes the rest of ours: what follows is read
 * without a copy, in as few calls as the socket allows.
 */
void read_in_place(Context *ctx)
{
    ngx_http_request_t *r = ctx->request;
    ngx_buf_t *b = r->request_body->buf;

    if (b == nullptr || !ctx->body_owned || !in_stream_order(r)
        || r->headers_in.chunked
        || ctx->body_room != static_cast<size_t>(r->headers_in.content_length_n)
        || b->pos != b->last || b->end == ctx->body.data + ctx->body_room)
    {
        return;
    }

    if (b->start < r->header_in->start || b->start >= r->header_in->end) {
        (void) ngx_pfree(r->pool, b->start);
    }

    b->start = b->pos = b->last = ctx->body.data + ctx->body.len;
    b->end = ctx->body.data + ctx->body_room;
}

/* The gathered body as the one buffer that the rest of nginx sees. */
ngx_chain_t *whole(Context *ctx)
{
    ngx_pool_t *pool = ctx->request->pool;
    ngx_chain_t *cl = ngx_alloc_chain_link(pool);
    auto *b = static_cast<ngx_buf_t *>(ngx_calloc_buf(pool));

    if (cl == nullptr || b == nullptr) {
        return nullptr;
    }

    b->start = b->pos = ctx->body.data;
    b->end = b->last = ctx->body.data + ctx->body.len;
    b->memory = ctx->body.len != 0;
    b->sync = !b->memory;
    b->last_buf = 1;

    cl->buf = b;
    cl->next = nullptr;
    return cl;
}

void on_timer(ngx_event_t *ev) noexcept;

void begin(Context *ctx)
{
    ctx->body_timer.data = ctx->request->connection;  /* for nginx's debug log */
    ctx->body_timer.handler = on_timer;
    ctx->body_timer.log = ctx->request->connection->log;
    ctx->gathering = 1;
}

/* Whoever else reads a body where we have taken over the limit (mirror, or the
 * proxy of an `if`): nginx knows of none there. */
bool beyond_limit(ngx_http_request_t *r)
{
    const off_t max = loc_conf(r)->max_body;
    if (max == 0) {
        return false;
    }

    /* of chunks it grows; HTTP/2 may leave it unset */
    off_t size = r->headers_in.content_length_n;
    if (size < 0) {
        size = r->request_body->received;
    }
    if (size <= max) {
        return false;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "client intended to send too large body: %O bytes", size);
    return true;
}

/* That reader is never told that the body has ended: the event answers for it,
 * as it would for us.  nullptr where nginx has to answer, in its own words. */
Context *refuse_reader(ngx_http_request_t *r)
{
    LocConf *conf = loc_conf(r);

    if (r->content_handler != content_handler || !(r->method & NGX_HTTP_POST)
        || r->request_body_no_buffering)
    {
        return nullptr;
    }

    Context *ctx = make_context(r, conf);
    if (ctx != nullptr) {
        begin(ctx);
        ctx->body_read_before = 1;
        refuse_soon(ctx, authorized(r, conf) ? esputnik::Reason::body_too_large
                                             : esputnik::Reason::unauthorized);
    }
    return ctx;
}

ngx_int_t gather(ngx_http_request_t *r, ngx_chain_t *in) noexcept
{
    auto *ctx = static_cast<Context *>(
        ngx_http_get_module_ctx(r, ngx_esputnik_module));

    if (ctx == nullptr && beyond_limit(r)) {
        ctx = refuse_reader(r);
        if (ctx == nullptr) {
            return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
        }
    }

    if (ctx == nullptr || !ctx->gathering) {
        return next_filter(r, in);
    }

    bool last = false;

    for (ngx_chain_t *cl = in; cl; cl = cl->next) {
        ngx_buf_t *b = cl->buf;
        const auto size = static_cast<size_t>(b->last - b->pos);

        if (ctx->body_refusal == esputnik::Reason::none && size != 0) {
            if (too_large(ctx, size)) {
                refuse_soon(ctx, esputnik::Reason::body_too_large);
            } else if (!take(ctx, b)) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }
        }

        b->pos = b->last;
        last = last || b->last_buf;
    }

    if (!last || ctx->body_read_before) {
        read_in_place(ctx);
        return next_filter(r, nullptr);
    }

    ctx->gathered = 1;
    ngx_chain_t *out = whole(ctx);
    if (out == nullptr) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    return next_filter(r, out);
}

/* Another module has read the body before: a chain, partly in a file. */
bool collect(Context *ctx)
{
    const ngx_http_request_body_t *rb = ctx->request->request_body;
    if (rb == nullptr) {
        return true;
    }

    for (ngx_chain_t *cl = rb->bufs; cl; cl = cl->next) {
        ngx_buf_t *b = cl->buf;
        const auto size = static_cast<size_t>(ngx_buf_size(b));

        if (size == 0) {
            continue;
        }
        if (too_large(ctx, size)) {
            ctx->body_refusal = esputnik::Reason::body_too_large;
            return true;
        }
        if (!make_room(ctx, size)) {
            return false;
        }

        u_char *out = ctx->body.data + ctx->body.len;
        if (ngx_buf_in_memory(b)) {
            ngx_memcpy(out, b->pos, size);
        } else if (ngx_read_file(b->file, out, size, b->file_pos)
                   != static_cast<ssize_t>(size))
        {
            return false;
        }
        ctx->body.len += size;
    }

    return true;
}

void on_body(ngx_http_request_t *r) noexcept
{
    auto *ctx = static_cast<Context *>(
        ngx_http_get_module_ctx(r, ngx_esputnik_module));

    if (ctx == nullptr) {
        return;  /* the rest of a body whose request went elsewhere */
    }

    ctx->gathering = 0;

    if (ctx->body_refusal != esputnik::Reason::none) {
        return;  /* on_timer() is posted and answers */
    }

    if (ctx->body_timer.timer_set) {
        ngx_del_timer(&ctx->body_timer);
    }

    if (!ctx->gathered && !collect(ctx)) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    body_read(r, ctx);
}

/* nginx ends a request by itself in the midst of its body, on a malformed chunk
 * say.  It may live on for long: lingering, or elsewhere by error_page, where
 * its contexts are forgotten. */
bool still_ours(const Context *ctx)
{
    const ngx_http_request_t *r = ctx->request;
    return !r->header_sent
           && ngx_http_get_module_ctx(r, ngx_esputnik_module) == ctx;
}

void on_timer(ngx_event_t *ev) noexcept
{
    auto *ctx = reinterpret_cast<Context *>(reinterpret_cast<char *>(ev)
                                            - offsetof(Context, body_timer));
    ngx_http_request_t *r = ctx->request;
    ngx_connection_t *c = r->connection;

    /* one of both has come: out of time, or refuse_soon() */
    if (ctx->body_timer.timer_set) {
        ngx_del_timer(&ctx->body_timer);
    }
    if (ctx->body_timer.posted) {
        ngx_delete_posted_event(&ctx->body_timer);
    }

    if (!still_ours(ctx)) {
        return;
    }

    ngx_http_set_log_request(c->log, r);

    if (ctx->body_refusal == esputnik::Reason::none) {
        ctx->body_refusal = esputnik::Reason::body_timeout;
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "esputnik: the client has not sent the whole body "
                      "within %M ms",
                      ctx->conf->body_timeout);
    }

    /* The rest of the body would be taken for a request.  gather() still drops
     * what comes of it: an answer on HTTP/2 may have to wait. */
    r->keepalive = 0;

    ngx_http_finalize_request(r, refuse(ctx, ctx->body_refusal));
    ngx_http_run_posted_requests(c);
}

/* As nginx does it, but for the buffer behind the headers: read_in_place() lets
 * go of it after its first filling, so it need not be a large one. */
ngx_int_t read_client_body(ngx_http_request_t *r)
{
    auto *core = static_cast<ngx_http_core_loc_conf_t *>(
        ngx_http_get_module_loc_conf(r, ngx_http_core_module));
    const size_t size = core->client_body_buffer_size;

    if (in_stream_order(r) && !r->headers_in.chunked) {
        core->client_body_buffer_size = ngx_min(size, kFirstRead);
    }
    const ngx_int_t rc = ngx_http_read_client_request_body(r, on_body);
    core->client_body_buffer_size = size;
    return rc;
}

} // namespace

ngx_int_t read_body(ngx_http_request_t *r, Context *ctx)
{
    begin(ctx);

    const ngx_int_t rc = read_client_body(r);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    if (ctx->gathering) {
        ngx_add_timer(&ctx->body_timer, ctx->conf->body_timeout);
    }

    return NGX_DONE;
}

void install_body_filter()
{
    next_filter = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = gather;
}

} // namespace ngx_esputnik
