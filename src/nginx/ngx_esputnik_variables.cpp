#include "ngx_esputnik_variables.h"
#include "ngx_esputnik_context.h"

#include "esputnik_shard.h"

namespace ngx_esputnik {

namespace {

using Value = ngx_http_variable_value_t;

constexpr std::string_view kPrefix = "esputnik_";

constexpr std::string_view kResults[] = {
    "",         "accepted",     "spooled",     "quarantined",
    "rejected", "unauthorized", "unavailable",
};

ngx_int_t set(Value *v, const void *data, size_t length)
{
    v->data = static_cast<u_char *>(const_cast<void *>(data));
    v->len = static_cast<unsigned>(length) & 0xfffffff;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    return NGX_OK;
}

ngx_int_t set(Value *v, std::string_view text)
{
    return set(v, text.data(), text.size());
}

ngx_int_t none(Value *v)
{
    v->not_found = 1;
    return NGX_OK;
}

ngx_int_t number(ngx_http_request_t *r, Value *v, ngx_uint_t n)
{
    auto *text = static_cast<u_char *>(ngx_pnalloc(r->pool, NGX_INT_T_LEN));
    if (text == nullptr) {
        return NGX_ERROR;
    }
    return set(v, text,
               static_cast<size_t>(ngx_sprintf(text, "%ui", n) - text));
}

ngx_int_t get_result(ngx_http_request_t *, const Context *ctx, Value *v)
{
    if (ctx == nullptr || ctx->result == Result::none) {
        return none(v);
    }
    return set(v, kResults[static_cast<size_t>(ctx->result)]);
}

ngx_int_t get_events(ngx_http_request_t *r, const Context *ctx, Value *v)
{
    return ctx != nullptr ? number(r, v, ctx->events) : none(v);
}

ngx_int_t get_error(ngx_http_request_t *, const Context *ctx, Value *v)
{
    return ctx != nullptr && ctx->error.len != 0 ? set(v, view(ctx->error))
                                                 : none(v);
}

ngx_int_t get_redis_addr(ngx_http_request_t *r, const Context *ctx, Value *v)
{
    if (ctx == nullptr || !ctx->asked_redis || ctx->link == nullptr
        || ctx->link->peer().empty())
    {
        return none(v);
    }

    /* the link's text changes when it connects anew */
    const ngx_str_t name = copy(r->pool, ctx->link->peer());
    return name.data != nullptr ? set(v, view(name)) : NGX_ERROR;
}

ngx_int_t get_redis_time(ngx_http_request_t *r, const Context *ctx, Value *v)
{
    if (ctx == nullptr || !ctx->asked_redis) {
        return none(v);
    }

    auto *text = static_cast<u_char *>(
        ngx_pnalloc(r->pool, NGX_TIME_T_LEN + 4));
    if (text == nullptr) {
        return NGX_ERROR;
    }

    const ngx_msec_t ms = ctx->redis_time;
    const u_char *end = ngx_sprintf(text, "%T.%03M",
                                    static_cast<time_t>(ms / 1000), ms % 1000);
    return set(v, text, static_cast<size_t>(end - text));
}

ngx_int_t get_event(ngx_http_request_t *, const Context *ctx, Value *v)
{
    if (ctx == nullptr || ctx->parser == nullptr) {
        return none(v);
    }
    const esputnik::Batch &batch = ctx->parser->batch();
    return set(v, batch.bytes(batch.events[ctx->event]));
}

ngx_int_t get_event_index(ngx_http_request_t *r, const Context *ctx, Value *v)
{
    return ctx != nullptr && ctx->parser != nullptr ? number(r, v, ctx->event)
                                                    : none(v);
}

ngx_int_t get_duplicates(ngx_http_request_t *r, const Context *ctx, Value *v)
{
    return ctx != nullptr ? number(r, v, ctx->duplicates) : none(v);
}

ngx_int_t get_shard(ngx_http_request_t *r, const Context *ctx, Value *v)
{
    if (ctx == nullptr || ctx->parser == nullptr || ctx->conf->shards == 0) {
        return none(v);
    }

    std::string_view by;

    if (ctx->conf->shard_by != nullptr) {
        ngx_str_t text;
        if (ngx_http_complex_value(r, ctx->conf->shard_by, &text) != NGX_OK) {
            return NGX_ERROR;
        }
        by = view(text);

    } else {
        const esputnik::Value id = ctx->parser->batch().value(
            ctx->event, esputnik::Field::contact_id);
        if (id.data != nullptr) {
            by = {id.data, id.length};
        }
    }

    return number(
        r, v, esputnik::shard_of(by, static_cast<unsigned>(ctx->conf->shards)));
}

ngx_int_t get_field(const Context *ctx, Value *v, esputnik::Field field)
{
    if (ctx == nullptr || ctx->parser == nullptr) {
        return none(v);
    }

    const esputnik::Value value = ctx->parser->batch().value(ctx->event, field);
    return value.data != nullptr ? set(v, value.data, value.length) : none(v);
}

struct Named {
    std::string_view name;
    ngx_int_t (*get)(ngx_http_request_t *r, const Context *ctx, Value *v);
};

const Named named[] = {
    {"result", get_result},
    {"events", get_events},
    {"error", get_error},
    {"redis_addr", get_redis_addr},
    {"redis_time", get_redis_time},
    {"event", get_event},
    {"event_index", get_event_index},
    {"duplicates", get_duplicates},
    {"shard", get_shard},
};

const Named *find_named(std::string_view name)
{
    for (const Named &n : named) {
        if (n.name == name) {
            return &n;
        }
    }
    return nullptr;
}

esputnik::Field find_scalar(std::string_view name)
{
    for (size_t i = 0; i < esputnik::kFieldCount; i++) {
        const auto field = static_cast<esputnik::Field>(i);
        const esputnik::FieldInfo &info = esputnik::field_info(field);
        if (info.scalar() && info.snake == name) {
            return field;
        }
    }
    return esputnik::Field::none;
}

/* data is the variable's whole name */
ngx_int_t get(ngx_http_request_t *r, Value *v, uintptr_t data) noexcept
{
    const std::string_view name = view(*reinterpret_cast<ngx_str_t *>(data))
                                      .substr(kPrefix.size());
    const Context *ctx = find_context(r);

    const Named *n = find_named(name);
    if (n != nullptr) {
        return n->get(r, ctx, v);
    }
    return get_field(ctx, v, find_scalar(name));
}

} // namespace

/* One variable by its prefix: forty names would overflow nginx's hash of
 * variables at its default size, and nginx would warn at every start.  None
 * may be cached: those of the request come into being at its end, those of an
 * event change with it. */
ngx_int_t add_variables(ngx_conf_t *cf) noexcept
{
    ngx_str_t prefix = str(kPrefix);
    ngx_http_variable_t *v = ngx_http_add_variable(
        cf, &prefix, NGX_HTTP_VAR_NOCACHEABLE | NGX_HTTP_VAR_PREFIX);

    if (v == nullptr) {
        return NGX_ERROR;
    }
    v->get_handler = get;
    return NGX_OK;
}

ngx_int_t fields_in_use(ngx_conf_t *cf, esputnik::FieldSet *fields)
{
    const auto *cmcf = static_cast<ngx_http_core_main_conf_t *>(
        ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module));
    const auto *used = static_cast<ngx_http_variable_t *>(cmcf->variables.elts);

    *fields = 0;

    for (ngx_uint_t i = 0; i < cmcf->variables.nelts; i++) {
        std::string_view name = view(used[i].name);
        if (name.substr(0, kPrefix.size()) != kPrefix) {
            continue;
        }
        name.remove_prefix(kPrefix.size());

        const esputnik::Field field = find_scalar(name);
        if (field != esputnik::Field::none) {
            *fields |= esputnik::field_bit(field);

        } else if (name == "shard") {
            *fields |= esputnik::field_bit(esputnik::Field::contact_id);

        } else if (find_named(name) == nullptr) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "unknown \"%V\" variable",
                          &used[i].name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}

} // namespace ngx_esputnik
