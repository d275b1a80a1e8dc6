/* probe_encoder: see the header. An encoder lives for one picture: probes are minutes apart, and its memory is
 * tens of megabytes for a large camera. It may take its time, so it is told to. */
#include "probe_encoder.h"

#include "base/queue.h"
#include "media/encode_rung.h"
#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#define CEILING_KBPS 200000u /* none, as good as */
#define CEILING_MS 5000u
#define ALONE_FPS 1.0

struct probe_encoder {
    struct queue *todo, *done; /* of struct probe_job */
    size_t jobs, jobs_max;     /* put and not yet taken back; the loop's */
    void (*wake)(void *arg);
    void *wake_arg;
    uv_thread_t thread;
    bool started;
};

static void run_thread(void *arg);

static void drop_job(void *item)
{
    struct probe_job *job = item;
    picture_unref(&job->picture);
    packet_unref(&job->packet);
    free(job);
}

int probe_encoder_open(struct probe_encoder **out, size_t jobs_max, void (*wake)(void *arg),
                       void *arg, struct error *err)
{
    struct probe_encoder *encoder = calloc(1, sizeof *encoder);
    if (!encoder)
        return error_set(err, ERROR_MEMORY, "probes", "no memory for an encoder");
    encoder->jobs_max = jobs_max;
    encoder->wake = wake;
    encoder->wake_arg = arg;
    int rc = queue_create(&encoder->todo, jobs_max, QUEUE_REFUSE, err);
    if (rc == 0)
        rc = queue_create(&encoder->done, jobs_max, QUEUE_REFUSE, err);
    int started = rc == 0 ? uv_thread_create(&encoder->thread, run_thread, encoder) : 0;
    if (started != 0)
        rc = error_set(err, ERROR_MEMORY, "probes", "cannot start a thread: %s",
                       uv_strerror(started));
    encoder->started = rc == 0;
    if (rc < 0)
        probe_encoder_close(&encoder);
    else
        *out = encoder;
    return rc;
}

bool probe_encoder_put(struct probe_encoder *encoder, const struct probe_job *job)
{
    struct probe_job *own = encoder->jobs < encoder->jobs_max ? malloc(sizeof *own) : NULL;
    struct picture *picture = job->picture;
    if (!own) {
        picture_unref(&picture);
        return false;
    }
    *own = *job;
    enum queue_result put = queue_put(encoder->todo, own, NULL);
    assert(put == QUEUE_OK); /* there is room for jobs_max */
    (void)put;
    encoder->jobs++;
    return true;
}

bool probe_encoder_take(struct probe_encoder *encoder, struct probe_job *job)
{
    void *item;
    if (queue_take(encoder->done, &item, 0) != QUEUE_OK)
        return false;
    *job = *(struct probe_job *)item;
    free(item);
    encoder->jobs--;
    return true;
}

void probe_encoder_close(struct probe_encoder **closed)
{
    struct probe_encoder *encoder = *closed;
    if (!encoder)
        return;
    *closed = NULL;
    if (encoder->todo)
        queue_close(encoder->todo);
    if (encoder->started)
        uv_thread_join(&encoder->thread);
    queue_destroy(&encoder->todo, drop_job);
    queue_destroy(&encoder->done, drop_job);
    free(encoder);
}

/* ---- the thread ---- */

static int encode(struct probe_job *job)
{
    struct rung_encoder_config config = {
        .camera_fps = ALONE_FPS,
        .threads = 1,
    };
    picture_get_display_size(job->picture, &config.camera_width, &config.camera_height);
    const struct rung rung = { .codec = VIDEO_H264,
                               .encoder = ENCODER_SOFTWARE,
                               .mode = RATE_QUALITY,
                               .quality = job->quality,
                               .bitrate_kbps = CEILING_KBPS,
                               .vbv_ms = CEILING_MS,
                               .preset = RUNG_PRESET_MEDIUM,
                               .keyframe_s = 1 };
    struct rung_encoder *one = NULL;
    int rc = rung_encoder_create(&one, &config, &rung, &job->err);
    if (rc == 0)
        rc = rung_encoder_start(one, &job->err);
    if (rc == 0)
        rc = rung_encoder_encode(one, job->picture, job->frame, true, &job->packet, &job->err);
    rung_encoder_destroy(&one);
    return rc;
}

static void run_thread(void *arg)
{
    struct probe_encoder *encoder = arg;
    void *item;
    while (queue_take(encoder->todo, &item, UINT32_MAX) == QUEUE_OK) {
        struct probe_job *job = item;
        if (encode(job) < 0)
            packet_unref(&job->packet);
        picture_unref(&job->picture);
        enum queue_result put = queue_put(encoder->done, job, NULL);
        assert(put == QUEUE_OK); /* there is room for jobs_max */
        (void)put;
        encoder->wake(encoder->wake_arg);
    }
}
