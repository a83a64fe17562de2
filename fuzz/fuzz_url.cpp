/*
 * URLs of a Redis target.
 *
 * Oracle: what is taken keeps the promises of the header, and written out
 * again from its parts it is taken again with the same parts.
 */

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "esputnik_url.h"

using namespace esputnik;

namespace {

void check(bool ok, const char *what)
{
    if (!ok) {
        std::fprintf(stderr, "violated: %s\n", what);
        std::abort();
    }
}

std::string_view view(const Buffer &b)
{
    return {b.data(), b.size()};
}

std::string percent_encode(std::string_view s, bool slash)
{
    std::string out;
    for (const char c : s) {
        if (c == '/' && slash) {
            out += c;
            continue;
        }
        char escape[4];
        std::snprintf(escape, sizeof(escape), "%%%02X",
                      static_cast<unsigned>(static_cast<unsigned char>(c)));
        out += escape;
    }
    return out;
}

std::string compose(const Url &u)
{
    std::string s = u.unix_socket ? "redis+unix://"
                    : u.tls       ? "rediss://"
                                  : "redis://";
    if (u.has_user || u.has_password) {
        s += percent_encode(view(u.user), false);
        if (u.has_password) {
            s += ":" + percent_encode(view(u.password), false);
        }
        s += "@";
    }
    const std::string db = std::to_string(u.database);
    if (u.unix_socket) {
        return s + percent_encode(u.path, true) + "?db=" + db;
    }
    const std::string host(u.host);
    s += u.host_is_ipv6 ? "[" + host + "]" : host;
    return s + ":" + std::to_string(u.port) + "/" + db;
}

void check_parts(const Url &u)
{
    check(u.database <= kMaxDatabase, "the database");
    check(u.has_user == !u.user.empty(), "a user has a name");
    check(u.has_password || u.password.empty(), "no password");
    for (const Buffer *b : {&u.user, &u.password}) {
        check(view(*b).find('\0') == std::string_view::npos, "no NUL");
    }
    if (u.unix_socket) {
        check(!u.tls && u.host.empty(), "a socket has no host");
        check(!u.path.empty() && u.path.size() <= 107, "the path's length");
        check(u.path.front() == '/' && u.path.back() != '/', "the path");
        check(u.path.find('\0') == std::string_view::npos, "no NUL");
    } else {
        check(!u.host.empty() && u.path.empty(), "a host");
        check(u.port != 0, "a port");
        check(u.host.find_first_of("@/[]? %") == std::string_view::npos,
              "the host");
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const std::string_view text(reinterpret_cast<const char *>(data), size);
    Url u, again;

    const char *error = parse_url(text, &u);
    if (error != nullptr) {
        check(*error != '\0', "a reason");
        return 0;
    }
    check(has_redis_scheme(text), "the scheme");
    check_parts(u);

    const std::string composed = compose(u);
    check(parse_url(composed, &again) == nullptr, "taken again");
    check(u.tls == again.tls && u.unix_socket == again.unix_socket
              && u.has_user == again.has_user
              && u.has_password == again.has_password && u.port == again.port
              && u.database == again.database && u.host == again.host
              && u.host_is_ipv6 == again.host_is_ipv6 && u.path == again.path
              && view(u.user) == view(again.user)
              && view(u.password) == view(again.password),
          "the same parts");
    return 0;
}
