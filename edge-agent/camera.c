/* camera: see the header. The thread owns source, scaler and encoder; the loop owns the session. */
#include "camera.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/queue.h"
#include "media/scale.h"
#include "pace.h"
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* One per credit, and one that was being encoded when its session ended. */
#define FRAMES_MAX (CREDITS_MAX + 1u)
#define STOP_LOOK_NS (100u * CLOCK_NS_PER_MS)

struct camera {
    /* constant after open */
    const struct camera_config *config;
    struct source_info info;
    struct credit *credit;
    struct metrics *metrics;
    void (*wake)(void *arg);
    void *wake_arg;
    struct metric_counter *captured, *capped;
    struct metric_histogram *encode_time;

    /* the thread's */
    struct source *source;
    struct scaler *scaler;
    struct encoder *encoder;
    struct rung rung; /* as the encoder has it, sizes resolved */
    struct pace pace;
    uint64_t next_number;
    uint32_t epoch_seen; /* a new epoch needs an IDR */
    struct error end;

    /* between the two */
    struct encoded_frame frames[FRAMES_MAX];
    struct queue *empty, *full;
    atomic_bool stop, ended, keyframe_asked;
    uv_mutex_t rung_mutex;
    struct rung rung_asked;
    bool rung_changed;

    uv_thread_t thread;
    bool started;
};

static void camera_main(void *arg);

int camera_open(struct camera **out, const struct camera_config *config, struct credit *credit,
                struct metrics *metrics, void (*wake)(void *arg), void *arg, struct error *err)
{
    struct camera *camera = calloc(1, sizeof *camera);
    if (!camera)
        return error_set(err, ERROR_MEMORY, config->name, "no memory for a camera");
    camera->config = config;
    camera->credit = credit;
    camera->metrics = metrics;
    camera->wake = wake;
    camera->wake_arg = arg;
    camera->rung = config->rung;
    const struct metric_label stream = { "stream", config->name };
    camera->captured = metrics_counter(metrics, "edge_frames_captured_total",
                                       "Frames that came from the source", &stream, 1);
    camera->capped = metrics_counter(metrics, "edge_frames_capped_total",
                                     "Frames left out by the rung's frame rate", &stream, 1);
    camera->encode_time = metrics_histogram(metrics, "edge_encode_seconds",
                                            "Time to scale and encode a frame", &stream, 1);
    if (uv_mutex_init(&camera->rung_mutex) != 0) {
        free(camera);
        return error_set(err, ERROR_MEMORY, config->name, "cannot make a mutex");
    }
    if (queue_create(&camera->empty, FRAMES_MAX, QUEUE_REFUSE, err) != 0 ||
        queue_create(&camera->full, FRAMES_MAX, QUEUE_REFUSE, err) != 0 ||
        scaler_create(&camera->scaler, err) != 0 ||
        source_open(&camera->source, &config->source, err) != 0) {
        error_wrap(err, "camera %s", config->name);
        camera_close(&camera);
        return -(int)err->code;
    }
    for (size_t i = 0; i < FRAMES_MAX; i++)
        queue_put(camera->empty, &camera->frames[i], NULL);
    source_get_info(camera->source, &camera->info);
    *out = camera;
    return 0;
}

const struct source_info *camera_source_info(const struct camera *camera)
{
    return &camera->info;
}

int camera_start(struct camera *camera, struct error *err)
{
    int result = uv_thread_create(&camera->thread, camera_main, camera);
    if (result != 0)
        return error_set(err, ERROR_MEMORY, camera->config->name, "cannot start a thread: %s",
                         uv_strerror(result));
    camera->started = true;
    return 0;
}

struct encoded_frame *camera_take(struct camera *camera)
{
    void *frame = NULL;
    return queue_take(camera->full, &frame, 0) == QUEUE_OK ? frame : NULL;
}

void camera_return(struct camera *camera, struct encoded_frame *frame)
{
    packet_unref(&frame->packet);
    enum queue_result result = queue_put(camera->empty, frame, NULL);
    assert(result == QUEUE_OK); /* there are no more frames than places */
    (void)result;
}

size_t camera_waiting(struct camera *camera)
{
    struct queue_counts counts;
    queue_get_counts(camera->full, &counts);
    return counts.depth;
}

