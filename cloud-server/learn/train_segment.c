/* train_segment: the task of a segmenter: cross-entropy to learn, mean IoU to measure. */
#include "learn/train_parts.h"
#include "media/scale.h"
#include "pixels.h"
#include "train/loss.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LABELS "labels"
#define CLASS_WEIGHTS "class_weights"

static int network(const struct train *train, struct compose *c, int pictures, enum net_form form)
{
    const struct net_config config = { .size = train->config->size,
                                       .form = form,
                                       .seed = train->config->seed };
    return net_segmenter(c, pictures, &config, train->class_count);
}

static int loss(const struct train *train, struct compose *c)
{
    int64_t batch = train->config->batch, height = train->config->crop_height,
            width = train->config->crop_width, classes = train->class_count;
    int pictures = compose_input(c, NET_PICTURE, TENSOR_F32, COMPOSE_SHAPE(batch, 3, height, width));
    int labels = compose_input(c, LABELS, TENSOR_I64, COMPOSE_SHAPE(batch, height, width));
    int weights = compose_input(c, CLASS_WEIGHTS, TENSOR_F32, COMPOSE_SHAPE(classes));
    int scores = network(train, c, pictures, train->form);
    if (c->rc)
        return c->rc;
    return loss_cross_entropy(c->graph, scores, labels, weights, SAMPLES_IGNORE, c->err);
}

static void fill(const struct train *train, const struct sample_batch *batch)
{
    const struct tensor *pictures = train_input(train, NET_PICTURE);
    const struct tensor *labels = train_input(train, LABELS);
    const struct tensor *weights = train_input(train, CLASS_WEIGHTS);
    memcpy(pictures->data, batch->source, tensor_bytes(pictures));
    memcpy(labels->data, batch->labels, tensor_bytes(labels));
    memcpy(weights->data, train->class_weights, tensor_bytes(weights));
}

/* ---- measuring ---- */

struct measuring {
    const struct train *train;
    const struct samples_set *set;
    struct plan *plan;
    struct scaler *scaler;
    struct scores *scores, *received_scores;
    uint8_t *pixels, *found; /* of a picture of the network's size */
};

/* The labels that the network finds in what its input holds. */
static int find_labels(const struct measuring *measuring, struct error *err)
{
    const struct train *train = measuring->train;
    size_t plane = (size_t)train->config->width * train->config->height;
    uint8_t names[ANALYSIS_AREAS_MAX];
    for (uint32_t k = 0; k < train->class_count; k++)
        names[k] = (uint8_t)k;
    int rc = plan_run(measuring->plan, err);
    if (rc == 0)
        pixels_label(plan_output(measuring->plan, 0)->data, plane, names, train->class_count,
                     measuring->found, plane);
    return rc;
}

/* Found labels laid over those of the picture's window by nearest neighbour. */
static int score(const struct measuring *measuring, size_t index,
                 const struct samples_window *window, struct error *err)
{
    const struct train *train = measuring->train;
    const struct picture_part *part = &window->part;
    uint32_t width = train->config->width, height = train->config->height;
    size_t pixels = (size_t)part->width * part->height;
    uint8_t *values = malloc(2 * pixels), *found = values + pixels;
    if (!values)
        return error_set(err, ERROR_MEMORY, "validation", "no room for labels");
    int rc =
        samples_set_labels(measuring->set, index, window, part->width, part->height, values, err);
    for (uint32_t y = 0; rc == 0 && y < part->height; y++) {
        const uint8_t *row =
            measuring->found + (2 * (uint64_t)y + 1) * height / (2 * (uint64_t)part->height) * width;
        for (uint32_t x = 0; x < part->width; x++)
            found[(size_t)y * part->width + x] =
                row[(2 * (uint64_t)x + 1) * width / (2 * (uint64_t)part->width)];
    }
    if (rc == 0)
        rc = scores_add_labels(measuring->scores, found, values, pixels, SAMPLES_IGNORE, NULL, err);
    free(values);
    return rc == -ERROR_UNSUPPORTED ? 0 : rc; /* a picture without a pixel that counts */
}

