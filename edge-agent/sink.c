/* sink: see the header. Two texts take turns: one is filled while the other is written. */
#include "sink.h"

#include "base/log.h"
#include "net/answer_json.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RETRY_MS 2000u

struct sink {
    uv_loop_t *loop;
    char *path;
    uv_file file; /* -1: no file */
    struct text filling, writing;
    size_t written; /* of writing */
    uv_fs_t request;
    uv_timer_t retry; /* active: the last write failed */
    bool busy, failing, closing;
    struct metric_counter *lines, *dropped, *errors;
};

static void write_more(struct sink *sink);

static int open_file(struct sink *sink, struct error *err)
{
    int result = answer_lines_repair(sink->path, err);
    if (result != 0)
        return error_wrap(err, "answers.path");
    /* Without waiting: a FIFO without a reader would hold up the start for ever. */
    sink->file = open(sink->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0644);
    if (sink->file < 0)
        return error_set_errno(err, errno, "answers.path", "cannot write %s", sink->path);
    int flags = fcntl(sink->file, F_GETFL);
    fcntl(sink->file, F_SETFL, flags & ~O_NONBLOCK); /* the pool's threads may wait */
    return 0;
}

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
    if (path[0] && open_file(sink, err) != 0) {
        free(sink->path);
        free(sink);
        return -(int)err->code;
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
    if (sink->file >= 0 && close(sink->file) != 0)
        log_error("sink", "closing failed", LOG_STR("path", sink->path),
                  LOG_STR("cause", strerror(errno)));
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

static void on_written(uv_fs_t *request)
{
    struct sink *sink = request->data;
    ssize_t result = request->result;
    uv_fs_req_cleanup(request);
    sink->busy = false;
    if (result >= 0) {
        if (sink->failing)
            log_info("sink", "answers are written again", LOG_STR("path", sink->path));
        sink->failing = false;
        sink->written += (size_t)result; /* a short write goes on behind it: no torn line */
        write_more(sink);
        return;
    }
    metric_counter_add(sink->errors, 1);
    if (!sink->failing)
        log_error("sink", "cannot write answers, trying again", LOG_STR("path", sink->path),
                  LOG_STR("cause", uv_strerror((int)result)), LOG_U64("every_ms", RETRY_MS));
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
    uv_buf_t rest = uv_buf_init(sink->writing.data + sink->written,
                                (unsigned)(sink->writing.size - sink->written));
    int result = uv_fs_write(sink->loop, &sink->request, sink->file, &rest, 1, -1, on_written);
    assert(result == 0); /* one buffer needs no memory, and nothing else can fail here */
    (void)result;
    sink->busy = true;
}
