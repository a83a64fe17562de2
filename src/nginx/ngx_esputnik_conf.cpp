#include "ngx_esputnik_conf.h"
#include "ngx_esputnik_redis_conf.h"
#include "ngx_esputnik_spool_conf.h"

#include "esputnik_parser.h"

namespace ngx_esputnik {

namespace {

/* ngx_conf_merge_*() are statements with nginx's casts in them. */
template <class T>
void merge(T &value, const T &previous, const T &unset, const T &otherwise)
{
    if (value == unset) {
        value = previous == unset ? otherwise : previous;
    }
}

ngx_http_complex_value_t *constant(ngx_conf_t *cf, const char *text)
{
    auto *cv = static_cast<ngx_http_complex_value_t *>(
        ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t)));
    if (cv != nullptr) {
        cv->value = str(text);
    }
    return cv;
}

/* The rest of a location with a pass. */
char *merge_pass(ngx_conf_t *cf, LocConf *conf, ngx_http_core_loc_conf_t *clcf)
{
    MainConf *main = main_conf(cf);

    if (conf->max_length != 0
        && conf->push == static_cast<ngx_uint_t>(Push::xadd)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"esputnik_max_length\" does not go with "
                           "\"esputnik_push xadd\", expected \"maxlen=N\" "
                           "there");
        return static_cast<char *>(NGX_CONF_ERROR);
    }

    conf->target = target_conf(cf, main, conf, clcf);
    if (conf->target == nullptr) {
        return static_cast<char *>(NGX_CONF_ERROR);
    }

    if (conf->folder != nullptr) {
        conf->spool = spool_conf(cf, main, conf);
        if (conf->spool == nullptr) {
            return static_cast<char *>(NGX_CONF_ERROR);
        }
    }

    auto **location = static_cast<ngx_http_core_loc_conf_t **>(
        ngx_array_push(&main->locations));
    if (location == nullptr) {
        return static_cast<char *>(NGX_CONF_ERROR);
    }
    *location = clcf;

    return NGX_CONF_OK;
}

} // namespace

void *create_main_conf(ngx_conf_t *cf) noexcept
{
    auto *main = static_cast<MainConf *>(
        ngx_pcalloc(cf->pool, sizeof(MainConf)));

    if (main == nullptr
        || ngx_array_init(&main->blocks, cf->pool, 4, sizeof(TargetConf *))
               != NGX_OK
        || ngx_array_init(&main->targets, cf->pool, 4, sizeof(TargetConf *))
               != NGX_OK
        || ngx_array_init(&main->folders, cf->pool, 4,
                          sizeof(SpoolFolderConf *))
               != NGX_OK
        || ngx_array_init(&main->spools, cf->pool, 4, sizeof(SpoolConf *))
               != NGX_OK
        || ngx_array_init(&main->locations, cf->pool, 4,
                          sizeof(ngx_http_core_loc_conf_t *))
               != NGX_OK)
    {
        return nullptr;
    }

    return main;
}

void *create_loc_conf(ngx_conf_t *cf) noexcept
{
    auto *conf = static_cast<LocConf *>(ngx_pcalloc(cf->pool, sizeof(LocConf)));
    if (conf == nullptr) {
        return nullptr;
    }

    /* set by ngx_pcalloc(): pass, target, push_maxlen, dedup_identity, ack,
     * shard_by, invalid_key, required, spool, max_body */

    conf->push = NGX_CONF_UNSET_UINT;
    conf->dedup_window = NGX_CONF_UNSET_MSEC;
    conf->ack_set = NGX_CONF_UNSET;
    conf->max_length = NGX_CONF_UNSET_UINT;
    conf->shards = NGX_CONF_UNSET_UINT;
    conf->invalid = NGX_CONF_UNSET_UINT;
    conf->reject_unknown_status = NGX_CONF_UNSET_UINT;
    conf->required_set = NGX_CONF_UNSET;
    conf->max_events = NGX_CONF_UNSET;
    conf->max_depth = NGX_CONF_UNSET;
    conf->connect_timeout = NGX_CONF_UNSET_MSEC;
    conf->timeout = NGX_CONF_UNSET_MSEC;
    conf->body_timeout = NGX_CONF_UNSET_MSEC;
    conf->key = static_cast<ngx_http_complex_value_t *>(NGX_CONF_UNSET_PTR);
    conf->value = static_cast<ngx_http_complex_value_t *>(NGX_CONF_UNSET_PTR);
    conf->token = static_cast<TokenConf *>(NGX_CONF_UNSET_PTR);
    conf->folder = static_cast<SpoolFolderConf *>(NGX_CONF_UNSET_PTR);

    return conf;
}

