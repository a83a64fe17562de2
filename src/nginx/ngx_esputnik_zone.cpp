#include "ngx_esputnik_zone.h"
#include "ngx_esputnik_directives.h"
#include "ngx_esputnik_spool_conf.h"

#include <new>

namespace ngx_esputnik {

namespace {

constexpr size_t kDefaultSize = 1024 * 1024;

/* Of counters: more workers than that share some. */
constexpr ngx_int_t kMostSlots = 16;
constexpr ngx_int_t kFewestPlaces = 16;
constexpr ngx_int_t kMostPlaces = 256;

static_assert(kMostPlaces <= esputnik::SpoolAccount::kShares,
              "each place has a share in the account of each folder");

template <class T>
T *find(T *list, std::string_view name)
{
    for (; list != nullptr; list = list->next) {
        if (std::string_view(reinterpret_cast<char *>(list->name),
                             list->name_length)
            == name)
        {
            return list;
        }
    }
    return nullptr;
}

/* Slab memory is aligned to its size's power of two, so to a cache line here. */
template <class T>
T *make_array(ngx_slab_pool_t *pool, size_t n)
{
    return static_cast<T *>(ngx_slab_calloc(pool, n * sizeof(T)));
}

template <class T>
T *make_entry(ngx_slab_pool_t *pool, std::string_view name)
{
    T *entry = make_array<T>(pool, 1);
    if (entry != nullptr) {
        entry->name_length = ngx_min(name.size(), sizeof(entry->name));
        ngx_memcpy(entry->name, name.data(), entry->name_length);
    }
    return entry;
}

/* Only what is whole.  Workers are at the zone meanwhile, and go on with it
 * when this configuration is refused because the zone is too small for it. */
template <class T>
T *add_entry(T **list, T *entry)
{
    entry->next = *list;
    ngx_memory_barrier();
    *list = entry;
    return entry;
}

SharedTarget *find_or_add_target(ngx_slab_pool_t *pool, SharedRoot *root,
                                 std::string_view name)
{
    SharedTarget *target = find(root->targets, name);
    if (target != nullptr) {
        return target;
    }

    target = make_entry<SharedTarget>(pool, name);
    if (target == nullptr) {
        return nullptr;
    }

    target->gauges = make_array<esputnik::TargetGauges>(pool, root->places);
    if (target->gauges == nullptr) {
        ngx_slab_free(pool, target);
        return nullptr;
    }

    return add_entry(&root->targets, target);
}

SharedFolder *find_or_add_folder(ngx_slab_pool_t *pool, SharedRoot *root,
                                 std::string_view name)
{
    SharedFolder *folder = find(root->folders, name);
    if (folder != nullptr) {
        return folder;
    }

    folder = make_entry<SharedFolder>(pool, name);
    return folder != nullptr ? add_entry(&root->folders, folder) : nullptr;
}

SharedSpool *find_or_add_spool(ngx_slab_pool_t *pool, SharedRoot *root,
                               SharedFolder *folder, SharedTarget *target)
{
    for (SharedSpool *s = root->spools; s != nullptr; s = s->next) {
        if (s->folder == folder && s->target == target) {
            return s;
        }
    }

    auto *spool = make_array<SharedSpool>(pool, 1);
    if (spool == nullptr) {
        return nullptr;
    }

    new (&spool->spool) esputnik::SpoolShared();
    spool->folder = folder;
    spool->target = target;
    return add_entry(&root->spools, spool);
}

SharedRoot *make_root(ngx_slab_pool_t *pool)
{
    auto *root = make_array<SharedRoot>(pool, 1);
    if (root == nullptr) {
        return nullptr;
    }

    /* a worker that shuts down holds its place beside its successor */
    root->places = static_cast<size_t>(
        ngx_min(ngx_max(4 * ngx_ncpu, kFewestPlaces), kMostPlaces));
    root->workers = make_array<ngx_atomic_t>(pool, root->places);

    root->counter_slots = static_cast<size_t>(
        ngx_min(ngx_max(ngx_ncpu, 1), kMostSlots));
    root->counters = make_array<esputnik::Counters>(pool, root->counter_slots);

    const ngx_time_t *now = ngx_timeofday();
    root->since_ms = static_cast<uint64_t>(now->sec) * 1000 + now->msec;

    return root->workers != nullptr && root->counters != nullptr ? root
                                                                 : nullptr;
}

bool add_entries(ngx_slab_pool_t *pool, SharedRoot *root, MainConf *main)
{
    root->generations++;

    auto **target = static_cast<TargetConf **>(main->targets.elts);
    for (ngx_uint_t i = 0; i < main->targets.nelts; i++) {
        target[i]->generation = root->generations;
        target[i]->shared = find_or_add_target(pool, root,
                                               view(target[i]->name));
        if (target[i]->shared == nullptr) {
            return false;
        }
    }

    auto **folder = static_cast<SpoolFolderConf **>(main->folders.elts);
    for (ngx_uint_t i = 0; i < main->folders.nelts; i++) {
        folder[i]->shared = find_or_add_folder(pool, root,
                                               view(folder[i]->path));
        if (folder[i]->shared == nullptr) {
            return false;
        }
    }

    auto **spool = static_cast<SpoolConf **>(main->spools.elts);
    for (ngx_uint_t i = 0; i < main->spools.nelts; i++) {
        spool[i]->shared = find_or_add_spool(
            pool, root, spool[i]->folder->shared, spool[i]->target->shared);
        if (spool[i]->shared == nullptr) {
            return false;
        }
    }

    return true;
}

ngx_int_t init_zone(ngx_shm_zone_t *zone, void *old) noexcept
{
    auto *pool = reinterpret_cast<ngx_slab_pool_t *>(zone->shm.addr);
    auto *main = static_cast<MainConf *>(zone->data);
    SharedRoot *root;

    if (old != nullptr || zone->shm.exists) {
        root = static_cast<SharedRoot *>(pool->data);

    } else {
        root = make_root(pool);
        pool->data = root;
    }

    if (root == nullptr || !add_entries(pool, root, main)) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "\"esputnik_zone\" \"%V\" is too small for this "
                      "configuration, expected a larger size",
                      &zone->shm.name);
        return NGX_ERROR;
    }

