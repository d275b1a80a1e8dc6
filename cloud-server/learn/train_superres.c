/* train_superres: the task of a restorer: pixels like those of the source to learn, PSNR over all three
 * colours to measure. Before the first step it is bicubic enlarging. */
#include "learn/train_parts.h"
#include "pixels.h"
#include "train/loss.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE "source"
#define LABELS "labels"
#define CLASS_WEIGHTS "class_weights"
/* The same labels as maps of 0 and 1, one for each class, and the weights of those that have some pixels. */
#define LABEL_MAPS "label_maps"
#define SEEN_WEIGHTS "seen_weights"
#define SEEN_PIXELS_MIN 64        /* in a batch: of fewer, an IoU says little */
#define CHARBONNIER_EPSILON 1e-3f /* as in LapSRN, of pixels in 0..1 */
#define PSNR_MAX_DB 100.0

static int network(const struct train *train, struct compose *c, int pictures, enum net_form form)
{
    const struct net_config config = { .size = train->config->size,
                                       .form = form,
                                       .seed = train->config->seed };
    return net_restorer(c, pictures, &config, train->config->damage.factor);
}

/* What the frozen network reads is cut off at black and white, as the server does it. */
static int clip(struct compose *c, int pictures)
{
    const int inputs[] = { pictures, compose_scalar(c, 0), compose_scalar(c, 1) };
    return compose_node(c, "Clip", inputs, 3, NULL);
}

/* Cross-entropy and soft IoU with labels of the size of pictures. The first says pixel by pixel what is
 * wrong; the second counts a class as much as any other, however few its pixels, and what is wrongly found
 * as what is missed: as mean IoU does. */
static int labels_loss(const struct train *train, struct compose *c, int scores,
                       const struct shape *pictures)
{
    int64_t batch = pictures->dim[0], height = pictures->dim[2], width = pictures->dim[3];
    int64_t classes = train->class_count;
    int labels = compose_input(c, LABELS, TENSOR_I64, COMPOSE_SHAPE(batch, height, width));
    int weights = compose_input(c, CLASS_WEIGHTS, TENSOR_F32, COMPOSE_SHAPE(classes));
    int maps = compose_input(c, LABEL_MAPS, TENSOR_F32, COMPOSE_SHAPE(batch, classes, height, width));
    int seen = compose_input(c, SEEN_WEIGHTS, TENSOR_F32, COMPOSE_SHAPE(classes));
    const struct train_labels wanted = { labels, weights, maps, seen };
    return train_analytics_labels(c, scores, &wanted);
}

/* What restored pictures are to the frozen network. */
static int analytics_loss(const struct train *train, struct compose *c, int restored, int source)
{
    const struct shape shape = *compose_shape(c, source);
    int says[HEAD_OUTPUTS_MAX] = { 0 }, wanted[HEAD_OUTPUTS_MAX] = { 0 };
    train_analytics_add(train, c, clip(c, restored), TRAIN_FROZEN "restored/", says);
    if (!train_is_labelled(train)) {
        train_analytics_add(train, c, source, TRAIN_FROZEN "source/", wanted);
        return train_analytics_distance(train, c, says, wanted);
    }
    return labels_loss(train, c, says[0], &shape);
}

static int loss(const struct train *train, struct compose *c)
{
    const struct train_config *config = train->config;
    int64_t batch = config->batch, factor = config->damage.factor;
    int64_t height = config->crop_height, width = config->crop_width;
    int received = compose_input(c, NET_PICTURE, TENSOR_F32,
                                 COMPOSE_SHAPE(batch, 3, height / factor, width / factor));
    int source = compose_input(c, SOURCE, TENSOR_F32, COMPOSE_SHAPE(batch, 3, height, width));
    int restored = network(train, c, received, train->form);
    if (c->rc)
        return c->rc;
    int pixels = config->pixel_loss == PIXEL_L1
                     ? loss_l1(c->graph, restored, source, c->err)
                     : loss_charbonnier(c->graph, restored, source, CHARBONNIER_EPSILON, c->err);
    if (pixels < 0 || !train->analytics.graph)
        return pixels;
    int share = compose_op(c, "Mul", analytics_loss(train, c, restored, source),
                           compose_scalar(c, config->analytics.share));
    int both = compose_op(c, "Add", pixels, share);
    return c->rc ? c->rc : both;
}