char *merge_loc_conf(ngx_conf_t *cf, void *parent, void *child) noexcept
{
    const auto *prev = static_cast<LocConf *>(parent);
    auto *conf = static_cast<LocConf *>(child);
    const esputnik::ParseOptions limits;

    auto *const no_value = static_cast<ngx_http_complex_value_t *>(
        NGX_CONF_UNSET_PTR);
    auto *const no_token = static_cast<TokenConf *>(NGX_CONF_UNSET_PTR);
    auto *const no_folder = static_cast<SpoolFolderConf *>(NGX_CONF_UNSET_PTR);

    if (conf->key == no_value) {
        conf->key = prev->key != no_value ? prev->key
                                          : constant(cf, "esputnik:events");
        if (conf->key == nullptr) {
            return static_cast<char *>(NGX_CONF_ERROR);
        }
    }

    merge<ngx_http_complex_value_t *>(conf->value, prev->value, no_value,
                                      nullptr);
    if (conf->push == NGX_CONF_UNSET_UINT) {
        conf->push_maxlen = prev->push_maxlen;
    }
    merge<ngx_uint_t>(conf->push, prev->push, NGX_CONF_UNSET_UINT,
                      static_cast<ngx_uint_t>(Push::rpush));

    if (conf->dedup_window == NGX_CONF_UNSET_MSEC) {
        conf->dedup_identity = prev->dedup_identity;
    }
    merge<ngx_msec_t>(conf->dedup_window, prev->dedup_window,
                      NGX_CONF_UNSET_MSEC, 0);

    if (conf->ack_set == NGX_CONF_UNSET && prev->ack_set != NGX_CONF_UNSET) {
        conf->ack = prev->ack;
        conf->ack_set = 1;
    }
    merge<ngx_uint_t>(conf->max_length, prev->max_length, NGX_CONF_UNSET_UINT,
                      0);

    if (conf->shards == NGX_CONF_UNSET_UINT) {
        conf->shard_by = prev->shard_by;
    }
    merge<ngx_uint_t>(conf->shards, prev->shards, NGX_CONF_UNSET_UINT, 0);

    if (conf->invalid == NGX_CONF_UNSET_UINT) {
        conf->invalid_key = prev->invalid_key;
    }
    merge<ngx_uint_t>(conf->invalid, prev->invalid, NGX_CONF_UNSET_UINT,
                      static_cast<ngx_uint_t>(Invalid::reject));
    merge<ngx_uint_t>(conf->reject_unknown_status, prev->reject_unknown_status,
                      NGX_CONF_UNSET_UINT, 0);

    if (conf->required_set == NGX_CONF_UNSET) {
        conf->required_set = 1;
        conf->required = prev->required_set != NGX_CONF_UNSET ? prev->required
                                                              : limits.required;
    }

    merge<ngx_int_t>(conf->max_events, prev->max_events, NGX_CONF_UNSET,
                     static_cast<ngx_int_t>(limits.max_events));
    merge<ngx_int_t>(conf->max_depth, prev->max_depth, NGX_CONF_UNSET,
                     static_cast<ngx_int_t>(limits.max_depth));
    merge<TokenConf *>(conf->token, prev->token, no_token, nullptr);
    merge<SpoolFolderConf *>(conf->folder, prev->folder, no_folder, nullptr);

    merge<ngx_msec_t>(conf->connect_timeout, prev->connect_timeout,
                      NGX_CONF_UNSET_MSEC, 1000);
    merge<ngx_msec_t>(conf->timeout, prev->timeout, NGX_CONF_UNSET_MSEC, 3000);
    merge<ngx_msec_t>(conf->body_timeout, prev->body_timeout,
                      NGX_CONF_UNSET_MSEC, 30000);

    auto *clcf = static_cast<ngx_http_core_loc_conf_t *>(
        ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));

    /* `if` and limit_except make locations of their own inside one */
    if (conf->pass.len == 0 && (clcf->noname || clcf->lmt_excpt)) {
        conf->pass = prev->pass;
        conf->pass_line = prev->pass_line;
        conf->pass_file = prev->pass_file;
        if (clcf->lmt_excpt && clcf->handler == nullptr && prev->pass.len != 0)
        {
            clcf->handler = content_handler;
        }
    }

    if (conf->pass.len == 0) {
        return NGX_CONF_OK;
    }

    /* what is wrong only now is said with the line of esputnik_pass, not with
     * that of the brace at which nginx merges */
    ngx_conf_file_t line = *cf->conf_file;
    line.line = conf->pass_line;
    line.file.name = conf->pass_file;

    ngx_conf_file_t *end = cf->conf_file;
    cf->conf_file = &line;
    char *rc = merge_pass(cf, conf, clcf);
    cf->conf_file = end;

    return rc;
}

void take_over_body_limits(MainConf *main)
{
    auto **clcf = static_cast<ngx_http_core_loc_conf_t **>(
        main->locations.elts);

    /* after all merges: nested locations have inherited the real limit */
    for (ngx_uint_t i = 0; i < main->locations.nelts; i++) {
        auto *conf = static_cast<LocConf *>(
            clcf[i]->loc_conf[ngx_esputnik_module.ctx_index]);
        conf->max_body = clcf[i]->client_max_body_size;
        clcf[i]->client_max_body_size = 0;
    }
}

} // namespace ngx_esputnik
