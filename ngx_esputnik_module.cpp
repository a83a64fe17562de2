/*
 * ngx_esputnik_module: takes eSputnik webhooks, and has every event safely in
 * Redis before it answers 200.  This file is the table of contents.
 */

#include "ngx_esputnik.h"
#include "ngx_esputnik_body.h"
#include "ngx_esputnik_conf.h"
#include "ngx_esputnik_directives.h"
#include "ngx_esputnik_spool_conf.h"
#include "ngx_esputnik_status.h"
#include "ngx_esputnik_variables.h"
#include "ngx_esputnik_worker.h"
#include "ngx_esputnik_zone.h"

using namespace ngx_esputnik;

namespace {

ngx_conf_enum_t unknown_status_words[] = {
    {ngx_string("accept"), 0},
    {ngx_string("reject"), 1},
    {ngx_null_string, 0},
};

Range max_events_range = {1, 1000000, "a number from 1 to 1000000", false};
Range max_length_range = {1, 4000000000,
                          "a number from 1 to 4000000000, or \"off\"", true};
Range max_depth_range = {1, 1000, "a number from 1 to 1000", false};

constexpr ngx_uint_t kAnywhere = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF
                                 | NGX_HTTP_LOC_CONF;

/* a line for each member, as nginx has it */
/* clang-format off */

ngx_command_t commands[] = {

    {ngx_string("esputnik_pass"),
     NGX_HTTP_LOC_CONF | NGX_HTTP_LIF_CONF | NGX_HTTP_LMT_CONF | NGX_CONF_TAKE1,
     set_pass,
     NGX_HTTP_LOC_CONF_OFFSET,
     0,
     nullptr},

    {ngx_string("esputnik_redis"),
     NGX_HTTP_MAIN_CONF | NGX_CONF_BLOCK | NGX_CONF_TAKE1,
     set_redis_block,
     NGX_HTTP_MAIN_CONF_OFFSET,
     0,
     nullptr},

    {ngx_string("esputnik_key"),
     kAnywhere | NGX_CONF_TAKE1,
     set_key,
     NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(LocConf, key),
     nullptr},

    {ngx_string("esputnik_value"),
     kAnywhere | NGX_CONF_TAKE1,
     ngx_http_set_complex_value_slot,
     NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(LocConf, value),
     nullptr},

    {ngx_string("esputnik_push"),
     kAnywhere | NGX_CONF_TAKE12,
     set_push,
     NGX_HTTP_LOC_CONF_OFFSET,
     0,
     nullptr},

    {ngx_string("esputnik_invalid"),
     kAnywhere | NGX_CONF_TAKE12,
     set_invalid,
     NGX_HTTP_LOC_CONF_OFFSET,
     0,
     nullptr},

    {ngx_string("esputnik_unknown_status"),
     kAnywhere | NGX_CONF_TAKE1,
     set_word,
     NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(LocConf, reject_unknown_status),
     unknown_status_words},

    {ngx_string("esputnik_require"),
     kAnywhere | NGX_CONF_1MORE,
     set_require,
     NGX_HTTP_LOC_CONF_OFFSET,
     0,
     nullptr},

    {ngx_string("esputnik_max_events"),
     kAnywhere | NGX_CONF_TAKE1,
     set_number,
     NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(LocConf, max_events),
     &max_events_range},

    {ngx_string("esputnik_max_depth"),
     kAnywhere | NGX_CONF_TAKE1,
     set_number,
     NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(LocConf, max_depth),
     &max_depth_range},

    {ngx_string("esputnik_token"),
     kAnywhere | NGX_CONF_TAKE12,
     set_token,
     NGX_HTTP_LOC_CONF_OFFSET,
     0,
     nullptr},

    {ngx_string("esputnik_dedup"),
     kAnywhere | NGX_CONF_TAKE12,
     set_dedup,
     NGX_HTTP_LOC_CONF_OFFSET,
     0,
     nullptr},

    {ngx_string("esputnik_max_length"),
     kAnywhere | NGX_CONF_TAKE1,
     set_number,
     NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(LocConf, max_length),
     &max_length_range},

    {ngx_string("esputnik_ack"),
     kAnywhere | NGX_CONF_TAKE1,
     set_ack,
     NGX_HTTP_LOC_CONF_OFFSET,
     0,
     nullptr},

    {ngx_string("esputnik_shards"),
     kAnywhere | NGX_CONF_TAKE12,
     set_shards,
     NGX_HTTP_LOC_CONF_OFFSET,
     0,
     nullptr},

    {ngx_string("esputnik_spool"),
     kAnywhere | NGX_CONF_TAKE12,
     set_spool,
     NGX_HTTP_LOC_CONF_OFFSET,
     0,
     nullptr},

    {ngx_string("esputnik_zone"),
     NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE2,
     set_zone,
     NGX_HTTP_MAIN_CONF_OFFSET,
     0,
     nullptr},

    {ngx_string("esputnik_status"),
     NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE1,
     set_status,
     NGX_HTTP_LOC_CONF_OFFSET,
     0,
     nullptr},

    {ngx_string("esputnik_connect_timeout"),
     kAnywhere | NGX_CONF_TAKE1,
     set_time,
     NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(LocConf, connect_timeout),
     nullptr},

    {ngx_string("esputnik_timeout"),
     kAnywhere | NGX_CONF_TAKE1,
     set_time,
     NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(LocConf, timeout),
     nullptr},

    {ngx_string("esputnik_body_timeout"),
     kAnywhere | NGX_CONF_TAKE1,
     set_time,
     NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(LocConf, body_timeout),
     nullptr},

    ngx_null_command,
};

/* clang-format on */

ngx_int_t postconfiguration(ngx_conf_t *cf) noexcept
{
    MainConf *main = main_conf(cf);

    if (fields_in_use(cf, &main->wanted) != NGX_OK) {
        return NGX_ERROR;
    }

    take_over_body_limits(main);
    install_body_filter();
    return add_zone(cf, main);
}

/* clang-format off */

ngx_http_module_t context = {
    add_variables,     /* preconfiguration */
    postconfiguration,
    create_main_conf,
    nullptr,           /* init main configuration */
    nullptr,           /* create server configuration */
    nullptr,           /* merge server configuration */
    create_loc_conf,
    merge_loc_conf,
};

/* clang-format on */

} // namespace

ngx_module_t ngx_esputnik_module = {
    NGX_MODULE_V1,
    &context,
    commands,
    NGX_HTTP_MODULE,
    nullptr,           /* init master */
    nullptr,           /* init module */
    init_process,
    nullptr,           /* init thread */
    nullptr,           /* exit thread */
    exit_process,
    nullptr,           /* exit master */
    NGX_MODULE_V1_PADDING,
};
