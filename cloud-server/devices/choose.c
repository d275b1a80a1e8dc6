/* choose: to the first free worker, the fastest of them; with two exceptions.
 *
 * Waiting for a faster one. A free but slow worker is passed over while the faster ones, though
 * busy, are expected to finish everything that waits before it would finish one picture. Simulated
 * with a device of 3 ms beside one of 60 ms and 16 streams of 10 fps (half load), this brings the
 * 99th percentile of a picture's age from 62 ms to 10 ms. It must cost no throughput: as soon as a
 * stream's queue is full every free worker takes a picture at once, and with a source faster than
 * all workers (20, 40 and 80 ms) the simulated throughput is the same to 0.1 %.
 *
 * A second job, see CHOOSE_SECOND_JOB_BELOW_NS: to the worker that is expected to be free first,
 * since the picture would go there anyway; behind an idle job only if that is done as soon. */
#include "devices/choose.h"

#include "devices/orders.h"

#include <assert.h>

#define MEAN_WEIGHT 8 /* the mean follows a change of speed within some ten pictures */

static bool has_room(const struct worker_load *load);
static size_t fastest_free(const struct worker_load *loads, size_t count);
static size_t soonest_free(const struct worker_load *loads, size_t count, uint64_t now_ns);
static bool faster_ones_finish_all(const struct worker_load *loads, size_t count, size_t than,
                                   size_t waiting, uint64_t now_ns, uint64_t *finish_ns);
static bool is_predictable(const struct worker_load *load, uint64_t now_ns);
static uint64_t free_at_ns(const struct worker_load *load, uint64_t now_ns);

size_t choose_worker(const struct worker_load *loads, size_t count, size_t waiting, bool room_left,
                     uint64_t now_ns, uint64_t *again_ns)
{
    assert(count <= POOL_WORKERS_MAX && waiting > 0);
    *again_ns = 0;
    size_t idle = fastest_free(loads, count);
    if (idle != CHOOSE_NONE &&
        (!room_left || !faster_ones_finish_all(loads, count, idle, waiting, now_ns, again_ns)))
        return idle;
    size_t soon = soonest_free(loads, count, now_ns);
    if (soon != CHOOSE_NONE && has_room(&loads[soon]) &&
        loads[soon].mean_ns < CHOOSE_SECOND_JOB_BELOW_NS &&
        free_at_ns(&loads[soon], now_ns) < now_ns + CHOOSE_SECOND_JOB_BELOW_NS)
        return soon;
    return CHOOSE_NONE;
}

size_t choose_in_turn(const struct worker_load *loads, size_t count, size_t *turn)
{
    for (size_t i = 0; i < count; i++) {
        size_t index = (*turn + i) % count;
        if (!loads[index].ready)
            continue;
        if (!has_room(&loads[index]))
            return CHOOSE_NONE;
        *turn = (index + 1) % count;
        return index;
    }
    return CHOOSE_NONE;
}

uint64_t choose_mean_ns(uint64_t mean_ns, uint64_t took_ns)
{
    if (mean_ns == 0)
        return took_ns > 0 ? took_ns : 1;
    uint64_t next = mean_ns - mean_ns / MEAN_WEIGHT + took_ns / MEAN_WEIGHT;
    return next > 0 ? next : 1;
}

static bool has_room(const struct worker_load *load)
{
    return load->jobs < (load->overlapping ? WORKER_JOBS_OVERLAPPING : WORKER_JOBS);
}

/* One whose speed is not known yet (mean 0) comes first: so it becomes known. */
static size_t fastest_free(const struct worker_load *loads, size_t count)
{
    size_t best = CHOOSE_NONE;
    for (size_t i = 0; i < count; i++)
        if (loads[i].ready && loads[i].jobs == 0 &&
            (best == CHOOSE_NONE || loads[i].mean_ns < loads[best].mean_ns))
            best = i;
    return best;
}

static size_t soonest_free(const struct worker_load *loads, size_t count, uint64_t now_ns)
{
    size_t best = CHOOSE_NONE;
    for (size_t i = 0; i < count; i++)
        if (is_predictable(&loads[i], now_ns) &&
            (best == CHOOSE_NONE || free_at_ns(&loads[i], now_ns) < free_at_ns(&loads[best], now_ns)))
            best = i;
    return best;
}

/* Hands the waiting pictures to the busy workers that are faster, each to the one that would finish
 * it first; true when the last is finished before worker `than` would finish one that it begins
 * now. That time is *finish_ns: has a picture not gone by then, a worker is late, so ask again. */
static bool faster_ones_finish_all(const struct worker_load *loads, size_t count, size_t than,
                                   size_t waiting, uint64_t now_ns, uint64_t *finish_ns)
{
    uint64_t finish[POOL_WORKERS_MAX], mean[POOL_WORKERS_MAX];
    size_t faster = 0;
    for (size_t i = 0; i < count; i++)
        if (is_predictable(&loads[i], now_ns) && loads[i].mean_ns < loads[than].mean_ns) {
            mean[faster] = loads[i].mean_ns;
            finish[faster++] = free_at_ns(&loads[i], now_ns) + loads[i].mean_ns;
        }
    uint64_t last_ns = 0, limit_ns = now_ns + loads[than].mean_ns;
    for (; faster > 0 && waiting > 0 && last_ns < limit_ns; waiting--) {
        size_t first = 0;
        for (size_t i = 1; i < faster; i++)
            if (finish[i] < finish[first])
                first = i;
        last_ns = finish[first];
        finish[first] += mean[first];
    }
    if (faster == 0 || waiting > 0 || last_ns >= limit_ns)
        return false;
    *finish_ns = last_ns;
    return true;
}

/* Busy, of known speed, and not so late that something must be wrong with it. */
static bool is_predictable(const struct worker_load *load, uint64_t now_ns)
{
    return load->ready && load->jobs > 0 && load->mean_ns > 0 && load->work_ns > 0 &&
           now_ns <= load->begun_ns + 2 * load->work_ns;
}

static uint64_t free_at_ns(const struct worker_load *load, uint64_t now_ns)
{
    uint64_t end_ns = load->begun_ns + load->work_ns;
    return (end_ns > now_ns ? end_ns : now_ns) + load->behind * load->mean_ns;
}
