/* batch: see the header for the rules. */
#include "devices/batch.h"

#include "base/clock.h"

#include <assert.h>

#define US_PER_S 1e6

static double us_each(const struct batch_times *times, unsigned step);
static unsigned best_step(const struct batch_times *times, uint32_t pictures);

unsigned batch_step(uint32_t pictures)
{
    unsigned step = 0;
    while (UINT32_C(1) << step < pictures)
        step++;
    assert(UINT32_C(1) << step == pictures && step < POOL_BATCH_STEPS);
    return step;
}

uint32_t batch_size(const struct batch_times *times, uint32_t waiting)
{
    assert(waiting > 0);
    return UINT32_C(1) << best_step(times, waiting);
}

bool batch_waits(const struct batch_times *times, const struct batch_waiting *waiting,
                 const struct idle_forecast *forecast, uint64_t now_ns)
{
    if (now_ns >= waiting->until_ns || forecast->next_ns > waiting->until_ns)
        return false;
    unsigned now = best_step(times, waiting->pictures);
    unsigned all = best_step(times, POOL_BATCH_MAX);
    if (all <= now || times->us[0] == 0)
        return false;
    return BATCH_LOAD_PART * forecast->rate_hz * times->us[0] >= US_PER_S * (double)waiting->workers;
}

static double us_each(const struct batch_times *times, unsigned step)
{
    return (double)times->us[step] / (double)(UINT32_C(1) << step);
}

/* The step that takes the least time for each of at most so many pictures; of equals, the smaller. */
static unsigned best_step(const struct batch_times *times, uint32_t pictures)
{
    unsigned best = 0;
    for (unsigned step = 1; step < POOL_BATCH_STEPS && UINT32_C(1) << step <= pictures; step++)
        if (times->us[step] > 0 && us_each(times, step) < us_each(times, best))
            best = step;
    return best;
}
