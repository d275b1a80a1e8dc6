/* answers: the loop thread writes the line into a text from a free list and puts it into the queue;
 * the thread writes it to the file and gives the text back. So texts are allocated only until as
 * many exist as were ever on their way at once. */
#include "report/answers.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/queue.h"
#include "net/answer_json.h"
#include "report/finish.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RETRY_FIRST_MS 100u
#define RETRY_CAP_MS 5000u
#define RETRY_STEP_MS 50u         /* how soon a waiting thread sees that the server stops */
#define TAIL_BYTES_MAX (1u << 20) /* longest line that is looked for when a torn tail is cut */

struct answer_file {
    char *path;
    struct queue *lines; /* of struct text: loop -> thread */
    struct queue *spare; /* of struct text: thread -> loop */
    pthread_t thread;
    atomic_bool closing;
    struct metric_counter *written, *dropped_queue, *dropped_write, *errors;
    /* the thread's */
    int fd;
    bool failing;
    struct backoff backoff;
};

static void *run_thread(void *arg);
static int cut_torn_tail(int fd, const char *path, struct error *err);

static void free_text(void *item)
{
    text_finish(item);
    free(item);
}

static void open_metrics(struct answer_file *file, struct metrics *metrics)
{
    static const char name[] = "server_answer_lines_dropped_total";
    static const char help[] = "answers that did not get into the answer file";
    struct metric_label full = { "reason", "queue_full" }, disk = { "reason", "write_error" };

    file->written = metrics_counter(metrics, "server_answer_lines_written_total",
                                    "lines in the answer file", NULL, 0);
    file->dropped_queue = metrics_counter(metrics, name, help, &full, 1);
    file->dropped_write = metrics_counter(metrics, name, help, &disk, 1);
    file->errors = metrics_counter(metrics, "server_answer_write_errors_total",
                                   "failed tries to write to the answer file", NULL, 0);
}

int answer_file_open(struct answer_file **out, const struct answers_config *config,
                     struct metrics *metrics, struct error *err)
{
    struct answer_file *file = calloc(1, sizeof *file);
    if (!file)
        return error_set(err, ERROR_MEMORY, "answers", "no room for the writer");
    file->path = strdup(config->path);
    if (!file->path) {
        free(file);
        return error_set(err, ERROR_MEMORY, "answers", "no room for its path");
    }
    backoff_init(&file->backoff, RETRY_FIRST_MS, RETRY_CAP_MS, random_entropy());
    open_metrics(file, metrics);
    file->fd = open(config->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    int rc = 0;
    if (file->fd < 0)
        rc = error_set_errno(err, errno, "answers.path", "cannot open %s for writing", config->path);
    if (rc == 0)
        rc = cut_torn_tail(file->fd, config->path, err);
    if (rc == 0)
        rc = queue_create(&file->lines, config->queue, QUEUE_DROP_OLDEST, err);
    if (rc == 0) /* one more is in the thread's hands, one in the loop's */
        rc = queue_create(&file->spare, config->queue + 2, QUEUE_REFUSE, err);
    if (rc == 0) {
        int result = pthread_create(&file->thread, NULL, run_thread, file);
        if (result != 0)
            rc = error_set_errno(err, result, "answers", "cannot start the writer");
    }
    if (rc < 0) {
        queue_destroy(&file->lines, free_text);
        queue_destroy(&file->spare, free_text);
        if (file->fd >= 0)
            close(file->fd);
        free(file->path);
        free(file);
        return rc;
    }
    *out = file;
    return 0;
}

/* NULL without memory. */
static struct text *take_line(struct answer_file *file)
{
    void *item;

