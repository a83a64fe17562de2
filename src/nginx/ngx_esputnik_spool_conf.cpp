#include "ngx_esputnik_spool_conf.h"
#include "ngx_esputnik_directives.h"
#include "ngx_esputnik_redis_conf.h"
#include "ngx_esputnik_zone.h"

#include "esputnik_spool_dir.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace ngx_esputnik {

namespace {

constexpr size_t kMaxFolders = 64;

/* The locks of this process, which a reload keeps; known by their files. */
struct Lock {
    int fd;
    dev_t device;
    ino_t inode;
};

Lock locks[kMaxFolders];
size_t lock_count;

bool same_file(const Lock &lock, const struct stat &st)
{
    return lock.device == st.st_dev && lock.inode == st.st_ino;
}

bool locked(const ngx_str_t &path)
{
    char name[NGX_MAX_PATH + sizeof("/lock")];
    struct stat st;

    (void) ngx_sprintf(reinterpret_cast<u_char *>(name), "%V/lock%Z", &path);
    if (::stat(name, &st) != 0) {
        return false;
    }

    for (size_t i = 0; i < lock_count; i++) {
        if (same_file(locks[i], st)) {
            return true;
        }
    }
    return false;
}

bool remember_lock(int fd)
{
    struct stat st;

    if (lock_count == kMaxFolders || ::fstat(fd, &st) != 0) {
        return false;
    }
    locks[lock_count++] = {fd, st.st_dev, st.st_ino};
    return true;
}

/* The last ones, but for so many. */
void unlock_folders(size_t kept)
{
    while (lock_count > kept) {
        (void) ::close(locks[--lock_count].fd);
    }
}

bool lock_folder(ngx_cycle_t *cycle, const SpoolFolderConf *folder)
{
    if (locked(folder->path)) {
        return true;
    }

    const auto *ccf = reinterpret_cast<ngx_core_conf_t *>(
        ngx_get_conf(cycle->conf_ctx, ngx_core_module));
    const bool root = geteuid() == 0;
    const char *step = "";

    const int fd = esputnik::lock_spool(
        reinterpret_cast<char *>(folder->path.data),
        root ? static_cast<uid_t>(ccf->user) : static_cast<uid_t>(-1),
        root ? static_cast<gid_t>(ccf->group) : static_cast<gid_t>(-1), &step);

    if (fd == -EWOULDBLOCK) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "\"esputnik_spool\" \"%V\" is in use by another nginx",
                      &folder->path);
        return false;
    }

    if (fd < 0) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, -fd,
                      "\"esputnik_spool\" \"%V\": %s failed", &folder->path,
                      step);
        return false;
    }

    if (!remember_lock(fd)) {
        (void) ::close(fd);
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "\"esputnik_spool\" \"%V\" is one folder too many, "
                      "expected at most %uz",
                      &folder->path, kMaxFolders);
        return false;
    }

    /* not while workers of a reload or a binary upgrade may be writing */
    if (ngx_is_init_cycle(cycle->old_cycle)
        && std::getenv(NGINX_VAR) == nullptr) {
        esputnik::PosixFiles files;
        (void) clean_spool(files, reinterpret_cast<char *>(folder->path.data));
    }
    return true;
}

/* To the zone, from an earlier configuration. */
bool known(const MainConf *main, const SpoolFolderConf *folder)
{
    for (SharedSpool *s = main->shared->spools; s != nullptr; s = s->next) {
        if (s->folder == folder->shared && s->ready) {
            return true;
        }
    }
    return false;
}

bool has_segments(const esputnik::Array<esputnik::TargetStats> &found,
                  const ngx_str_t &target)
{
    for (const auto &stats : found) {
        if (stats.target_name() == view(target) && stats.segments != 0) {
            return true;
        }
    }
    return false;
}

/* What an earlier nginx left: counted, and above which sequence to go on.  The
 * account of a folder that this zone knows is kept by the workers. */