static void fill_maps(const struct train *train, const int64_t *labels)
{
    const struct tensor *maps = train_input(train, LABEL_MAPS);
    const int64_t *dim = maps->shape.dim, plane = dim[2] * dim[3];
    float *map = maps->data, *weights = train_input(train, SEEN_WEIGHTS)->data;
    int64_t seen[ANALYSIS_AREAS_MAX] = { 0 };
    memset(map, 0, tensor_bytes(maps));
    for (int64_t n = 0; n < dim[0]; n++)
        for (int64_t i = 0; i < plane; i++) {
            int64_t class = labels[n * plane + i];
            if (class == SAMPLES_IGNORE)
                continue;
            map[(n * dim[1] + class) * plane + i] = 1;
            seen[class]++;
        }
    for (int64_t k = 0; k < dim[1]; k++)
        weights[k] = seen[k] >= SEEN_PIXELS_MIN ? train->class_weights[k] : 0;
}

static void fill(const struct train *train, const struct sample_batch *batch)
{
    const struct tensor *received = train_input(train, NET_PICTURE);
    const struct tensor *source = train_input(train, SOURCE);
    memcpy(received->data, batch->received, tensor_bytes(received));
    memcpy(source->data, batch->source, tensor_bytes(source));
    if (!batch->labels)
        return;
    const struct tensor *labels = train_input(train, LABELS);
    const struct tensor *weights = train_input(train, CLASS_WEIGHTS);
    memcpy(labels->data, batch->labels, tensor_bytes(labels));
    memcpy(weights->data, train->class_weights, tensor_bytes(weights));
    fill_maps(train, batch->labels);
}

/* ---- measuring ---- */

/* Of what would be shown: what is beyond black and white is cut off. */
static double psnr_db(const float *restored, const float *source, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double apart = (double)fminf(fmaxf(restored[i], 0), 1) - (double)source[i];
        sum += apart * apart;
    }
    return sum > 0 ? fmin(PSNR_MAX_DB, -10 * log10(sum / (double)count)) : PSNR_MAX_DB;
}

struct measuring {
    const struct train *train;
    struct plan *plan; /* in: received, source; out: restored, then scores or a distance */
    struct scores *scores;
    uint8_t *found, *wanted;  /* labels of a picture */
    double psnr_db, distance; /* sums */
};

/* The whole picture's graph: restored, and what the frozen network says of it. */
static int compose_measuring(const struct train *train, struct compose *c)
{
    int64_t height = train->config->height, width = train->config->width;
    int restored = -1, says[HEAD_OUTPUTS_MAX] = { 0 }, wanted[HEAD_OUTPUTS_MAX] = { 0 };
    int received = compose_input(c, NET_PICTURE, TENSOR_F32,
                                 COMPOSE_SHAPE(1, 3, train->net_height, train->net_width));
    compose_part(c, train->folded, "", &received, &restored);
    compose_output(c, restored, "whole");
    if (!train->analytics.graph)
        return c->rc;
    train_analytics_add(train, c, clip(c, restored), TRAIN_FROZEN "restored/", says);
    if (train_is_labelled(train)) {
        compose_output(c, says[0], "says");
        return c->rc;
    }
    int source = compose_input(c, SOURCE, TENSOR_F32, COMPOSE_SHAPE(1, 3, height, width));
    train_analytics_add(train, c, source, TRAIN_FROZEN "source/", wanted);
    compose_output(c, train_analytics_distance(train, c, says, wanted), "says");
    return c->rc;
}

