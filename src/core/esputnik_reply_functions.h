/*
 * The object functions of the reply decoder.  A reader that uses them has its
 * ReplyDecoder in privdata.
 */

#ifndef ESPUTNIK_REPLY_FUNCTIONS_H
#define ESPUTNIK_REPLY_FUNCTIONS_H

#include <hiredis/read.h>

namespace esputnik {

redisReplyObjectFunctions *reply_functions();

} // namespace esputnik

#endif
