/* loop_bench: what the agent's unit tests share: a loop that turns until something holds or time is
 * up, a metrics registry, a folder, and numbers read from the registry. */
#ifndef RUNESPOOR_TESTS_EDGE_LOOP_BENCH_H
#define RUNESPOOR_TESTS_EDGE_LOOP_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "base/clock.h"
#include "net/metrics.h"
#include "../../patience.h"
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define TURN_MS 2u

struct loop_bench {
    uv_loop_t loop;
    uv_timer_t turn; /* so that a turn never sleeps long */
    struct metrics *metrics;
    char folder[64];
};

static inline void loop_bench_on_turn(uv_timer_t *timer)
{
    (void)timer;
}

static inline void loop_bench_open(struct loop_bench *bench)
{
    *bench = (struct loop_bench){ .folder = "/tmp/edge-test-XXXXXX" };
    assert_non_null(mkdtemp(bench->folder));
    assert_int_equal(uv_loop_init(&bench->loop), 0);
    uv_timer_init(&bench->loop, &bench->turn);
    uv_timer_start(&bench->turn, loop_bench_on_turn, TURN_MS, TURN_MS);
    assert_int_equal(metrics_create(&bench->metrics, NULL), 0);
}

static inline const char *loop_bench_path(const struct loop_bench *bench, const char *name)
{
    static char paths[4][400];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", bench->folder, name);
    return path;
}

/* Turns the loop until holds(arg), or fails the test after ms (with patience). holds NULL: just turns for ms. */
static inline void loop_bench_turn(struct loop_bench *bench, bool (*holds)(void *arg), void *arg,
                                   uint32_t ms)
{
    uint64_t end_ns = holds ? patience_until_ns(ms) : clock_now_ns() + ms * CLOCK_NS_PER_MS;
    while (!holds || !holds(arg)) {
        if (clock_now_ns() >= end_ns && holds)
            fail_msg("not so after %u ms", ms);
        if (clock_now_ns() >= end_ns)
            return;
        uv_run(&bench->loop, UV_RUN_ONCE);
    }
}

static inline void loop_bench_on_hang(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

/* Turns the loop until nothing is left on it, 30 s at most: whatever was opened has to be closed. */
static inline void loop_bench_run_out(struct loop_bench *bench)
{
    uv_timer_start(&bench->turn, loop_bench_on_hang, 30000, 0);
    uv_unref((uv_handle_t *)&bench->turn);
    int left = uv_run(&bench->loop, UV_RUN_DEFAULT);
    uv_ref((uv_handle_t *)&bench->turn);
    uv_timer_start(&bench->turn, loop_bench_on_turn, TURN_MS, TURN_MS);
    if (left)
        fail_msg("the loop does not come to rest");
}

static inline void loop_bench_close(struct loop_bench *bench)
{
    loop_bench_run_out(bench);
    uv_close((uv_handle_t *)&bench->turn, NULL);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&bench->loop), 0);
    metrics_destroy(&bench->metrics);
    DIR *folder = opendir(bench->folder);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            unlink(loop_bench_path(bench, entry->d_name));
    if (folder)
        closedir(folder);
    assert_int_equal(rmdir(bench->folder), 0);
}

/* A series of the registry: the one with this label value, or the sum of all when value is NULL. */
struct loop_bench_series {
    const char *name, *value;
    uint64_t sum;
};

static inline void loop_bench_add_series(void *arg, const char *name, char kind,
                                         const struct metric_label *labels, size_t label_count,
                                         const void *handle)
{
    struct loop_bench_series *series = arg;
    bool named = !series->value;
    for (size_t i = 0; i < label_count; i++)
        named = named || strcmp(labels[i].value, series->value) == 0;
    if (strcmp(name, series->name) != 0 || !named)
        return;
    if (kind == 'c')
        series->sum += metric_counter_get(handle);
    if (kind == 'g')
        series->sum += (uint64_t)metric_gauge_get(handle);
}

static inline uint64_t loop_bench_count(const struct loop_bench *bench, const char *name,
                                        const char *value)
{
    struct loop_bench_series series = { name, value, 0 };
    metrics_visit(bench->metrics, loop_bench_add_series, &series);
    return series.sum;
}

#endif
