/* pace: see the header. */
#include "pace.h"

#include "base/clock.h"
#include "media/encode_rung.h"

#define FPS_ASSUMED 25.0 /* where a source does not tell */

static uint64_t interval_ns(double fps)
{
    return (uint64_t)((double)CLOCK_NS_PER_S / fps);
}

void pace_init(struct pace *pace, double source_fps, double cap_fps, uint64_t now_ns)
{
    *pace = (struct pace){
        .source_fps = source_fps,
        .start_ns = now_ns,
        .interval_ns = interval_ns(source_fps > 0 ? source_fps : FPS_ASSUMED),
    };
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
    if (late_ns <= PACE_LATE_INTERVALS * pace->interval_ns) {
        pace->late_ns = 0;
        return false;
    }
    if (pace->late_ns == 0 || late_ns < pace->late_ns) { /* the first one, or catching up */
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
