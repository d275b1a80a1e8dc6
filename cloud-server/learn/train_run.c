/* train_run: opens all that a training needs, and the loop over its steps. */
#include "learn/train_run.h"

#include "analyse/precision.h"
#include "base/file.h"
#include "learn/export.h"
#include "learn/train_parts.h"
#include "learn/train_progress.h"
#include "train/train.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER_MODE 0755
#define BETA1 0.9f
#define BETA2 0.999f
#define EPSILON 1e-8f
/* Where the config says nothing of rates. */
#define WARMUP_PART 20u /* of all steps */
#define RATE_SEGMENT 0.002
#define RATE_SUPERRES 0.0005 /* without normalisation, more is too much */
#define RATE_TUNING 0.0002   /* nor has it a finished model, which is not to be forgotten */

static int open_folder(const char *out, int *lock, struct error *err);
static int open_parts(struct train *train, struct error *err);
static int open_device(struct train *train, struct error *err);
static int make_graphs(struct train *train, struct error *err);
static int make_plan(struct train *train, struct error *err);
static int make_origin(struct train *train, struct error *err);
static void set_samples(struct train *train);
static int set_schedule(struct train *train, struct error *err);
static int learn(struct train *train, const volatile sig_atomic_t *stop, struct error *err);
static int take_step(struct train *train, struct samples *samples, struct train_progress *progress,
                     struct error *err);
static int begin(struct train *train, struct error *err);
static int weigh_tail(struct train *train, struct train_figures *figures, struct error *err);
static int add_row(struct train *train, struct train_row *row, bool measured, struct error *err);
static int end_epoch(struct train *train, struct error *err);
static int finish(struct train *train, struct error *err);
static void close_parts(struct train *train);

int train_run(const struct train_config *config, const volatile sig_atomic_t *stop, bool *finished,
              struct error *err)
{
    struct train train = { .config = config };
    int lock = -1; /* two would take each other's checkpoints away */
    *finished = false;
    int rc = open_folder(config->out, &lock, err);
    if (rc == 0)
        rc = open_parts(&train, err);
    if (rc == 0)
        rc = train_resume(&train, err);
    if (rc == 0 && train.step == 0)
        rc = begin(&train, err);
    if (rc == 0 && train.step < train.steps)
        rc = learn(&train, stop, err);
    if (rc == 0 && train.step == train.steps) {
        rc = finish(&train, err);
        *finished = rc == 0;
    }
    close_parts(&train);
    file_unlock(&lock);
    return rc;
}

const struct train_task_ops *train_ops(const struct train *train)
{
    static const struct train_task_ops *const tasks[] = {
        [TRAIN_SEGMENT] = &train_segment, [TRAIN_SUPERRES] = &train_superres
    };
    return tasks[train->config->task];
}

const struct tensor *train_input(const struct train *train, const char *name)
{
    size_t i = 0;
    while (strcmp(plan_input_name(train->plan, i), name) != 0) {
        i++;
        assert(i < plan_input_count(train->plan));
    }
    return plan_input(train->plan, i);
}

static bool is_averaged(const struct train *train)
{
    return train->config->optimiser.average > 0;
}

/* What was learnt, moved back towards what it began with. Both graphs are made alike. */
static void mix_origin(const struct train *train)
{
    float share = (float)train->config->start_share;
    for (int v = 0; v < train->model->value_count; v++) {
        const struct tensor *learnt = &train->model->values[v].constant;
        const struct tensor *origin = &train->origin->values[v].constant;
        float *to = learnt->data;
        const float *from = origin->data;
        for (int64_t i = 0; to && learnt->type == TENSOR_F32 && i < shape_elements(&learnt->shape);
             i++)
            if (to[i] != from[i])
                to[i] = (1 - share) * to[i] + share * from[i];
    }
}

int train_fold(struct train *train, struct error *err)
{
    int rc = train_store(train->plan, train->model, "", is_averaged(train), err);
    if (rc >= 0 && train->origin)
        mix_origin(train);
    return rc < 0 ? rc : net_fold(train->model, train->folded, err);
}

/* ---- opening ---- */

static int open_folder(const char *out, int *lock, struct error *err)
{
    int rc = file_make_folder(out, FOLDER_MODE, err);
    if (rc == 0)
        rc = file_lock_folder(out, lock, err);
    return rc < 0 ? error_wrap(err, "out") : 0;
}

static int open_parts(struct train *train, struct error *err)
{
    train->form = train_starts_from_model(train->config) ? NET_FOLDED : NET_TRAINED;
    int rc = train_analytics_open(train, err);
    if (rc == 0)
        rc = train_data_open(train, err);
    for (uint32_t k = 0; k < train->class_count; k++)
        train->class_weights[k] = 1;
    if (rc == 0)
        set_samples(train);
    if (rc == 0)
        rc = set_schedule(train, err);
    if (rc == 0)
        rc = open_device(train, err);
    if (rc == 0)
        rc = train_golden_label(train, err);
    if (rc == 0)
        rc = make_graphs(train, err);
    if (rc == 0)
        rc = make_plan(train, err);
    return rc < 0 || train->config->start_share == 0 ? rc : make_origin(train, err);
}

