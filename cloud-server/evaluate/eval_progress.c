/* eval_progress: see the header. */
#include "evaluate/eval_progress.h"
#include "base/clock.h"
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define DRAW_NS (200 * CLOCK_NS_PER_MS)
#define BAR_LETTERS 24u

void eval_progress_start(struct eval_progress *progress, const volatile sig_atomic_t *stop)
{
    *progress = (struct eval_progress){ .shown = isatty(STDERR_FILENO) == 1, .stop = stop };
}

void eval_progress_part(struct eval_progress *progress, const char *what, uint64_t weight)
{
    snprintf(progress->what, sizeof progress->what, "%s", what);
    progress->weight = weight;
    if (progress->start_ns == 0 && weight > 0)
        progress->start_ns = clock_now_ns();
}

/* From what the work done so far has taken. */
static void draw(const struct eval_progress *progress, size_t done, size_t all, uint64_t now_ns)
{
    char bar[BAR_LETTERS + 1], left[48] = "";
    for (unsigned i = 0; i < BAR_LETTERS; i++)
        bar[i] = i < BAR_LETTERS * done / all ? '#' : '.';
    bar[BAR_LETTERS] = '\0';
    if (progress->weight > 0 && progress->work_done > 0) {
        double left_share =
            (double)(progress->work_all - progress->work_done) / (double)progress->work_done;
        uint64_t seconds =
            (uint64_t)((double)(now_ns - progress->start_ns) / (double)CLOCK_NS_PER_S * left_share);
        snprintf(left, sizeof left, ", %" PRIu64 ":%02" PRIu64 " left", seconds / 60, seconds % 60);
    }
    fprintf(stderr, "\r[%s] %s, picture %zu of %zu%s\033[K", bar, progress->what, done, all, left);
    fflush(stderr);
}

bool eval_progress_step(struct eval_progress *progress, size_t done, size_t all)
{
    uint64_t now_ns = clock_now_ns();
    progress->work_done += progress->weight;
    if (progress->shown && (now_ns - progress->drawn_ns >= DRAW_NS || done == all)) {
        progress->drawn_ns = now_ns;
        draw(progress, done, all, now_ns);
    }
    return *progress->stop != 0;
}

void eval_progress_clear(struct eval_progress *progress)
{
    if (progress->shown && progress->drawn_ns > 0)
        fputs("\r\033[K", stderr);
}
