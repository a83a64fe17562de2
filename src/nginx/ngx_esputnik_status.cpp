#include "ngx_esputnik_status.h"
#include "ngx_esputnik_directives.h"
#include "ngx_esputnik_gauge.h"
#include "ngx_esputnik_snapshot.h"
#include "ngx_esputnik_status_page.h"
#include "ngx_esputnik_zone.h"

#include "esputnik_status_json.h"
#include "esputnik_status_prometheus.h"

#include <new>

namespace ngx_esputnik {

namespace {

constexpr ngx_msec_t kSample = esputnik::History::kInterval * 1000;

ngx_event_t sampler;
ngx_connection_t sampler_self; /* behind it, for nginx's debug log */

const ngx_str_t kJsonType = ngx_string("application/json");
const ngx_str_t kTextType = ngx_string("text/plain; version=0.0.4");
const ngx_str_t kHtmlType = ngx_string("text/html; charset=utf-8");

std::string_view accept_of(ngx_http_request_t *r)
{
    const ngx_list_part_t *part = &r->headers_in.headers.part;

    for (; part != nullptr; part = part->next) {
        const auto *h = static_cast<ngx_table_elt_t *>(part->elts);
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (h[i].key.len == sizeof("accept") - 1
                && ngx_strncmp(h[i].lowcase_key, "accept", sizeof("accept") - 1)
                       == 0)
            {
                return view(h[i].value);
            }
        }
    }
    return {};
}

esputnik::StatusFormat format_of(ngx_http_request_t *r, const LocConf *conf)
{
    const auto word = static_cast<StatusWord>(conf->status);

    switch (word) {
    case StatusWord::json:
        return esputnik::StatusFormat::json;
    case StatusWord::prometheus:
        return esputnik::StatusFormat::prometheus;
    case StatusWord::html:
        /* the page polls its own address */
        return view(r->args) == "history" ? esputnik::StatusFormat::json
                                          : esputnik::StatusFormat::html;
    case StatusWord::accept:
    case StatusWord::none: /* in an "if" of the location */
        break;
    }
    return esputnik::choose_format(accept_of(r));
}

bool add_header(ngx_http_request_t *r, std::string_view name,
                std::string_view value)
{
    auto *h = static_cast<ngx_table_elt_t *>(
        ngx_list_push(&r->headers_out.headers));
    if (h == nullptr) {
        return false;
    }
    ngx_memzero(h, sizeof(*h));
    h->hash = 1;
    h->key = str(name);
    h->value = str(value);
    return true;
}

bool render(ngx_http_request_t *r, esputnik::StatusFormat format,
            esputnik::Buffer &out)
{
    /* too large for a stack that other modules have a part of */
    auto *report = new (std::nothrow) esputnik::StatusReport();
    if (report == nullptr) {
        return false;
    }

    const bool history = view(r->args) == "history";
    const bool good = take_snapshot(main_conf(r), history, report)
                      && (format == esputnik::StatusFormat::json
                              ? esputnik::status_json(*report, out)
                              : esputnik::status_prometheus(*report, out));

    delete report;
    return good;
}

/* The body, in the request's memory or constant. */
ngx_int_t body_of(ngx_http_request_t *r, esputnik::StatusFormat format,
                  ngx_str_t *body)
{
    if (format == esputnik::StatusFormat::html) {
        *body = str(kStatusPage);
        return NGX_OK;
    }

    esputnik::Buffer text;
    if (!render(r, format, text)) {
        return NGX_ERROR;
    }
    *body = copy(r->pool, {text.data(), text.size()});
    return body->data != nullptr ? NGX_OK : NGX_ERROR;
}

ngx_int_t status_handler(ngx_http_request_t *r) noexcept
{
    const LocConf *conf = loc_conf(r);

    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return add_header(r, "Allow", "GET, HEAD")
                   ? NGX_HTTP_NOT_ALLOWED
                   : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_int_t rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    const esputnik::StatusFormat format = format_of(r, conf);
    ngx_str_t body;
    if (body_of(r, format, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    bool good = add_header(r, "Cache-Control", "no-store")
                && add_header(r, "X-Content-Type-Options", "nosniff");

    if (conf->status == static_cast<ngx_uint_t>(StatusWord::accept)) {
        good = good && add_header(r, "Vary", "Accept");
    }

    switch (format) {
    case esputnik::StatusFormat::html:
        r->headers_out.content_type = kHtmlType;
        good = good && add_header(r, "Content-Security-Policy", kStatusPolicy)
               && add_header(r, "Referrer-Policy", "no-referrer");
        break;
    case esputnik::StatusFormat::prometheus:
        r->headers_out.content_type = kTextType;
        break;
    case esputnik::StatusFormat::json:
        r->headers_out.content_type = kJsonType;
        break;
    }
    if (!good) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* for gzip_types: without parameters */
    const size_t semicolon = view(r->headers_out.content_type).find(';');
    r->headers_out.content_type_len = ngx_min(semicolon,
                                              r->headers_out.content_type.len);
    r->headers_out.content_type_lowcase = nullptr;
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = static_cast<off_t>(body.len);

    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    auto *b = static_cast<ngx_buf_t *>(ngx_calloc_buf(r->pool));
    if (b == nullptr) {
        return NGX_ERROR;
    }
    b->pos = b->start = body.data;
    b->last = b->end = body.data + body.len;
    b->memory = 1;
    b->last_buf = r == r->main;
    b->last_in_chain = 1;

    ngx_chain_t out = {b, nullptr};
    return ngx_http_output_filter(r, &out);
}

/* At the next turn of the clock, in all workers: a timer that ran freely would
 * miss one now and then. */
void sample_soon(ngx_event_t *ev)
{
    const ngx_time_t *t = ngx_timeofday();
    const ngx_msec_t now = static_cast<ngx_msec_t>(t->sec) * 1000 + t->msec;

    ngx_add_timer(ev, kSample - now % kSample);
}

void on_sample(ngx_event_t *ev) noexcept
{
    auto *main = static_cast<MainConf *>(sampler_self.data);
    const auto now = static_cast<uint64_t>(ngx_time());

    if (main->shared->history.due(now)) {
        main->shared->history.add(take_totals(main), now);
    }
    sample_soon(ev);
}

} // namespace

char *set_status(ngx_conf_t *cf, ngx_command_t *, void *conf) noexcept
{
    constexpr std::string_view kWords[] = {"json", "prometheus", "html"};
    auto *lcf = static_cast<LocConf *>(conf);
    const auto *value = static_cast<ngx_str_t *>(cf->args->elts);

    if (lcf->status != static_cast<ngx_uint_t>(StatusWord::none)) {
        return const_cast<char *>("is duplicate");
    }
    if (lcf->pass.len != 0) {
        return const_cast<char *>("cannot share a location with "
                                  "\"esputnik_pass\"");
    }

    lcf->status = static_cast<ngx_uint_t>(StatusWord::accept);

    if (cf->args->nelts == 2) {
        ngx_uint_t i = 0;
        while (i < 3 && view(value[1]) != kWords[i]) {
            i++;
        }
        if (i == 3) {
            return refuse_value(cf, value[0], value[1],
                                "\"json\", \"prometheus\" or \"html\"");
        }
        lcf->status = static_cast<ngx_uint_t>(StatusWord::json) + i;
    }

    main_conf(cf)->counted = esputnik::kTallied;

    auto *clcf = static_cast<ngx_http_core_loc_conf_t *>(
        ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    clcf->handler = status_handler;
    return NGX_CONF_OK;
}

void start_counting(ngx_cycle_t *cycle, MainConf *main)
{
    take_place(main->shared);

    if (main->counted != 0) {
        ngx_memzero(&sampler_self, sizeof(sampler_self));
        sampler_self.fd = static_cast<ngx_socket_t>(-1);
        sampler_self.data = main;

        ngx_memzero(&sampler, sizeof(sampler));
        sampler.data = &sampler_self;
        sampler.handler = on_sample;
        sampler.log = cycle->log;
        sampler.cancelable = 1;
        sample_soon(&sampler);
    }
}

void end_counting(MainConf *main)
{
    leave_place(main->shared);
}

} // namespace ngx_esputnik