void camera_ask_keyframe(struct camera *camera)
{
    atomic_store(&camera->keyframe_asked, true);
}

void camera_set_rung(struct camera *camera, const struct rung *rung)
{
    uv_mutex_lock(&camera->rung_mutex);
    camera->rung_asked = *rung;
    camera->rung_changed = true;
    uv_mutex_unlock(&camera->rung_mutex);
}

bool camera_ended(struct camera *camera, struct error *err)
{
    if (!atomic_load(&camera->ended))
        return false;
    *err = camera->end;
    return true;
}

void camera_stop(struct camera *camera)
{
    atomic_store(&camera->stop, true);
}

static void drop_frame(void *item)
{
    packet_unref(&((struct encoded_frame *)item)->packet);
}

void camera_close(struct camera **camera_ptr)
{
    struct camera *camera = *camera_ptr;
    if (!camera)
        return;
    *camera_ptr = NULL;
    camera_stop(camera);
    if (camera->started)
        uv_thread_join(&camera->thread);
    queue_destroy(&camera->full, drop_frame);
    queue_destroy(&camera->empty, NULL);
    encoder_close(&camera->encoder);
    scaler_destroy(&camera->scaler);
    source_close(&camera->source);
    uv_mutex_destroy(&camera->rung_mutex);
    free(camera);
}

void camera_count_drop(struct metrics *metrics, const char *stream, const char *reason)
{
    const struct metric_label labels[] = { { "stream", stream }, { "reason", reason } };
    metric_counter_add(metrics_counter(metrics, "edge_frames_dropped_total",
                                       "Frames that got no answer, by reason", labels, 2),
                       1);
}

/* ---- the thread ---- */

/* Makes the encoder fit camera->rung; a new one when it has to be. */
static int adapt_encoder(struct camera *camera, struct error *err)
{
    uv_mutex_lock(&camera->rung_mutex);
    bool changed = camera->rung_changed;
    struct rung asked = changed ? camera->rung_asked : camera->rung;
    camera->rung_changed = false;
    uv_mutex_unlock(&camera->rung_mutex);
    if (camera->encoder && !changed)
        return 0;

    rung_resolve(&asked, camera->info.width, camera->info.height);
    if (camera->encoder) {
        int result = encoder_set_rung(camera->encoder, &asked, err);
        if (result == 0) {
            camera->rung = asked;
            return 0;
        }
        if (result != -ERROR_UNSUPPORTED)
            return result;
        encoder_close(&camera->encoder);
    }
    if (asked.fps != camera->rung.fps)
        pace_init(&camera->pace, camera->info.fps, asked.fps, camera->pace.start_ns);
    double fps = camera->info.fps > 0 ? camera->info.fps : 25.0;
    const struct encoder_config config = {
        .rung = asked,
        .fps = asked.fps > 0 && asked.fps < fps ? asked.fps : fps,
        .threads = camera->config->encode_threads,
    };
    int result = encoder_open(&camera->encoder, &config, err);
    if (result != 0)
        return result;
    camera->rung = asked;
    log_info("camera", "encoder opened", LOG_STR("stream", camera->config->name),
             LOG_U64("width", asked.width), LOG_U64("height", asked.height),
             LOG_F64("fps", config.fps), LOG_U64("kbps", asked.bitrate_kbps));
    return 0;
}

