/* pace: when a picture of a recorded source is due, and which pictures the rate cap lets through. */
#ifndef RUNESPOOR_EDGE_PACE_H
#define RUNESPOOR_EDGE_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* A camera that could not hand over a picture for this many intervals has lost it. */
#define PACE_LATE_INTERVALS 2u

struct pace {
    double source_fps;    /* 0: unknown */
    uint64_t start_ns;    /* clock time of source time 0 */
    uint64_t interval_ns; /* nominal time between pictures of the source */
    uint64_t late_ns; /* how late the last picture was, if it was left out for that; 0: it was not */
    uint64_t cap_ns;  /* shortest time between pictures that are sent; 0: no cap */
    uint64_t next_ns; /* source time from which the cap lets the next one through */
};

/* source_fps may be 0 (unknown); cap_fps 0: no cap. */
void pace_init(struct pace *pace, double source_fps, double cap_fps, uint64_t now_ns);
/* Another cap, counted from the next picture on. */
void pace_set_cap(struct pace *pace, double cap_fps);
/* Pictures a second that come out: the source's rate, or the cap where that is lower. */
double pace_sent_fps(double source_fps, double cap_fps);

/* Clock time at which the picture of this source time is due. */
uint64_t pace_due_ns(const struct pace *pace, uint64_t time_ns);
/* True when a real camera would have overwritten the picture by now: leave it out. Where that does
 * not help because the source itself is too slow, the start is put off instead and it plays slower,
 * for else every picture would be too late: ask pace_due_ns again. */
bool pace_is_late(struct pace *pace, uint64_t time_ns, uint64_t now_ns);
/* False when the cap leaves the picture out. Keeps the cap's average: a 25 fps source capped at 10
 * gives 10, not 8.3. */
bool pace_admit(struct pace *pace, uint64_t time_ns);

#endif
