/* tail_plots: see the header. */
#include "control/tail_plots.h"
#include "base/clock.h"
#include "base/file.h"
#include "evaluate/plot.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_DEFAULT 100u
#define FOLDER_MODE 0755
#define US_PER_S 1000000u
#define S_PER_MINUTE 60u
#define S_PER_HOUR 3600u
#define MINUTES_FROM_S 600u /* less is told in seconds */
#define HOURS_FROM_S 36000u

/* The lines of the tail's plot: six can be told apart at a glance. */
static const struct line {
    enum tail_which which;
    enum { VALUE, LOW, HIGH } bound;
    const char *name;
} lines[] = {
    { TAIL_MEAN, VALUE, "mean" },
    { TAIL_TAIL90, VALUE, "tail90" },
    { TAIL_TAIL99, VALUE, "tail99" },
    { TAIL_CLASS_TAIL, VALUE, "class_tail" },
    { TAIL_TAIL90, LOW, "tail90, low end of 95 %" },
    { TAIL_TAIL90, HIGH, "tail90, high end of 95 %" },
};
#define LINE_COUNT (sizeof lines / sizeof *lines)

struct drawing {
    const struct tail_stream *stream;
    const struct tail_plots_config *config;
    uint64_t first_s; /* since 1970 */
    uint32_t step_s, step_count;
    double unit_s; /* of x */
    char x_label[80];
    double *x; /* room for two points a step, as for all lines: a gap and a point */
    double *y[LINE_COUNT];
    size_t count; /* points of the tail's plot */
};

static int drawing_open(struct drawing *drawing, struct error *err);
static int draw_bitrate(struct drawing *drawing, struct error *err);
static int draw_tail(struct drawing *drawing, struct error *err);

int tail_plots_draw(const struct tail_stream *stream, const struct tail_plots_config *config,
                    struct error *err)
{
    struct drawing drawing = { .stream = stream, .config = config };
    int failed = file_make_folder(config->folder, FOLDER_MODE, err);
    if (!failed)
        failed = drawing_open(&drawing, err);
    if (!failed)
        failed = draw_bitrate(&drawing, err);
    if (!failed)
        failed = draw_tail(&drawing, err);
    free(drawing.x);
    return failed;
}

static void name_x(struct drawing *drawing, uint64_t span_s)
{
    char since[CLOCK_RFC3339_BYTES];
    bool hours = span_s >= HOURS_FROM_S, minutes = span_s >= MINUTES_FROM_S;
    clock_format_rfc3339(drawing->first_s * US_PER_S, since);
    drawing->unit_s = hours ? S_PER_HOUR : minutes ? S_PER_MINUTE : 1;
    snprintf(drawing->x_label, sizeof drawing->x_label, "%s since %s",
             hours     ? "hours"
             : minutes ? "minutes"
                       : "seconds",
             since);
}

static int drawing_open(struct drawing *drawing, struct error *err)
{
    const struct tail_stream *stream = drawing->stream;
    drawing->first_s = stream->first_us / US_PER_S;
    uint64_t span_s = stream->last_us / US_PER_S - drawing->first_s + 1;
    uint64_t step_s = drawing->config->step_s;
    if (step_s == 0)
        step_s = (span_s + STEPS_DEFAULT - 1) / STEPS_DEFAULT;
    uint64_t step_count = (span_s + step_s - 1) / step_s;
    if (step_count > TAIL_PLOTS_STEPS_MAX || step_s > UINT32_MAX)
        return error_set(err, ERROR_LIMIT, stream->name,
                         "%llu steps of %llu s are too many to draw; at most %u are drawn",
                         (unsigned long long)step_count, (unsigned long long)step_s,
                         TAIL_PLOTS_STEPS_MAX);
    drawing->step_s = (uint32_t)step_s;
    drawing->step_count = (uint32_t)step_count;
    name_x(drawing, span_s);
    drawing->x = calloc(2 * step_count, (1 + LINE_COUNT) * sizeof *drawing->x);
    if (!drawing->x)
        return error_set(err, ERROR_MEMORY, stream->name, "no room for a plot");
    for (size_t i = 0; i < LINE_COUNT; i++)
        drawing->y[i] = drawing->x + (i + 1) * 2 * step_count;
    return 0;
}

/* A point lies where its step ends. */
static double x_of(const struct drawing *drawing, uint32_t step)
{
    return ((double)step + 1) * drawing->step_s / drawing->unit_s;
}

static int save(const struct drawing *drawing, const char *what, const struct plot *plot,
                struct error *err)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s-%s.svg", drawing->config->folder,
                          drawing->stream->name, what);
    if (length < 0 || (size_t)length >= sizeof path)
        return error_set(err, ERROR_CONFIG, "folder", "the path is longer than %d bytes", PATH_MAX);
    int failed = plot_save(plot, path, err);
    if (!failed)
        printf("%s\n", path);
    return failed;
}

