/*
 * A redis-server of the test's own, on a unix socket in a temporary folder,
 * and a blocking connection to it.
 */

#ifndef ESPUTNIK_TEST_SERVER_H
#define ESPUTNIK_TEST_SERVER_H

#include <check.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "esputnik_command.h"
#include "esputnik_reply.h"

class Connection {
public:
    explicit Connection(const std::string &path)
    {
        sockaddr_un address = {};
        address.sun_family = AF_UNIX;
        snprintf(address.sun_path, sizeof(address.sun_path), "%s",
                 path.c_str());
        fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd_, reinterpret_cast<sockaddr *>(&address),
                    sizeof(address))
            != 0) {
            close(fd_);
            fd_ = -1;
        }
        ck_assert(decoder_.reset());
        decoder_.set_limit(esputnik::ReplyDecoder::kMaxLimit);
    }

    ~Connection()
    {
        if (fd_ >= 0) {
            close(fd_);
        }
    }

    Connection(const Connection &) = delete;
    Connection &operator=(const Connection &) = delete;

    bool connected() const { return fd_ >= 0; }

    /* Valid until the next one. */
    const esputnik::Reply &send(std::string_view bytes)
    {
        while (!bytes.empty()) {
            const ssize_t n = ::send(fd_, bytes.data(), bytes.size(),
                                     MSG_NOSIGNAL);
            ck_assert_int_gt(n, 0);
            bytes.remove_prefix(static_cast<size_t>(n));
        }
        for (;;) {
            const auto result = decoder_.next(&reply_);
            if (result == esputnik::ReplyDecoder::Result::reply) {
                return reply_;
            }
            ck_assert_msg(result == esputnik::ReplyDecoder::Result::need_more,
                          "%s", decoder_.error());
            char buffer[16384];
            const ssize_t n = read(fd_, buffer, sizeof(buffer));
            ck_assert_int_gt(n, 0);
            (void) decoder_.feed(buffer, static_cast<size_t>(n));
        }
    }

    const esputnik::Reply &command(
        std::initializer_list<std::string_view> arguments)
    {
        esputnik::Buffer out;
        ck_assert(esputnik::append_command(out, arguments));
        return send({out.data(), out.size()});
    }

    /* The elements of an array reply, a blank between two. */
    std::string words(std::initializer_list<std::string_view> arguments)
    {
        const esputnik::Reply &reply = command(arguments);
        std::string out;
        esputnik::Reply item = reply.first();
        for (size_t i = 0; i < reply.elements(); i++, item = item.next()) {
            out += (i ? " " : "") + std::string(item.text());
        }
        return out;
    }

    long long integer(std::initializer_list<std::string_view> arguments)
    {
        const esputnik::Reply &reply = command(arguments);
        ck_assert(reply.is(esputnik::ReplyType::integer));
        return reply.integer();
    }

private:
    int fd_ = -1;
    esputnik::ReplyDecoder decoder_;
    esputnik::Reply reply_;
};

class Server {
public:
    void start()
    {
        char dir[] = "/tmp/esputnik-unit-XXXXXX";
        ck_assert_ptr_nonnull(mkdtemp(dir));
        dir_ = dir;
        path_ = dir_ + "/redis.sock";

        /* of Redis, or of what TEST_REDIS names */
        const char *kind = getenv("TEST_REDIS");
        const std::string name = std::string(kind && *kind ? kind : "redis")
                                 + "-server";

        pid_ = fork();
        ck_assert_int_ge(pid_, 0);
        if (pid_ == 0) {
            execlp(name.c_str(), name.c_str(), "--port", "0", "--unixsocket",
                   path_.c_str(), "--dir", dir_.c_str(), "--save", "",
                   "--appendonly", "no", "--logfile", (dir_ + "/log").c_str(),
                   static_cast<char *>(nullptr));
            _exit(127);
        }
        for (int i = 0; i < 500; i++) {
            if (Connection(path_).connected()) {
                return;
            }
            usleep(20000);
        }
        ck_abort_msg("%s does not start", name.c_str());
    }

    void stop()
    {
        if (pid_ > 0) {
            kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
            pid_ = 0;
        }
        unlink(path_.c_str());
        unlink((dir_ + "/log").c_str());
        rmdir(dir_.c_str());
    }

    const std::string &path() const { return path_; }

private:
    std::string dir_;
    std::string path_;
    pid_t pid_ = 0;
};

#endif