static int measure_picture(const struct measuring *measuring, size_t index, struct error *err)
{
    const struct train *train = measuring->train;
    uint32_t width = train->config->width, height = train->config->height;
    size_t plane = (size_t)width * height;
    uint8_t *const rgb[3] = { measuring->pixels, measuring->pixels + plane,
                              measuring->pixels + 2 * plane };
    struct picture *picture = NULL;
    struct picture_view view;
    struct samples_window window;
    int rc = samples_set_picture(measuring->set, index, width, height, &picture, &window, err);
    if (rc < 0)
        return rc;
    picture_get_view(picture, &view);
    rc = scaler_to_rgb_planes(measuring->scaler, &view, width, height, rgb, width, err);
    if (rc == 0) {
        pixels_to_floats(measuring->pixels, plan_input(measuring->plan, 0)->data, 3 * plane,
                         1.0f / 255, 0);
        rc = find_labels(measuring, err);
    }
    if (rc == 0)
        rc = score(measuring, index, &window, err);
    picture_unref(&picture);
    return rc;
}

/* As it arrives, at the network's size. */
static int measure_received(const struct measuring *measuring, const struct sample_batch *batch,
                            struct error *err)
{
    const struct train *train = measuring->train;
    const struct tensor *input = plan_input(measuring->plan, 0);
    size_t plane = (size_t)train->config->width * train->config->height;
    memcpy(input->data, batch->source, tensor_bytes(input));
    int rc = find_labels(measuring, err);
    for (size_t i = 0; i < plane; i++)
        measuring->pixels[i] = (uint8_t)batch->labels[i];
    if (rc == 0)
        rc = scores_add_labels(measuring->received_scores, measuring->found, measuring->pixels,
                               plane, SAMPLES_IGNORE, NULL, err);
    return rc == -ERROR_UNSUPPORTED ? 0 : rc; /* a picture without a pixel that counts */
}

/* Weights of classes follow these where there are any, for these are what is learnt from. */
static int measure_all_received(struct measuring *measuring, struct train_figures *figures,
                                struct error *err)
{
    const struct samples_set *set = measuring->set;
    struct samples *samples = NULL;
    int rc =
        scores_open(&measuring->received_scores, SCORE_LABELS, measuring->train->class_count, err);
    if (rc == 0)
        rc = train_open_whole(measuring->train, set, &samples, err);
    for (size_t i = 0; rc == 0 && i < set->count; i++) {
        struct sample_batch *batch;
        rc = samples_take(samples, &batch, err);
        if (rc < 0)
            break;
        rc = measure_received(measuring, batch, err);
        sample_batch_free(&batch);
    }
    samples_close(&samples);
    if (rc == 0)
        train_figures_of_scores(figures, 1, measuring->received_scores);
    return rc < 0 ? error_wrap(err, "validation") : 0;
}

static int measure_all(struct measuring *measuring, struct train_figures *figures, struct error *err)
{
    const struct samples_set *set = measuring->set;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < set->count; i++) {
        rc = measure_picture(measuring, i, err);
        if (rc < 0)
            error_wrap(err, "validation: %s", samples_set_name(set, i));
    }
    train_figures_of_scores(figures, 0, measuring->scores);
    return rc;
}

static int measure(struct train *train, const struct samples_set *set,
                   struct train_figures *figures, struct error *err)
{
    struct measuring measuring = { .train = train, .set = set };
    const struct plan_options options = { .precision = train->precision };
    size_t plane = (size_t)train->config->width * train->config->height;
    measuring.pixels = malloc(3 * plane);
    measuring.found = malloc(plane);
    int rc = measuring.pixels && measuring.found
                 ? 0
                 : error_set(err, ERROR_MEMORY, "validation", "no room for a picture");
    if (rc == 0)
        rc = scaler_create(&measuring.scaler, err);
    if (rc == 0)
        rc = scores_open(&measuring.scores, SCORE_LABELS, train->class_count, err);
    if (rc == 0)
        rc = device_compile(train->device, train->folded, &options, &measuring.plan, err);
    if (rc == 0)
        rc = measure_all(&measuring, figures, err);
    if (rc == 0 && train->samples.damage.drawn_count > 0)
        rc = measure_all_received(&measuring, figures, err);
    plan_free(&measuring.plan);
    scores_close(&measuring.scores);
    scores_close(&measuring.received_scores);
    scaler_destroy(&measuring.scaler);
    free(measuring.pixels);
    free(measuring.found);
    return rc;
}

const struct train_task_ops train_segment = {
    .network = network,
    .loss = loss,
    .fill = fill,
    .measure = measure,
    .output = NET_SCORES,
};
