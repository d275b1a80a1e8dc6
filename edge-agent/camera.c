/* camera: see the header. The thread owns source and encoder; the loop owns the session. */
#include "camera.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/queue.h"
#include "media/encode_rung.h"
#include "pace.h"
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

/* One per credit, and one that was being encoded when its session ended. */
#define FRAMES_MAX (CREDITS_MAX + 1u)
#define STOP_LOOK_NS (100u * CLOCK_NS_PER_MS)

struct camera {
    /* constant after open */
    const struct camera_config *config;
    struct source_info info;
    struct credit *credit;
    struct figures *figures;
    void (*wake)(void *arg);
    void *wake_arg;

    /* the thread's */
    struct source *source;
    struct rung_encoder *encoder;
    struct pace pace;
    double cap_fps; /* that pace has */
    uint64_t next_number, damaged;
    uint32_t epoch_seen; /* a new epoch needs an IDR */
    struct error end;

    /* between the two */
    struct encoded_frame frames[FRAMES_MAX];
    struct queue *empty, *full;
    atomic_bool stop, ended, keyframe_asked, rung_changed, keeps_pictures;
    uv_mutex_t rung_mutex;
    struct rung rung_asked; /* as configured */

    uv_thread_t thread;
    bool started;
};

static void camera_main(void *arg);

int camera_open(struct camera **out, const struct camera_config *config, struct credit *credit,
                struct figures *figures, void (*wake)(void *arg), void *arg, struct error *err)
{
    struct camera *camera = calloc(1, sizeof *camera);
    if (!camera)
        return error_set(err, ERROR_MEMORY, config->name, "no memory for a camera");
    camera->config = config;
    camera->credit = credit;
    camera->figures = figures;
    camera->wake = wake;
    camera->wake_arg = arg;
    camera->rung_asked = config->rung;
    atomic_init(&camera->rung_changed, true);
    if (uv_mutex_init(&camera->rung_mutex) != 0) {
        free(camera);
        return error_set(err, ERROR_MEMORY, config->name, "cannot make a mutex");
    }
    if (queue_create(&camera->empty, FRAMES_MAX, QUEUE_REFUSE, err) != 0 ||
        queue_create(&camera->full, FRAMES_MAX, QUEUE_REFUSE, err) != 0 ||
        source_open(&camera->source, &config->source, err) != 0)
        goto failed;
    source_get_info(camera->source, &camera->info);
    if (camera->info.width > WIRE_SIDE_MAX || camera->info.height > WIRE_SIDE_MAX) {
        error_set(err, ERROR_LIMIT, "source",
                  "pictures of %ux%u are larger than the protocol's %ux%u", camera->info.width,
                  camera->info.height, WIRE_SIDE_MAX, WIRE_SIDE_MAX);
        goto failed;
    }
    const struct rung_encoder_config encoder = {
        .codec = VIDEO_H264,
        .camera_width = camera->info.width,
        .camera_height = camera->info.height,
        .camera_fps = camera->info.fps,
        .threads = config->encode_threads,
    };
    if (rung_encoder_create(&camera->encoder, &encoder, &config->rung, err) != 0)
        goto failed;
    for (size_t i = 0; i < FRAMES_MAX; i++)
        queue_put(camera->empty, &camera->frames[i], NULL);
    *out = camera;
    return 0;
failed:
    camera_close(&camera);
    return error_wrap(err, "camera %s", config->name);
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
    void *item;
    return queue_take(camera->full, &item, 0) == QUEUE_OK ? item : NULL;
}