bool count_folder(ngx_cycle_t *cycle, MainConf *main,
                  const SpoolFolderConf *folder)
{
    esputnik::PosixFiles files;
    esputnik::Array<esputnik::TargetStats> found;
    esputnik::Array<esputnik::SpoolReport> reports;

    const int error = scan_spool(
        files, reinterpret_cast<char *>(folder->path.data), &found, &reports);
    const int64_t bytes = error < 0
                              ? error
                              : spool_bytes(files, reinterpret_cast<char *>(
                                                       folder->path.data));
    if (bytes < 0) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, static_cast<int>(-bytes),
                      "\"esputnik_spool\" \"%V\" cannot be read",
                      &folder->path);
        return false;
    }
    if (!known(main, folder)) {
        folder->shared->account.found(static_cast<uint64_t>(bytes));
    }

    uint64_t sequence = 0;
    for (const auto &stats : found) {
        sequence = ngx_max(sequence, stats.max_sequence);
    }

    auto **spool = static_cast<SpoolConf **>(main->spools.elts);

    for (ngx_uint_t i = 0; i < main->spools.nelts; i++) {
        if (spool[i]->folder != folder || spool[i]->shared->ready) {
            continue;
        }

        uint64_t records = 0;
        uint64_t events = 0;
        for (const auto &stats : found) {
            if (stats.target_name() == view(spool[i]->target->name)) {
                records = stats.records;
                events = stats.events;
            }
        }

        spool[i]->shared->spool.init(sequence + 1, records, events);
        spool[i]->shared->ready = 1;

        if (!has_segments(found, spool[i]->target->name)) {
            /* nothing to read first: the direct way is open at once */
            (void) spool[i]->shared->spool.finish_read(
                spool[i]->shared->spool.begin_read());
        }

        if (records != 0) {
            ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                          "esputnik: spool \"%V\" holds %uL events for "
                          "redis \"%V\"",
                          &folder->path, events, &spool[i]->target->name);
        }
    }

    return true;
}

/* It is one, or its parent is. */
bool can_be_folder(ngx_cycle_t *cycle, const ngx_str_t &path)
{
    char name[NGX_MAX_PATH];
    struct stat st = {};  /* no folder, should none be found */

    ngx_memcpy(name, path.data, path.len + 1);

    if (::stat(name, &st) != 0 && errno == ENOENT) {
        char *slash = std::strrchr(name, '/');
        if (slash != nullptr) {
            slash[slash == name ? 1 : 0] = '\0';
        }
        (void) ::stat(name, &st);
    }

    if (!S_ISDIR(st.st_mode)) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "\"esputnik_spool\" \"%V\" is not what is expected, a "
                      "folder or a name in one",
                      &path);
        return false;
    }
    return true;
}

bool needs_count(const MainConf *main, const SpoolFolderConf *folder)
{
    auto **spool = static_cast<SpoolConf **>(main->spools.elts);

    for (ngx_uint_t i = 0; i < main->spools.nelts; i++) {
        if (spool[i]->folder == folder && !spool[i]->shared->ready) {
            return true;
        }
    }
    return false;
}

SpoolFolderConf *find_folder(MainConf *main, const ngx_str_t &path)
{
    auto **folder = static_cast<SpoolFolderConf **>(main->folders.elts);

    for (ngx_uint_t i = 0; i < main->folders.nelts; i++) {
        if (view(folder[i]->path) == view(path)) {
            return folder[i];
        }
    }
    return nullptr;
}

SpoolFolderConf *add_folder(ngx_conf_t *cf, MainConf *main,
                            const ngx_str_t &path)
{
    auto *folder = static_cast<SpoolFolderConf *>(
        ngx_pcalloc(cf->pool, sizeof(SpoolFolderConf)));
    auto **slot = static_cast<SpoolFolderConf **>(
        ngx_array_push(&main->folders));

    if (folder == nullptr || slot == nullptr) {
        return nullptr;
    }
    folder->path = path;
    *slot = folder;
    return folder;
}

bool differs(ngx_conf_t *cf, const SpoolConf *spool, const char *directive)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%s\" differs between locations that share "
                       "\"esputnik_spool\" \"%V\" and redis \"%V\", expected "
                       "the same in all of them, or another folder",
                       directive, &spool->folder->path, &spool->target->name);
    return false;
}

/* Streams have no esputnik_max_length, and are not concerned. */
bool pushes_to_lists(const LocConf *conf)
{
    return conf->push != static_cast<ngx_uint_t>(Push::xadd);
}

/* One drain delivers what all locations of a folder and a target have
 * spooled, and nothing in a record says whose it is: they have to agree. */
bool goes_with(ngx_conf_t *cf, SpoolConf *spool, const LocConf *conf)
{
    if (!same_login(spool->target, conf->target)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"esputnik_spool\" \"%V\" has events for redis "
                           "\"%V\" from another location already, expected "
                           "the same user and password there, or another "
                           "folder",
                           &spool->folder->path, &spool->target->name);
        return false;
    }

    if (spool->ack.mode != conf->ack.mode
        || spool->ack.replicas != conf->ack.replicas)
    {
        return differs(cf, spool, "esputnik_ack");
    }

    if (pushes_to_lists(conf)) {
        if (spool->lists && spool->max_length != conf->max_length) {
            return differs(cf, spool, "esputnik_max_length");
        }
        spool->lists = true;
        spool->max_length = conf->max_length;
    }
    return true;
}

} // namespace

