/* resize: Resize and Upsample: nearest, linear and cubic along any dimensions. */
#include "ops/families.h"
#include "ops/gradient.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "ops/walk.h"
#include <math.h>
#include <string.h>

static int resize_shape(const struct node *node, const struct op_values *values, struct error *err);
static int resize_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err);
static int resize_gradient(struct gradient *g);

#define RESIZE_ROW(name, least, most, first, last)                             \
    OP_ROW(name, least, most, 1, first, last, resize_shape, resize_reference), \
        .heavy = true, .gradient = resize_gradient

static const struct op rows[] = {
    { RESIZE_ROW("Upsample", 1, 1, OPSET_MIN, 8),
      OP_ATTRIBUTES({ "mode", ATTRIBUTE_STRING }, { "scales", ATTRIBUTE_FLOATS }) },
    { RESIZE_ROW("Upsample", 2, 2, 9, 9), OP_ATTRIBUTES({ "mode", ATTRIBUTE_STRING }) },
    { RESIZE_ROW("Resize", 2, 2, 10, 10), OP_ATTRIBUTES({ "mode", ATTRIBUTE_STRING }) },
    { RESIZE_ROW("Resize", 1, 4, 11, OPSET_MAX),
      OP_ATTRIBUTES(
          { "mode", ATTRIBUTE_STRING }, { "antialias", ATTRIBUTE_INT }, { "axes", ATTRIBUTE_INTS },
          { "coordinate_transformation_mode", ATTRIBUTE_STRING }, { "cubic_coeff_a", ATTRIBUTE_FLOAT },
          { "exclude_outside", ATTRIBUTE_INT }, { "extrapolation_value", ATTRIBUTE_FLOAT },
          { "keep_aspect_ratio_policy", ATTRIBUTE_STRING }, { "nearest_mode", ATTRIBUTE_STRING }) },
};
const struct op_family resize_family = OP_FAMILY(rows);

/* The place of a word in a list that ends with NULL; -ERROR_UNSUPPORTED when it is not there. */
static int find_word(const struct node *node, const char *name, const char *fallback,
                     const char *const *words, int *place, struct error *err)
{
    const char *word = node_string(node, name, fallback);
    for (*place = 0; words[*place]; ++*place)
        if (strcmp(words[*place], word) == 0)
            return 0;
    return error_set(err, ERROR_UNSUPPORTED, name, "'%.40s' is not supported", word);
}

#define NEAREST_SIMPLE "simple" /* resize_grad's word for RESIZE_SIMPLE */

/* There were no words but the mode before opset 11. */
static bool is_old(const struct node *node)
{
    return node->op->opset_max < 11;
}

static int read_modes(const struct node *node, struct resize *resize, struct error *err)
{
    static const char *const modes[] = { "nearest", "linear", "cubic", NULL };
    static const char *const coordinates[] = {
        "half_pixel", "pytorch_half_pixel",   "align_corners",
        "asymmetric", "tf_half_pixel_for_nn", "half_pixel_symmetric",
        NULL
    };
    static const char *const nearest[] = { "round_prefer_floor", "round_prefer_ceil", "floor",
                                           "ceil", NULL };
    static const char *const own_nearest[] = {
        "round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NEAREST_SIMPLE, NULL
    };
    int mode, coordinate, rounding;
    bool own = node->op->opset_min == OPSET_OWN;
    int rc = find_word(node, "mode", "nearest", modes, &mode, err);
    if (rc ||
        (rc = find_word(node, "coordinate_transformation_mode",
                        is_old(node) ? "asymmetric" : "half_pixel", coordinates, &coordinate, err)) ||
        (rc = find_word(node, "nearest_mode", "round_prefer_floor", own ? own_nearest : nearest,
                        &rounding, err)))
        return rc;
    resize->mode = (enum resize_mode)mode;
    resize->coordinate = (enum resize_coordinate)coordinate;
    resize->nearest = is_old(node) ? RESIZE_SIMPLE : (enum resize_nearest)rounding;
    resize->cubic_a = node_float(node, "cubic_coeff_a", -0.75f);
    resize->exclude_outside = node_int(node, "exclude_outside", 0) != 0;
    if (node_int(node, "antialias", 0))
        return error_set(err, ERROR_UNSUPPORTED, "antialias", "is not supported");
    if (strcmp(node_string(node, "keep_aspect_ratio_policy", "stretch"), "stretch") != 0)
        return error_set(err, ERROR_UNSUPPORTED, "keep_aspect_ratio_policy",
                         "only stretch is supported");
    return 0;
}

