/* train_progress: see the header. */
#include "learn/train_progress.h"

#include "base/clock.h"
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define DRAW_NS (200 * CLOCK_NS_PER_MS)
#define BAR_LETTERS 24u
#define LOSS_SHARE 0.05 /* of a step in the smoothed loss */

void train_progress_start(struct train_progress *progress, const struct train *train)
{
    *progress = (struct train_progress){ .shown = isatty(STDERR_FILENO) == 1,
                                         .first_step = train->step,
                                         .start_ns = clock_now_ns(),
                                         .loss = (double)NAN };
}

struct bar {
    char text[BAR_LETTERS + 1];
};

static struct bar bar_of(uint64_t done, uint64_t all)
{
    struct bar bar = { "" };
    for (unsigned i = 0; i < BAR_LETTERS; i++)
        bar.text[i] = i < BAR_LETTERS * done / all ? '#' : '.';
    return bar;
}

static void draw(const struct train_progress *progress, const struct train *train, double rate,
                 uint64_t now_ns)
{
    const struct train_history *history = &train->history;
    char measured[48] = "";
    size_t figure = train_figure_name(train, 1) ? 1 : 0; /* the one that it is about */
    size_t row = history->count;
    while (row > 0 && !isfinite(history->rows[row - 1].figures[figure]))
        row--;
    if (row > 0)
        snprintf(measured, sizeof measured, ", %s %.3f", train_figure_name(train, figure),
                 history->rows[row - 1].figures[figure]);
    double each_s = (double)(now_ns - progress->start_ns) / (double)CLOCK_NS_PER_S /
                    (double)(train->step - progress->first_step);
    uint64_t left_s = (uint64_t)(each_s * (double)(train->steps - train->step));
    fprintf(
        stderr,
        "\r[%s] step %llu of %llu, loss %.4f%s, rate %.2g, %.2f steps/s, %llu:%02u:%02u left\033[K",
        bar_of(train->step, train->steps).text, (unsigned long long)train->step,
        (unsigned long long)train->steps, progress->loss, measured, rate, 1 / each_s,
        (unsigned long long)(left_s / 3600), (unsigned)(left_s / 60 % 60), (unsigned)(left_s % 60));
    fflush(stderr);
}

void train_progress_step(struct train_progress *progress, const struct train *train, double loss,
                         double rate)
{
    uint64_t now_ns = clock_now_ns();
    progress->loss =
        isnan(progress->loss) ? loss : progress->loss + LOSS_SHARE * (loss - progress->loss);
    if (!progress->shown || (now_ns - progress->drawn_ns < DRAW_NS && train->step < train->steps))
        return;
    progress->drawn_ns = now_ns;
    draw(progress, train, rate, now_ns);
}

void train_progress_pictures(struct train_progress *progress, const char *what, size_t done,
                             size_t all)
{
    uint64_t now_ns = clock_now_ns();
    if (!progress->shown || (now_ns - progress->drawn_ns < DRAW_NS && done < all))
        return;
    progress->drawn_ns = now_ns;
    fprintf(stderr, "\r[%s] %s, picture %zu of %zu\033[K", bar_of(done, all).text, what, done, all);
    fflush(stderr);
}

void train_progress_clear(struct train_progress *progress)
{
    if (progress->shown && progress->drawn_ns > 0)
        fputs("\r\033[K", stderr);
}
