/* record: one list of work for one thread. A picture is an item from a free list; the end of a
 * recording is an item inside the recording itself, so that it can never be refused. */
#include "report/record.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "media/record.h"
#include "net/wire.h"
#include "report/finish.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define RETRY_FIRST_MS 1000u
#define RETRY_CAP_MS 60000u

struct item {
    struct recording *recording;
    struct picture *picture; /* NULL: the end of the recording */
    uint64_t time_ns, wall_us;
    size_t box_count;
    struct record_box *boxes; /* room for ANALYSIS_OBJECTS_MAX */
    struct item *next;
};

struct recording {
    struct recorder *recorder;
    char stream[WIRE_NAME_BYTES_MAX + 1];
    struct item end;
    uint32_t waiting; /* pictures in the list or in the thread's hands; under the lock */
    /* the loop thread's */
    bool started;
    uint64_t first_ns;
    /* the recorder thread's */
    struct record *file;
    uint64_t last_ns;
    bool failing;
    uint64_t retry_ns;
    struct backoff backoff;
};

struct recorder {
    char *folder;
    uint32_t items_max;
    uint32_t recording_count; /* the loop thread's, like the next */
    uv_loop_t *retired;       /* set: closed from this loop with the last recording */
    struct metric_counter *written, *dropped_queue, *dropped_write;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    /* under lock */
    struct item *first, *last, *spare;
    uint32_t item_count; /* pictures in the list */
    bool stopping;
};

static void *run_thread(void *arg);

/* Loop thread */

static void open_metrics(struct recorder *recorder, struct metrics *metrics)
{
    static const char name[] = "server_record_pictures_dropped_total";
    static const char help[] = "pictures left out of the annotated videos";
    struct metric_label full = { "reason", "queue_full" }, disk = { "reason", "write_error" };

    recorder->written = metrics_counter(metrics, "server_record_pictures_written_total",
                                        "pictures in the annotated videos", NULL, 0);
    recorder->dropped_queue = metrics_counter(metrics, name, help, &full, 1);
    recorder->dropped_write = metrics_counter(metrics, name, help, &disk, 1);
}

int recorder_open(struct recorder **out, const struct record_config *config,
                  struct metrics *metrics, struct error *err)
{
    if (mkdir(config->folder, 0755) < 0 && errno != EEXIST)
        return error_set_errno(err, errno, "record.folder", "cannot make %s", config->folder);
    struct recorder *recorder = calloc(1, sizeof *recorder);
    if (!recorder)
        return error_set(err, ERROR_MEMORY, "record", "no room for the recorder");
    recorder->folder = strdup(config->folder);
    if (!recorder->folder) {
        free(recorder);
        return error_set(err, ERROR_MEMORY, "record", "no room for its folder");
    }
    recorder->items_max = config->queue;
    open_metrics(recorder, metrics);
    pthread_mutex_init(&recorder->lock, NULL);
    pthread_cond_init(&recorder->work, NULL);
    int rc = pthread_create(&recorder->thread, NULL, run_thread, recorder);
    if (rc != 0) {
        pthread_mutex_destroy(&recorder->lock);
        pthread_cond_destroy(&recorder->work);
        free(recorder->folder);
        free(recorder);
        return error_set_errno(err, rc, "record", "cannot start the recorder");
    }
    *out = recorder;
    return 0;
}

int recording_open(struct recorder *recorder, struct recording **out, const char *stream,
                   struct error *err)
{
    struct recording *recording = calloc(1, sizeof *recording);
    if (!recording)
        return error_set(err, ERROR_MEMORY, "record", "no room for a recording");
    recording->recorder = recorder;
    recording->end.recording = recording;
    assert(strlen(stream) < sizeof recording->stream);
    memcpy(recording->stream, stream, strlen(stream) + 1);
    backoff_init(&recording->backoff, RETRY_FIRST_MS, RETRY_CAP_MS, random_entropy());
    recorder->recording_count++;
    *out = recording;
    return 0;
}

