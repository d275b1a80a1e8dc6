/* pool_options: the option tables of the pool, and how the processors are shared out. */
#include "devices/pool_parts.h"

#include <sched.h>
#include <unistd.h>

static const char *const device_words[] = { "cpu", "simulated", NULL };

const struct option_spec device_options[] = {
    OPTION_STRING(device_config, name, "", "name in logs and metrics; empty: kind and number"),
    OPTION_ENUM(device_config, kind, "cpu", device_words,
                "what works: this machine's processors, or a stand-in that only takes its time"),
    OPTION_U32(device_config, threads, "0", 0, 1024, "threads",
               "cpu: threads of this worker; 0: an even share of the processors"),
    OPTION_U32(device_config, service_ms, "20", 1, 60000, "ms",
               "simulated: time that it takes for a picture"),
    OPTION_END,
};

const struct option_spec pool_options[] = {
    OPTION_LIST(pool_config, devices, device_config, device_options, 0, POOL_WORKERS_MAX,
                "worker processes, one device each; none given: one cpu worker"),
    OPTION_U32(pool_config, hang_ms, "10000", 100, 600000, "ms",
               "a worker that takes longer for one picture is killed and started again"),
    OPTION_U32(pool_config, start_ms, "120000", 1000, 3600000, "ms",
               "a worker whose models are not loaded and checked by then is started again"),
    OPTION_U32(pool_config, queue_per_stream, "4", 1, 1024, "pictures",
               "pictures of a stream that may wait for a worker; the oldest is dropped beyond"),
    OPTION_BOOL(pool_config, round_robin, "false",
                "give pictures to the workers strictly in turn; slower, for comparison only"),
    OPTION_END,
};

void pool_share_threads(const struct device_config *devices, size_t count, uint32_t processors,
                        uint32_t *threads)
{
    uint32_t fixed = 0, open = 0;
    for (size_t i = 0; i < count; i++) {
        threads[i] = devices[i].kind == DEVICE_CPU ? devices[i].threads : 0;
        fixed += threads[i];
        open += devices[i].kind == DEVICE_CPU && devices[i].threads == 0;
    }
    uint32_t left = processors > fixed ? processors - fixed : 0;
    for (size_t i = 0; i < count; i++) {
        if (devices[i].kind != DEVICE_CPU || devices[i].threads != 0)
            continue;
        uint32_t share = (left + open - 1) / open; /* the first ones get what does not divide */
        threads[i] = share > 0 ? share : 1;
        left -= share;
        open--;
    }
}

uint32_t pool_count_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (uint32_t)CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}
