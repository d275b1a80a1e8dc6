/* eval_plots: see the header. */
#include "evaluate/eval_plots.h"
#include "evaluate/frontier.h"
#include "evaluate/plot.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct drawing {
    const struct eval_arms *arms;
    const struct report *report;
    enum score_figure figure;
    struct plot_series series[PLOT_SERIES_MAX];
    char names[PLOT_SERIES_MAX][128];
    size_t count;
    struct frontier_point *points; /* of a set or line */
    double *numbers;               /* x and y of all series; used: how many */
    size_t used, room;
};

static int add_frontier(struct drawing *drawing, const struct eval_set *set, struct error *err);
static void add_line(struct drawing *drawing, size_t first);
static int save(struct drawing *drawing, const char *out, struct error *err);

static bool same_line(const struct eval_arms *arms, size_t a, size_t b)
{
    const struct eval_rung *left = &arms->rungs[arms->items[a].rung];
    const struct eval_rung *right = &arms->rungs[arms->items[b].rung];
    return left->codec == right->codec && left->rung.width == right->rung.width &&
           left->rung.height == right->rung.height &&
           strcmp(arms->items[a].restore->name, arms->items[b].restore->name) == 0;
}

static bool begins_line(const struct eval_arms *arms, size_t arm)
{
    for (size_t i = 0; i < arm; i++)
        if (same_line(arms, i, arm))
            return false;
    return true;
}

static int draw(struct drawing *drawing, const struct eval_set *sets, size_t set_count,
                const char *out, struct error *err)
{
    int failed = 0;
    drawing->count = drawing->used = 0;
    for (size_t i = 0; !failed && i < set_count && drawing->count < PLOT_SERIES_MAX; i++)
        failed = add_frontier(drawing, &sets[i], err);
    for (size_t i = 0; !failed && i < drawing->arms->count && drawing->count < PLOT_SERIES_MAX; i++)
        if (begins_line(drawing->arms, i))
            add_line(drawing, i);
    return failed ? failed : save(drawing, out, err);
}

int eval_plots(const struct eval_config *config, const struct eval_arms *arms,
               const struct report *report, const struct eval_set *sets, size_t set_count,
               struct error *err)
{
    static const enum score_figure figures[] = { SCORE_MEAN, SCORE_TAIL90, SCORE_TAIL99,
                                                 SCORE_CLASS_TAIL };
    struct drawing *drawing = calloc(1, sizeof *drawing);
    int failed = 0;
    if (!drawing)
        return error_set(err, ERROR_MEMORY, "plot", "no room for one");
    *drawing = (struct drawing){ .arms = arms, .report = report };
    drawing->points = calloc(arms->count, sizeof *drawing->points);
    drawing->room = 4 * arms->count; /* each arm is on one line and, may be, on one frontier */
    drawing->numbers = calloc(drawing->room, sizeof *drawing->numbers);
    if (!drawing->points || !drawing->numbers)
        failed = error_set(err, ERROR_MEMORY, "plot", "no room for %zu arms", arms->count);
    for (size_t i = 0; !failed && i < sizeof figures / sizeof *figures; i++) {
        drawing->figure = figures[i];
        failed = draw(drawing, sets, set_count, config->out, err);
    }
    free(drawing->points);
    free(drawing->numbers);
    free(drawing);
    return failed;
}

/* Takes the points over. */
static void add_series(struct drawing *drawing, const struct frontier_point *points, size_t count,
                       enum plot_style style)
{
    double *x = drawing->numbers + drawing->used, *y = x + count;
    for (size_t i = 0; i < count; i++) {
        x[i] = points[i].kbps;
        y[i] = points[i].accuracy;
    }
    drawing->used += 2 * count;
    drawing->series[drawing->count] = (struct plot_series){
        .name = drawing->names[drawing->count], .x = x, .y = y, .count = count, .style = style
    };
    drawing->count++;
}

static void add_point(struct drawing *drawing, size_t arm, size_t *count)
{
    double accuracy = drawing->report->rows[arm].figures[drawing->figure];
    if (!isnan(accuracy))
        drawing->points[(*count)++] =
            (struct frontier_point){ drawing->report->rows[arm].kbps, accuracy };
}

static int add_frontier(struct drawing *drawing, const struct eval_set *set, struct error *err)
{
    struct frontier frontier = { 0 };
    size_t count = 0;
    for (size_t i = 0; i < drawing->arms->count; i++)
        if (eval_set_has(set, drawing->arms, i))
            add_point(drawing, i, &count);
    if (count == 0)
        return 0;
    int failed = frontier_init(&frontier, drawing->points, count, err);
    if (failed)
        return failed;
    snprintf(drawing->names[drawing->count], sizeof *drawing->names, "best of %s", set->name);
    add_series(drawing, frontier.points, frontier.count, PLOT_LINE);
    frontier_finish(&frontier);
    return 0;
}

static int by_kbps(const void *left, const void *right)
{
    const struct frontier_point *a = left, *b = right;
    return (a->kbps > b->kbps) - (a->kbps < b->kbps);
}

static void add_line(struct drawing *drawing, size_t first)
{
    const struct arm *arm = drawing->arms->items[first].result;
    size_t count = 0;
    for (size_t i = first; i < drawing->arms->count; i++)
        if (same_line(drawing->arms, first, i))
            add_point(drawing, i, &count);
    qsort(drawing->points, count, sizeof *drawing->points, by_kbps);
    snprintf(drawing->names[drawing->count], sizeof *drawing->names, "%.16s %ux%u %.40s",
             arm->codec, arm->width, arm->height, drawing->arms->items[first].restore->name);
    if (count > 0)
        add_series(drawing, drawing->points, count, PLOT_LINE_AND_POINTS);
}

static int save(struct drawing *drawing, const char *out, struct error *err)
{
    char path[PATH_MAX], title[160], label[64];
    const char *word = score_figure_words[drawing->figure];
    if (drawing->count == 0) /* the figure is not defined for these pictures */
        return 0;
    snprintf(title, sizeof title, "%.100s: %s over bitrate", drawing->report->plan.title, word);
    snprintf(label, sizeof label, "%s (%s)", word,
             drawing->report->kind == SCORE_LABELS ? "IoU" : "F1 at IoU 0.5");
    snprintf(path, sizeof path, "%s/%s.svg", out, word);
    const struct plot plot = { .title = title,
                               .x_label = "kbit/s",
                               .y_label = label,
                               .x_log = true,
                               .series = drawing->series,
                               .series_count = drawing->count };
    return plot_save(&plot, path, err);
}
