/* pace: when a picture of a recorded source is due, and which pictures the rate cap lets through. */
#ifndef RUNESPOOR_EDGE_PACE_H
#define RUNESPOOR_EDGE_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* A camera that could not hand over a picture for this many intervals has lost it. */
#define PACE_LATE_INTERVALS 2u

struct pace {
    uint64_t start_ns;    /* clock time of source time 0 */
    uint64_t interval_ns; /* nominal time between pictures of the source */
    uint64_t cap_ns;      /* shortest time between pictures that are sent; 0: no cap */
    uint64_t next_ns;     /* source time from which the cap lets the next one through */
};

/* source_fps may be 0 (unknown: 25 is assumed); cap_fps 0: no cap. */
void pace_init(struct pace *pace, double source_fps, double cap_fps, uint64_t now_ns);
/* Clock time at which the picture of this source time is due. */
uint64_t pace_due_ns(const struct pace *pace, uint64_t time_ns);
/* True when a real camera would have overwritten the picture by now. */
bool pace_is_late(const struct pace *pace, uint64_t due_ns, uint64_t now_ns);
/* False when the cap leaves the picture out. Keeps the cap's average: a 25 fps source capped at 10
 * gives 10, not 8.3. */
bool pace_admit(struct pace *pace, uint64_t time_ns);

#endif