/* One scale for each listed axis, from an f32 list. */
static int read_scales(const float *scales, size_t count, const int *axes, int axis_count,
                       const struct shape *from, struct resize *resize, struct error *err)
{
    if (count != (size_t)axis_count)
        return error_set(err, ERROR_FORMAT, "scales", "%zu numbers for %d dimensions", count,
                         axis_count);
    for (int i = 0; i < axis_count; i++) {
        float scale = scales[i];
        float length = floorf((float)from->dim[axes[i]] * scale);
        if (!(scale > 0) || !(length >= 1) || length > (float)TENSOR_BYTES_MAX)
            return error_set(err, ERROR_FORMAT, "scales", "%g for %lld elements", (double)scale,
                             (long long)from->dim[axes[i]]);
        resize->scale[axes[i]] = scale;
        resize->out.dim[axes[i]] = (int64_t)length;
    }
    return 0;
}

static int read_sizes(const struct tensor *sizes, const int *axes, int axis_count,
                      const struct shape *from, struct resize *resize, struct error *err)
{
    int64_t lengths[RULE_INTS_MAX];
    size_t count = 0;
    int rc = rule_ints(sizes, "input sizes", lengths, &count, err);
    if (rc)
        return rc;
    if (count != (size_t)axis_count)
        return error_set(err, ERROR_FORMAT, "input sizes", "%zu numbers for %d dimensions", count,
                         axis_count);
    for (int i = 0; i < axis_count; i++) {
        if (lengths[i] < 1 || lengths[i] > (int64_t)TENSOR_BYTES_MAX)
            return error_set(err, ERROR_FORMAT, "input sizes", "%lld is not a size",
                             (long long)lengths[i]);
        resize->scale[axes[i]] = (float)lengths[i] / (float)from->dim[axes[i]];
        resize->by_sizes = true;
        resize->out.dim[axes[i]] = lengths[i];
    }
    return 0;
}

static bool is_given(const struct tensor *tensor)
{
    return tensor && shape_elements(&tensor->shape) != 0; /* an empty one counts as absent */
}

int resize_resolve(const struct node *node, const struct shape *from, const struct tensor *scales,
                   const struct tensor *sizes, struct resize *resize, struct error *err)
{
    *resize = (struct resize){ .in = *from, .out = *from };
    if (shape_elements(from) <= 0)
        return error_set(err, ERROR_FORMAT, "input", "is empty");
    int rc = read_modes(node, resize, err);
    if (rc)
        return rc;
    int axes[SHAPE_RANK_MAX], axis_count = 0;
    const int64_t *listed = NULL;
    size_t listed_count = node_ints(node, "axes", &listed);
    bool flags[SHAPE_RANK_MAX];
    if ((rc = rule_axes("axes", listed, listed_count, from->rank, flags, err)))
        return rc;
    for (int i = 0; i < from->rank; i++)
        resize->scale[i] = 1;
    if (listed_count > 0)
        for (; axis_count < (int)listed_count; axis_count++)
            axes[axis_count] =
                (int)(listed[axis_count] < 0 ? listed[axis_count] + from->rank : listed[axis_count]);
    else
        for (; axis_count < from->rank; axis_count++)
            axes[axis_count] = axis_count;

    const struct attribute *scale_list = node_attribute(node, "scales");
    if (scale_list)
        return read_scales(scale_list->floats, scale_list->count, axes, axis_count, from, resize,
                           err);
    const struct attribute *size_list = node_attribute(node, "sizes");
    const struct tensor listed_sizes = {
        .type = TENSOR_I64,
        .shape = { .rank = 1, .dim = { size_list ? (int64_t)size_list->count : 0 } },
        .data = size_list ? size_list->ints : NULL,
    };
    if (size_list)
        return read_sizes(&listed_sizes, axes, axis_count, from, resize, err);
    if (is_given(sizes))
        return read_sizes(sizes, axes, axis_count, from, resize, err);
    if (!is_given(scales))
        return error_set(err, ERROR_FORMAT, "scales", "neither scales nor sizes are given");
    if (!scales->data)
        return error_set(err, ERROR_UNSUPPORTED, "scales",
                         "is computed from the input's values; it must be constant");
    if (scales->type != TENSOR_F32 || scales->shape.rank != 1)
        return error_set(err, ERROR_FORMAT, "scales", "a list of f32 expected");
    return read_scales(scales->data, (size_t)scales->shape.dim[0], axes, axis_count, from, resize,
                       err);
}

/* Where scales and sizes are among the inputs of this row. */
static const struct tensor *pick_input(const struct node *node, const struct tensor *const *in,
                                       bool sizes)
{
    int most = node->op->inputs_max;
    if (sizes)
        return most == 4 ? in[3] : NULL;
    return most == 4 ? in[2] : most == 2 ? in[1] : NULL;
}

static int resize_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    const struct tensor *in[4] = { 0 };
    struct resize resize;
    for (int i = 1; i < 4; i++)
        in[i] = rule_constant(values, i);
    int rc = rule_input(values, 0, "input", TYPE(REAL), 1, SHAPE_RANK_MAX, err);
    if (rc || (rc = resize_resolve(node, &values->in[0]->shape, pick_input(node, in, false),
                                   pick_input(node, in, true), &resize, err)))
        return rc;
    rule_output(values, 0, TENSOR_REAL, &resize.out);
    return 0;
}

