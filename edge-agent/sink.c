/* sink: see the header. Two texts take turns: one is filled while the other is written. */
#include "sink.h"

#include "base/log.h"
#include "lines.h"
#include "net/answer_json.h"
#include "spool.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 2000u

struct sink {
    uv_loop_t *loop;
    const char *path;
    struct spool *spool; /* NULL: the file is ours */
    struct lines *lines; /* NULL: no file */
    sink_add_fn *add;    /* NULL: no other place */
    void *add_arg;
    uint64_t ticket; /* the last one that was given */
    struct text filling, writing;
    size_t written; /* of writing */
    uv_work_t request;
    int result; /* of the last one, with its error */
    struct error error;
    uv_timer_t retry; /* active: the last write failed */
    bool busy, failing, closing;
    struct metric_counter *made, *dropped, *errors;
};

static void write_more(struct sink *sink);

int sink_open(struct sink **out, uv_loop_t *loop, const struct sink_config *config,
              struct spool *spool, struct metrics *metrics, struct error *err)
{
    struct sink *sink = calloc(1, sizeof *sink);
    if (!sink)
        return error_set(err, ERROR_MEMORY, "answers", "no memory");
    sink->loop = loop;
    sink->path = config->path;
    sink->spool = spool;
    if (!spool && config->path[0] && lines_open(&sink->lines, config, NULL, err) != 0) {
        free(sink);
        return -(int)err->code;
    }
    sink->made = metrics_counter(metrics, "edge_answer_lines_total", "Answer lines made", NULL, 0);
    sink->dropped =
        metrics_counter(metrics, "edge_answer_lines_dropped_total",
                        "Answer lines lost because the disk was too slow or full", NULL, 0);
    sink->errors =
        metrics_counter(metrics, "edge_answer_write_errors_total", "Writes that failed", NULL, 0);
    uv_timer_init(loop, &sink->retry);
    sink->retry.data = sink;
    sink->request.data = sink;
    *out = sink;
    return 0;
}

void sink_add_answer(struct sink *sink, const Runespoor__Answer *answer, uint64_t age_us)
{
    if (sink->add)
        sink->add(sink->add_arg, answer, age_us, 0);
    if (sink->spool)
        spool_add_line(sink->spool, answer, age_us);
    if (!sink->lines)
        return;
    if (sink->filling.size > SINK_WAITING_BYTES_MAX) {
        metric_counter_add(sink->dropped, 1);
        return;
    }
    size_t before = sink->filling.size;
    answer_write_json(&sink->filling, answer, &age_us);
    if (sink->filling.failed) { /* no memory: the lines before stay */
        sink->filling.size = before;
        sink->filling.failed = false;
        metric_counter_add(sink->dropped, 1);
        return;
    }
    metric_counter_add(sink->made, 1);
    if (!sink->busy && !sink->failing)
        write_more(sink);
}

void sink_register(struct sink *sink, sink_add_fn *add, void *arg)
{
    assert(!sink->add);
    sink->add = add;
    sink->add_arg = arg;
}

void sink_on_published(struct sink *sink, uint64_t ticket)
{
    if (sink->spool)
        spool_release(sink->spool, ticket);
}

int sink_add_lossless(struct sink *sink, struct spool_stream *stream,
                      const Runespoor__Answer *answer, uint64_t age_us, bool final, struct error *err)
{
    uint64_t ticket = 0;
    if (sink->add) {
        ticket = ++sink->ticket;
        if (sink->add(sink->add_arg, answer, age_us, ticket) != 0)
            return error_set(err, ERROR_AGAIN, "answers", "no room at the other place");
    }
    return spool_put_answer(stream, answer, age_us, final, ticket, err);
}

static void on_retry_closed(uv_handle_t *handle)
{
    struct sink *sink = handle->data;
    struct error err;
    if (lines_close(&sink->lines, &err) != 0)
        log_error("sink", "closing failed", LOG_CAUSE(&err));
    text_finish(&sink->filling);
    text_finish(&sink->writing);
    free(sink);
}

void sink_close(struct sink **sink_ptr)
{
    struct sink *sink = *sink_ptr;
    if (!sink)
        return;
    *sink_ptr = NULL;
    sink->closing = true;
    uv_timer_stop(&sink->retry);
    if (!sink->busy)
        write_more(sink);
}

/* ---- writing ---- */

static size_t count_lines(const struct text *text, size_t from)
{
    size_t lines = 0;
    for (size_t i = from; i < text->size; i++)
        lines += text->data[i] == '\n';
    return lines;
}

static void give_up(struct sink *sink)
{
    size_t lost = count_lines(&sink->writing, sink->written) + count_lines(&sink->filling, 0);
    log_error("sink", "answers lost", LOG_STR("path", sink->path), LOG_U64("lines", lost));
    metric_counter_add(sink->dropped, lost);
    text_clear(&sink->writing);
    text_clear(&sink->filling);
    sink->written = 0;
}

static void on_retry(uv_timer_t *timer)
{
    write_more(timer->data);
}

/* In a thread of libuv's pool. What waits begins with a line unless some of it is written. */
static void write_waiting(uv_work_t *request)
{
    struct sink *sink = request->data;
    size_t written = 0;
    sink->result = 0;
    if (sink->written == 0 && lines_are_full(sink->lines))
        sink->result = lines_rotate(sink->lines, &sink->error);
    if (sink->result == 0)
        sink->result = lines_write(sink->lines, sink->writing.data + sink->written,
                                   sink->writing.size - sink->written, &written, &sink->error);
    sink->written += written; /* a short write goes on behind it: no torn line */
}

static void on_written(uv_work_t *request, int status)
{
    struct sink *sink = request->data;
    (void)status; /* nobody cancels it */
    sink->busy = false;
    if (sink->result == 0) {
        if (sink->failing)
            log_info("sink", "answers are written again", LOG_STR("path", sink->path));
        sink->failing = false;
        write_more(sink);
        return;
    }
    metric_counter_add(sink->errors, 1);
    if (!sink->failing)
        log_error("sink", "cannot write answers, trying again", LOG_STR("path", sink->path),
                  LOG_CAUSE(&sink->error), LOG_U64("every_ms", RETRY_MS));
    sink->failing = true;
    if (sink->closing) { /* nobody will try again */
        give_up(sink);
        write_more(sink);
    } else {
        uv_timer_start(&sink->retry, on_retry, RETRY_MS, 0);
    }
}

static void write_more(struct sink *sink)
{
    if (sink->written >= sink->writing.size) {
        struct text empty = sink->writing;
        text_clear(&empty);
        sink->writing = sink->filling;
        sink->filling = empty;
        sink->written = 0;
    }
    if (sink->writing.size == 0) {
        if (sink->closing)
            uv_close((uv_handle_t *)&sink->retry, on_retry_closed);
        return;
    }
    int result = uv_queue_work(sink->loop, &sink->request, write_waiting, on_written);
    assert(result == 0); /* there is something to do, and nothing else can fail here */
    (void)result;
    sink->busy = true;
}
