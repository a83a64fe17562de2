/*
 * A growable array for trivially copyable elements that reports a failed
 * allocation instead of throwing: the module is built without exceptions, and
 * a worker that runs out of memory has to answer 503, not to abort.
 *
 * Ownership: the array owns its storage (malloc).  Not thread-safe.
 */

#ifndef ESPUTNIK_ARRAY_H
#define ESPUTNIK_ARRAY_H

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>

namespace esputnik {

template <class T>
class Array {
    static_assert(std::is_trivially_copyable<T>::value,
                  "elements are moved with realloc");

public:
    Array() = default;
    ~Array() { std::free(data_); }

    Array(const Array &) = delete;
    Array &operator=(const Array &) = delete;

    Array(Array &&other) noexcept
        : data_(other.data_), size_(other.size_), capacity_(other.capacity_)
    {
        other.data_ = nullptr;
        other.size_ = other.capacity_ = 0;
    }

    Array &operator=(Array &&other) noexcept
    {
        if (this != &other) {
            std::free(data_);
            data_ = other.data_;
            size_ = other.size_;
            capacity_ = other.capacity_;
            other.data_ = nullptr;
            other.size_ = other.capacity_ = 0;
        }
        return *this;
    }

    T *data() { return data_; }
    const T *data() const { return data_; }
    size_t size() const { return size_; }
    size_t capacity() const { return capacity_; }
    bool empty() const { return size_ == 0; }

    T &operator[](size_t i) { return data_[i]; }
    const T &operator[](size_t i) const { return data_[i]; }
    T &back() { return data_[size_ - 1]; }
    const T &back() const { return data_[size_ - 1]; }

    T *begin() { return data_; }
    T *end() { return data_ + size_; }
    const T *begin() const { return data_; }
    const T *end() const { return data_ + size_; }

    /* Room for n elements in all; false when memory is short, the content is
     * then untouched. */
    bool reserve(size_t n)
    {
        if (n <= capacity_) {
            return true;
        }
        if (n > SIZE_MAX / 2 / sizeof(T)) {
            return false;
        }
        size_t grown = capacity_ ? capacity_ : 16;
        while (grown < n) {
            grown *= 2;
        }
        void *p = std::realloc(static_cast<void *>(data_), grown * sizeof(T));
        if (p == nullptr) {
            return false;
        }
        data_ = static_cast<T *>(p);
        capacity_ = grown;
        return true;
    }

    bool push(const T &value)
    {
        /* the value may live in the storage that grows */
        const T copy = value;
        if (size_ == capacity_ && !reserve(size_ + 1)) {
            return false;
        }
        data_[size_++] = copy;
        return true;
    }

    bool append(const T *values, size_t n)
    {
        if (n == 0) {
            return true;
        }
        if (!reserve(size_ + n)) {
            return false;
        }
        std::memcpy(static_cast<void *>(data_ + size_), values, n * sizeof(T));
        size_ += n;
        return true;
    }

    /* New elements are zero bytes. */
    bool resize(size_t n)
    {
        if (!reserve(n)) {
            return false;
        }
        if (n > size_) {
            std::memset(static_cast<void *>(data_ + size_), 0,
                        (n - size_) * sizeof(T));
        }
        size_ = n;
        return true;
    }

    void pop() { size_--; }
    void truncate(size_t n) { size_ = n < size_ ? n : size_; }
    void clear() { size_ = 0; }

    /* Gives the storage back when it has outgrown n elements, so that one
     * huge request does not keep its memory for the worker's life. */
    void shrink(size_t n)
    {
        if (capacity_ > n) {
            std::free(data_);
            data_ = nullptr;
            size_ = capacity_ = 0;
        }
    }

private:
    T *data_ = nullptr;
    size_t size_ = 0;
    size_t capacity_ = 0;
};

/* Bytes; a string that may fail to grow. */
using Buffer = Array<char>;

} // namespace esputnik

#endif
