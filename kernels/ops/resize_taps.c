/* resize_taps: which input elements each output position of a Resize is made of, along one dimension. */
#include "ops/resolve.h"
#include <math.h>
#include <string.h>

static double source_coordinate(const struct resize *resize, int axis, int64_t at);
static int64_t nearest_index(const struct resize *resize, double at, int axis);
static void cubic_weights(double a, double t, double weights[4]);
static double filter(const struct resize *resize, double distance);
static int64_t clamp_index(double x, int64_t count);

void resize_taps(const struct resize *resize, int axis, int64_t at, struct resize_taps *taps)
{
    int64_t count = resize->in.dim[axis];
    double x = source_coordinate(resize, axis, at);
    *taps = (struct resize_taps){ .count = 1, .weight = { 1 } };
    if (resize->coordinate == RESIZE_CROP && !(x >= 0 && x <= (double)(count - 1))) {
        taps->count = 0;
        return;
    }
    if (resize->mode == RESIZE_NEAREST) {
        taps->index[0] = nearest_index(resize, x, axis);
        return;
    }
    double low = floor(x), t = x - low;
    if (t == 0 && low >= 0 && low < (double)count) { /* on an element */
        taps->index[0] = (int64_t)low;
        return;
    }
    if (resize->mode == RESIZE_LINEAR) {
        taps->count = 2;
        taps->weight[0] = 1 - t;
        taps->weight[1] = t;
        for (int i = 0; i < 2; i++)
            taps->index[i] = clamp_index(low + i, count);
        return;
    }
    taps->count = 4;
    cubic_weights((double)resize->cubic_a, t, taps->weight);
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        double neighbour = low - 1 + i;
        if (resize->exclude_outside && (neighbour < 0 || neighbour > (double)(count - 1)))
            taps->weight[i] = 0;
        taps->index[i] = clamp_index(neighbour, count);
        sum += taps->weight[i];
    }
    for (int i = 0; resize->exclude_outside && i < 4; i++)
        taps->weight[i] /= sum;
}

void resize_first(const struct resize *resize, int64_t index[SHAPE_RANK_MAX],
                  struct resize_taps taps[SHAPE_RANK_MAX])
{
    memset(taps, 0, SHAPE_RANK_MAX * sizeof *taps);
    memset(index, 0, SHAPE_RANK_MAX * sizeof *index);
    for (int i = 0; i < resize->out.rank; i++)
        resize_taps(resize, i, 0, &taps[i]);
}

void resize_next(const struct resize *resize, int64_t index[SHAPE_RANK_MAX],
                 struct resize_taps taps[SHAPE_RANK_MAX])
{
    bool wraps = true;
    for (int i = resize->out.rank - 1; wraps && i >= 0; i--) {
        wraps = ++index[i] == resize->out.dim[i];
        if (wraps)
            index[i] = 0;
        resize_taps(resize, i, index[i], &taps[i]);
    }
}

void resize_span(const struct resize *resize, int axis, int64_t at, struct resize_span *span)
{
    double radius = resize->mode == RESIZE_CUBIC ? 2 : 1, last = (double)(resize->in.dim[axis] - 1);
    double shrink = resize->by_sizes
                        ? (double)resize->ratio[axis][1] / (double)resize->ratio[axis][0]
                        : (double)resize->scale[axis];
    *span =
        (struct resize_span){ .x = source_coordinate(resize, axis, at), .scale = fmin(shrink, 1) };
    if (resize->coordinate == RESIZE_CROP && !(span->x >= 0 && span->x <= last))
        return;
    span->first = (int64_t)floor(span->x - radius / span->scale) + 1;
    span->end = (int64_t)ceil(span->x + radius / span->scale);
    for (int64_t i = span->first; i < span->end; i++)
        if (!resize->exclude_outside || (i >= 0 && i <= (int64_t)last))
            span->sum += filter(resize, ((double)i - span->x) * span->scale);
}

double resize_span_weight(const struct resize *resize, int axis, const struct resize_span *span,
                          int64_t i, int64_t *index)
{
    *index = clamp_index((double)i, resize->in.dim[axis]);
    if (resize->exclude_outside && *index != i)
        return 0;
    return filter(resize, ((double)i - span->x) * span->scale) / span->sum;
}