static void set_samples(struct train *train)
{
    const struct train_config *config = train->config;
    train->samples = (struct samples_config){
        .width = config->width,
        .height = config->height,
        .crop_width = config->crop_width,
        .crop_height = config->crop_height,
        .batch = config->batch,
        .crops = config->crops,
        .labelled = train_is_labelled(train),
        .augment = config->augment,
        .damage = config->damage,
        .seed = config->seed,
        .loaders = config->loaders,
        .cache_bytes = (uint64_t)config->cache_mib << 20,
    };
    uint32_t factor = config->damage.factor;
    train->net_width = factor ? config->width / factor : config->width;
    train->net_height = factor ? config->height / factor : config->height;
    if (factor > 0) /* scaling would scale the damage, too */
        train->samples.augment.scale_min = train->samples.augment.scale_max = 1;
    train->epoch_steps = samples_epoch_steps(train->learnt.count, &train->samples);
    train->steps = config->steps ? config->steps : config->epochs * train->epoch_steps;
}

static double default_rate(const struct train *train)
{
    if (train->form == NET_FOLDED)
        return RATE_TUNING;
    return train->config->task == TRAIN_SEGMENT ? RATE_SEGMENT : RATE_SUPERRES;
}

static int set_schedule(struct train *train, struct error *err)
{
    const struct option_list *parts = &train->config->rate;
    train->only_part = (struct schedule_part){ .policy = SCHEDULE_COSINE,
                                               .k1 = default_rate(train),
                                               .warmup = (uint32_t)(train->steps / WARMUP_PART) };
    train->schedule = (struct schedule){ &train->only_part, 1, train->steps };
    if (parts->count > 0)
        train->schedule = (struct schedule){ parts->items, parts->count, train->steps };
    return schedule_check(&train->schedule, "rate", err);
}

static int open_device(struct train *train, struct error *err)
{
    char processors[32];
    const char *spec = train->config->device;
    if (train->config->threads > 0) {
        snprintf(processors, sizeof processors, "cpu:threads=%u", train->config->threads);
        spec = processors;
    }
    int rc = device_open(&train->device, spec, err);
    if (rc < 0)
        return rc;
    train->precision = precision_for(train->device, (enum precision)train->config->precision);
    return 0;
}

static int make_graph(const struct train *train, enum net_form form, struct graph **graph,
                      struct error *err)
{
    const struct train_task_ops *ops = train_ops(train);
    struct compose c;
    int rc = compose_start(&c, ops->output, err);
    int pictures = compose_input(&c, NET_PICTURE, TENSOR_F32,
                                 COMPOSE_SHAPE(1, 3, train->net_height, train->net_width));
    compose_output(&c, ops->network(train, &c, pictures, form), ops->output);
    *graph = c.graph;
    return rc < 0 ? rc : c.rc;
}

static int make_graphs(struct train *train, struct error *err)
{
    int rc = make_graph(train, train->form, &train->model, err);
    return rc < 0 ? rc : make_graph(train, NET_FOLDED, &train->folded, err);
}

static bool learns(const char *name, void *arg)
{
    (void)arg;
    return strncmp(name, TRAIN_FROZEN, strlen(TRAIN_FROZEN)) != 0;
}

static int make_plan(struct train *train, struct error *err)
{
    const struct train_optimiser *optimiser = &train->config->optimiser;
    const struct plan_options plan = { .precision = train->precision };
    const struct train_options options = {
        .optimiser = (enum optimiser)optimiser->kind,
        .momentum = (float)optimiser->momentum,
        .beta1 = BETA1,
        .beta2 = BETA2,
        .epsilon = EPSILON,
        .weight_decay = (float)optimiser->weight_decay,
        .clip_norm = (float)optimiser->clip,
        .average_decay = (float)optimiser->average,
        .learns = learns,
    };
    struct compose c;
    int rc = compose_start(&c, "train", err);
    int loss = rc < 0 ? rc : train_ops(train)->loss(train, &c);
    rc = loss < 0 ? loss : train_make(c.graph, loss, &options, err);
    if (rc == 0)
        rc = device_compile(train->device, c.graph, &plan, &train->plan, err);
    graph_free(&c.graph);
    return rc;
}

/* Through the plan, whose states every beginning overwrites. */
static int make_origin(struct train *train, struct error *err)
{
    int rc = train_start_from(train, train->config->start, err);
    if (rc == 0)
        rc = graph_clone(&train->origin, train->model, err);
    if (rc == 0)
        rc = train_store(train->plan, train->origin, "", is_averaged(train), err);
    return rc < 0 ? rc : 0;
}

