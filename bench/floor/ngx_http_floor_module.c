/*
 * The floor of the benchmark: what nginx itself costs to read the body of a
 * POST and to answer 200 with a few bytes of JSON.  It looks at nothing and
 * stores nothing; everything that a webhook module does comes on top of this.
 *
 *   location / { floor; }
 *   location / { floor yajl; }
 *
 * The second has yajl go over the body, too, with callbacks that do nothing:
 * what no module can go below that parses with yajl.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <yajl/yajl_parse.h>


#define NGX_HTTP_FLOOR_HEAD  16    /* the size of a block of yajl's */


static char *ngx_http_floor(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_floor_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_floor_yajl_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_floor_read(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler);
static void ngx_http_floor_body_handler(ngx_http_request_t *r);
static void ngx_http_floor_yajl_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_floor_parse(ngx_http_request_t *r);


static ngx_command_t  ngx_http_floor_commands[] = {

    { ngx_string("floor"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_floor,
      0,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_floor_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_floor_module = {
    NGX_MODULE_V1,
    &ngx_http_floor_module_ctx,            /* module context */
    ngx_http_floor_commands,               /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_floor_handler(ngx_http_request_t *r)
{
    return ngx_http_floor_read(r, ngx_http_floor_body_handler);
}


static ngx_int_t
ngx_http_floor_yajl_handler(ngx_http_request_t *r)
{
    return ngx_http_floor_read(r, ngx_http_floor_yajl_body_handler);
}


static ngx_int_t
ngx_http_floor_read(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler)
{
    ngx_int_t  rc;

    if (r->method != NGX_HTTP_POST) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_read_client_request_body(r, handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_floor_body_handler(ngx_http_request_t *r)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    static u_char  answer[] = "{\"accepted\":1}";

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    b->pos = answer;
    b->last = answer + sizeof(answer) - 1;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = sizeof(answer) - 1;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        ngx_http_finalize_request(r, rc);
        return;
    }

    ngx_http_finalize_request(r, ngx_http_output_filter(r, &out));
}


static void
ngx_http_floor_yajl_body_handler(ngx_http_request_t *r)
{
    if (ngx_http_floor_parse(r) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_BAD_REQUEST);
        return;
    }

    ngx_http_floor_body_handler(r);
}


static int
ngx_http_floor_null(void *ctx)
{
    return 1;
}


static int
ngx_http_floor_boolean(void *ctx, int value)
{
    return 1;
}


static int
ngx_http_floor_number(void *ctx, const char *s, size_t len)
{
    return 1;
}


static int
ngx_http_floor_string(void *ctx, const unsigned char *s, size_t len)
{
    return 1;
}


/* a few small blocks, which the request's pool frees all at once */

static void *
ngx_http_floor_alloc(void *ctx, size_t size)
{
    size_t  *p;

    p = ngx_palloc(ctx, NGX_HTTP_FLOOR_HEAD + size);
    if (p == NULL) {
        return NULL;
    }

    *p = size;

    return (u_char *) p + NGX_HTTP_FLOOR_HEAD;
}


static void *
ngx_http_floor_realloc(void *ctx, void *old, size_t size)
{
    void    *p;
    size_t   had;

    p = ngx_http_floor_alloc(ctx, size);

    if (p != NULL && old != NULL) {
        had = *(size_t *) ((u_char *) old - NGX_HTTP_FLOOR_HEAD);
        ngx_memcpy(p, old, ngx_min(had, size));
    }

    return p;
}


static void
ngx_http_floor_free(void *ctx, void *p)
{
}


static ngx_int_t
ngx_http_floor_parse(ngx_http_request_t *r)
{
    ngx_chain_t       *cl;
    yajl_handle        hand;
    yajl_status        status;
    yajl_alloc_funcs   alloc;

    static const yajl_callbacks  callbacks = {
        ngx_http_floor_null, ngx_http_floor_boolean, NULL, NULL,
        ngx_http_floor_number, ngx_http_floor_string, ngx_http_floor_null,
        ngx_http_floor_string, ngx_http_floor_null, ngx_http_floor_null,
        ngx_http_floor_null
    };

    alloc.malloc = ngx_http_floor_alloc;
    alloc.realloc = ngx_http_floor_realloc;
    alloc.free = ngx_http_floor_free;
    alloc.ctx = r->pool;

    hand = yajl_alloc(&callbacks, &alloc, NULL);
    if (hand == NULL) {
        return NGX_ERROR;
    }

    /* the least that it can do; of UTF-8 the module sees to itself */
    yajl_config(hand, yajl_dont_validate_strings, 1);

    status = yajl_status_ok;

    for (cl = r->request_body->bufs;
         cl != NULL && status == yajl_status_ok;
         cl = cl->next)
    {
        status = yajl_parse(hand, cl->buf->pos, cl->buf->last - cl->buf->pos);
    }

    if (status == yajl_status_ok) {
        status = yajl_complete_parse(hand);
    }

    yajl_free(hand);

    return status == yajl_status_ok ? NGX_OK : NGX_ERROR;
}


static char *
ngx_http_floor(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    value = cf->args->elts;
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (cf->args->nelts == 1) {
        clcf->handler = ngx_http_floor_handler;

    } else if (ngx_strcmp(value[1].data, "yajl") == 0) {
        clcf->handler = ngx_http_floor_yajl_handler;

    } else {
        return "has an unknown parameter";
    }

    return NGX_CONF_OK;
}