/* Labels found, laid over the picture by nearest neighbour, beside those wanted. */
static int score(const struct measuring *measuring, const int64_t *labels, struct error *err)
{
    const struct train *train = measuring->train;
    const struct tensor *says = plan_output(measuring->plan, 1);
    int64_t rows = says->shape.dim[2], columns = says->shape.dim[3];
    int64_t height = train->config->height, width = train->config->width;
    uint8_t names[ANALYSIS_AREAS_MAX];
    for (uint32_t k = 0; k < train->class_count; k++)
        names[k] = (uint8_t)k;
    uint8_t *small = measuring->found + height * width;
    pixels_label(says->data, (size_t)(rows * columns), names, train->class_count, small,
                 (size_t)(rows * columns));
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            measuring->found[y * width + x] =
                small[(2 * y + 1) * rows / (2 * height) * columns + (2 * x + 1) * columns / (2 * width)];
            measuring->wanted[y * width + x] = (uint8_t)labels[y * width + x];
        }
    int rc = scores_add_labels(measuring->scores, measuring->found, measuring->wanted,
                               (size_t)(height * width), SAMPLES_IGNORE, NULL, err);
    return rc == -ERROR_UNSUPPORTED ? 0 : rc; /* a picture without a pixel that counts */
}

static int measure_picture(struct measuring *measuring, const struct sample_batch *batch,
                           struct error *err)
{
    struct plan *plan = measuring->plan;
    const struct tensor *received = plan_input(plan, 0), *restored = plan_output(plan, 0);
    memcpy(received->data, batch->received, tensor_bytes(received));
    if (plan_input_count(plan) > 1)
        memcpy(plan_input(plan, 1)->data, batch->source, tensor_bytes(plan_input(plan, 1)));
    int rc = plan_run(plan, err);
    if (rc < 0)
        return rc;
    measuring->psnr_db +=
        psnr_db(restored->data, batch->source, tensor_bytes(restored) / sizeof(float));
    if (measuring->scores)
        return score(measuring, batch->labels, err);
    if (plan_output_count(plan) > 1)
        measuring->distance += (double)*(const float *)plan_output(plan, 1)->data;
    return 0;
}

static int open_measuring(struct measuring *measuring, struct error *err)
{
    const struct train *train = measuring->train;
    const struct plan_options options = { .precision = train->precision };
    struct compose c;
    int rc = compose_start(&c, "measure", err);
    if (rc == 0)
        rc = compose_measuring(train, &c);
    if (rc == 0)
        rc = device_compile(train->device, c.graph, &options, &measuring->plan, err);
    graph_free(&c.graph);
    if (rc < 0 || !train_is_labelled(train))
        return rc;
    const struct shape *says = &plan_output(measuring->plan, 1)->shape;
    size_t area = (size_t)train->config->width * train->config->height;
    if (says->rank != 4 || says->dim[1] != train->class_count)
        return error_set(err, ERROR_FORMAT, "analytics.model",
                         "does not give a score for each pixel and each of %u classes",
                         train->class_count);
    measuring->found = malloc(area + (size_t)(says->dim[2] * says->dim[3]));
    measuring->wanted = malloc(area);
    if (!measuring->found || !measuring->wanted)
        return error_set(err, ERROR_MEMORY, "validation", "no room for labels");
    return scores_open(&measuring->scores, SCORE_LABELS, train->class_count, err);
}

static int measure_all(struct measuring *measuring, const struct samples_set *set,
                       struct samples *samples, struct train_figures *figures, struct error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < set->count; i++) {
        struct sample_batch *batch;
        rc = samples_take(samples, &batch, err);
        if (rc < 0)
            return rc;
        rc = measure_picture(measuring, batch, err);
        sample_batch_free(&batch);
    }
    figures->figures[0] = measuring->psnr_db / (double)set->count;
    if (measuring->scores)
        train_figures_of_scores(figures, 1, measuring->scores);
    else if (measuring->train->analytics.graph)
        figures->figures[1] = measuring->distance / (double)set->count;
    return rc;
}

static int measure(struct train *train, const struct samples_set *set,
                   struct train_figures *figures, struct error *err)
{
    struct measuring measuring = { .train = train };
    struct samples *samples = NULL;
    int rc = open_measuring(&measuring, err);
    if (rc == 0)
        rc = train_open_whole(train, set, &samples, err);
    if (rc == 0)
        rc = measure_all(&measuring, set, samples, figures, err);
    samples_close(&samples);
    plan_free(&measuring.plan);
    scores_close(&measuring.scores);
    free(measuring.found);
    free(measuring.wanted);
    return rc < 0 ? error_wrap(err, "validation") : 0;
}

const struct train_task_ops train_superres = {
    .network = network,
    .loss = loss,
    .fill = fill,
    .measure = measure,
    .output = NET_RESTORED,
    .begins = true,
};
