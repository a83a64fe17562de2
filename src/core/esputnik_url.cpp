#include "esputnik_url.h"

#include <sys/un.h>

namespace esputnik {

namespace {

constexpr std::string_view kTcp = "redis://";
constexpr std::string_view kTls = "rediss://";
constexpr std::string_view kUnix = "redis+unix://";

/* sun_path has to end in NUL */
constexpr size_t kMaxPath = sizeof(sockaddr_un::sun_path) - 1;
static_assert(kMaxPath == 107, "the message below names it");

constexpr const char kBadEscape[] =
    "\"%\" has to be followed by two hexadecimal digits";
constexpr const char *kNul = "\"%00\" is not allowed";
constexpr const char *kNoMemory = "no memory";

/* RFC 3986, section 3.1: a scheme is case-insensitive. */
bool starts_with(std::string_view text, std::string_view scheme)
{
    if (text.size() < scheme.size()) {
        return false;
    }
    for (size_t i = 0; i < scheme.size(); i++) {
        char c = text[i];
        if (c >= 'A' && c <= 'Z') {
            c = static_cast<char>(c - 'A' + 'a');
        }
        if (c != scheme[i]) {
            return false;
        }
    }
    return true;
}

/* What stands behind position at, which there is; substr() may throw. */
std::string_view behind(std::string_view s, size_t at)
{
    s.remove_prefix(at + 1);
    return s;
}

int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

const char *percent_decode(std::string_view in, Buffer *out)
{
    out->clear();
    if (!out->reserve(in.size())) {
        return kNoMemory;
    }
    for (size_t i = 0; i < in.size(); i++) {
        char c = in[i];
        if (c == '%') {
            if (in.size() - i < 3) {
                return kBadEscape;
            }
            const int high = hex_digit(in[i + 1]);
            const int low = hex_digit(in[i + 2]);
            if (high < 0 || low < 0) {
                return kBadEscape;
            }
            c = static_cast<char>(high * 16 + low);
            if (c == '\0') {
                return kNul;
            }
            i += 2;
        }
        out->push(c);
    }
    return nullptr;
}

/* Digits only, at most max; leading zeros are harmless. */
bool read_number(std::string_view s, unsigned max, unsigned *out)
{
    unsigned n = 0;
    if (s.empty()) {
        return false;
    }
    for (char c : s) {
        if (c < '0' || c > '9') {
            return false;
        }
        n = n * 10 + static_cast<unsigned>(c - '0');
        if (n > max) {
            return false;
        }
    }
    *out = n;
    return true;
}

const char *read_database(std::string_view s, Url *out)
{
    return read_number(s, kMaxDatabase, &out->database)
               ? nullptr
               : "the database has to be a number from 0 to 65535";
}

/* "user", "user:password" or ":password", without the '@'; the password may
 * have more colons (RFC 3986, section 3.2.1). */
const char *read_userinfo(std::string_view s, Url *out)
{
    const size_t colon = s.find(':');
    const std::string_view user = s.substr(0, colon);

    if (user.empty() && (colon == s.npos || colon + 1 == s.size())) {
        return "a user or a password is expected before \"@\"";
    }
    if (!user.empty()) {
        out->has_user = true;
        if (const char *error = percent_decode(user, &out->user)) {
            return error;
        }
    }
    if (colon == s.npos) {
        return nullptr;
    }
    out->has_password = true;
    return percent_decode(behind(s, colon), &out->password);
}

bool ipv6_char(char c)
{
    return hex_digit(c) >= 0 || c == ':' || c == '.';
}

bool host_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
           || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == '_';
}

const char *read_host(std::string_view s, Url *out)
{
    size_t end;

    if (!s.empty() && s[0] == '[') {
        const size_t bracket = s.find(']');
        if (bracket == s.npos) {
            return "\"]\" is expected after an IPv6 address";
        }
        out->host = behind(s.substr(0, bracket), 0);
        out->host_is_ipv6 = true;
        for (char c : out->host) {
            if (!ipv6_char(c)) {
                return "an IPv6 address is expected in brackets";
            }
        }
        if (out->host.find(':') == s.npos) {
            return "an IPv6 address is expected in brackets";
        }
        end = bracket + 1;
    } else {
        end = s.find(':');
        out->host = s.substr(0, end);
        if (end == s.npos) {
            end = s.size();
        } else if (s.find(':', end + 1) != s.npos) {
            return "an IPv6 address is written in brackets, "
                   "and only one port is expected";
        }
        for (char c : out->host) {
            if (!host_char(c)) {
                return "the host has a character that no host name has";
            }
        }
    }
    if (out->host.empty()) {
        return "a host is expected";
    }

    s.remove_prefix(end);
    if (s.empty()) {
        return nullptr;
    }
    unsigned port;
    if (s[0] != ':' || !read_number(behind(s, 0), 65535, &port) || port == 0) {
        return "a port from 1 to 65535 is expected after the host";
    }
    out->port = static_cast<uint16_t>(port);
    return nullptr;
}

/* host[:port][/db] */
const char *read_tcp(std::string_view s, Url *out)
{
    if (s.find_first_of("?#") != s.npos) {
        return "nothing but \"/\" and the database is expected "
               "after the host";
    }
    const size_t slash = s.find('/');
    if (const char *error = read_host(s.substr(0, slash), out)) {
        return error;
    }
    if (slash == s.npos || slash + 1 == s.size()) {
        return nullptr;
    }
    return read_database(behind(s, slash), out);
}

/* /path[?db=N] */
const char *read_unix(std::string_view s, Url *out)
{
    out->unix_socket = true;

    if (s.find('#') != s.npos) {
        return "a \"#\" in the path is written as \"%23\"";
    }
    const size_t question = s.find('?');
    const std::string_view path = s.substr(0, question);
    if (path.empty() || path[0] != '/') {
        return "the absolute path of a unix socket is expected";
    }
    if (path.find('%') == path.npos) {
        out->path = path;
    } else {
        if (const char *error = percent_decode(path, &out->storage)) {
            return error;
        }
        out->path = {out->storage.data(), out->storage.size()};
    }
    if (out->path.back() == '/') {
        return "the path of a unix socket cannot end in \"/\"";
    }
    if (out->path.size() > kMaxPath) {
        return "the path of a unix socket has at most 107 bytes";
    }
    if (question == s.npos) {
        return nullptr;
    }

    constexpr std::string_view kArgument = "db=";
    std::string_view query = behind(s, question);
    if (query.substr(0, kArgument.size()) != kArgument) {
        return "\"db=N\" is the only argument after \"?\"";
    }
    query.remove_prefix(kArgument.size());
    return read_database(query, out);
}

} // namespace