/* What an element at this distance weighs, before all weights are made to add up to 1. */
static double filter(const struct resize *resize, double distance)
{
    double x = fabs(distance), a = (double)resize->cubic_a;
    if (resize->mode != RESIZE_CUBIC)
        return fmax(1 - x, 0);
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* An output coordinate in units of the input. Sizes give an exact ratio. A scale is a float and is
 * divided by as a float, as the runtimes that models are exported against do it: 1 / 0.33333334f is
 * 3, and nearest is decided by that last bit. */
static double scale_back(const struct resize *resize, int axis, double x)
{
    if (resize->by_sizes)
        return x * (double)resize->ratio[axis][0] / (double)resize->ratio[axis][1];
    return (double)((float)x / resize->scale[axis]);
}

/* These two are floats all the way in the runtimes, and nearest is decided by their last bits. */
static float symmetric_coordinate(const struct resize *resize, int axis, int64_t at)
{
    float in = (float)resize->in.dim[axis], out = (float)resize->out.dim[axis];
    float used = out / (resize->scale[axis] * in); /* part of the input */
    return in / 2 * (1 - used) + ((float)at + 0.5f) / resize->scale[axis] - 0.5f;
}

static float crop_coordinate(const struct resize *resize, int axis, int64_t at)
{
    const float *crop = resize->crop[axis];
    float in = (float)resize->in.dim[axis], out = (float)resize->out.dim[axis];
    if (resize->out.dim[axis] == 1)
        return (crop[0] + crop[1]) / 2 * (in - 1);
    return crop[0] * (in - 1) + (float)at * (crop[1] - crop[0]) * (in - 1) / (out - 1);
}

/* The input coordinate of an output position along one dimension. */
static double source_coordinate(const struct resize *resize, int axis, int64_t at)
{
    double x = (double)at, in = (double)resize->in.dim[axis], out = (double)resize->out.dim[axis];
    if (in == out && resize->scale[axis] == 1 && resize->coordinate != RESIZE_CROP)
        return x;
    switch (resize->coordinate) {
    case RESIZE_ALIGN_CORNERS:
        /* Of a scale that does not divide, the corner is where the standard's unrounded size ends. */
        if (!resize->by_sizes && (double)resize->scale[axis] * in > out)
            out = (double)resize->scale[axis] * in;
        return at == 0 ? 0 : x * (in - 1) / (out - 1);
    case RESIZE_ASYMMETRIC:
        return scale_back(resize, axis, x);
    case RESIZE_TF_HALF_PIXEL:
        return scale_back(resize, axis, x + 0.5);
    case RESIZE_PYTORCH_HALF_PIXEL:
        return out == 1 ? 0 : scale_back(resize, axis, x + 0.5) - 0.5;
    case RESIZE_HALF_PIXEL_SYMMETRIC:
        return (double)symmetric_coordinate(resize, axis, at);
    case RESIZE_CROP:
        return (double)crop_coordinate(resize, axis, at);
    case RESIZE_HALF_PIXEL:
    default:
        return scale_back(resize, axis, x + 0.5) - 0.5;
    }
}

static int64_t clamp_index(double x, int64_t count)
{
    return !(x > 0) ? 0 : x > (double)(count - 1) ? count - 1 : (int64_t)x;
}

static int64_t nearest_index(const struct resize *resize, double at, int axis)
{
    switch (resize->nearest) {
    case RESIZE_FLOOR:
        at = floor(at);
        break;
    case RESIZE_CEIL:
        at = ceil(at);
        break;
    case RESIZE_PREFER_CEIL:
        at = floor(at + 0.5);
        break;
    case RESIZE_SIMPLE:
        at = resize->scale[axis] < 1 ? ceil(at) : floor(at);
        break;
    case RESIZE_PREFER_FLOOR:
    default:
        at = ceil(at - 0.5);
        break;
    }
    return clamp_index(at, resize->in.dim[axis]);
}

/* Weights of the four neighbours of a coordinate; t is its distance from the second. */
static void cubic_weights(double a, double t, double weights[4])
{
    double u = 1 - t;
    weights[0] = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a;
    weights[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
    weights[2] = ((a + 2) * u - (a + 3)) * u * u + 1;
    weights[3] = ((a * (u + 1) - 5 * a) * (u + 1) + 8 * a) * (u + 1) - 4 * a;
}