static int draw_bitrate(struct drawing *drawing, struct error *err)
{
    const struct tail_stream *stream = drawing->stream;
    double *answers = drawing->y[0], *probes = drawing->y[1];
    double kbit_per_s = 8 / 1000.0 / drawing->step_s;
    char title[128];
    for (uint32_t k = 0; k < drawing->step_count; k++)
        drawing->x[k] = x_of(drawing, k);
    for (size_t i = 0; i < stream->traffic_count; i++) {
        const struct tail_traffic *traffic = &stream->traffic[i];
        uint64_t step = (traffic->second - drawing->first_s) / drawing->step_s;
        answers[step] += kbit_per_s * (double)traffic->answer_bytes;
        probes[step] += kbit_per_s * (double)traffic->probe_bytes;
    }
    const struct plot_series series[] = {
        { "stream", drawing->x, answers, drawing->step_count, PLOT_LINE },
        { "probes", drawing->x, probes, drawing->step_count, PLOT_LINE },
    };
    snprintf(title, sizeof title, "%s: bitrate, means of %u s", stream->name, drawing->step_s);
    const struct plot plot = { .title = title,
                               .x_label = drawing->x_label,
                               .y_label = "kbit/s",
                               .series = series,
                               .series_count = stream->probe_count > 0 ? 2 : 1 };
    return save(drawing, "bitrate", &plot, err);
}

/* A point of every line, NaN where it is not known; figures NULL: a gap in all. */
static void add_point(struct drawing *drawing, uint32_t step, const struct tail_figures *figures)
{
    drawing->x[drawing->count] = x_of(drawing, step);
    for (size_t i = 0; i < LINE_COUNT; i++) {
        double *y = &drawing->y[i][drawing->count];
        *y = (double)NAN;
        if (!figures || !figures->figure[lines[i].which].known)
            continue;
        const struct tail_figure *figure = &figures->figure[lines[i].which];
        *y = lines[i].bound == VALUE ? figure->value
             : lines[i].bound == LOW ? figure->low
                                     : figure->high;
    }
    drawing->count++;
}

/* Adds the probes from *next on that were captured before the end of a step. *window: of the last one. */
static int add_probes(const struct tail_stream *stream, struct tail_series *series, uint64_t end_us,
                      size_t *next, struct tail_window **window, struct error *err)
{
    for (; *next < stream->probe_count; ++*next) {
        const struct tail_probe *probe = &stream->probes[*next];
        if (probe->sample.capture_unix_us >= end_us)
            break;
        int failed = tail_series_at(series, &stream->settings[probe->setting], window, err);
        if (!failed)
            failed = tail_window_add(*window, &probe->sample, err);
        if (failed)
            return failed;
    }
    return 0;
}

static int fill_points(struct drawing *drawing, struct tail_series *series, struct error *err)
{
    const struct tail_probe *probes = drawing->stream->probes;
    struct tail_window *window = NULL;
    size_t next = 0;
    for (uint32_t k = 0; k < drawing->step_count; k++) {
        uint64_t end_us = (drawing->first_s + (k + UINT64_C(1)) * drawing->step_s) * US_PER_S;
        size_t before = next;
        int failed = add_probes(drawing->stream, series, end_us, &next, &window, err);
        if (failed)
            return failed;
        if (before > 0 && probes[before - 1].setting != probes[next - 1].setting)
            add_point(drawing, k, NULL);
        add_point(drawing, k, window ? tail_window_figures(window, end_us) : NULL);
    }
    return 0;
}

/* A point alone draws nothing, but the axis goes as far: so both plots have the same, whatever is known when.
 * False where nothing is. The mean is known wherever any figure is. */
static bool reach_both_ends(struct drawing *drawing)
{
    double *mean = drawing->y[0];
    size_t first = 0, last = drawing->count;
    while (first < drawing->count && isnan(mean[first]))
        first++;
    if (first == drawing->count)
        return false;
    while (isnan(mean[last - 1]))
        last--;
    if (first > 1)
        mean[0] = mean[first];
    if (last + 1 < drawing->count)
        mean[drawing->count - 1] = mean[last - 1];
    return true;
}

static int save_tail(const struct drawing *drawing, struct error *err)
{
    struct plot_series series[LINE_COUNT];
    char title[128], window[40] = "all before";
    for (size_t i = 0; i < LINE_COUNT; i++)
        series[i] = (struct plot_series){ .name = lines[i].name,
                                          .x = drawing->x,
                                          .y = drawing->y[i],
                                          .count = drawing->count,
                                          .style = PLOT_LINE };
    if (drawing->config->window_s < UINT32_MAX)
        snprintf(window, sizeof window, "those of %u s before", drawing->config->window_s);
    snprintf(title, sizeof title, "%s: accuracy by probes, %s", drawing->stream->name, window);
    const struct plot plot = { .title = title,
                               .x_label = drawing->x_label,
                               .y_label = "accuracy",
                               .series = series,
                               .series_count = LINE_COUNT };
    return save(drawing, "tail", &plot, err);
}

static int draw_tail(struct drawing *drawing, struct error *err)
{
    size_t probe_count = drawing->stream->probe_count;
    struct tail_series *series = NULL;
    struct tail_window_config config = { .probes_max = TAIL_WINDOW_PROBES_MAX,
                                         .seconds = drawing->config->window_s };
    if (probe_count > 0 && probe_count < TAIL_WINDOW_PROBES_MAX)
        config.probes_max = (uint32_t)probe_count;
    int failed = tail_series_open(&series, &config, err);
    if (!failed)
        failed = fill_points(drawing, series, err);
    tail_series_close(&series);
    if (failed)
        return failed;
    if (reach_both_ends(drawing))
        return save_tail(drawing, err);
    printf("%s: too few probes of one setting to draw its tail\n", drawing->stream->name);
    return 0;
}
