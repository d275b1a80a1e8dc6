/* nets_fold: from what learnt to what runs. The folded form's constants say what is wanted; what the
 * trained form has under a layer's name says how it comes about. */
#include "learn/nets_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A convolution while it is being folded, in doubles. */
struct folding {
    const struct graph *trained;
    char layer[NET_NAME_BYTES];
    const struct tensor *wanted; /* NAME.weight of the folded form */
    int64_t outputs, inputs, taps;
    double *weight, *bias;
};

static struct tensor *find(const struct graph *graph, const char *layer, const char *part)
{
    char name[NET_NAME_BYTES + 16];
    snprintf(name, sizeof name, "%s.%s", layer, part);
    for (int v = 0; v < graph->value_count; v++)
        if (graph->values[v].constant.data && strcmp(graph->values[v].name, name) == 0)
            return &graph->values[v].constant;
    return NULL;
}

static const float *floats(const struct tensor *tensor)
{
    return tensor->data;
}

static int take(struct folding *folding, struct error *err)
{
    const struct tensor *weight = find(folding->trained, folding->layer, "weight");
    const struct tensor *bias = find(folding->trained, folding->layer, "bias");
    if (!weight || !shape_equal(&weight->shape, &folding->wanted->shape))
        return error_set(err, ERROR_FORMAT, folding->layer,
                         "the trained network has no such convolution");
    int64_t count = shape_elements(&weight->shape);
    folding->weight = calloc((size_t)count, sizeof *folding->weight);
    folding->bias = calloc((size_t)folding->outputs, sizeof *folding->bias);
    if (!folding->weight || !folding->bias)
        return error_set(err, ERROR_MEMORY, folding->layer, "no room to fold it");
    for (int64_t i = 0; i < count; i++)
        folding->weight[i] = (double)floats(weight)[i];
    for (int64_t o = 0; bias && o < folding->outputs; o++)
        folding->bias[o] = (double)floats(bias)[o];
    return 0;
}

/* 1x1 and the input itself are 3x3 whose other taps are 0. */
static void fold_parallel(struct folding *folding)
{
    const struct tensor *point = find(folding->trained, folding->layer, "point.weight");
    if (!point)
        return;
    for (int64_t o = 0; o < folding->outputs; o++)
        for (int64_t i = 0; i < folding->inputs; i++) {
            double *middle =
                &folding->weight[(o * folding->inputs + i) * folding->taps + folding->taps / 2];
            *middle += (double)floats(point)[o * folding->inputs + i];
            if (o == i && folding->inputs == folding->outputs)
                *middle += 1;
        }
}

static void fold_norm(struct folding *folding)
{
    const struct tensor *scale = find(folding->trained, folding->layer, "norm.scale");
    const struct tensor *shift = find(folding->trained, folding->layer, "norm.bias");
    const struct tensor *mean = find(folding->trained, folding->layer, "norm.mean");
    const struct tensor *variance = find(folding->trained, folding->layer, "norm.variance");
    if (!scale || !shift || !mean || !variance)
        return;
    int64_t each = folding->inputs * folding->taps;
    for (int64_t o = 0; o < folding->outputs; o++) {
        double factor =
            (double)floats(scale)[o] / sqrt((double)floats(variance)[o] + (double)NET_NORM_EPSILON);
        for (int64_t i = 0; i < each; i++)
            folding->weight[o * each + i] *= factor;
        folding->bias[o] =
            (folding->bias[o] - (double)floats(mean)[o]) * factor + (double)floats(shift)[o];
    }
}

static int fold_layer(struct folding *folding, struct graph *folded, struct error *err)
{
    int rc = take(folding, err);
    struct tensor *bias = find(folded, folding->layer, "bias");
    if (rc == 0) {
        fold_parallel(folding);
        fold_norm(folding);
        for (int64_t i = 0, count = shape_elements(&folding->wanted->shape); i < count; i++)
            ((float *)folding->wanted->data)[i] = (float)folding->weight[i];
        for (int64_t o = 0; bias && o < folding->outputs; o++)
            ((float *)bias->data)[o] = (float)folding->bias[o];
    }
    free(folding->weight);
    free(folding->bias);
    return rc;
}

int net_fold(const struct graph *trained, struct graph *folded, struct error *err)
{
    for (int v = 0; v < folded->value_count; v++) {
        const struct value *value = &folded->values[v];
        const char *dot = strrchr(value->name, '.');
        if (!value->constant.data || !dot || strcmp(dot, ".weight") != 0)
            continue;
        const struct shape *shape = &value->constant.shape;
        struct folding folding = { .trained = trained,
                                   .wanted = &value->constant,
                                   .outputs = shape->dim[0],
                                   .inputs = shape->dim[1],
                                   .taps = shape->dim[2] * shape->dim[3] };
        snprintf(folding.layer, sizeof folding.layer, "%.*s", (int)(dot - value->name), value->name);
        int rc = fold_layer(&folding, folded, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}
