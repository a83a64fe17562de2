/* esputnik_token: a shared secret in a header, compared in constant time. */

#ifndef NGX_ESPUTNIK_TOKEN_H
#define NGX_ESPUTNIK_TOKEN_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_conf.h"

namespace ngx_esputnik {

/* True when the location asks for no token, or the request has one of its. */
bool authorized(ngx_http_request_t *r, const LocConf *conf);

} // namespace ngx_esputnik

#endif