static void add_item(struct recorder *recorder, struct item *item)
{
    item->next = NULL;
    *(recorder->first ? &recorder->last->next : &recorder->first) = item;
    recorder->last = item;
}

static void free_item(struct item *item)
{
    free(item->boxes);
    free(item);
}

static struct item *make_item(void)
{
    struct item *item = calloc(1, sizeof *item);

    if (item)
        item->boxes = calloc(ANALYSIS_OBJECTS_MAX, sizeof item->boxes[0]);
    if (item && item->boxes)
        return item;
    free(item);
    return NULL;
}

/* An item to fill, or NULL when the thread is too far behind. */
static struct item *take_item(struct recording *recording)
{
    struct recorder *recorder = recording->recorder;

    pthread_mutex_lock(&recorder->lock);
    bool room =
        recorder->item_count < recorder->items_max && recording->waiting < RECORDING_PICTURES_MAX;
    struct item *item = room ? recorder->spare : NULL;
    if (item)
        recorder->spare = item->next;
    pthread_mutex_unlock(&recorder->lock);
    if (room && !item)
        item = make_item();
    return item;
}

static void fill_boxes(struct item *item, const struct frame *frame,
                       const struct answer_origin *origin)
{
    item->box_count = frame->analysis.object_count;
    for (size_t i = 0; i < item->box_count; i++) {
        const struct analysis_object *object = &frame->analysis.objects[i];
        struct record_box *box = &item->boxes[i];
        const char *name = origin->class_name(origin->class_arg, object->class_id);
        box->x = object->x;
        box->y = object->y;
        box->width = object->width;
        box->height = object->height;
        box->class_id = object->class_id;
        snprintf(box->label, sizeof box->label, "%.40s %.2f", name ? name : "", object->confidence);
    }
}

void recording_add(struct recording *recording, const struct frame *frame,
                   const struct answer_origin *origin)
{
    struct recorder *recorder = recording->recorder;
    struct item *item = take_item(recording);

    if (!item) {
        metric_counter_add(recorder->dropped_queue, 1);
        return;
    }
    if (!recording->started) {
        recording->started = true;
        recording->first_ns = frame->capture_ns;
    }
    item->recording = recording;
    item->picture = picture_ref(frame->picture);
    /* The agent's clock is not ours to trust: the thread leaves out what does not grow. */
    item->time_ns = frame->capture_ns - recording->first_ns;
    item->wall_us = frame->capture_unix_us;
    fill_boxes(item, frame, origin);
    pthread_mutex_lock(&recorder->lock);
    recorder->item_count++;
    recording->waiting++;
    add_item(recorder, item);
    pthread_mutex_unlock(&recorder->lock);
    pthread_cond_signal(&recorder->work);
}

static void close_writer(void *writer)
{
    struct recorder *recorder = writer;
    recorder_close(&recorder);
}

static void close_retired(struct recorder *recorder)
{
    if (recorder->retired && recorder->recording_count == 0)
        writer_close_later(recorder->retired, close_writer, recorder);
}

void recorder_retire(struct recorder **retired, uv_loop_t *loop)
{
    struct recorder *recorder = *retired;
    *retired = NULL;
    if (!recorder)
        return;
    recorder->retired = loop;
    close_retired(recorder);
}

void recording_close(struct recording **recording)
{
    if (!*recording)
        return;
    struct recorder *recorder = (*recording)->recorder;
    recorder->recording_count--;
    pthread_mutex_lock(&recorder->lock);
    add_item(recorder, &(*recording)->end);
    pthread_mutex_unlock(&recorder->lock);
    pthread_cond_signal(&recorder->work);
    *recording = NULL;
    close_retired(recorder);
}

void recorder_close(struct recorder **closed)
{
    struct recorder *recorder = *closed;

    if (!recorder)
        return;
    assert(recorder->recording_count == 0);
    *closed = NULL;
    pthread_mutex_lock(&recorder->lock);
    recorder->stopping = true;
    pthread_mutex_unlock(&recorder->lock);
    pthread_cond_signal(&recorder->work);
    if (!writer_finish(recorder->thread, "record"))
        return;
    for (struct item *item = recorder->spare, *next; item; item = next) {
        next = item->next;
        free_item(item);
    }
    pthread_mutex_destroy(&recorder->lock);
    pthread_cond_destroy(&recorder->work);
    free(recorder->folder);
    free(recorder);
}

