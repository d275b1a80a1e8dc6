/* finish: see the header. */
#include "report/finish.h"
#include "base/clock.h"
#include "base/log.h"
#include <stdlib.h>
#include <time.h>

bool writer_finish(pthread_t thread, const char *module)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until); /* the only clock that this join knows */
    until.tv_nsec += WRITER_FINISH_MS * (long)CLOCK_NS_PER_MS;
    until.tv_sec += until.tv_nsec / (long)CLOCK_NS_PER_S;
    until.tv_nsec %= (long)CLOCK_NS_PER_S;
    if (pthread_timedjoin_np(thread, NULL, &until) == 0)
        return true;
    log_error(module, "the disk does not take the rest in time, it is lost");
    return false;
}

struct closing {
    uv_work_t work; /* first, so that it can be freed by its address */
    void (*close)(void *writer);
    void *writer;
};

static void close_writer(uv_work_t *work)
{
    struct closing *closing = (struct closing *)work;
    closing->close(closing->writer);
}

static void on_writer_closed(uv_work_t *work, int status)
{
    (void)status; /* nobody cancels it */
    free(work);
}

void writer_close_later(uv_loop_t *loop, void (*close)(void *writer), void *writer)
{
    struct closing *closing = calloc(1, sizeof *closing);
    if (!closing) {
        close(writer); /* the loop waits: better than lines that are never written */
        return;
    }
    closing->close = close;
    closing->writer = writer;
    uv_queue_work(loop, &closing->work, close_writer,
                  on_writer_closed); /* fails without a callback only */
}
