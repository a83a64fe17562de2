/* What is said first on a connection: who we are and which database, and,
 * behind sentinels, whether this is the master at all. */

#include "ngx_esputnik_count.h"
#include "ngx_esputnik_link.h"
#include "ngx_esputnik_target.h"

#include "esputnik_command.h"
#include "esputnik_redis_error.h"

namespace ngx_esputnik {

bool Link::add_step(Step step, std::initializer_list<std::string_view> command)
{
    if (!append_command(greeting_, command)) {
        return false;
    }
    steps_[step_count_++] = step;
    return true;
}

/* All of it leaves in one piece. */
bool Link::compose_greeting()
{
    const TargetConf *conf = target_->conf();
    const bool sentinel = kind_ == Kind::sentinel;
    const std::string_view user = view(sentinel ? conf->sentinel_user
                                                : conf->user);
    const std::string_view password = view(sentinel ? conf->sentinel_password
                                                    : conf->password);

    greeting_.clear();
    greeting_sent_ = 0;
    step_ = step_count_ = 0;

    if (!user.empty()) {
        /* also without a password: a user with nopass has none, and the
         * default user is another one */
        if (!add_step(Step::auth, {"AUTH", user, password})) {
            return false;
        }
    } else if (!password.empty() && !add_step(Step::auth, {"AUTH", password})) {
        return false;
    }

    u_char text[64];
    const u_char *end;

    if (conf->database != 0 && !sentinel) {
        end = ngx_sprintf(text, "%ui", conf->database);
        if (!add_step(Step::select,
                      {"SELECT",
                       {reinterpret_cast<char *>(text), size_t(end - text)}}))
        {
            return false;
        }
    }

    end = ngx_sprintf(text, "ngx_esputnik-%P-%ui", ngx_pid, number_);
    if (!add_step(Step::name,
                  {"CLIENT",
                   "SETNAME",
                   {reinterpret_cast<char *>(text), size_t(end - text)}}))
    {
        return false;
    }

    if (kind_ == Kind::master && !add_step(Step::role, {"ROLE"})) {
        return false;
    }

    /* before anything is stored that could not be confirmed; of WAIT it is
     * known that there is one */
    return lane_ != esputnik::AckMode::aof
           || add_step(Step::probe, {"WAITAOF", "1", "0", "1"});
}

void Link::write_greeting()
{
    while (greeting_sent_ < greeting_.size()) {
        const ssize_t n = connection_->send(
            connection_,
            reinterpret_cast<u_char *>(greeting_.data() + greeting_sent_),
            greeting_.size() - greeting_sent_);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n <= 0) {
            cannot("writing to Redis failed");
            return;
        }

        greeting_sent_ += static_cast<size_t>(n);
    }

    if (greeting_sent_ == greeting_.size()) {
        /* it holds the password */
        explicit_bzero(greeting_.data(), greeting_.size());
        greeting_.clear();
        greeting_sent_ = 0;

    } else if (ngx_handle_write_event(connection_->write, 0) != NGX_OK) {
        down("cannot watch the connection");
        return;
    }

    if (ngx_handle_read_event(connection_->read, 0) != NGX_OK) {
        down("cannot watch the connection");
    }
}

void Link::greeted(const esputnik::Reply &reply)
{
    const Step step = steps_[step_++];

    if (step == Step::probe) {
        esputnik::Ack ack;
        esputnik::RedisError error;
        ack.mode = lane_;

        const auto result = read_ack(reply, ack, &error);
        unfit_ = reply.is_error();
        if (unfit_) {
            count::redis_error(target_->conf(), error);
            down(result == esputnik::AckResult::unsupported
                     ? std::string_view(ack_text(result, ack))
                     : reply.text());
            return;
        }

    } else if (step == Step::role) {
        const char *why = owner_->refuses(this, reply);
        if (why != nullptr) {
            down(why);
            return;
        }

    } else if (reply.is_error()) {
        const auto error = esputnik::classify_redis_error(reply.text());
        count::redis_error(target_->conf(), error);

        /* A name is a courtesy: a user that may not set one can push all the
         * same. */
        if (step != Step::name || esputnik::redis_error_closes(error)) {
            down(reply.text());
            return;
        }

    } else if (step != Step::name && !reply.is_status("OK")) {
        down("Redis answered the greeting with something else than OK");
        return;
    }

    if (step_ == step_count_) {
        ready();
    }
}

void Link::ready()
{
    ngx_del_timer(connection_->write);

    state_ = State::ready;
    addresses_.worked();
    backing_off_ = false;
    ready_at_ = ngx_current_msec;
    progress();

    count::connected(target_->conf(), was_ready_);
    was_ready_ = true;
    tell();

    if (!pipeline_.empty()) {
        arm(ngx_current_msec + target_->conf()->timeout);
        if (!flush_event_.posted) {
            ngx_post_event(&flush_event_, &ngx_posted_events);
        }
    }

    owner_->ready(this);
}

} // namespace ngx_esputnik
