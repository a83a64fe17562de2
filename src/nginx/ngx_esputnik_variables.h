/* The $esputnik_… variables. */

#ifndef NGX_ESPUTNIK_VARIABLES_H
#define NGX_ESPUTNIK_VARIABLES_H

#include "ngx_esputnik.h"

#include "esputnik_fields.h"

namespace ngx_esputnik {

ngx_int_t add_variables(ngx_conf_t *cf) noexcept;

/* The fields of an event that this configuration names anywhere, so that the
 * parser keeps their values; to be called when all of it has been read.
 * NGX_ERROR after [emerg]: a variable of ours that there is not. */
ngx_int_t fields_in_use(ngx_conf_t *cf, esputnik::FieldSet *fields);

} // namespace ngx_esputnik

#endif
