/* eval_plots: see the header. */
#include "evaluate/eval_plots.h"
#include "analyse/restore.h"
#include "evaluate/frontier.h"
#include "evaluate/plot.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An arm is on one line and one frontier, or, at full size, on that of each filter. */
#define ARM_SERIES_MAX ((size_t)RESTORE_NETWORK)

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

/* Whether an arm belongs to what the arm `first` stands for. */
typedef bool belongs_fn(const struct eval_arms *arms, size_t first, size_t arm);

static int add_frontier(struct drawing *drawing, const struct eval_set *set, struct error *err);
static int add_best(struct drawing *drawing, size_t first, struct error *err);
static void add_line(struct drawing *drawing, size_t first);
static int save(struct drawing *drawing, const char *out, struct error *err);

/* One way to restore for one codec and model, whatever the size. */
static bool same_way(const struct eval_arms *arms, size_t first, size_t arm)
{
    const struct eval_arm *a = &arms->items[first], *b = &arms->items[arm];
    return arms->rungs[a->rung].codec == arms->rungs[b->rung].codec && a->model == b->model &&
           strcmp(a->restore->name, b->restore->name) == 0;
}

static bool same_line(const struct eval_arms *arms, size_t first, size_t arm)
{
    const struct rung *a = &arms->rungs[arms->items[first].rung].rung;
    const struct rung *b = &arms->rungs[arms->items[arm].rung].rung;
    return same_way(arms, first, arm) && a->width == b->width && a->height == b->height;
}

/* At full size `none` stands for all filters, too. */
static bool same_best(const struct eval_arms *arms, size_t first, size_t arm)
{
    const struct eval_arm *a = &arms->items[first], *b = &arms->items[arm];
    bool filters = a->restore->kind != RESTORE_NETWORK && b->restore->kind == RESTORE_NONE;
    return same_way(arms, first, arm) ||
           (filters && arms->rungs[b->rung].full && a->model == b->model &&
            arms->rungs[a->rung].codec == arms->rungs[b->rung].codec);
}

static bool is_first(const struct eval_arms *arms, size_t arm, belongs_fn *belongs)
{
    for (size_t i = 0; i < arm; i++)
        if (belongs(arms, i, arm))
            return false;
    return true;
}

static size_t count_firsts(const struct eval_arms *arms, belongs_fn *belongs)
{
    size_t count = 0;
    for (size_t i = 0; i < arms->count; i++)
        count += is_first(arms, i, belongs);
    return count;
}

/* Whole ways only: what a plot cannot hold even so (of three codecs and eight models) is left out. */
static int draw_best(struct drawing *drawing, struct error *err)
{
    int failed = 0;
    for (size_t i = 0; !failed && i < drawing->arms->count && drawing->count < PLOT_SERIES_MAX; i++)
        if (is_first(drawing->arms, i, same_way))
            failed = add_best(drawing, i, err);
    return failed;
}

static int draw(struct drawing *drawing, const struct eval_set *sets, size_t set_count,
                const char *out, struct error *err)
{
    const struct eval_arms *arms = drawing->arms;
    int failed = 0;
    drawing->count = drawing->used = 0;
    if (set_count + count_firsts(arms, same_line) > PLOT_SERIES_MAX) {
        failed = draw_best(drawing, err);
    } else {
        for (size_t i = 0; !failed && i < set_count; i++)
            failed = add_frontier(drawing, &sets[i], err);
        for (size_t i = 0; !failed && i < arms->count; i++)
            if (is_first(arms, i, same_line))
                add_line(drawing, i);
    }
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
    drawing->room = 2 * ARM_SERIES_MAX * arms->count;
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

/* Of the first count points, under the name that stands there. */
static int add_frontier_of(struct drawing *drawing, size_t count, enum plot_style style,
                           struct error *err)
{
    struct frontier frontier = { 0 };
    if (count == 0)
        return 0;
    int failed = frontier_init(&frontier, drawing->points, count, err);
    if (!failed)
        add_series(drawing, frontier.points, frontier.count, style);
    frontier_finish(&frontier);
    return failed;
}

static int add_frontier(struct drawing *drawing, const struct eval_set *set, struct error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < drawing->arms->count; i++)
        if (eval_set_has(set, drawing->arms, i))
            add_point(drawing, i, &count);
    snprintf(drawing->names[drawing->count], sizeof *drawing->names, "best of %s", set->name);
    return add_frontier_of(drawing, count, PLOT_LINE, err);
}

static int add_best(struct drawing *drawing, size_t first, struct error *err)
{
    const struct eval_arm *arm = &drawing->arms->items[first];
    const char *model = arm->model->name;
    size_t count = 0;
    for (size_t i = 0; i < drawing->arms->count; i++)
        if (same_best(drawing->arms, first, i))
            add_point(drawing, i, &count);
    snprintf(drawing->names[drawing->count], sizeof *drawing->names, "%.16s %s%s%s, best size",
             arm->result->codec, model ? model : "", model ? "+" : "", arm->restore->name);
    return add_frontier_of(drawing, count, PLOT_LINE_AND_POINTS, err);
}

static int by_kbps(const void *left, const void *right)
{
    const struct frontier_point *a = left, *b = right;
    return (a->kbps > b->kbps) - (a->kbps < b->kbps);
}

static void add_line(struct drawing *drawing, size_t first)
{
    const struct arm *arm = drawing->arms->items[first].result;
    const char *model = drawing->arms->items[first].model->name;
    size_t count = 0;
    for (size_t i = first; i < drawing->arms->count; i++)
        if (same_line(drawing->arms, first, i))
            add_point(drawing, i, &count);
    qsort(drawing->points, count, sizeof *drawing->points, by_kbps);
    snprintf(drawing->names[drawing->count], sizeof *drawing->names, "%.16s %ux%u %s%s%s",
             arm->codec, arm->width, arm->height, model ? model : "", model ? "+" : "",
             drawing->arms->items[first].restore->name);
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
