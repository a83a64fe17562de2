#include "ngx_esputnik_context.h"
#include "ngx_esputnik_delivery.h"

namespace ngx_esputnik {

namespace {

/* The client may be gone while Redis is asked: the command keeps its place in
 * the pipeline, its reply finds nobody. */
void on_request_end(void *data) noexcept
{
    auto *ctx = static_cast<Context *>(data);

    if (ctx->body_timer.timer_set) {
        ngx_del_timer(&ctx->body_timer);
    }
    if (ctx->body_timer.posted) {
        ngx_delete_posted_event(&ctx->body_timer);
    }
    if (ctx->op.link != nullptr) {
        ctx->op.link->cancel(&ctx->op);
    }
    if (ctx->spooled.waiting) {
        Spool::of(ctx->conf->spool)->cancel(&ctx->spooled);
    }
    Lengths::cancel(&ctx->length);
    if (ctx->delivery != nullptr) {
        ctx->delivery->abandon();
    }
    count::abandoned(ctx);
}

} // namespace

Context *find_context(ngx_http_request_t *r)
{
    auto *ctx = static_cast<Context *>(
        ngx_http_get_module_ctx(r, ngx_esputnik_module));

    if (ctx == nullptr && r != r->main) {
        /* a subrequest that is none of ours: of the POST that it serves */
        r = r->main;
        ctx = static_cast<Context *>(
            ngx_http_get_module_ctx(r, ngx_esputnik_module));
    }

    if (ctx == nullptr && (r->internal || r->filter_finalize)) {
        /* the pool is that of subrequests as well */
        for (ngx_pool_cleanup_t *c = r->pool->cleanup; c; c = c->next) {
            if (c->handler == on_request_end
                && static_cast<Context *>(c->data)->request == r)
            {
                return static_cast<Context *>(c->data);
            }
        }
    }

    return ctx;
}

Context *make_context(ngx_http_request_t *r, LocConf *conf)
{
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->pool,
                                                       sizeof(Context));
    if (cleanup == nullptr) {
        return nullptr;
    }

    auto *ctx = static_cast<Context *>(cleanup->data);
    ngx_memzero(ctx, sizeof(Context));
    ctx->request = r;
    ctx->conf = conf;
    count::begun(ctx);

    cleanup->handler = on_request_end;
    ngx_http_set_ctx(r, ctx, ngx_esputnik_module);
    return ctx;
}

} // namespace ngx_esputnik
