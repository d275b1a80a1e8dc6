/* pace: when a picture of a recorded source is due, when one of a live camera was taken, how many there are a
 * second, and which of them the rate cap lets through. */
#ifndef RUNESPOOR_EDGE_PACE_H
#define RUNESPOOR_EDGE_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* A camera that could not hand over a picture for this many intervals has lost it. */
#define PACE_LATE_INTERVALS 2u
/* A live camera's picture that comes this much later than others do has waited somewhere on the way, as
 * after a hole in the network: the newest matters. */
#define PACE_LIVE_LATE_NS 1000000000u
/* A rate is measured over at least this much. */
#define PACE_RATE_NS 2000000000u
#define PACE_RATE_PICTURES 10u

struct pace {
    bool live, begun;
    double source_fps;    /* 0: unknown */
    uint64_t start_ns;    /* clock time of source time 0 */
    uint64_t interval_ns; /* nominal time between pictures of the source */
    uint64_t late_max_ns;
    uint64_t late_ns; /* how late the last picture was, if it was left out for that; 0: it was not */
    uint64_t cap_ns;  /* shortest time between pictures that are sent; 0: no cap */
    uint64_t next_ns; /* source time from which the cap lets the next one through */
};

/* source_fps may be 0 (unknown); cap_fps 0: no cap. */
void pace_init(struct pace *pace, double source_fps, double cap_fps, uint64_t now_ns);
/* The same for a live camera, whose time begins with the first pace_arrive. */
void pace_init_live(struct pace *pace, double source_fps, double cap_fps);
/* A live camera's picture of this source time is here: pace_due_ns tells from then on when it was taken, by
 * the camera's clock set by the pictures that were fastest to come. */
void pace_arrive(struct pace *pace, uint64_t time_ns, uint64_t now_ns);
/* Another rate of the source, and the cap beside it. */
void pace_set_source(struct pace *pace, double source_fps, double cap_fps);
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

/* How many pictures a second a live camera gives. All zero to begin with. */
struct pace_rate {
    uint64_t since_ns; /* source time of the first picture of this measurement */
    uint32_t count;
    bool doubted; /* the last measurement was far from what was believed */
    double fps;   /* the last measurement */
};
/* One more picture. True when fps is now to be believed instead of known_fps: where that is 0 (unknown)
 * after one measurement, else after two that agree and are a quarter off. */
bool pace_rate_add(struct pace_rate *rate, uint64_t time_ns, double known_fps);

#endif
