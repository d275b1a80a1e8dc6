/* camera_link: see the header. */
#include "camera_link.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define STOP_LOOK_NS (50u * CLOCK_NS_PER_MS)

enum link_state { LINK_WAITING, LINK_CONNECTING, LINK_UP };

struct camera_link {
    const struct camera_config *config; /* constant */
    /* the thread's */
    struct source_watch watch;
    struct backoff backoff;
    uint64_t next_try_ns;
    bool told; /* of being down: the cause below is in the log */
    enum source_cause told_cause;
    struct metric_gauge *state_gauge, *next_try;
    struct metric_counter *tries, *losses[SOURCE_CAUSE_COUNT];
    /* between the threads */
    uv_mutex_t mutex;
    enum link_state state;
    struct error last; /* code NONE: nothing has failed yet */
};

static void init_metrics(struct camera_link *link, struct metrics *metrics)
{
    const struct metric_label stream = { "stream", link->config->name };
    link->state_gauge = metrics_gauge(metrics, "edge_camera_state",
                                      "0 waiting for the next try, 1 connecting, 2 up", &stream, 1);
    link->next_try =
        metrics_gauge(metrics, "edge_camera_next_try_seconds",
                      "How long a camera is waited for until the next try; 0 when up", &stream, 1);
    link->tries =
        metrics_counter(metrics, "edge_camera_tries_total", "Times a camera was opened", &stream, 1);
    for (size_t i = 0; i < SOURCE_CAUSE_COUNT; i++) {
        const struct metric_label labels[] = { stream, { "cause", source_cause_words[i] } };
        link->losses[i] = metrics_counter(metrics, "edge_camera_losses_total",
                                          "Cameras lost and tries that failed, by cause", labels, 2);
    }
}

int camera_link_open(struct camera_link **out, const struct camera_config *config,
                     struct metrics *metrics, const atomic_bool *stop, struct error *err)
{
    struct camera_link *link = calloc(1, sizeof *link);
    if (!link || uv_mutex_init(&link->mutex) != 0) {
        free(link);
        return error_set(err, ERROR_MEMORY, config->name, "no memory for a camera");
    }
    link->config = config;
    link->watch.stop = stop;
    backoff_init(&link->backoff, config->source.retry_first_ms, config->source.retry_cap_ms,
                 random_entropy());
    init_metrics(link, metrics);
    *out = link;
    return 0;
}

static void enter(struct camera_link *link, enum link_state state)
{
    uv_mutex_lock(&link->mutex);
    link->state = state;
    uv_mutex_unlock(&link->mutex);
    metric_gauge_set(link->state_gauge, state);
    if (state != LINK_WAITING)
        metric_gauge_set(link->next_try, 0);
}

/* Until the next try is due; false when stopped. */
static bool wait_for_try(struct camera_link *link)
{
    for (;;) {
        uint64_t now_ns = clock_now_ns();
        if (atomic_load(link->watch.stop))
            return false;
        if (now_ns >= link->next_try_ns)
            return true;
        uint64_t left_ns = link->next_try_ns - now_ns;
        metric_gauge_set(link->next_try, (double)left_ns / CLOCK_NS_PER_S);
        clock_sleep_until_ns(now_ns + (left_ns < STOP_LOOK_NS ? left_ns : STOP_LOOK_NS));
    }
}

static void note_up(struct camera_link *link, const struct source *source)
{
    struct source_info info;
    source_get_info(source, &info);
    backoff_reset(&link->backoff);
    link->told = false;
    enter(link, LINK_UP);
    log_info("camera", "camera is up", LOG_STR("stream", link->config->name),
             LOG_STR("source", info.description), LOG_U64("tries", metric_counter_get(link->tries)));
}

bool camera_link_connect(struct camera_link *link, struct source **source)
{
    while (wait_for_try(link)) {
        struct error err;
        enter(link, LINK_CONNECTING);
        metric_counter_add(link->tries, 1);
        log_debug("camera", "connecting", LOG_STR("stream", link->config->name));
        if (source_open_live(source, &link->config->source, &link->watch, &err) == 0) {
            note_up(link, *source);
            return true;
        }
        if (!atomic_load(link->watch.stop))
            camera_link_lost(link, link->watch.cause, &err);
    }
    enter(link, LINK_WAITING);
    return false;
}

void camera_link_lost(struct camera_link *link, enum source_cause cause, const struct error *err)
{
    uint32_t wait_ms = backoff_next_ms(&link->backoff);
    bool same = link->told && cause == link->told_cause;
    link->next_try_ns = clock_now_ns() + wait_ms * CLOCK_NS_PER_MS;
    metric_counter_add(link->losses[cause], 1);
    uv_mutex_lock(&link->mutex);
    link->last = *err;
    uv_mutex_unlock(&link->mutex);
    enter(link, LINK_WAITING);
    metric_gauge_set(link->next_try, wait_ms / 1e3);
    log_emit(same ? LOG_DEBUG : LOG_WARN, "camera", "camera is down, tried again",
             LOG_STR("stream", link->config->name), LOG_STR("reason", source_cause_words[cause]),
             LOG_CAUSE(err), LOG_U64("wait_ms", wait_ms), LOG_END);
    link->told = true;
    link->told_cause = cause;
}

enum source_cause camera_link_cause(const struct camera_link *link)
{
    return link->watch.cause;
}

bool camera_link_is_up(struct camera_link *link, char *reason, size_t reason_bytes)
{
    uv_mutex_lock(&link->mutex);
    bool up = link->state == LINK_UP;
    if (!up)
        snprintf(reason, reason_bytes, "camera %s: %s", link->config->name,
                 link->last.code == ERROR_NONE ? "no picture yet" : link->last.text);
    uv_mutex_unlock(&link->mutex);
    return up;
}

void camera_link_close(struct camera_link **link_ptr)
{
    struct camera_link *link = *link_ptr;
    *link_ptr = NULL;
    if (!link)
        return;
    uv_mutex_destroy(&link->mutex);
    free(link);
}
