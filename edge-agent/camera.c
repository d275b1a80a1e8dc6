/* camera: see the header. The thread owns source and encoder; the loop owns the session. */
#include "camera.h"
#include "camera_link.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/queue.h"
#include "decoder_report.h"
#include "encoder_report.h"
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
    struct camera_link *link; /* NULL: a recorded source */
    struct credit *credit;
    struct figures *figures;
    void (*wake)(void *arg);
    void *wake_arg;

    /* the thread's */
    struct source *source;
    struct rung_encoder *encoder; /* NULL: until the first picture */
    struct source_info shape;     /* of the pictures that encoder and pace are for */
    struct pace pace;
    struct pace_rate rate; /* of a live camera */
    double cap_fps;        /* that pace has */
    uint64_t next_number, damaged;
    uint64_t left_out; /* pictures to come that an earlier run had */
    uint32_t epoch_seen; /* a new epoch needs an IDR */
    struct error end;

    /* between the two */
    struct encoded_frame frames[FRAMES_MAX];
    struct queue *empty, *full;
    atomic_bool stop, ended, keyframe_asked, rung_changed, keeps_pictures;
    uv_mutex_t mutex;       /* of these two */
    struct rung rung_asked; /* as configured */
    struct source_info info;

    uv_thread_t thread;
    bool started;
};

static void camera_main(void *arg);
static int open_source(struct camera *camera, struct error *err);

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
    if (uv_mutex_init(&camera->mutex) != 0) {
        free(camera);
        return error_set(err, ERROR_MEMORY, config->name, "cannot make a mutex");
    }
    if (queue_create(&camera->empty, FRAMES_MAX, QUEUE_REFUSE, err) != 0 ||
        queue_create(&camera->full, FRAMES_MAX, QUEUE_REFUSE, err) != 0 ||
        open_source(camera, err) != 0) {
        camera_close(&camera);
        return error_wrap(err, "camera %s", config->name);
    }
    for (size_t i = 0; i < FRAMES_MAX; i++)
        queue_put(camera->empty, &camera->frames[i], NULL);
    *out = camera;
    return 0;
}

void camera_get_info(struct camera *camera, struct source_info *info)
{
    uv_mutex_lock(&camera->mutex);
    *info = camera->info;
    uv_mutex_unlock(&camera->mutex);
}

bool camera_is_up(struct camera *camera, char *reason, size_t reason_bytes)
{
    return !camera->link || camera_link_is_up(camera->link, reason, reason_bytes);
}

void camera_resume(struct camera *camera, uint64_t number)
{
    const struct source_config *source = &camera->config->source;
    bool ends = source->kind == SOURCE_FILE ? !source->loop
                                            : source->kind == SOURCE_TEST && source->seconds > 0;
    camera->next_number = number;
    camera->left_out = ends ? number : 0;
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
    uv_mutex_lock(&camera->mutex);
    camera->rung_asked = *rung;
    uv_mutex_unlock(&camera->mutex);
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
    camera_link_close(&camera->link);
    uv_mutex_destroy(&camera->mutex);
    free(camera);
}

/* ---- the pictures' shape ---- */

/* Pace and encoder are made for these pictures from now on. */
static int adopt_shape(struct camera *camera, const struct source_info *info, struct error *err)
{
    if (info->width > WIRE_SIDE_MAX || info->height > WIRE_SIDE_MAX)
        return error_set(err, ERROR_LIMIT, "source",
                         "pictures of %ux%u are larger than the protocol's %ux%u", info->width,
                         info->height, WIRE_SIDE_MAX, WIRE_SIDE_MAX);
    uv_mutex_lock(&camera->mutex);
    camera->info = *info;
    struct rung rung = camera->rung_asked;
    uv_mutex_unlock(&camera->mutex);
    camera->shape = *info;
    pace_set_source(&camera->pace, info->fps, camera->cap_fps);
    const struct rung_encoder_config config = {
        .camera_width = info->display_width, /* what is sent has square pixels */
        .camera_height = info->display_height,
        .camera_fps = info->fps,
        .threads = camera->config->encode_threads,
        .chosen = encoder_report,
        .arg = camera->figures,
    };
    rung_encoder_destroy(&camera->encoder);
    return rung_encoder_create(&camera->encoder, &config, &rung, err);
}

/* Looks whether the pictures have changed with the one just taken from the source. The rate is what a
 * live camera turns out to have: what it tells is often wrong, and some change it at night. */
