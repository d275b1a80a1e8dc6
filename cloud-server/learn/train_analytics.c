/* train_analytics: a frozen network behind what learns. It reads pictures as the server would give them to
 * it; a crop is brought to the size that it would have within a whole picture. */
#include "learn/train_parts.h"

#include "analyse/head.h"
#include "analyse/prepare.h"
#include "analyse/restore.h"
#include "onnx/onnx.h"
#include "train/loss.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_BYTES 64

static int check_labelled(const struct train *train, struct error *err);

int train_analytics_open(struct train *train, struct error *err)
{
    const char *folder = train->config->analytics.model;
    struct train_analytics *analytics = &train->analytics;
    if (!*folder)
        return 0;
    int rc = card_read(&analytics->card, folder, err);
    if (rc == 0)
        rc = onnx_read_file(&analytics->graph, analytics->card->file_path, err);
    if (rc == 0 && analytics->graph->input_count != 1)
        rc = error_set(err, ERROR_UNSUPPORTED, folder, "the network has %d inputs, not one picture",
                       analytics->graph->input_count);
    if (rc == 0 && train_is_labelled(train))
        rc = check_labelled(train, err);
    if (rc == 0 && train->config->analytics.loss == ANALYTICS_ANSWERS &&
        !train_answers_known(analytics->card->head.kind))
        rc = error_set(err, ERROR_UNSUPPORTED, folder,
                       "answers of head.kind %s are not compared; take analytics.loss l2",
                       head_words[analytics->card->head.kind]);
    return rc < 0 ? error_wrap(err, "analytics.model") : 0;
}

void train_analytics_close(struct train *train)
{
    card_free(&train->analytics.card);
    graph_free(&train->analytics.graph);
}

static int check_labelled(const struct train *train, struct error *err)
{
    const struct card *card = train->analytics.card;
    if (card->head.kind != HEAD_SEGMENT || train->analytics.graph->output_count != 1)
        return error_set(
            err, ERROR_UNSUPPORTED, card->name,
            "only a network with one output of a score for each pixel and class learns "
            "from labels; take analytics.loss l2");
    return card->classes.count <= ANALYSIS_AREAS_MAX
               ? 0
               : error_set(err, ERROR_LIMIT, card->name, "has more than %u classes",
                           ANALYSIS_AREAS_MAX);
}

/* ---- the network within a graph ---- */

/* Of a crop the part of the network's input that it would fill; of a whole picture all of it, with what
 * lies beside it. */
static struct card_input input_for(const struct train *train, const struct shape *pictures)
{
    struct card_input input = train->analytics.card->input;
    uint32_t width = train->config->width, height = train->config->height;
    struct placement placement;
    if (pictures->dim[3] == width && pictures->dim[2] == height)
        return input;
    prepare_place(&input, width, height, &placement);
    input.fit = FIT_STRETCH;
    input.width = (uint32_t)lround((double)pictures->dim[3] * placement.inner_width / width);
    input.height = (uint32_t)lround((double)pictures->dim[2] * placement.inner_height / height);
    return input;
}

/* Its place among the graph's outputs, by the card's name for output number `index` of the head. */
static int find_output(const struct train *train, size_t index)
{
    const struct option_strings *names = &train->analytics.card->head.outputs;
    const struct graph *graph = train->analytics.graph;
    if (names->count == 0)
        return (int)index;
    for (int i = 0; i < graph->output_count; i++)
        if (strcmp(graph->values[graph->outputs[i]].name, names->items[index]) == 0)
            return i;
    return -1;
}

size_t train_analytics_outputs(const struct train *train)
{
    size_t named = train->analytics.card->head.outputs.count;
    size_t all = (size_t)train->analytics.graph->output_count;
    size_t count = named > 0 ? named : all;
    return count < HEAD_OUTPUTS_MAX ? count : HEAD_OUTPUTS_MAX;
}

/* A copy that has been inferred for what fitting gives. */
static int infer_for(const struct train *train, const struct shape *fitted, struct graph **copy,
                     struct error *err)
{
    int rc = graph_clone(copy, train->analytics.graph, err);
    if (rc == 0)
        rc = graph_infer(*copy, fitted, err);
    if (rc < 0) {
        char text[64];
        shape_format(fitted, text, sizeof text);
        error_wrap(err,
                   "analytics.model: the network does not take crops, which come to it as %s; most "
                   "want multiples of 32, or crops that are whole pictures",
                   text);
    }
    return rc;
}

/* Puts the copy in, and picks from all its outputs those of the head. */
static void embed(const struct train *train, struct compose *c, const struct graph *copy,
                  const char *prefix, int fitted, int outputs[HEAD_OUTPUTS_MAX])
{
    int *all = calloc((size_t)copy->output_count + 1, sizeof *all);
    if (!all) {
        c->rc = error_set(c->err, ERROR_MEMORY, "analytics", "no room for outputs");
        return;
    }
    compose_part(c, copy, prefix, &fitted, all);
    for (size_t i = 0; !c->rc && i < train_analytics_outputs(train); i++) {
        int place = find_output(train, i);
        if (place < 0)
            c->rc = error_set(c->err, ERROR_CONFIG, "analytics.model", "has no output \"%s\"",
                              train->analytics.card->head.outputs.items[i]);
        else
            outputs[i] = all[place];
    }
    free(all);
}

