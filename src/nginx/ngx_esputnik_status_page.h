/*
 * The page of esputnik_status: html/status.html, brought here by
 * tools/status_page.pl.
 */

#ifndef NGX_ESPUTNIK_STATUS_PAGE_H
#define NGX_ESPUTNIK_STATUS_PAGE_H

#include <string_view>

namespace ngx_esputnik {

extern const std::string_view kStatusPage;

/* Content-Security-Policy: nothing but the page's own style and script, by
 * their hashes, and its polling of the server it came from. */
extern const std::string_view kStatusPolicy;

} // namespace ngx_esputnik

#endif