/* An output coordinate in units of the input. Sizes give an exact ratio. A scale is a float and is
 * divided by as a float, as the runtimes that models are exported against do it: 1 / 0.33333334f is
 * 3, and nearest is decided by that last bit. */
static double scale_back(const struct resize *resize, int axis, double x)
{
    if (resize->by_sizes)
        return x * (double)resize->in.dim[axis] / (double)resize->out.dim[axis];
    return (double)((float)x / resize->scale[axis]);
}

/* The input coordinate of an output position along one dimension. */
static double source_coordinate(const struct resize *resize, int axis, int64_t at)
{
    double x = (double)at, in = (double)resize->in.dim[axis], out = (double)resize->out.dim[axis];
    if (in == out && resize->scale[axis] == 1)
        return x;
    switch (resize->coordinate) {
    case RESIZE_ALIGN_CORNERS:
        return out == 1 ? 0 : x * (in - 1) / (out - 1);
    case RESIZE_ASYMMETRIC:
        return scale_back(resize, axis, x);
    case RESIZE_TF_HALF_PIXEL:
        return scale_back(resize, axis, x + 0.5);
    case RESIZE_PYTORCH_HALF_PIXEL:
        return out == 1 ? 0 : scale_back(resize, axis, x + 0.5) - 0.5;
    case RESIZE_HALF_PIXEL_SYMMETRIC: {
        double unused = 1 - out / ((double)resize->scale[axis] * in); /* part of the input */
        return in / 2 * unused + scale_back(resize, axis, x + 0.5) - 0.5;
    }
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

void resize_taps(const struct resize *resize, int axis, int64_t at, struct resize_taps *taps)
{
    int64_t count = resize->in.dim[axis];
    double x = source_coordinate(resize, axis, at);
    *taps = (struct resize_taps){ .count = 1, .weight = { 1 } };
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

/* The weighted sum over all dimensions from `axis` on. */
static double blend(const struct resize_taps *taps, const int64_t *steps, int axis, int rank,
                    const real *from)
{
    if (axis == rank)
        return (double)*from;
    double sum = 0;
    for (int i = 0; i < taps[axis].count; i++)
        sum += taps[axis].weight[i] *
               blend(taps, steps, axis + 1, rank, from + taps[axis].index[i] * steps[axis]);
    return sum;
}

static int resize_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err)
{
    struct resize resize;
    int rc = resize_resolve(node, &in[0]->shape, pick_input(node, in, false),
                            pick_input(node, in, true), &resize, err);
    if (rc)
        return rc;
    int rank = resize.out.rank;
    int64_t steps[SHAPE_RANK_MAX], index[SHAPE_RANK_MAX];
    struct resize_taps taps[SHAPE_RANK_MAX];
    shape_steps(&resize.in, steps);
    resize_first(&resize, index, taps);
    int64_t elements = shape_elements(&resize.out);
    for (int64_t n = 0; n < elements; n++) {
        ((real *)out[0]->data)[n] = (real)blend(taps, steps, 0, rank, in[0]->data);
        resize_next(&resize, index, taps);
    }
    return 0;
}

static int resize_gradient(struct gradient *g)
{
    const struct tensor *in[4];
    int64_t lengths[RULE_INTS_MAX];
    size_t count = 0;
    struct attribute list[5] = { { 0 } };
    int next = 0;
    for (int i = 0; i < 4; i++)
        in[i] = gradient_constant(g, i);
    struct shape from = *gradient_shape(g, g->node->inputs[0]);
    list[next++] = (struct attribute)GRADIENT_INTS("input_shape", from.dim, from.rank);
    const struct tensor *scales = pick_input(g->node, in, false);
    const struct tensor *sizes = pick_input(g->node, in, true);
    if (is_given(sizes)) {
        int rc = rule_ints(sizes, "input sizes", lengths, &count, g->err);
        if (rc)
            return rc;
        list[next++] = (struct attribute)GRADIENT_INTS("sizes", lengths, count);
    } else if (is_given(scales)) {
        list[next++] = (struct attribute){ .name = (char *)"scales",
                                           .kind = ATTRIBUTE_FLOATS,
                                           .floats = scales->data,
                                           .count = (size_t)scales->shape.dim[0] };
    }
    if (is_old(g->node)) {
        list[next++] =
            (struct attribute)GRADIENT_STRING("coordinate_transformation_mode", "asymmetric");
        list[next++] = (struct attribute)GRADIENT_STRING("nearest_mode", NEAREST_SIMPLE);
    }
    g->in[0] = gradient_node_like(g, "resize_grad", g->out, 1, list);
    return gradient_end(g);
}