static int follow_shape(struct camera *camera, uint64_t time_ns, struct error *err)
{
    struct source_info info;
    const struct source_info *shape = &camera->shape;
    source_get_info(camera->source, &info);
    if (camera->encoder)
        info.fps = shape->fps;
    if (camera->link && pace_rate_add(&camera->rate, time_ns, info.fps))
        info.fps = camera->rate.fps;
    bool same = camera->encoder && info.width == shape->width && info.height == shape->height &&
                info.display_width == shape->display_width &&
                info.display_height == shape->display_height && info.fps == shape->fps;
    if (same)
        return 0;
    if (camera->encoder)
        log_info("camera", "pictures have changed", LOG_STR("stream", camera->config->name),
                 LOG_STR("source", info.description), LOG_F64("fps", info.fps));
    return adopt_shape(camera, &info, err);
}

static int open_source(struct camera *camera, struct error *err)
{
    const struct camera_config *config = camera->config;
    struct source_info info;
    if (source_is_live(&config->source))
        return camera_link_open(&camera->link, config, camera->figures->metrics, &camera->stop, err);
    int result = source_open(&camera->source, &config->source, err);
    if (result != 0)
        return result;
    source_get_info(camera->source, &info);
    return adopt_shape(camera, &info, err);
}

/* ---- the thread ---- */

/* Takes over the rung that was asked for, inside the encoder where that can be. */
static void adopt_rung(struct camera *camera)
{
    uv_mutex_lock(&camera->mutex);
    struct rung rung = camera->rung_asked;
    uv_mutex_unlock(&camera->mutex);
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
        .camera_width = camera->shape.width,
        .camera_height = camera->shape.height,
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

/* Waits until the picture is due and may go; a live camera's is due when it comes. Gives the epoch of its
 * credit, or 0 when it is to be dropped, with the reason. */
static uint32_t wait_turn(struct camera *camera, uint64_t time_ns, uint64_t *capture_ns,
                          enum drop_reason *reason)
{
    if (camera->link) {
        pace_arrive(&camera->pace, time_ns, clock_now_ns());
    } else if (camera->config->pace == PACE_FAST) {
        uint32_t epoch = credit_wait(camera->credit);
        *capture_ns = clock_now_ns();
        return epoch;
    } else {
        wait_until(camera, pace_due_ns(&camera->pace, time_ns));
    }
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

/* An earlier run has had this picture; the one behind it is due at once. */
static void leave_out(struct camera *camera, uint64_t time_ns)
{
    camera->left_out--;
    pace_init(&camera->pace, camera->shape.fps, camera->cap_fps, clock_now_ns() - time_ns);
}

/* Pictures until the source fails or ends, or the camera is stopped. *cause: of what failed. */
static int play(struct camera *camera, enum source_cause *cause, struct error *err)
{
    int result = 0;
    camera->damaged = 0;
    while (result == 0 && !atomic_load(&camera->stop)) {
        struct picture *picture = NULL;
        uint64_t time_ns;
        result = source_next(camera->source, &picture, &time_ns, err);
        count_damaged(camera);
        if (result != 0) {
            *cause = camera->link ? camera_link_cause(camera->link) : SOURCE_CAUSE_LOCAL;
            break;
        }
        decoder_report(camera->figures, source_decoder(camera->source));
        result = follow_shape(camera, time_ns, err);
        *cause = result == -ERROR_LIMIT ? SOURCE_CAUSE_FORMAT : SOURCE_CAUSE_LOCAL;
        if (result == 0 && camera->left_out > 0)
            leave_out(camera, time_ns);
        else if (result == 0)
            result = handle_picture(camera, picture, time_ns, err);
        picture_unref(&picture);
    }
    return result;
}

static int play_recording(struct camera *camera, struct error *err)
{
    enum source_cause cause;
    /* A recording has no reason to run away while nobody listens. */
    if (credit_wait_session(camera->credit))
        pace_init(&camera->pace, camera->shape.fps, camera->cap_fps, clock_now_ns());
    return play(camera, &cause, err);
}

/* Whatever happens to a live camera, it is tried again. */
static void follow_live(struct camera *camera)
{
    while (camera_link_connect(camera->link, &camera->source)) {
        struct error err;
        enum source_cause cause;
        pace_init_live(&camera->pace, camera->shape.fps, camera->cap_fps);
        camera->rate = (struct pace_rate){ .count = 0 };
        int result = play(camera, &cause, &err);
        source_close(&camera->source);
        if (result != 0 && !atomic_load(&camera->stop))
            camera_link_lost(camera->link, cause, &err);
    }
}

static void camera_main(void *arg)
{
    struct camera *camera = arg;
    struct error err;
    int result = 0;
    if (camera->link)
        follow_live(camera);
    else
        result = play_recording(camera, &err);
    if (result != 0 && result != -ERROR_END) {
        error_wrap(&err, "camera %s", camera->config->name);
        camera->end = err;
    }
    atomic_store(&camera->ended, true);
    camera->wake(camera->wake_arg);
}
