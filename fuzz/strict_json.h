/*
 * An independent answer to one question: is this text JSON by RFC 8259, and is
 * it an array of objects?  Written from the RFC's grammar for the fuzzers,
 * shares nothing with the product, and is in no hurry.
 */

#ifndef ESPUTNIK_FUZZ_STRICT_JSON_H
#define ESPUTNIK_FUZZ_STRICT_JSON_H

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace strict {

class Json {
public:
    explicit Json(std::string_view text) : text_(text) {}

    /* JSON-text = ws value ws */
    bool valid()
    {
        at_ = 0;
        return utf8() && value() && (space(), at_ == text_.size());
    }

    /* After valid(): the top level is an array, all elements are objects. */
    bool objects() const { return array_ && only_objects_; }
    size_t elements() const { return elements_; }

    /* After valid(): the deepest nesting of containers in an element. */
    size_t depth() const { return depth_ < 2 ? 0 : depth_ - 2; }

private:
    bool more() const { return at_ < text_.size(); }
    char peek() const { return more() ? text_[at_] : '\0'; }

    bool take(char c)
    {
        if (!more() || text_[at_] != c) {
            return false;
        }
        at_++;
        return true;
    }

    void space()
    {
        while (take(' ') || take('\t') || take('\n') || take('\r')) {
        }
    }

    bool word(std::string_view w)
    {
        if (text_.substr(at_, w.size()) != w) {
            return false;
        }
        at_ += w.size();
        return true;
    }

    bool digit()
    {
        if (peek() < '0' || peek() > '9') {
            return false;
        }
        at_++;
        return true;
    }

    bool digits()
    {
        if (!digit()) {
            return false;
        }
        while (digit()) {
        }
        return true;
    }

    /* number = [ minus ] int [ frac ] [ exp ] */
    bool number()
    {
        take('-');
        if (!take('0') && !digits()) {
            return false;
        }
        if (take('.') && !digits()) {
            return false;
        }
        if (take('e') || take('E')) {
            if (!take('+')) {
                take('-');
            }
            return digits();
        }
        return true;
    }

    bool hex()
    {
        for (int i = 0; i < 4; i++) {
            const char c = peek();
            if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')
                  || (c >= 'A' && c <= 'F')))
            {
                return false;
            }
            at_++;
        }
        return true;
    }

    /* string = quotation-mark *char quotation-mark */
    bool string()
    {
        if (!take('"')) {
            return false;
        }
        while (more()) {
            const unsigned char c = static_cast<unsigned char>(text_[at_++]);
            if (c == '"') {
                return true;
            }
            if (c < 0x20) {
                return false;
            }
            if (c == '\\') {
                if (take('u')) {
                    if (!hex()) {
                        return false;
                    }
                } else if (!more()
                           || std::string_view("\"\\/bfnrt").find(text_[at_++])
                                  == std::string_view::npos)
                {
                    return false;
                }
            }
        }
        return false;
    }

    bool scalar()
    {
        switch (peek()) {
        case '"':
            return string();
        case 't':
            return word("true");
        case 'f':
            return word("false");
        case 'n':
            return word("null");
        default:
            return number();
        }
    }

    void begin_value()
    {
        if (open_.empty()) {
            array_ = peek() == '[';
        } else if (open_.size() == 1 && open_[0] == '[') {
            elements_++;
            only_objects_ = only_objects_ && peek() == '{';
        }
    }

    bool key()
    {
        space();
        return string() && (space(), take(':'));
    }

    /* With a stack of its own: the fuzzer's inputs nest deep. */
    bool value()
    {
        for (;;) {
            space();
            begin_value();
            const char c = peek();
            if (c == '[' || c == '{') {
                at_++;
                open_.push_back(c);
                depth_ = open_.size() > depth_ ? open_.size() : depth_;
                space();
                if (!take(c == '[' ? ']' : '}')) {
                    if (c == '{' && !key()) {
                        return false;
                    }
                    continue;
                }
                open_.pop_back();
            } else if (!scalar()) {
                return false;
            }

            /* a value has ended: so may the containers around it */
            for (;;) {
                if (open_.empty()) {
                    return true;
                }
                space();
                if (take(',')) {
                    if (open_.back() == '{' && !key()) {
                        return false;
                    }
                    break;
                }
                if (!take(open_.back() == '[' ? ']' : '}')) {
                    return false;
                }
                open_.pop_back();
            }
        }
    }

    /* Decodes, and compares with what the code point encodes to. */
    bool utf8() const
    {
        for (size_t i = 0; i < text_.size();) {
            const uint32_t first = static_cast<unsigned char>(text_[i]);
            if (first < 0x80) {
                i++;
                continue;
            }
            const size_t n = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
            uint32_t c = first & (0xFF >> (n + 1));
            if (n > text_.size() - i) {
                return false;
            }
            for (size_t k = 1; k < n; k++) {
                c = c << 6 | (static_cast<unsigned char>(text_[i + k]) & 0x3F);
            }
            if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)
                || !encodes(c, text_.data() + i, n))
            {
                return false;
            }
            i += n;
        }
        return true;
    }

    static bool encodes(uint32_t c, const char *s, size_t n)
    {
        if (n != (c < 0x80 ? 1u : c < 0x800 ? 2u : c < 0x10000 ? 3u : 4u)) {
            return false;
        }
        static const unsigned char kFirst[] = {0, 0, 0xC0, 0xE0, 0xF0};
        uint32_t want = kFirst[n] | c >> (6 * (n - 1));
        for (size_t i = 0; i < n; i++) {
            if (static_cast<unsigned char>(s[i]) != want) {
                return false;
            }
            want = 0x80 | (i + 2 > n ? 0 : c >> (6 * (n - 2 - i)) & 0x3F);
        }
        return true;
    }

    std::string_view text_;
    size_t at_ = 0;
    std::vector<char> open_;
    size_t depth_ = 0;
    size_t elements_ = 0;
    bool array_ = false;
    bool only_objects_ = true;
};

} // namespace strict

#endif
