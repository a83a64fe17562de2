/*
 * The URL of a Redis target:
 *
 *   redis://[user[:password]@]host[:port][/db]
 *   rediss://…                     the same over TLS
 *   redis+unix:///path/to.sock[?db=N]
 *   redis+unix://[user[:password]@]/path/to.sock[?db=N]
 *
 * Sources: RFC 3986; IANA's provisional registrations of redis and rediss.
 * A lone "password@" part without a colon is a user, as RFC 3986 has it;
 * ":password@" is a password of the default user.  User and password are
 * percent-decoded.  An IPv6 address stands in brackets.
 */

#ifndef ESPUTNIK_URL_H
#define ESPUTNIK_URL_H

#include <cstdint>
#include <string_view>

#include "esputnik_array.h"

namespace esputnik {

constexpr uint16_t kRedisPort = 6379;
constexpr unsigned kMaxDatabase = 65535;

struct Url {
    bool tls = false;
    bool unix_socket = false;
    bool has_user = false;
    bool has_password = false;
    uint16_t port = kRedisPort;
    unsigned database = 0;
    std::string_view host;   /* without brackets; empty for a unix socket */
    bool host_is_ipv6 = false;
    std::string_view path;   /* of the unix socket, percent-decoded */
    Buffer user;             /* decoded */
    Buffer password;         /* decoded */
    Buffer storage;          /* what path points to when it was decoded */
};

/* nullptr when text is a sound URL; else a literal that says what was
 * expected.  The views point into text, which must outlive the Url. */
const char *parse_url(std::string_view text, Url *out);

/* True when text starts with one of the schemes above. */
bool has_redis_scheme(std::string_view text);

} // namespace esputnik

#endif
