#include "ngx_esputnik_folder.h"
#include "ngx_esputnik_gauge.h"
#include "ngx_esputnik_zone.h"

#include "esputnik_spool_dir.h"

namespace ngx_esputnik {

namespace folder {

namespace {

static_assert(kNoPlace == esputnik::SpoolAccount::kNoShare,
              "a worker without a place has no share");

/* Nothing is under way but the task that asks.  What workers had under way
 * that were killed is given back. */
bool at_rest(const SharedRoot *root, esputnik::SpoolAccount &account)
{
    bool rest = true;

    for (size_t i = 0; i < root->places; i++) {
        const uint64_t had = account.under_way(i);
        const uint64_t own = i == share() ? esputnik::SpoolAccount::kTask : 0;
        if (had == own) {
            continue;
        }

        const auto pid = static_cast<ngx_pid_t>(root->workers[i]);
        if (pid != 0 && worker_lives(pid)) {
            rest = false;
        } else {
            account.abandon(i, had);
        }
    }
    return rest;
}

} // namespace

esputnik::SpoolAccount &account(const SpoolConf *conf)
{
    return conf->shared->folder->account;
}

size_t share()
{
    return my_place();
}

bool recount(const SpoolConf *conf)
{
    const SharedRoot *root = conf->folder->root;
    esputnik::SpoolAccount &sum = account(conf);

    if (!at_rest(root, sum)) {
        return false;
    }

    const esputnik::SpoolAccount::Mark before = sum.mark();
    if (!at_rest(root, sum)) {
        return false;
    }

    const int64_t bytes = spool_bytes(
        esputnik::posix_files(),
        reinterpret_cast<char *>(conf->folder->path.data));

    return bytes >= 0 && at_rest(root, sum)
           && sum.correct(before, static_cast<uint64_t>(bytes));
}

} // namespace folder

} // namespace ngx_esputnik