/* Many networks are written for one picture: reshaped to a fixed first dimension, several become a jumble, where
 * they do not fail to fit. */
static bool takes_batches(const struct graph *inferred, int64_t batch)
{
    bool takes = true;
    for (int i = 0; i < inferred->output_count; i++) {
        const struct shape *shape = &inferred->values[inferred->outputs[i]].shape;
        takes = takes && shape->rank > 0 && shape->dim[0] == batch;
    }
    return takes;
}

static int picture_of(struct compose *c, int pictures, int64_t index)
{
    const int64_t next = index + 1, axis = 0;
    const int inputs[] = { pictures, compose_ints(c, &index, 1), compose_ints(c, &next, 1),
                           compose_ints(c, &axis, 1) };
    return compose_node(c, "Slice", inputs, 4, NULL);
}

static int concat(struct compose *c, const int *values, int count)
{
    const struct attribute axis[] = { COMPOSE_INT("axis", 0), { 0 } };
    return compose_node(c, "Concat", values, count, axis);
}

/* The network once for each picture, and what they say one behind the other. */
static void embed_each(const struct train *train, struct compose *c, const struct graph *copy,
                       const char *prefix, int fitted, int outputs[HEAD_OUTPUTS_MAX])
{
    size_t count = train_analytics_outputs(train);
    int batch = (int)compose_shape(c, fitted)->dim[0];
    int *says = calloc((size_t)batch * count, sizeof *says);
    if (!says) {
        c->rc = error_set(c->err, ERROR_MEMORY, "analytics", "no room for outputs");
        return;
    }
    for (int k = 0; !c->rc && k < batch; k++) {
        char name[PREFIX_BYTES];
        int own[HEAD_OUTPUTS_MAX] = { 0 };
        snprintf(name, sizeof name, "%s%d/", prefix, k);
        embed(train, c, copy, name, picture_of(c, fitted, k), own);
        for (size_t i = 0; i < count; i++)
            says[i * (size_t)batch + (size_t)k] = own[i];
    }
    for (size_t i = 0; !c->rc && i < count; i++)
        outputs[i] = concat(c, says + i * (size_t)batch, batch);
    free(says);
}

void train_analytics_add(const struct train *train, struct compose *c, int pictures,
                         const char *prefix, int outputs[HEAD_OUTPUTS_MAX])
{
    struct card_input input = input_for(train, compose_shape(c, pictures));
    int fitted = restore_fit(c, &input, pictures);
    struct shape shape = *compose_shape(c, fitted);
    struct graph *copy = NULL;
    if (c->rc)
        return;
    int rc = infer_for(train, &shape, &copy, c->err);
    bool together = rc == 0 && takes_batches(copy, shape.dim[0]);
    if (!together && shape.dim[0] > 1) {
        graph_free(&copy);
        shape.dim[0] = 1;
        rc = infer_for(train, &shape, &copy, c->err);
    }
    c->rc = rc;
    if (!rc && together)
        embed(train, c, copy, prefix, fitted, outputs);
    else if (!rc)
        embed_each(train, c, copy, prefix, fitted, outputs);
    graph_free(&copy);
}

/* ---- losses ---- */

static int apart(const struct train *train, struct compose *c, int restored, int source)
{
    int value;
    switch (train->config->analytics.loss) {
    case ANALYTICS_ANSWERS:
        return train_answers_apart(train, c, restored, source);
    case ANALYTICS_L1:
        value = loss_l1(c->graph, restored, source, c->err);
        break;
    default:
        value = loss_l2(c->graph, restored, source, c->err);
    }
    if (value < 0)
        c->rc = value;
    return value;
}

/* Mean over the outputs. */
int train_analytics_distance(const struct train *train, struct compose *c, const int *restored,
                             const int *source)
{
    size_t count = train_analytics_outputs(train);
    int sum = -1;
    for (size_t i = 0; !c->rc && i < count; i++) {
        int value = apart(train, c, restored[i], source[i]);
        sum = sum < 0 ? value : compose_op(c, "Add", sum, value);
    }
    return compose_op(c, "Mul", sum, compose_scalar(c, 1.0 / (double)count));
}

int train_analytics_labels(struct compose *c, int scores, const struct train_labels *wanted)
{
    const struct shape labels = *compose_shape(c, wanted->labels), has = *compose_shape(c, scores);
    if (has.dim[2] != labels.dim[1] || has.dim[3] != labels.dim[2])
        scores = compose_resize(c, scores, labels.dim[1], labels.dim[2], "linear");
    if (c->rc)
        return -1;
    int entropy = loss_cross_entropy(c->graph, scores, wanted->labels, wanted->weights,
                                     SAMPLES_IGNORE, c->err);
    if (entropy < 0) {
        c->rc = entropy;
        return -1;
    }
    int overlap = loss_jaccard(c->graph, scores, wanted->maps, wanted->seen_weights, c->err);
    if (overlap < 0)
        c->rc = overlap;
    return compose_op(c, "Add", entropy, overlap);
}