void camera_return(struct camera *camera, struct encoded_frame *frame)
{
    packet_unref(&frame->packet);
    picture_unref(&frame->picture);
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

bool camera_set_rung(struct camera *camera, const struct rung *rung)
{
    if (options_equal(rung_options, &camera->rung_asked, rung))
        return false;
    uv_mutex_lock(&camera->rung_mutex);
    camera->rung_asked = *rung;
    uv_mutex_unlock(&camera->rung_mutex);
    atomic_store(&camera->rung_changed, true);
    return true;
}

void camera_keep_pictures(struct camera *camera, bool keep)
{
    atomic_store(&camera->keeps_pictures, keep);
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

void camera_close(struct camera **camera_ptr)
{
    struct camera *camera = *camera_ptr;
    if (!camera)
        return;
    *camera_ptr = NULL;
    if (camera->started)
        uv_thread_join(&camera->thread);
    for (struct encoded_frame *frame; camera->full && (frame = camera_take(camera));) {
        figures_count_drops(camera->figures, DROP_STOPPED, 1);
        packet_unref(&frame->packet);
        picture_unref(&frame->picture);
    }
    queue_destroy(&camera->full, NULL);
    queue_destroy(&camera->empty, NULL);
    rung_encoder_destroy(&camera->encoder);
    source_close(&camera->source);
    uv_mutex_destroy(&camera->rung_mutex);
    free(camera);
}

/* ---- the thread ---- */

/* Takes over the rung that was asked for, inside the encoder where that can be. */
static void adopt_rung(struct camera *camera)
{
    uv_mutex_lock(&camera->rung_mutex);
    struct rung rung = camera->rung_asked;
    uv_mutex_unlock(&camera->rung_mutex);
    if (rung.fps != camera->cap_fps)
        pace_set_cap(&camera->pace, rung.fps);
    camera->cap_fps = rung.fps;
    if (!rung_encoder_set_rung(camera->encoder, &rung))
        return; /* the next picture opens a new one */
    log_info("camera", "rung changed", LOG_STR("stream", camera->config->name),
             LOG_U64("kbps", rung.bitrate_kbps), LOG_U64("vbv_ms", rung.vbv_ms),
             LOG_F64("quality", rung.quality));
}

static int open_encoder(struct camera *camera, struct error *err)
{
    const struct rung *rung = rung_encoder_rung(camera->encoder);
    int result = rung_encoder_start(camera->encoder, err);
    if (result != 0)
        return result;
    log_info("camera", "encoder opened", LOG_STR("stream", camera->config->name),
             LOG_U64("width", rung->width), LOG_U64("height", rung->height),
             LOG_F64("fps", rung_encoder_fps(camera->encoder)), LOG_U64("kbps", rung->bitrate_kbps));
    return 0;
}

/* Gives a packet that the uplink may send, or an error. */
static int encode_picture(struct camera *camera, struct picture *picture, uint64_t number,
                          uint32_t epoch, struct packet **packet, struct error *err)
{
    int result = rung_encoder_runs(camera->encoder) ? 0 : open_encoder(camera, err);
    if (result != 0)
        return result;
    bool asked = atomic_exchange(&camera->keyframe_asked, false);
    bool idr = asked || epoch != camera->epoch_seen;
    camera->epoch_seen = epoch;
    return rung_encoder_encode(camera->encoder, picture, number, idr, packet, err);
}

/* Encodes one picture whose credit is taken, and hands it to the loop. */
static int send_picture(struct camera *camera, struct picture *picture, uint64_t number,
                        uint64_t capture_ns, uint32_t epoch, struct error *err)
{
    uint64_t begin_ns = clock_now_ns();
    struct packet *packet = NULL;
    int result = encode_picture(camera, picture, number, epoch, &packet, err);
    if (result != 0)
        return result;

    void *item = NULL;
    enum queue_result taken = queue_take(camera->empty, &item, 0);
    assert(taken == QUEUE_OK); /* FRAMES_MAX tells why */
    (void)taken;
    struct encoded_frame *frame = item;
    const struct rung *rung = rung_encoder_rung(camera->encoder);
    uint64_t now_ns = clock_now_ns();
    uint64_t encode_us = (now_ns - begin_ns) / 1000;
    *frame = (struct encoded_frame){
        .packet = packet,
        .number = number,
        .capture_ns = capture_ns,
        .capture_unix_us = clock_wall_us() - (now_ns - capture_ns) / 1000,
        .encode_us = (uint32_t)encode_us,
        .epoch = epoch,
        .rung = *rung,
        .keyframe = packet_is_keyframe(packet),
        .picture = atomic_load(&camera->keeps_pictures) ? picture_ref(picture) : NULL,
    };
    frame->rung.fps = rung_encoder_fps(camera->encoder);
    metric_histogram_observe_us(camera->figures->encode_time, encode_us);
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
                          enum drop_reason *reason)
{
    if (camera->config->pace == PACE_FAST) {
        uint32_t epoch = credit_wait(camera->credit);
        *capture_ns = clock_now_ns();
        return epoch;
    }
    wait_until(camera, pace_due_ns(&camera->pace, time_ns));
    *reason = DROP_ENCODER_LATE;
    if (pace_is_late(&camera->pace, time_ns, clock_now_ns()))
        return 0;
    *capture_ns = pace_due_ns(&camera->pace, time_ns); /* when a camera would have had it */
    *reason = credit_has_session(camera->credit) ? DROP_NO_CREDIT : DROP_LINK_DOWN;
    return credit_take(camera->credit);
}

/* One picture from the source to the loop, or left out with its reason. */
static int handle_picture(struct camera *camera, struct picture *picture, uint64_t time_ns,
                          struct error *err)
{
    uint64_t capture_ns = 0;
    enum drop_reason reason = DROP_LINK_DOWN;
    if (atomic_exchange(&camera->rung_changed, false))
        adopt_rung(camera);
    bool admitted = pace_admit(&camera->pace, time_ns);
    uint32_t epoch = admitted ? wait_turn(camera, time_ns, &capture_ns, &reason) : 0;
    if (atomic_load(&camera->stop))
        return 0;
    uint64_t number = camera->next_number++;
    metric_counter_add(camera->figures->captured, 1);
    if (!admitted) {
        metric_counter_add(camera->figures->capped, 1);
        return 0;
    }
    if (epoch == 0) {
        figures_count_drops(camera->figures, reason, 1);
        return 0;
    }
    int result = send_picture(camera, picture, number, capture_ns, epoch, err);
    if (result != 0) {
        figures_count_drops(camera->figures, DROP_ENCODER_FAILED, 1);
        credit_give(camera->credit, epoch);
    }
    return result;
}

static void count_damaged(struct camera *camera)
{
    uint64_t damaged = source_skipped(camera->source);
    metric_counter_add(camera->figures->damaged, damaged - camera->damaged);
    camera->damaged = damaged;
}

static void camera_main(void *arg)
{
    struct camera *camera = arg;
    struct error err;
    int result = 0;
    /* A recording has no reason to run away while nobody listens. */
    if (credit_wait_session(camera->credit))
        pace_init(&camera->pace, camera->info.fps, 0, clock_now_ns());
    while (result == 0 && !atomic_load(&camera->stop)) {
        struct picture *picture = NULL;
        uint64_t time_ns;
        result = source_next(camera->source, &picture, &time_ns, &err);
        count_damaged(camera);
        if (result == 0)
            result = handle_picture(camera, picture, time_ns, &err);
        picture_unref(&picture);
    }
    if (result != 0 && result != -ERROR_END) {
        error_wrap(&err, "camera %s", camera->config->name);
        camera->end = err;
    }
    atomic_store(&camera->ended, true);
    camera->wake(camera->wake_arg);
}
