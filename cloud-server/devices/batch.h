/* batch: how many of the pictures that wait a worker analyses together, and whether a picture waits for others to
 * come. There are plans for 1, 2, 4, … pictures; how long each takes is measured with the model's sample when
 * a worker starts, so that pictures go together only where that takes less time than one after the other.
 *
 * While a worker is at work, pictures wait anyway and the next batch grows by itself. A worker that stands idle
 * takes what there is, unless all of this holds:
 *
 *   - one more picture of the model is expected in time (idle.h), at most pool.batch_wait_ms after the oldest
 *     that waits has come;
 *   - a larger batch takes less time for each picture;
 *   - one by one, the model's pictures would keep the workers busy for more than one part in
 *     BATCH_LOAD_PART: with less to do, waiting would save time that nobody needs.
 *
 * Pure functions of what is known, like choose.h. */
#ifndef RUNESPOOR_DEVICES_BATCH_H
#define RUNESPOOR_DEVICES_BATCH_H

#include "devices/idle.h"
#include "devices/pool.h"

#define BATCH_LOAD_PART 2u

/* How long runs of 1, 2, 4, … pictures of one model take on one worker; 0: there is no plan for so many. */
struct batch_times {
    uint32_t us[POOL_BATCH_STEPS];
};

/* What waits for a worker, and could go together. */
struct batch_waiting {
    uint32_t pictures; /* at least one */
    uint64_t until_ns; /* it may wait until then */
    size_t workers;    /* that are ready */
};

/* Which of the runs of 1, 2, 4, … pictures is one of so many. */
unsigned batch_step(uint32_t pictures);
/* How many of so many pictures (at least one) to analyse together: as takes the least time for each. */
uint32_t batch_size(const struct batch_times *times, uint32_t waiting);
/* True when they shall wait for more. forecast: of the model's streams. */
bool batch_waits(const struct batch_times *times, const struct batch_waiting *waiting,
                 const struct idle_forecast *forecast, uint64_t now_ns);

#endif