/* Scales and encodes one picture whose credit is taken, and hands it to the loop. */
static int encode_picture(struct camera *camera, struct picture *picture, uint64_t number,
                          uint64_t capture_ns, uint32_t epoch, struct error *err)
{
    uint64_t begin_ns = clock_now_ns();
    struct picture *scaled = NULL;
    struct packet *packet = NULL;
    int result = adapt_encoder(camera, err);
    if (result == 0)
        result = scaler_to_picture(camera->scaler, picture, camera->rung.width, camera->rung.height,
                                   &scaled, err);
    if (result != 0)
        return result;
    bool asked = atomic_exchange(&camera->keyframe_asked, false);
    bool idr = asked || epoch != camera->epoch_seen;
    camera->epoch_seen = epoch;
    result = encoder_encode(camera->encoder, scaled, number, idr, &packet, err);
    picture_unref(&scaled);
    if (result != 0)
        return result;

    void *item = NULL;
    enum queue_result taken = queue_take(camera->empty, &item, 0);
    assert(taken == QUEUE_OK); /* FRAMES_MAX tells why */
    (void)taken;
    struct encoded_frame *frame = item;
    uint64_t encode_us = (clock_now_ns() - begin_ns) / 1000;
    uint64_t age_us = (clock_now_ns() - capture_ns) / 1000;
    *frame = (struct encoded_frame){
        .packet = packet,
        .number = number,
        .capture_ns = capture_ns,
        .capture_unix_us = clock_wall_us() - age_us,
        .encode_us = (uint32_t)encode_us,
        .epoch = epoch,
        .width = camera->rung.width,
        .height = camera->rung.height,
        .keyframe = packet_is_keyframe(packet),
    };
    metric_histogram_observe_us(camera->encode_time, encode_us);
    queue_put(camera->full, frame, NULL);
    camera->wake(camera->wake_arg);
    return 0;
}

/* Sleeps until then, or until the camera is stopped. */
static void wait_until(struct camera *camera, uint64_t due_ns)
{
    for (uint64_t now_ns = clock_now_ns(); now_ns < due_ns && !atomic_load(&camera->stop);
         now_ns = clock_now_ns())
        clock_sleep_until_ns(due_ns - now_ns > STOP_LOOK_NS ? now_ns + STOP_LOOK_NS : due_ns);
}

/* Waits until the picture is due and may go. Gives the epoch of its credit, or 0 when it is to be
 * dropped, with the reason. */
static uint32_t wait_turn(struct camera *camera, uint64_t time_ns, uint64_t *capture_ns,
                          const char **reason)
{
    if (camera->config->pace == PACE_FAST) {
        uint32_t epoch = credit_wait(camera->credit);
        *capture_ns = clock_now_ns();
        return epoch;
    }
    uint64_t due_ns = pace_due_ns(&camera->pace, time_ns);
    wait_until(camera, due_ns);
    *capture_ns = due_ns; /* when a camera would have had it; later is our delay */
    *reason = "encoder_late";
    if (pace_is_late(&camera->pace, due_ns, clock_now_ns()))
        return 0;
    *reason = credit_has_session(camera->credit) ? "no_credit" : "link_down";
    return credit_take(camera->credit);
}

/* One picture from the source to the loop, or dropped with its reason. */
static int handle_picture(struct camera *camera, struct picture *picture, uint64_t time_ns,
                          struct error *err)
{
    uint64_t capture_ns;
    const char *reason = "link_down";
    bool admitted = pace_admit(&camera->pace, time_ns);
    uint32_t epoch = admitted ? wait_turn(camera, time_ns, &capture_ns, &reason) : 0;
    if (atomic_load(&camera->stop))
        return 0;
    uint64_t number = camera->next_number++;
    metric_counter_add(camera->captured, 1);
    if (!admitted) {
        metric_counter_add(camera->capped, 1);
        return 0;
    }
    if (epoch == 0) {
        camera_count_drop(camera->metrics, camera->config->name, reason);
        return 0;
    }
    int result = encode_picture(camera, picture, number, capture_ns, epoch, err);
    if (result != 0)
        credit_give(camera->credit, epoch);
    return result;
}

static void camera_main(void *arg)
{
    struct camera *camera = arg;
    struct error err = { ERROR_NONE, "" };
    /* A recording has no reason to run away while nobody listens. */
    if (credit_wait_session(camera->credit)) {
        pace_init(&camera->pace, camera->info.fps, camera->config->rung.fps, clock_now_ns());
        while (!atomic_load(&camera->stop)) {
            struct picture *picture = NULL;
            uint64_t time_ns;
            int result = source_next(camera->source, &picture, &time_ns, &err);
            if (result == 0)
                result = handle_picture(camera, picture, time_ns, &err);
            picture_unref(&picture);
            if (result != 0)
                break;
        }
    }
    camera->end = err;
    if (err.code == ERROR_END)
        camera->end.code = ERROR_NONE;
    atomic_store(&camera->ended, true);
    camera->wake(camera->wake_arg);
}
