/* spool: see the header. The loop hands requests to the thread and gets them back when they are done;
 * the thread does all that has come together. A request is taken from those done before. */
#include "spool.h"

#include "base/clock.h"
#include "base/log.h"
#include "net/answer_json.h"
#include "spool_parts.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void on_wake(uv_async_t *handle);
static void on_closed(uv_handle_t *handle);
static void on_never_begun(uv_handle_t *handle);
static void free_spool(struct spool *spool);

void request_list_add(struct request_list *list, struct request *request)
{
    request->next = NULL;
    *(list->first ? &list->last->next : &list->first) = request;
    list->last = request;
}

struct request *request_list_take(struct request_list *list)
{
    struct request *request = list->first;
    if (request)
        list->first = request->next;
    return request;
}

int spool_open(struct spool **out, uv_loop_t *loop, const struct spool_config *config,
               const struct sink_config *answers, struct metrics *metrics, struct error *err)
{
    struct spool *spool = calloc(1, sizeof *spool);
    if (!spool)
        return error_set(err, ERROR_MEMORY, "spool", "no memory");
    spool->config = config;
    spool->metrics = metrics;
    if (uv_mutex_init(&spool->mutex) != 0 || uv_mutex_init(&spool->disk) != 0 ||
        uv_cond_init(&spool->changed) != 0) {
        free(spool);
        return error_set(err, ERROR_MEMORY, "spool", "cannot make a mutex");
    }
    int result = spool_writer_open(&spool->writer, spool, answers, err);
    if (result != 0) {
        spool_writer_close(&spool->writer);
        free_spool(spool);
        return error_wrap(err, "spool");
    }
    uv_async_init(loop, &spool->wake, on_wake);
    spool->wake.data = spool;
    if (uv_thread_create(&spool->thread, spool_writer_main, spool) != 0) {
        uv_close((uv_handle_t *)&spool->wake, on_never_begun);
        return error_set(err, ERROR_MEMORY, "spool", "cannot start a thread");
    }
    *out = spool;
    return 0;
}

static struct spool_stream *find_stream(struct spool *spool, const char *name)
{
    struct spool_stream *stream = spool->streams;
    while (stream && strcmp(stream->name, name) != 0)
        stream = stream->next;
    return stream;
}

/* Its place in the database, with the disk to itself. */
static int find_place(struct spool *spool, struct spool_stream *stream, struct error *err)
{
    struct spool_db *db = spool->writer.db;
    int result = spool_db_begin(db, err);
    if (result == 0)
        result = spool_db_find_stream(db, stream->name, &stream->place, err);
    if (result == 0)
        result = spool_db_commit(db, err);
    if (result != 0)
        spool_db_roll_back(db);
    return result;
}

int spool_join(struct spool *spool, struct spool_stream **out, const char *name,
               struct figures *figures, const struct spool_events *events, void *arg,
               uint64_t *next_number, struct error *err)
{
    struct spool_stream *stream = find_stream(spool, name); /* one that has left comes back */
    bool fresh = !stream;
    if (fresh && !(stream = calloc(1, sizeof *stream)))
        return error_set(err, ERROR_MEMORY, "spool", "no memory");
    assert(!stream->events);
    uv_mutex_lock(&spool->disk);
    stream->spool = spool;
    snprintf(stream->name, sizeof stream->name, "%s", name);
    int result = find_place(spool, stream, err);
    uv_mutex_lock(&spool->mutex);
    if (fresh && result == 0) {
        stream->next = spool->streams;
        spool->streams = stream;
    }
    stream->figures = result == 0 ? figures : NULL;
    uv_mutex_unlock(&spool->mutex);
    uv_mutex_unlock(&spool->disk);
    if (result != 0) {
        if (fresh)
            free(stream);
        return error_wrap(err, "spool");
    }
    stream->events = events;
    stream->arg = arg;
    atomic_store(&stream->waiting, stream->place.waiting);
    *next_number = stream->place.next_number;
    *out = stream;
    return 0;
}

void spool_leave(struct spool_stream **stream_ptr)
{
    struct spool_stream *stream = *stream_ptr;
    if (!stream)
        return;
    *stream_ptr = NULL;
    stream->events = NULL;
    uv_mutex_lock(&stream->spool->mutex);
    stream->figures = NULL;
    uv_mutex_unlock(&stream->spool->mutex);
}

uint64_t spool_waiting(const struct spool_stream *stream)
{
    return atomic_load(&stream->waiting);
}

/* ---- requests ---- */

static struct request *take_request(struct spool *spool, enum request_kind kind,
                                    struct spool_stream *stream, struct error *err)
{
    struct request *request = spool->unused;
    if (request)
        spool->unused = request->next;
    else if (!(request = calloc(1, sizeof *request))) {
        error_set(err, ERROR_MEMORY, "spool", "no memory for a request");
        return NULL;
    }
    struct text line = request->line;
    text_clear(&line);
    *request = (struct request){ .kind = kind, .stream = stream, .line = line };
    return request;
}

static void give_back(struct spool *spool, struct request *request)
{
    for (size_t i = 0; i < SPOOL_READ_MAX; i++) {
        packet_unref(&request->frames[i].frame.packet);
        picture_unref(&request->frames[i].frame.picture);
    }
    request->next = spool->unused;
    spool->unused = request;
}

static void ask(struct spool *spool, struct request *request)
{
    uv_mutex_lock(&spool->mutex);
    request_list_add(&spool->asked, request);
    uv_cond_signal(&spool->changed);
    uv_mutex_unlock(&spool->mutex);
}

