/* probe_report: see the header. */
#include "ingest/probe_report.h"
#include "base/clock.h"
#include "control/probe_sample.h"
#include "control/tails.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A figure's gauges. */
struct gauges {
    struct metric_gauge *value, *low, *high;
};

struct probe_report {
    const struct probe_spec *spec;
    uint32_t class_count; /* 0: not known yet */
    uint32_t *to_class;   /* of the golden model's classes */
    struct probe_score score;
    struct tail_class *classes;              /* class_count */
    struct probe_class *named;               /* the same, by their names */
    struct gauges gauges[TAIL_FIGURE_COUNT]; /* made when first needed */
    struct metric_gauge *probes;             /* NULL: not yet */
    Runespoor__Tail tail;
    Runespoor__TailFigure figure[TAIL_FIGURE_COUNT], *figures[TAIL_FIGURE_COUNT];
};

static const char *model_name(const struct probe_spec *spec, size_t model)
{
    const struct model_config *models = spec->rooms->config->models.items;
    return models[model].name;
}

static void make_gauges(struct probe_report *report)
{
    static const char name[] = "server_accuracy";
    static const char help[] =
        "what probes say of the answers' accuracy: value and 95 % interval; NaN: not known";
    struct metrics *metrics = report->spec->rooms->metrics;
    const struct metric_label stream = { "stream", report->spec->origin->stream };
    for (size_t f = 0; f < TAIL_FIGURE_COUNT; f++) {
        const struct metric_label figure = { "figure", tail_figure_words[f] };
        report->gauges[f] = (struct gauges){
            metrics_gauge(metrics, name, help,
                          (struct metric_label[]){ stream, figure, { "bound", "value" } }, 3),
            metrics_gauge(metrics, name, help,
                          (struct metric_label[]){ stream, figure, { "bound", "low" } }, 3),
            metrics_gauge(metrics, name, help,
                          (struct metric_label[]){ stream, figure, { "bound", "high" } }, 3),
        };
    }
    report->probes = metrics_gauge(metrics, "server_probes_in_window",
                                   "probes that the accuracies rest on", &stream, 1);
}

int probe_report_open(struct probe_report **out, const struct probe_spec *spec, struct error *err)
{
    struct probe_report *report = calloc(1, sizeof *report);
    if (!report)
        return error_set(err, ERROR_MEMORY, spec->origin->stream, "no room for probes");
    report->spec = spec;
    *out = report;
    return 0;
}

void probe_report_close(struct probe_report **closed)
{
    struct probe_report *report = *closed;
    if (!report)
        return;
    *closed = NULL;
    free(report->to_class);
    free(report->classes);
    free(report->named);
    free(report);
}

/* ---- classes ---- */

static uint32_t count_classes(const struct pool *pool, size_t model)
{
    uint32_t count = 0;
    while (count < SCORE_CLASSES_MAX && pool_class_name(pool, model, count))
        count++;
    return count;
}

/* By name. */
static uint32_t find_class(const struct probe_report *report, const char *name)
{
    const struct probe_spec *spec = report->spec;
    for (uint32_t c = 0; c < report->class_count; c++)
        if (strcmp(pool_class_name(spec->rooms->pool, spec->model, c), name) == 0)
            return c;
    return PROBE_CLASS_NONE;
}

/* The models' classes are known once a worker has opened them: by the first probe at the latest. */
static int learn_classes(struct probe_report *report, struct error *err)
{
    const struct probe_spec *spec = report->spec;
    const struct pool *pool = spec->rooms->pool;
    if (report->class_count > 0)
        return 0;
    uint32_t count = count_classes(pool, spec->model), golden = count_classes(pool, spec->golden);
    if (count == 0 || golden == 0)
        return error_set(err, ERROR_UNSUPPORTED, "probe", "the models' classes are not known");
    report->classes = calloc(count, sizeof *report->classes);
    report->named = calloc(count, sizeof *report->named);
    uint32_t *to_class = calloc(golden, sizeof *to_class);
    if (!report->classes || !report->named || !to_class) {
        free(report->classes);
        free(report->named);
        free(to_class);
        report->classes = NULL;
        report->named = NULL;
        return error_set(err, ERROR_MEMORY, "probe", "no room for %u classes", count);
    }
    report->class_count = count;
    for (uint32_t c = 0; c < golden; c++)
        to_class[c] = find_class(report, pool_class_name(pool, spec->golden, c));
    report->to_class = to_class;
    return 0;
}

/* ---- a sample ---- */

static size_t list_classes(struct probe_report *report)
{
    size_t count = 0;
    for (uint32_t c = 0; c < report->class_count; c++) {
        const struct score_counts *counts = &report->score.counts[c];
        if (counts->hits > 0 || counts->false_alarms > 0 || counts->misses > 0)
            report->classes[count++] = (struct tail_class){ c, *counts };
    }
    return count;
}