    main->shared = root;
    return init_spools(main->cycle, main);
}

} // namespace

char *set_zone(ngx_conf_t *cf, ngx_command_t *, void *conf) noexcept
{
    auto *main = static_cast<MainConf *>(conf);
    auto *value = static_cast<ngx_str_t *>(cf->args->elts);

    if (main->zone_size != 0) {
        return const_cast<char *>("is duplicate");
    }

    if (value[1].len == 0) {
        return refuse_value(cf, value[0], value[1], "a name");
    }

    const ssize_t size = ngx_parse_size(&value[2]);
    if (size == NGX_ERROR || size < static_cast<ssize_t>(16 * ngx_pagesize)) {
        return refuse_value(cf, value[0], value[2],
                            "a size of at least 16 pages, as in \"1m\"");
    }

    main->zone_name = value[1];
    main->zone_size = static_cast<size_t>(size);
    return NGX_CONF_OK;
}

ngx_int_t add_zone(ngx_conf_t *cf, MainConf *main)
{
    if (main->zone_size == 0) {
        if (main->targets.nelts == 0 && main->counted == 0) {
            return NGX_OK;  /* the module is loaded, and nothing uses it */
        }
        ngx_str_set(&main->zone_name, "esputnik");
        main->zone_size = kDefaultSize;
    }

    ngx_shm_zone_t *zone = ngx_shared_memory_add(
        cf, &main->zone_name, main->zone_size, &ngx_esputnik_module);
    if (zone == nullptr) {
        return NGX_ERROR;
    }

    main->cycle = cf->cycle;
    zone->init = init_zone;
    zone->data = main;
    return NGX_OK;
}

} // namespace ngx_esputnik
