/* pace: see the header. */
#include "pace.h"

#include "base/clock.h"
#include "media/encode_rung.h"

#define FPS_ASSUMED 25.0 /* where a source does not tell */
/* A camera's clock may be slower than ours by one part in this many without its pictures looking older and
 * older: ten times what quartz is off. */
#define DRIFT_PART 2000u

static uint64_t interval_ns(double fps)
{
    return (uint64_t)((double)CLOCK_NS_PER_S / fps);
}

void pace_init(struct pace *pace, double source_fps, double cap_fps, uint64_t now_ns)
{
    *pace = (struct pace){ .start_ns = now_ns };
    pace_set_source(pace, source_fps, cap_fps);
}

void pace_init_live(struct pace *pace, double source_fps, double cap_fps)
{
    *pace = (struct pace){ .live = true };
    pace_set_source(pace, source_fps, cap_fps);
}

void pace_arrive(struct pace *pace, uint64_t time_ns, uint64_t now_ns)
{
    if (!pace->begun || pace_due_ns(pace, time_ns) > now_ns)
        pace->start_ns = now_ns - time_ns;
    else
        pace->start_ns += pace->interval_ns / DRIFT_PART;
    pace->begun = true;
}

void pace_set_source(struct pace *pace, double source_fps, double cap_fps)
{
    pace->source_fps = source_fps;
    pace->interval_ns = interval_ns(source_fps > 0 ? source_fps : FPS_ASSUMED);
    pace->late_max_ns = PACE_LATE_INTERVALS * pace->interval_ns;
    if (pace->live && pace->late_max_ns < PACE_LIVE_LATE_NS)
        pace->late_max_ns = PACE_LIVE_LATE_NS;
    pace_set_cap(pace, cap_fps);
}

void pace_set_cap(struct pace *pace, double cap_fps)
{
    /* A source of just that rate is let through whole, however uneven its pictures come. */
    bool holds = cap_fps > 0 && (pace->source_fps <= 0 || cap_fps < pace->source_fps);
    pace->cap_ns = holds ? interval_ns(cap_fps) : 0;
    pace->next_ns = 0;
}

double pace_sent_fps(double source_fps, double cap_fps)
{
    return rung_sent_fps(source_fps, cap_fps);
}

uint64_t pace_due_ns(const struct pace *pace, uint64_t time_ns)
{
    return pace->start_ns + time_ns;
}

bool pace_is_late(struct pace *pace, uint64_t time_ns, uint64_t now_ns)
{
    uint64_t due_ns = pace_due_ns(pace, time_ns);
    uint64_t late_ns = now_ns > due_ns ? now_ns - due_ns : 0;
    if (late_ns <= pace->late_max_ns) {
        pace->late_ns = 0;
        return false;
    }
    /* What drifts a little is not catching up. */
    uint64_t gain_ns = pace->live ? pace->interval_ns / 4 : 0;
    if (pace->late_ns == 0 || late_ns + gain_ns < pace->late_ns) { /* the first one, or catching up */
        pace->late_ns = late_ns;
        return true;
    }
    pace->start_ns += late_ns;
    pace->late_ns = 0;
    return false;
}

bool pace_admit(struct pace *pace, uint64_t time_ns)
{
    if (pace->cap_ns == 0)
        return true;
    /* Half a source interval of slack: timestamps are rounded, and the nearest picture is wanted. */
    if (time_ns + pace->interval_ns / 2 < pace->next_ns)
        return false;
    pace->next_ns += pace->cap_ns;
    if (pace->next_ns < time_ns) /* after a gap in the source: no burst to catch up */
        pace->next_ns = time_ns + pace->cap_ns;
    return true;
}

static bool is_near(double fps, double other, double part)
{
    return fps > other * (1 - part) && fps < other * (1 + part);
}

bool pace_rate_add(struct pace_rate *rate, uint64_t time_ns, double known_fps)
{
    if (rate->count == 0 || time_ns < rate->since_ns) {
        rate->since_ns = time_ns;
        rate->count = 1;
        return false;
    }
    uint64_t elapsed_ns = time_ns - rate->since_ns;
    if (rate->count++ < PACE_RATE_PICTURES || elapsed_ns < PACE_RATE_NS)
        return false;
    double fps = (double)(rate->count - 1) * (double)CLOCK_NS_PER_S / (double)elapsed_ns;
    bool off = known_fps <= 0 || !is_near(fps, known_fps, 0.25);
    bool sure = known_fps <= 0 || (rate->doubted && is_near(fps, rate->fps, 0.1));
    *rate = (struct pace_rate){ .since_ns = time_ns, .count = 1, .doubted = off, .fps = fps };
    return off && sure;
}