bool has_redis_scheme(std::string_view text)
{
    return starts_with(text, kTcp) || starts_with(text, kTls)
           || starts_with(text, kUnix);
}

const char *parse_url(std::string_view text, Url *out)
{
    *out = Url();

    for (char c : text) {
        const unsigned char u = static_cast<unsigned char>(c);
        if (u <= ' ' || u >= 0x7f) {
            return "blanks, control characters and what is not ASCII "
                   "have to be percent-encoded";
        }
    }

    if (starts_with(text, kTls)) {
        out->tls = true;
        text.remove_prefix(kTls.size());
    } else if (starts_with(text, kUnix)) {
        out->unix_socket = true;
        text.remove_prefix(kUnix.size());
    } else if (starts_with(text, kTcp)) {
        text.remove_prefix(kTcp.size());
    } else {
        return "\"redis://\", \"rediss://\" or \"redis+unix://\" "
               "is expected";
    }

    /* the authority ends at the first '/'; an '@' behind it is the path's */
    const size_t end = text.find_first_of("/?#");
    const std::string_view authority = text.substr(0, end);
    const size_t at = authority.rfind('@');
    if (at != authority.npos) {
        if (authority.find('@') != at) {
            return "a \"@\" in the password is written as \"%40\"";
        }
        if (const char *error = read_userinfo(text.substr(0, at), out)) {
            return error;
        }
        text.remove_prefix(at + 1);
    }
    return out->unix_socket ? read_unix(text, out) : read_tcp(text, out);
}

} // namespace esputnik