char *set_spool(ngx_conf_t *cf, ngx_command_t *, void *conf) noexcept
{
    auto *lcf = static_cast<LocConf *>(conf);
    auto *value = static_cast<ngx_str_t *>(cf->args->elts);
    MainConf *main = main_conf(cf);

    if (lcf->folder != NGX_CONF_UNSET_PTR) {
        return const_cast<char *>("is duplicate");
    }

    if (view(value[1]) == "off" && cf->args->nelts == 2) {
        lcf->folder = nullptr;
        return NGX_CONF_OK;
    }

    if (value[1].len == 0) {
        return refuse_value(cf, value[0], value[1], "a folder, or \"off\"");
    }

    size_t max_size = 0;
    if (cf->args->nelts == 3) {
        constexpr std::string_view prefix = "max_size=";
        ngx_str_t text = value[2];
        off_t size = NGX_ERROR;

        if (view(text).substr(0, prefix.size()) == prefix) {
            text.data += prefix.size();
            text.len -= prefix.size();
            size = ngx_parse_offset(&text);
        }
        if (size == NGX_ERROR || size < 64 * 1024) {
            return refuse_value(cf, value[0], value[2],
                                "\"max_size=SIZE\" of at least 64k");
        }
        max_size = static_cast<size_t>(size);
    }

    ngx_str_t path = value[1];
    while (path.len > 1 && path.data[path.len - 1] == '/') {
        path.data[--path.len] = '\0';
    }
    if (ngx_conf_full_name(cf->cycle, &path, 0) != NGX_OK) {
        return static_cast<char *>(NGX_CONF_ERROR);
    }
    if (path.len + 64 > NGX_MAX_PATH) {
        return refuse_value(cf, value[0], value[1], "a shorter path");
    }

    SpoolFolderConf *folder = find_folder(main, path);
    if (folder == nullptr) {
        folder = add_folder(cf, main, path);
        if (folder == nullptr) {
            return static_cast<char *>(NGX_CONF_ERROR);
        }
        folder->max_size = max_size;

    } else if (max_size != 0 && folder->max_size != 0
               && folder->max_size != max_size)
    {
        return refuse_value(cf, value[0], value[2],
                            "the same max_size as elsewhere for this folder");

    } else if (max_size != 0) {
        folder->max_size = max_size;
    }

    lcf->folder = folder;
    return NGX_CONF_OK;
}

SpoolConf *spool_conf(ngx_conf_t *cf, MainConf *main, const LocConf *conf)
{
    auto **known = static_cast<SpoolConf **>(main->spools.elts);

    /* by name: locations that differ in their timeouts share the records */
    for (ngx_uint_t i = 0; i < main->spools.nelts; i++) {
        if (known[i]->folder == conf->folder
            && view(known[i]->target->name) == view(conf->target->name))
        {
            return goes_with(cf, known[i], conf) ? known[i] : nullptr;
        }
    }

    if (conf->target->name.len > esputnik::kTargetMax) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the name \"%V\" is too long for \"esputnik_spool\""
                           ", expected a named \"esputnik_redis\" block",
                           &conf->target->name);
        return nullptr;
    }

#if !(NGX_THREADS)
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"esputnik_spool\" expects an nginx built "
                       "--with-threads");
    return nullptr;
#endif

    auto *spool = static_cast<SpoolConf *>(
        ngx_pcalloc(cf->pool, sizeof(SpoolConf)));
    auto **slot = static_cast<SpoolConf **>(ngx_array_push(&main->spools));
    if (spool == nullptr || slot == nullptr) {
        return nullptr;
    }

    spool->folder = conf->folder;
    spool->target = conf->target;
    spool->ack = conf->ack;
    spool->max_length = conf->max_length;
    spool->lists = pushes_to_lists(conf);
    spool->threads = ngx_thread_pool_add(cf, nullptr);
    if (spool->threads == nullptr) {
        return nullptr;
    }

    *slot = spool;
    return spool;
}

ngx_int_t init_spools(ngx_cycle_t *cycle, MainConf *main)
{
    auto **folder = static_cast<SpoolFolderConf **>(main->folders.elts);

    for (ngx_uint_t i = 0; i < main->folders.nelts; i++) {
        folder[i]->root = main->shared;
    }

    if (ngx_test_config) {
        /* another nginx may be at work there: a look, and no more */
        for (ngx_uint_t i = 0; i < main->folders.nelts; i++) {
            if (!can_be_folder(cycle, folder[i]->path)) {
                return NGX_ERROR;
            }
        }
        return NGX_OK;
    }

    const size_t kept = lock_count;

    for (ngx_uint_t i = 0; i < main->folders.nelts; i++) {
        if (!lock_folder(cycle, folder[i])) {
            unlock_folders(kept);
            return NGX_ERROR;
        }
    }

    /* What is counted stays locked, should this configuration be refused by
     * somebody else: the zone knows it from now on, and no other nginx may
     * change it. */
    for (ngx_uint_t i = 0; i < main->folders.nelts; i++) {
        if (needs_count(main, folder[i])
            && !count_folder(cycle, main, folder[i])) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}

} // namespace ngx_esputnik