    if (queue_take(file->spare, &item, 0) != QUEUE_OK)
        return calloc(1, sizeof(struct text));
    text_clear(item);
    return item;
}

static void put_line(struct answer_file *file, struct text *line)
{
    void *dropped;

    if (!line || line->failed) {
        metric_counter_add(file->dropped_queue, 1);
        if (line)
            free_text(line);
        return;
    }
    if (queue_put(file->lines, line, &dropped) == QUEUE_DROPPED) {
        metric_counter_add(file->dropped_queue, 1);
        if (queue_put(file->spare, dropped, NULL) != QUEUE_OK)
            free_text(dropped);
    }
}

void answer_file_add(struct answer_file *file, const Runespoor__Answer *answer)
{
    struct text *line = take_line(file);
    if (line)
        answer_write_json(line, answer, NULL);
    put_line(file, line);
}

void answer_file_add_probe(struct answer_file *file, const struct probe_sample *sample)
{
    struct text *line = take_line(file);
    if (line)
        probe_sample_write(line, sample);
    put_line(file, line);
}

void answer_file_close(struct answer_file **closed)
{
    struct answer_file *file = *closed;

    if (!file)
        return;
    *closed = NULL;
    atomic_store(&file->closing, true);
    queue_close(file->lines);
    if (!writer_finish(file->thread, "answers"))
        return;
    queue_destroy(&file->lines, free_text);
    queue_destroy(&file->spare, free_text);
    if (close(file->fd) < 0)
        log_error("answers", "closing failed", LOG_STR("path", file->path),
                  LOG_STR("cause", strerror(errno)));
    free(file->path);
    free(file);
}

static void close_writer(void *writer)
{
    struct answer_file *file = writer;
    answer_file_close(&file);
}

void answer_file_close_later(struct answer_file **file, uv_loop_t *loop)
{
    if (*file)
        writer_close_later(loop, close_writer, *file);
    *file = NULL;
}

bool answer_file_is_at(const struct answer_file *file, const char *path)
{
    struct stat there, own;
    return stat(path, &there) == 0 && fstat(file->fd, &own) == 0 && there.st_dev == own.st_dev &&
           there.st_ino == own.st_ino;
}

/* What stands behind the last newline was cut short by a kill or a full disk. */
static int cut_torn_tail(int fd, const char *path, struct error *err)
{
    struct stat status;
    char block[4096];

    if (fstat(fd, &status) < 0)
        return error_set_errno(err, errno, "answers.path", "cannot look at %s", path);
    if (!S_ISREG(status.st_mode))
        return 0;
    off_t end = status.st_size, floor = end > TAIL_BYTES_MAX ? end - (off_t)TAIL_BYTES_MAX : 0;
    off_t keep = floor;
    while (end > floor) {
        off_t start = end - floor > (off_t)sizeof block ? end - (off_t)sizeof block : floor;
        ssize_t count = pread(fd, block, (size_t)(end - start), start);
        if (count != end - start)
            return error_set_errno(err, count < 0 ? errno : EIO, "answers.path",
                                   "cannot read the end of %s", path);
        const char *newline = memrchr(block, '\n', (size_t)count);
        if (newline) {
            keep = start + (newline - block) + 1;
            break;
        }
        end = start;
    }
    if (keep == status.st_size)
        return 0;
    /* Nobody's other file is to lose its end because a path was mistyped. */
    if ((keep == floor && floor > 0) || pread(fd, block, 1, keep) != 1 || block[0] != '{')
        return error_set(err, ERROR_FORMAT, "answers.path",
                         "%s does not end like a file of answers: move it away", path);
    log_warn("answers", "cut a torn last line", LOG_STR("path", path),
             LOG_U64("bytes", (uint64_t)(status.st_size - keep)));
    if (ftruncate(fd, keep) < 0)
        return error_set_errno(err, errno, "answers.path", "cannot cut %s", path);
    return 0;
}

/* The thread */

/* Writes the line whole, or leaves the file as it was and gives the errno. */
static int write_line(struct answer_file *file, const struct text *line)
{
    size_t done = 0;

    while (done < line->size) {
        ssize_t count = write(file->fd, line->data + done, line->size - done);
        if (count >= 0) {
            done += (size_t)count;
            continue;
        }
        if (errno == EINTR)
            continue;
        int cause = errno;
        struct stat status;
        if (done > 0 && fstat(file->fd, &status) == 0 && S_ISREG(status.st_mode) &&
            ftruncate(file->fd, status.st_size - (off_t)done) < 0)
            log_error("answers", "a torn line stays in the file", LOG_STR("path", file->path),
                      LOG_STR("cause", strerror(errno)));
        return cause;
    }
    return 0;
}

static void wait_for_retry(struct answer_file *file)
{
    uint64_t now_ns = clock_now_ns();
    const uint64_t until_ns = now_ns + backoff_next_ms(&file->backoff) * CLOCK_NS_PER_MS;

    while (now_ns < until_ns && !atomic_load(&file->closing)) {
        clock_sleep_until_ns(now_ns + RETRY_STEP_MS * CLOCK_NS_PER_MS);
        now_ns = clock_now_ns();
    }
}

static void write_until_done(struct answer_file *file, const struct text *line)
{
    for (;;) {
        int cause = write_line(file, line);
        if (cause == 0)
            break;
        metric_counter_add(file->errors, 1);
        if (!file->failing)
            log_error("answers", "cannot write, will try again", LOG_STR("path", file->path),
                      LOG_STR("cause", strerror(cause)));
        file->failing = true;
        if (atomic_load(&file->closing)) {
            metric_counter_add(file->dropped_write, 1);
            return;
        }
        wait_for_retry(file);
    }
    metric_counter_add(file->written, 1);
    if (file->failing) {
        log_info("answers", "writing again", LOG_STR("path", file->path));
        file->failing = false;
        backoff_reset(&file->backoff);
    }
}

static void *run_thread(void *arg)
{
    struct answer_file *file = arg;
    void *line;

    while (queue_take(file->lines, &line, UINT32_MAX) == QUEUE_OK) {
        write_until_done(file, line);
        if (queue_put(file->spare, line, NULL) != QUEUE_OK)
            free_text(line);
    }
    return NULL;
}
