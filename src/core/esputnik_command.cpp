#include "esputnik_command.h"

namespace esputnik {

unsigned decimal_length(uint64_t n)
{
    unsigned digits = 1;
    while (n >= 10) {
        n /= 10;
        digits++;
    }
    return digits;
}

char *write_decimal(char *out, uint64_t n)
{
    char *end = out + decimal_length(n);
    char *p = end;
    do {
        *--p = static_cast<char>('0' + n % 10);
        n /= 10;
    } while (n);
    return end;
}

size_t array_size(size_t elements)
{
    return 1 + decimal_length(elements) + 2;
}

size_t bulk_size(size_t length)
{
    return 1 + decimal_length(length) + 2 + length + 2;
}

namespace {

char *write_crlf(char *out)
{
    *out++ = '\r';
    *out++ = '\n';
    return out;
}

} // namespace

char *write_array(char *out, size_t elements)
{
    *out++ = '*';
    return write_crlf(write_decimal(out, elements));
}

char *write_bulk_header(char *out, size_t length)
{
    *out++ = '$';
    return write_crlf(write_decimal(out, length));
}

char *write_bulk(char *out, std::string_view bytes)
{
    out = write_bulk_header(out, bytes.size());
    if (!bytes.empty()) {
        std::memcpy(out, bytes.data(), bytes.size());
        out += bytes.size();
    }
    return write_crlf(out);
}

bool append_array(Buffer &out, size_t elements)
{
    const size_t size = array_size(elements);
    if (!out.reserve(out.size() + size)) {
        return false;
    }
    char *at = out.end();
    out.resize(out.size() + size);
    write_array(at, elements);
    return true;
}

bool append_bulk(Buffer &out, std::string_view bytes)
{
    const size_t size = bulk_size(bytes.size());
    if (!out.reserve(out.size() + size)) {
        return false;
    }
    char *at = out.end();
    out.resize(out.size() + size);
    write_bulk(at, bytes);
    return true;
}

bool append_command(Buffer &out, std::initializer_list<std::string_view> args)
{
    const size_t before = out.size();
    bool ok = append_array(out, args.size());
    for (std::string_view arg : args) {
        ok = ok && append_bulk(out, arg);
    }
    if (!ok) {
        out.truncate(before);
    }
    return ok;
}

} // namespace esputnik