int spool_put(struct spool_stream *stream, const struct spool_frame *frame, struct error *err)
{
    struct request *request = take_request(stream->spool, REQUEST_PUT, stream, err);
    if (!request) {
        struct spool_frame lost = *frame;
        packet_unref(&lost.frame.packet);
        picture_unref(&lost.frame.picture);
        return -ERROR_MEMORY;
    }
    request->frames[0] = *frame;
    request->frame_count = 1;
    ask(stream->spool, request);
    return 0;
}

/* False when there was no memory for it. */
static bool write_line(struct request *request, const Runespoor__Answer *answer, uint64_t age_us)
{
    answer_write_json(&request->line, answer, &age_us);
    if (!request->line.failed)
        return true;
    request->line.failed = false;
    return false;
}

int spool_put_answer(struct spool_stream *stream, const Runespoor__Answer *answer, uint64_t age_us,
                     bool final, uint64_t ticket, struct error *err)
{
    struct spool *spool = stream->spool;
    struct request *request = take_request(spool, REQUEST_ANSWER, stream, err);
    if (!request)
        return -ERROR_MEMORY;
    if (spool->writer.lines && !write_line(request, answer, age_us)) {
        give_back(spool, request);
        return error_set(err, ERROR_MEMORY, "spool", "no memory for a line");
    }
    request->answer = (struct spool_answer){ .number = answer->frame,
                                             .age_us = age_us,
                                             .late = answer->late,
                                             .status = answer->status,
                                             .final = final };
    request->ticket = ticket;
    if (ticket == 0) {
        ask(spool, request);
        return 0;
    }
    request_list_add(&spool->held, request);
    stream->held++;
    return 0;
}

/* They are released about in the order in which they came, and they are few. */
void spool_release(struct spool *spool, uint64_t ticket)
{
    struct request_list held = spool->held;
    spool->held = (struct request_list){ 0 };
    for (struct request *request; (request = request_list_take(&held));) {
        if (request->ticket == ticket) {
            request->stream->held--;
            ask(spool, request);
        } else {
            request_list_add(&spool->held, request);
        }
    }
}

size_t spool_held(const struct spool_stream *stream)
{
    return stream->held;
}

int spool_read(struct spool_stream *stream, void *reader, uint64_t from, uint64_t below,
               struct error *err)
{
    struct request *request = take_request(stream->spool, REQUEST_READ, stream, err);
    if (!request)
        return -ERROR_MEMORY;
    request->reader = reader;
    request->from = from;
    request->below = below;
    ask(stream->spool, request);
    return 0;
}

bool spool_add_line(struct spool *spool, const Runespoor__Answer *answer, uint64_t age_us)
{
    struct request *request = NULL;
    struct error err;
    if (!spool->writer.lines)
        return true;
    if (atomic_load(&spool->line_bytes) <= SPOOL_LINES_BYTES_MAX)
        request = take_request(spool, REQUEST_LINE, NULL, &err);
    if (request && write_line(request, answer, age_us)) {
        atomic_fetch_add(&spool->line_bytes, request->line.size);
        ask(spool, request);
        return true;
    }
    if (request)
        give_back(spool, request);
    metric_counter_add(spool->writer.lines_dropped, 1);
    return false;
}

static void tell(struct request *request)
{
    struct spool_stream *stream = request->stream;
    if (!stream || !stream->events)
        return;
    if (request->kind == REQUEST_PUT)
        stream->events->put(stream->arg, &request->frames[0], request->previous, request->fate);
    else if (request->kind == REQUEST_ANSWER)
        stream->events->answered(stream->arg, &request->answer, request->end);
    else
        stream->events->read(stream->arg, request->reader, request->frames, request->frame_count);
}

static void on_wake(uv_async_t *handle)
{
    struct spool *spool = handle->data;
    uv_mutex_lock(&spool->mutex);
    struct request_list done = spool->done;
    spool->done = (struct request_list){ 0 };
    bool stopped = spool->stopped;
    uv_mutex_unlock(&spool->mutex);
    for (struct request *request; (request = request_list_take(&done));) {
        tell(request);
        give_back(spool, request);
    }
    if (stopped && !uv_is_closing((uv_handle_t *)handle))
        uv_close((uv_handle_t *)handle, on_closed);
}

/* ---- the end ---- */

void spool_close(struct spool **spool_ptr)
{
    struct spool *spool = *spool_ptr;
    if (!spool)
        return;
    *spool_ptr = NULL;
    uv_mutex_lock(&spool->mutex);
    spool->stopping = true;
    uv_cond_signal(&spool->changed);
    uv_mutex_unlock(&spool->mutex);
}

static void free_spool(struct spool *spool)
{
    for (struct request *request; (request = request_list_take(&spool->held));)
        give_back(spool, request); /* their frames will be asked for again */
    for (struct request *request; (request = spool->unused);) {
        spool->unused = request->next;
        text_finish(&request->line);
        free(request);
    }
    for (struct spool_stream *stream; (stream = spool->streams);) {
        spool->streams = stream->next;
        free(stream);
    }
    uv_cond_destroy(&spool->changed);
    uv_mutex_destroy(&spool->disk);
    uv_mutex_destroy(&spool->mutex);
    free(spool);
}

static void on_closed(uv_handle_t *handle)
{
    struct spool *spool = handle->data;
    uv_thread_join(&spool->thread); /* it has said that it is at its end */
    spool_writer_close(&spool->writer);
    free_spool(spool);
}

static void on_never_begun(uv_handle_t *handle)
{
    struct spool *spool = handle->data;
    spool_writer_close(&spool->writer);
    free_spool(spool);
}
