/* pace: see the header. */
#include "pace.h"

#include "base/clock.h"

#define FPS_ASSUMED 25.0

void pace_init(struct pace *pace, double source_fps, double cap_fps, uint64_t now_ns)
{
    double fps = source_fps > 0 ? source_fps : FPS_ASSUMED;
    *pace = (struct pace){
        .start_ns = now_ns,
        .interval_ns = (uint64_t)((double)CLOCK_NS_PER_S / fps),
        .cap_ns = cap_fps > 0 && cap_fps < fps ? (uint64_t)((double)CLOCK_NS_PER_S / cap_fps) : 0,
    };
}

uint64_t pace_due_ns(const struct pace *pace, uint64_t time_ns)
{
    return pace->start_ns + time_ns;
}

bool pace_is_late(const struct pace *pace, uint64_t due_ns, uint64_t now_ns)
{
    return now_ns > due_ns + PACE_LATE_INTERVALS * pace->interval_ns;
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
