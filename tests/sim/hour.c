/* hour: a camera stays away for an hour. The others do not notice: no frame of theirs is lost, no session
 * begins anew, and the memory in use is at the end what it was at the start. */
#include "sim.h"

#define CAMERAS 3u
#define AWAY_S 3600u
#define SETTLE_S 60u    /* of these: until waits between tries are as long as they get */
#define FPS 10u         /* of a simulated live camera */
#define TRIES_LEAST 80u /* one takes 10 s at most, and is waited for 30 s at most */
#define REST_NS (10 * SIM_S)
/* What libraries may keep for later use. A leak of 2 bytes a frame, or of 1 KiB a try, is more. */
#define GROWTH_BYTES_MAX (64u << 10)

struct figures {
    double captured[CAMERAS], answered[CAMERAS], dropped[CAMERAS];
    double sessions, link_tries, camera_tries;
    size_t memory_bytes;
};

static bool rests(const struct process *agent)
{
    return history_metric(agent, "edge_queue_depth", NULL) == 0 && server_side_unanswered() == 0;
}

/* Taken when no frame is on its way, so that the books are even. */
static void take_figures(const struct process *agent, const struct process *server,
                         struct figures *figures)
{
    static const char *const names[CAMERAS] = { "cam-0", "cam-1", "cam-2" };
    for (uint64_t until_ns = fiber_now_ns() + REST_NS; !rests(agent); history_pass(SIM_MS))
        SIM_CHECK(fiber_now_ns() < until_ns, "frames are always on their way");
    for (size_t i = 0; i < CAMERAS; i++) {
        figures->captured[i] = history_metric(agent, "edge_frames_captured_total", names[i]);
        figures->answered[i] = history_metric(agent, "edge_frames_answered_total", names[i]);
        figures->dropped[i] = history_metric(agent, "edge_frames_dropped_total", names[i]);
    }
    figures->sessions = history_metric(server, "server_sessions_total", NULL);
    figures->link_tries = history_metric(agent, "edge_link_tries_total", NULL);
    figures->camera_tries = history_metric(agent, "edge_camera_tries_total", names[0]);
    figures->memory_bytes = memory_in_use();
}

static void compare(const struct figures *before, const struct figures *after)
{
    for (size_t i = 1; i < CAMERAS; i++) {
        double captured = after->captured[i] - before->captured[i],
               answered = after->answered[i] - before->answered[i],
               dropped = after->dropped[i] - before->dropped[i];
        SIM_CHECK(captured >= FPS * (AWAY_S - SETTLE_S - 1) && answered == captured && dropped == 0,
                  "camera %zu: %.0f frames were captured, %.0f answered, %.0f dropped", i, captured,
                  answered, dropped);
    }
    SIM_CHECK(after->sessions == before->sessions && after->link_tries == before->link_tries,
              "%.0f sessions and %.0f links began", after->sessions - before->sessions,
              after->link_tries - before->link_tries);
    SIM_CHECK(after->captured[0] == before->captured[0], "the camera that is away gave frames");
    SIM_CHECK(after->camera_tries - before->camera_tries >= TRIES_LEAST,
              "the camera that is away was tried %.0f times",
              after->camera_tries - before->camera_tries);
    SIM_CHECK(after->memory_bytes <= before->memory_bytes + GROWTH_BYTES_MAX,
              "%zu bytes are in use, and were %zu", after->memory_bytes, before->memory_bytes);
    sim_note("memory: %zu bytes, then %zu", before->memory_bytes, after->memory_bytes);
}

static void live_the_hour(struct process *agent, struct process *server)
{
    struct figures before, after;
    media.away = 1u << 0;
    history_pass(SETTLE_S * SIM_S);
    take_figures(agent, server, &before);
    history_pass((AWAY_S - SETTLE_S) * SIM_S);
    take_figures(agent, server, &after);
    media.away = 0;
    compare(&before, &after);
}

void hour_run(void)
{
    history_run_calm(CAMERAS, live_the_hour);
}