static void fill_setting(const struct probe_report *report, const struct probe_item *item,
                         struct tail_setting *setting)
{
    memset(setting, 0, sizeof *setting);
    snprintf(setting->rung, sizeof setting->rung, "%s", item->rung);
    snprintf(setting->restored, sizeof setting->restored, "%s", item->restored);
    snprintf(setting->model, sizeof setting->model, "%s", report->spec->origin->model);
    snprintf(setting->golden, sizeof setting->golden, "%s",
             model_name(report->spec, report->spec->golden));
    setting->kind = report->score.kind;
    setting->class_count = report->class_count;
}

static void write_line(struct probe_report *report, const struct probe_item *item,
                       const struct tail_sample *sample)
{
    const struct probe_spec *spec = report->spec;
    for (size_t i = 0; i < sample->class_count; i++)
        report->named[i] = (struct probe_class){ pool_class_name(spec->rooms->pool, spec->model,
                                                                 sample->classes[i].class_id),
                                                 sample->classes[i].counts };
    const struct probe_sample line = {
        .stream = spec->origin->stream,
        .frame = item->frame,
        .capture_unix_us = item->capture_unix_us,
        .rung = item->rung,
        .restored = item->restored,
        .model = spec->origin->model,
        .golden = model_name(spec, spec->golden),
        .kind = report->score.kind,
        .accuracy = sample->accuracy,
        .probability = item->probability,
        .uncertainty_rank = item->uncertainty_rank,
        .wire_bytes = item->wire_bytes,
        .classes = report->named,
        .class_count = sample->class_count,
    };
    answer_file_add_probe(spec->rooms->answers, &line);
}

int probe_report_add(struct probe_report *report, const struct probe_item *item,
                     const struct probe_answer *golden, struct error *err)
{
    const struct probe_spec *spec = report->spec;
    const struct probe_answer answer = { &item->answer, item->width, item->height };
    struct tail_setting setting;
    struct tail_series *series;
    struct tail_window *window;
    int rc = learn_classes(report, err);
    if (rc == 0)
        rc = probe_score(&answer, golden, item->camera_width, item->camera_height, report->to_class,
                         report->class_count, &report->score, err);
    if (rc == 0)
        rc = tails_of(spec->rooms->tails, spec->origin->stream, &series, err);
    if (rc != 0)
        return rc;
    fill_setting(report, item, &setting);
    const struct tail_sample sample = {
        .capture_unix_us = clock_wall_us(), /* by the clock that windows go by, not the agent's */
        .accuracy = report->score.accuracy,
        .weight = 1 / item->probability,
        .classes = report->classes,
        .class_count = list_classes(report),
        .uncertainty_rank = item->uncertainty_rank,
    };
    rc = tail_series_at(series, &setting, &window, err);
    if (rc == 0)
        rc = tail_window_add(window, &sample, err);
    if (rc == 0 && spec->rooms->answers)
        write_line(report, item, &sample);
    return rc;
}

/* ---- figures ---- */

static void set_gauges(const struct gauges *gauges, const struct tail_figure *figure)
{
    metric_gauge_set(gauges->value, figure->known ? figure->value : (double)NAN);
    metric_gauge_set(gauges->low, figure->known ? figure->low : (double)NAN);
    metric_gauge_set(gauges->high, figure->known ? figure->high : (double)NAN);
}

static void fill_figure(struct probe_report *report, size_t which, const struct tail_figure *figure)
{
    Runespoor__TailFigure *to = &report->figure[report->tail.n_figures];
    runespoor__tail_figure__init(to);
    to->name = (char *)tail_figure_words[which];
    to->value = figure->value;
    to->low = figure->low;
    to->high = figure->high;
    report->figures[report->tail.n_figures++] = to;
}

const Runespoor__Tail *probe_report_tail(struct probe_report *report)
{
    const struct probe_spec *spec = report->spec;
    struct tail_series *series = tails_find(spec->rooms->tails, spec->origin->stream);
    if (!series || tail_series_count(series) == 0)
        return NULL;
    const struct tail_setting *setting = tail_series_setting(series, 0);
    const struct tail_figures *figures =
        tail_window_figures(tail_series_window(series, 0), clock_wall_us());
    if (!report->probes)
        make_gauges(report);
    runespoor__tail__init(&report->tail);
    report->tail.rung = (char *)setting->rung;
    report->tail.restored = (char *)setting->restored;
    report->tail.model = (char *)setting->model;
    report->tail.golden = (char *)setting->golden;
    report->tail.probes = (uint32_t)figures->probes;
    report->tail.figures = report->figures;
    for (size_t f = 0; f < TAIL_FIGURE_COUNT; f++) {
        set_gauges(&report->gauges[f], &figures->figure[f]);
        if (figures->figure[f].known)
            fill_figure(report, f, &figures->figure[f]);
    }
    metric_gauge_set(report->probes, (double)figures->probes);
    return &report->tail;
}
