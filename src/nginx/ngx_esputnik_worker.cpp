#include "ngx_esputnik_worker.h"
#include "ngx_esputnik_delivery.h"
#include "ngx_esputnik_spool.h"
#include "ngx_esputnik_status.h"
#include "ngx_esputnik_target.h"

#include <new>

namespace ngx_esputnik {

namespace {

esputnik::Parser *worker_parser;
esputnik::PushPlan *worker_plan;

/* nullptr without an http block */
MainConf *cycle_conf(ngx_cycle_t *cycle)
{
    return static_cast<MainConf *>(
        ngx_http_cycle_get_module_main_conf(cycle, ngx_esputnik_module));
}

} // namespace

esputnik::Parser *parser()
{
    if (worker_parser == nullptr) {
        worker_parser = new (std::nothrow) esputnik::Parser();
    }
    return worker_parser;
}

esputnik::PushPlan *scratch_plan()
{
    if (worker_plan == nullptr) {
        worker_plan = new (std::nothrow) esputnik::PushPlan();
    }
    return worker_plan;
}

ngx_int_t init_process(ngx_cycle_t *cycle) noexcept
{
    MainConf *main = cycle_conf(cycle);
    const bool worker = ngx_process == NGX_PROCESS_WORKER
                        || ngx_process == NGX_PROCESS_SINGLE;

    if (main == nullptr || main->shared == nullptr || !worker) {
        return NGX_OK;
    }
    start_counting(cycle, main);
    return Spool::start(main);
}

void exit_process(ngx_cycle_t *cycle) noexcept
{
    Spool::end_all();
    Target::end_all();
    Delivery::end_all();

    MainConf *main = cycle_conf(cycle);
    if (main != nullptr && main->shared != nullptr) {
        end_counting(main);
    }

    delete worker_parser;
    worker_parser = nullptr;

    delete worker_plan;
    worker_plan = nullptr;
}

} // namespace ngx_esputnik
