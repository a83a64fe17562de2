/* nginx's headers, wrapped once; every file of the nginx layer includes this
 * one first. */

#ifndef NGX_ESPUTNIK_H
#define NGX_ESPUTNIK_H

extern "C" {
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>
}

#include <string_view>

static_assert(__cplusplus >= 201703L, "the module is C++17");

extern "C" ngx_module_t ngx_esputnik_module;

namespace ngx_esputnik {

inline std::string_view view(const ngx_str_t &s)
{
    return {reinterpret_cast<const char *>(s.data), s.len};
}

inline ngx_str_t str(std::string_view s)
{
    return {s.size(), reinterpret_cast<u_char *>(const_cast<char *>(s.data()))};
}

/* A copy in a pool; data is nullptr when memory is short. */
inline ngx_str_t copy(ngx_pool_t *pool, std::string_view s)
{
    ngx_str_t out = {0, static_cast<u_char *>(ngx_pnalloc(pool, s.size() + 1))};
    if (out.data != nullptr) {
        ngx_memcpy(out.data, s.data(), s.size());
        out.data[s.size()] = '\0';
        out.len = s.size();
    }
    return out;
}

} // namespace ngx_esputnik

#endif
