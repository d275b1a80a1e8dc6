/* streams: see the header. A camera of the configuration has a slot from its start until its stream is
 * closed; a name has one slot at most, so a changed camera starts when its old stream is gone. */
#include "streams.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include <stdlib.h>
#include <string.h>

#define LEAVE_MS 3000u /* for the answers to what is in flight */
#define LOOK_MS 50u    /* how often streams that leave are looked at, or cameras tried, at most */

struct slot {
    struct streams *streams;
    struct agent_settings *settings;    /* NULL: the slot is free */
    const struct camera_config *camera; /* in settings */
    struct stream *stream;              /* NULL: it could not be opened */
    struct error failure;
    bool finished, leaving;
    bool told_hanging;
    uint64_t leave_ns; /* its answers are waited for until then */
    struct backoff backoff;
    uint64_t retry_ns; /* without a stream: it is tried again then */
};

struct streams {
    uv_timer_t look; /* first, so that its close callback can free the rest */
    struct stream_context context;
    void (*ended)(void *arg);
    void *arg;
    struct agent_settings *settings; /* the newest */
    struct slot slots[AGENT_CAMERAS_MAX];
    bool stopping;
};

static size_t open_missing(struct streams *streams);
static void leave(struct slot *slot);
static void empty_slot(struct slot *slot);
static void on_look(uv_timer_t *timer);

int streams_open(struct streams **out, const struct stream_context *context,
                 void (*ended)(void *arg), void *arg, struct error *err)
{
    struct streams *streams = calloc(1, sizeof *streams);
    if (!streams)
        return error_set(err, ERROR_MEMORY, "streams", "no memory");
    streams->context = *context;
    streams->ended = ended;
    streams->arg = arg;
    for (size_t i = 0; i < AGENT_CAMERAS_MAX; i++)
        streams->slots[i].streams = streams;
    uv_timer_init(context->loop, &streams->look);
    *out = streams;
    return 0;
}

static const struct camera_config *find_camera(const struct agent_settings *settings, const char *name)
{
    const struct camera_config *cameras = settings->values.cameras.items;
    for (size_t i = 0; i < settings->values.cameras.count; i++)
        if (strcmp(cameras[i].name, name) == 0)
            return &cameras[i];
    return NULL;
}

/* Compared with what the stream began with: rungs, which may have changed since, are live. */
static void apply_to_slot(struct slot *slot, struct streams_changes *changes)
{
    const struct camera_config *camera = find_camera(slot->streams->settings, slot->camera->name);
    if (!slot->stream) {
        empty_slot(slot); /* to be tried again */
    } else if (!camera) {
        leave(slot);
        changes->ended++;
    } else if (config_compare(camera_options, RELOAD_PART, slot->camera, camera, NULL, NULL) >
               RELOAD_LIVE) {
        leave(slot);
        changes->restarted++;
    } else if (stream_set_rung(slot->stream, &camera->rung)) {
        changes->rungs++;
    }
}

void streams_apply(struct streams *streams, struct agent_settings *settings,
                   struct streams_changes *changes)
{
    *changes = (struct streams_changes){ 0 };
    if (streams->stopping)
        return;
    agent_settings_unref(&streams->settings);
    streams->settings = agent_settings_ref(settings);
    for (size_t i = 0; i < AGENT_CAMERAS_MAX; i++)
        if (streams->slots[i].settings && !streams->slots[i].leaving)
            apply_to_slot(&streams->slots[i], changes);
    changes->started = open_missing(streams);
    uv_timer_start(&streams->look, on_look, 0, 0);
}

void streams_on_up(struct streams *streams)
{
    for (size_t i = 0; i < AGENT_CAMERAS_MAX; i++)
        if (streams->slots[i].stream)
            stream_on_up(streams->slots[i].stream);
}

void streams_on_down(struct streams *streams)
{
    for (size_t i = 0; i < AGENT_CAMERAS_MAX; i++)
        if (streams->slots[i].stream)
            stream_on_down(streams->slots[i].stream);
}

void streams_on_message(struct streams *streams, const Runespoor__Header *header)
{
    for (size_t i = 0; i < AGENT_CAMERAS_MAX; i++)
        if (streams->slots[i].stream && stream_on_message(streams->slots[i].stream, header))
            return;
}

size_t streams_count(const struct streams *streams)
{
    size_t count = 0;
    for (size_t i = 0; i < AGENT_CAMERAS_MAX; i++)
        count += streams->slots[i].stream != NULL;
    return count;
}

const struct error *streams_failure(const struct streams *streams)
{
    for (size_t i = 0; i < AGENT_CAMERAS_MAX; i++) {
        const struct slot *slot = &streams->slots[i];
        if (slot->settings && !slot->leaving && slot->failure.code != ERROR_NONE)
            return &slot->failure;
    }
    return NULL;
}

bool streams_ready(const struct streams *streams, char *reason, size_t reason_bytes)
{
    const struct error *failure = streams_failure(streams);
    if (failure)
        snprintf(reason, reason_bytes, "%s", failure->text);
    for (size_t i = 0; !failure && i < AGENT_CAMERAS_MAX; i++) {
        const struct slot *slot = &streams->slots[i];
        if (slot->stream && !slot->leaving && !stream_ready(slot->stream, reason, reason_bytes))
            return false;
    }
    return !failure;
}