static void close_parts(struct train *train)
{
    plan_free(&train->plan);
    graph_free(&train->origin);
    graph_free(&train->model);
    graph_free(&train->folded);
    device_close(&train->device);
    train_data_close(train);
    train_analytics_close(train);
    train_history_finish(&train->history);
}

/* ---- steps ---- */

static int learn(struct train *train, const volatile sig_atomic_t *stop, struct error *err)
{
    const uint64_t each =
        train->config->checkpoint_steps ? train->config->checkpoint_steps : train->epoch_steps;
    struct samples *samples = NULL;
    struct train_progress progress;
    int rc = samples_open(&samples, &train->learnt, &train->samples, train->step, err);
    train_progress_start(&progress, train);
    for (bool stopped = false; rc == 0 && train->step < train->steps && !stopped;) {
        rc = take_step(train, samples, &progress, err);
        bool last = train->step == train->steps;
        stopped = *stop != 0;
        if (rc == 0 && (last || train->step % train->epoch_steps == 0))
            rc = end_epoch(train, err);
        if (rc == 0 && (last || train->step % each == 0 || stopped))
            rc = train_save(train, err);
    }
    train_progress_clear(&progress);
    samples_close(&samples);
    return rc;
}

static int take_step(struct train *train, struct samples *samples, struct train_progress *progress,
                     struct error *err)
{
    struct sample_batch *batch;
    int rc = samples_take(samples, &batch, err);
    if (rc < 0)
        return rc;
    double rate = schedule_rate(&train->schedule, train->step);
    train_ops(train)->fill(train, batch);
    sample_batch_free(&batch);
    *(float *)train_input(train, TRAIN_RATE_INPUT)->data = (float)rate;
    rc = plan_run(train->plan, err);
    if (rc < 0)
        return rc;
    double loss =
        (double)*(const float *)plan_output(train->plan, plan_output_count(train->plan) - 1)->data;
    if (!isfinite(loss))
        return error_set(
            err, ERROR_LIMIT, "train",
            "the loss of step %llu is no number any more: lower the rate; the last good "
            "checkpoint in %s stays",
            (unsigned long long)train->step, train->config->out);
    train->step++;
    train->sum.loss += loss;
    train->sum.steps++;
    train_progress_step(progress, train, loss, rate);
    return 0;
}

/* Before the first step of all. */
static int begin(struct train *train, struct error *err)
{
    struct train_row row = { .loss = (double)NAN };
    const struct train_task_ops *ops = train_ops(train);
    const char *start = train->config->start;
    int started = *start ? train_start_from(train, start, err) : 0;
    if (started < 0)
        return started;
    int rc = train_is_labelled(train) && train->config->weights == WEIGHTS_FREQUENCY
                 ? train_weigh_classes(train, err)
                 : 0;
    bool knows = ops->begins || train->form == NET_FOLDED;
    return rc == 0 && knows ? add_row(train, &row, true, err) : rc;
}

/* On what is held back of data: validation decides nothing. */
static int weigh_tail(struct train *train, struct train_figures *figures, struct error *err)
{
    int rc = 0;
    if (train->measured != &train->held && train->held.count > 0)
        rc = train_ops(train)->measure(train, &train->held, figures, err);
    if (rc == 0 && train->held.count > 0)
        train_weigh_tail(train, figures);
    return rc;
}

/* Measured is what would be exported now. */
static int add_row(struct train *train, struct train_row *row, bool measured, struct error *err)
{
    const struct train_task_ops *ops = train_ops(train);
    row->step = train->step;
    struct train_figures figures;
    train_figures_clear(&figures);
    int rc = train_fold(train, err);
    if (rc == 0 && measured && train->measured->count > 0)
        rc = ops->measure(train, train->measured, &figures, err);
    memcpy(row->figures, figures.figures, sizeof row->figures);
    if (rc == 0 && measured && train->config->weights == WEIGHTS_TAIL && train_is_labelled(train))
        rc = weigh_tail(train, &figures, err);
    if (rc == 0)
        rc = train_history_add(&train->history, row, err);
    const char *const names[] = { train_figure_name(train, 0), train_figure_name(train, 1) };
    return rc < 0 ? rc : train_history_write(&train->history, train->config->out, names, err);
}

static int end_epoch(struct train *train, struct error *err)
{
    struct train_row row = { .loss = train->sum.loss / (double)train->sum.steps,
                             .rate = schedule_rate(&train->schedule, train->step - 1) };
    bool due = train->step / train->epoch_steps % train->config->measure_epochs == 0 ||
               train->step == train->steps;
    train->sum = (struct train_sum){ 0 };
    return add_row(train, &row, due, err);
}

static int finish(struct train *train, struct error *err)
{
    int rc = train_fold(train, err);
    return rc < 0 ? rc : train_export(train, err);
}