/* The thread */

static void on_failure(struct recording *recording, const struct error *cause)
{
    struct error ignored; /* the file is given up, whatever its end says */

    metric_counter_add(recording->recorder->dropped_write, 1);
    if (!recording->failing)
        log_error("record", "cannot write, will start another file",
                  LOG_STR("stream", recording->stream), LOG_CAUSE(cause));
    recording->failing = true;
    recording->retry_ns = clock_now_ns() + backoff_next_ms(&recording->backoff) * CLOCK_NS_PER_MS;
    if (recording->file)
        record_close(&recording->file, &ignored);
}

static int open_file(struct recording *recording, struct picture *picture, struct error *err)
{
    char path[4096], stamp[32];
    const time_t now_s = (time_t)(clock_wall_us() / 1000000);
    struct tm utc;
    struct picture_view view;

    gmtime_r(&now_s, &utc);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc);
    if ((size_t)snprintf(path, sizeof path, "%s/%s-%s.mp4", recording->recorder->folder,
                         recording->stream, stamp) >= sizeof path)
        return error_set(err, ERROR_CONFIG, "record.folder", "the path is too long");
    picture_get_view(picture, &view);
    int rc = record_open(&recording->file, path, view.width, view.height, err);
    if (rc == 0)
        log_info("record", "recording", LOG_STR("stream", recording->stream), LOG_STR("path", path));
    return rc;
}

static void write_picture(struct recording *recording, const struct item *item)
{
    struct error err;
    char caption[WIRE_NAME_BYTES_MAX + CLOCK_RFC3339_BYTES + 2], time[CLOCK_RFC3339_BYTES];

    if (recording->file && item->time_ns <= recording->last_ns)
        return;
    if (!recording->file && clock_now_ns() < recording->retry_ns) {
        metric_counter_add(recording->recorder->dropped_write, 1);
        return;
    }
    if (!recording->file && open_file(recording, item->picture, &err) < 0) {
        on_failure(recording, &err);
        return;
    }
    clock_format_rfc3339(item->wall_us, time);
    snprintf(caption, sizeof caption, "%s %s", recording->stream, time);
    if (record_add(recording->file, item->picture, item->time_ns, item->boxes, item->box_count,
                   caption, &err) < 0) {
        on_failure(recording, &err);
        return;
    }
    recording->last_ns = item->time_ns;
    metric_counter_add(recording->recorder->written, 1);
    if (recording->failing) {
        recording->failing = false;
        backoff_reset(&recording->backoff);
    }
}

static void finish_recording(struct recording *recording)
{
    struct error err;

    if (recording->file && record_close(&recording->file, &err) < 0)
        log_error("record", "cannot finish the file", LOG_STR("stream", recording->stream),
                  LOG_CAUSE(&err));
    free(recording);
}

static void *run_thread(void *arg)
{
    struct recorder *recorder = arg;

    pthread_mutex_lock(&recorder->lock);
    for (;;) {
        struct item *item = recorder->first;
        if (!item && recorder->stopping)
            break;
        if (!item) {
            pthread_cond_wait(&recorder->work, &recorder->lock);
            continue;
        }
        recorder->first = item->next;
        pthread_mutex_unlock(&recorder->lock);
        if (item->picture) {
            write_picture(item->recording, item);
            picture_unref(&item->picture);
            pthread_mutex_lock(&recorder->lock);
            item->recording->waiting--;
            recorder->item_count--;
            item->next = recorder->spare;
            recorder->spare = item;
        } else {
            finish_recording(item->recording); /* and with it the item */
            pthread_mutex_lock(&recorder->lock);
        }
    }
    pthread_mutex_unlock(&recorder->lock);
    return NULL;
}