void streams_stop(struct streams *streams)
{
    streams->stopping = true;
    for (size_t i = 0; i < AGENT_CAMERAS_MAX; i++)
        if (streams->slots[i].stream)
            stream_stop(streams->slots[i].stream);
    uv_timer_start(&streams->look, on_look, 0, 0);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

void streams_close(struct streams **closed)
{
    struct streams *streams = *closed;
    if (!streams)
        return;
    *closed = NULL;
    for (size_t i = 0; i < AGENT_CAMERAS_MAX; i++)
        empty_slot(&streams->slots[i]);
    agent_settings_unref(&streams->settings);
    uv_close((uv_handle_t *)&streams->look, on_closed);
}

/* ---- one slot ---- */

static void on_finished(void *arg, const struct error *end)
{
    struct slot *slot = arg;
    slot->finished = true;
    slot->failure = *end;
    uv_timer_start(&slot->streams->look, on_look, 0, 0); /* not from inside a stream */
}

/* A camera that cannot be opened does not keep the others from streaming; its reason is told when it is new. */
static void open_slot(struct slot *slot)
{
    struct streams *streams = slot->streams;
    struct stream_context context = streams->context;
    struct error failure = { 0 };
    context.finished = on_finished;
    context.arg = slot;
    bool opened = stream_open(&slot->stream, &context, slot->camera, &failure) == 0;
    bool told = strcmp(failure.text, slot->failure.text) == 0;
    slot->failure = failure;
    slot->retry_ns = clock_now_ns() + backoff_next_ms(&slot->backoff) * CLOCK_NS_PER_MS;
    if (opened && !uplink_cause(context.uplink))
        stream_on_up(slot->stream);
    if (!opened && !told && streams->settings->values.cameras.count > 1) /* else the exit says it */
        log_error("agent", "camera left out", LOG_CAUSE(&failure));
}

static void fill_slot(struct slot *slot, const struct camera_config *camera)
{
    slot->settings = agent_settings_ref(slot->streams->settings);
    slot->camera = camera;
    backoff_init(&slot->backoff, camera->source.retry_first_ms, camera->source.retry_cap_ms,
                 random_entropy());
    open_slot(slot);
}

static void leave(struct slot *slot)
{
    slot->leaving = true;
    slot->leave_ns = clock_now_ns() + LEAVE_MS * CLOCK_NS_PER_MS;
    stream_stop(slot->stream);
}

static void empty_slot(struct slot *slot)
{
    stream_close(&slot->stream);
    agent_settings_unref(&slot->settings);
    *slot = (struct slot){ .streams = slot->streams };
}

/* ---- all of them ---- */

/* Those that the settings have and no slot; gives how many. While a slot is taken by a stream that leaves,
 * or the name by one, it is tried again when that has gone. */
static size_t open_missing(struct streams *streams)
{
    const struct option_list *list = &streams->settings->values.cameras;
    const struct camera_config *cameras = list->items;
    size_t opened = 0;
    for (size_t c = 0; c < list->count; c++) {
        struct slot *free_slot = NULL;
        bool there = false;
        for (size_t i = 0; i < AGENT_CAMERAS_MAX; i++) {
            struct slot *slot = &streams->slots[i];
            if (!slot->settings && !free_slot)
                free_slot = slot;
            there = there || (slot->settings && strcmp(slot->camera->name, cameras[c].name) == 0);
        }
        if (there || !free_slot)
            continue;
        fill_slot(free_slot, &cameras[c]);
        opened += free_slot->stream != NULL;
    }
    return opened;
}

/* Closes a stream that leaves where that waits for nobody; what it was in figures goes with it, unless the
 * camera starts again under its name. */
static void try_empty(struct slot *slot)
{
    struct streams *streams = slot->streams;
    if (!slot->finished && clock_now_ns() < slot->leave_ns)
        return;
    if (!stream_source_ended(slot->stream)) {
        if (!slot->told_hanging)
            log_error("agent", "a source hangs and cannot be ended yet",
                      LOG_STR("stream", slot->camera->name));
        slot->told_hanging = true;
        return;
    }
    char name[WIRE_NAME_BYTES_MAX + 1];
    snprintf(name, sizeof name, "%s", slot->camera->name);
    empty_slot(slot);
    if (find_camera(streams->settings, name))
        return;
    log_info("agent", "camera removed", LOG_STR("stream", name));
    metrics_retire(streams->context.metrics, "stream", name);
}

static uint64_t wait_ms(uint64_t until_ns)
{
    uint64_t now_ns = clock_now_ns();
    uint64_t ms = until_ns > now_ns ? (until_ns - now_ns) / CLOCK_NS_PER_MS + 1 : 0;
    return ms > LOOK_MS ? ms : LOOK_MS;
}

static void on_look(uv_timer_t *timer)
{
    struct streams *streams = (struct streams *)timer;
    bool leaving = false, running = false;
    uint64_t retry_ns = UINT64_MAX;
    for (size_t i = 0; !streams->stopping && i < AGENT_CAMERAS_MAX; i++) {
        struct slot *slot = &streams->slots[i];
        if (slot->leaving)
            try_empty(slot);
        else if (slot->settings && !slot->stream && clock_now_ns() >= slot->retry_ns)
            open_slot(slot);
    }
    if (!streams->stopping)
        open_missing(streams);
    for (size_t i = 0; i < AGENT_CAMERAS_MAX; i++) {
        const struct slot *slot = &streams->slots[i];
        leaving = leaving || slot->leaving;
        if (slot->settings && !slot->stream && slot->retry_ns < retry_ns)
            retry_ns = slot->retry_ns;
        running = running || (slot->stream && !slot->finished);
    }
    if (!running && (streams->stopping || !leaving))
        streams->ended(streams->arg);
    else if (leaving && !streams->stopping)
        uv_timer_start(&streams->look, on_look, LOOK_MS, 0);
    else if (retry_ns != UINT64_MAX && !streams->stopping)
        uv_timer_start(&streams->look, on_look, wait_ms(retry_ns), 0);
}
