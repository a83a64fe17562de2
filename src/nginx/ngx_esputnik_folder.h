/*
 * This worker's part in the account of a spool's folder.
 */

#ifndef NGX_ESPUTNIK_FOLDER_H
#define NGX_ESPUTNIK_FOLDER_H

#include "ngx_esputnik.h"
#include "ngx_esputnik_spool_conf.h"

#include "esputnik_spool_account.h"

namespace ngx_esputnik {

namespace folder {

esputnik::SpoolAccount &account(const SpoolConf *conf);

/* For SpoolAccount. */
size_t share();

/* In a thread, from within a task of this worker's share: counts the files, and
 * puts that in the place of the account's sum.  False when it could not, since
 * something else was under way. */
bool recount(const SpoolConf *conf);

} // namespace folder

} // namespace ngx_esputnik

#endif
