/* sink: see the header. Two texts take turns: one is filled while the other is written. */
#include "sink.h"

#include "base/log.h"
#include "net/answer_json.h"
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 2000u

struct sink {
    uv_loop_t *loop;
    char *path;
    uv_file file; /* -1: no file */
    struct text filling, writing;
    size_t written; /* of writing */
    uv_fs_t request;
    uv_timer_t retry;
    bool busy, failing, closing;
    struct metric_counter *lines, *dropped, *errors;
};

static void write_more(struct sink *sink);
static void on_retry(uv_timer_t *timer);

int sink_open(struct sink **out, uv_loop_t *loop, const char *path, struct metrics *metrics,
              struct error *err)
{
    struct sink *sink = calloc(1, sizeof *sink);
    if (!sink || !(sink->path = strdup(path))) {
        free(sink);
        return error_set(err, ERROR_MEMORY, "answers", "no memory");
    }
    sink->loop = loop;
    sink->file = -1;
    if (path[0]) {
        uv_fs_t open_request; /* synchronous: at start the loop may wait */
        sink->file = uv_fs_open(NULL, &open_request, path,
                                O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644, NULL);
        uv_fs_req_cleanup(&open_request);
        if (sink->file < 0) {
            error_set(err, ERROR_IO, "answers.path", "cannot write %s: %s", path,
                      uv_strerror((int)sink->file));
            free(sink->path);
            free(sink);
            return -(int)err->code;
        }
    }
    sink->lines = metrics_counter(metrics, "edge_answer_lines_total", "Answer lines made", NULL, 0);
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
    if (sink->file < 0)
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
    metric_counter_add(sink->lines, 1);
    if (!sink->busy && !sink->failing)
        write_more(sink);
}

static void on_retry_closed(uv_handle_t *handle)
{
    struct sink *sink = handle->data;
    if (sink->file >= 0) {
        uv_fs_t request;
        uv_fs_close(NULL, &request, sink->file, NULL);
        uv_fs_req_cleanup(&request);
    }
    text_finish(&sink->filling);
    text_finish(&sink->writing);
    free(sink->path);
    free(sink);
}

void sink_close(struct sink **sink_ptr)
{
    struct sink *sink = *sink_ptr;
    if (!sink)
        return;
    *sink_ptr = NULL;
    sink->closing = true;
    if (!sink->busy)
        write_more(sink);
}

/* ---- writing ---- */

static void on_written(uv_fs_t *request)
{
    struct sink *sink = request->data;
    ssize_t result = request->result;
    uv_fs_req_cleanup(request);
    sink->busy = false;
    if (result < 0) {
        metric_counter_add(sink->errors, 1);
        if (!sink->failing)
            log_error("sink", "cannot write answers, trying again", LOG_STR("path", sink->path),
                      LOG_STR("cause", uv_strerror((int)result)), LOG_U64("every_ms", RETRY_MS));
        sink->failing = true;
        if (!sink->closing) {
            uv_timer_start(&sink->retry, on_retry, RETRY_MS, 0);
            return;
        }
        text_clear(&sink->writing); /* closing: nobody will try again */
        text_clear(&sink->filling);
        sink->written = 0;
    } else {
        if (sink->failing)
            log_info("sink", "answers are written again", LOG_STR("path", sink->path));
        sink->failing = false;
        sink->written += (size_t)result; /* a short write goes on behind it: no torn line */
    }
    write_more(sink);
}

static void on_retry(uv_timer_t *timer)
{
    write_more(timer->data);
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
    uv_buf_t rest = uv_buf_init(sink->writing.data + sink->written,
                                (unsigned)(sink->writing.size - sink->written));
    int result = uv_fs_write(sink->loop, &sink->request, sink->file, &rest, 1, -1, on_written);
    assert(result == 0); /* only wrong arguments fail here */
    (void)result;
    sink->busy = true;
}
