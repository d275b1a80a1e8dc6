/* resize: Resize and Upsample: nearest, linear and cubic along any dimensions. */
#include "ops/element.h"
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

#define CROP_MAX 16 /* lengths of the input that a part of it may reach */

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
    static const char *const coordinates[] = { "half_pixel",           "pytorch_half_pixel",
                                               "align_corners",        "asymmetric",
                                               "tf_half_pixel_for_nn", "half_pixel_symmetric",
                                               "tf_crop_and_resize",   NULL };
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
    resize->extrapolation = node_float(node, "extrapolation_value", 0);
    /* Of the nearest element there is nothing to blur. */
    resize->antialias = node_int(node, "antialias", 0) != 0 && resize->mode != RESIZE_NEAREST;
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
        float scale = scales[i], length = floorf((float)from->dim[axes[i]] * scale);
        if (resize->crop[axes[i]][0] != 0 || resize->crop[axes[i]][1] != 1)
            return error_set(err, ERROR_UNSUPPORTED, "scales",
                             "of a part are read in two ways; sizes are supported");
        if (!(scale > 0) || !(length >= 1) || length > (float)TENSOR_BYTES_MAX)
            return error_set(err, ERROR_FORMAT, "scales", "%g for %lld elements", (double)scale,
                             (long long)from->dim[axes[i]]);
        resize->scale[axes[i]] = scale;
        resize->out.dim[axes[i]] = (int64_t)length;
    }
    return 0;
}

/* Where the sizes are only a frame, one ratio for all axes: the smallest or the largest of theirs. */
static int keep_aspect(const struct node *node, const int *axes, int axis_count,
                       struct resize *resize, struct error *err)
{
    static const char *const policies[] = { "stretch", "not_larger", "not_smaller", NULL };
    enum { STRETCH, NOT_LARGER };
    int policy = STRETCH, best = axes[0];
    int rc = find_word(node, "keep_aspect_ratio_policy", "stretch", policies, &policy, err);
    if (rc || policy == STRETCH)
        return rc;
    for (int i = 1; i < axis_count; i++) {
        const int64_t *ratio = resize->ratio[axes[i]], *least = resize->ratio[best];
        double a = (double)ratio[1] / (double)ratio[0], b = (double)least[1] / (double)least[0];
        if (policy == NOT_LARGER ? a < b : a > b)
            best = axes[i];
    }
    const int64_t one[] = { resize->ratio[best][0], resize->ratio[best][1] };
    for (int i = 0; i < axis_count; i++) {
        memcpy(resize->ratio[axes[i]], one, sizeof one);
        double length =
            floor((double)resize->in.dim[axes[i]] * (double)one[1] / (double)one[0] + 0.5);
        if (length < 1 || length > (double)TENSOR_BYTES_MAX)
            return error_set(err, ERROR_FORMAT, "input sizes", "leave %g of axis %d", length,
                             axes[i]);
        resize->out.dim[axes[i]] = (int64_t)length;
    }
    return 0;
}

static bool is_given(const struct tensor *tensor)
{
    return tensor && shape_elements(&tensor->shape) != 0; /* an empty one counts as absent */
}

static int read_sizes(const struct node *node, const struct tensor *sizes, const int *axes,
                      int axis_count, const struct shape *from, struct resize *resize,
                      struct error *err)
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
        resize->ratio[axes[i]][0] = from->dim[axes[i]];
        resize->ratio[axes[i]][1] = lengths[i];
        resize->out.dim[axes[i]] = lengths[i];
    }
    if ((rc = keep_aspect(node, axes, axis_count, resize, err)))
        return rc;
    for (int i = 0; i < axis_count; i++)
        resize->scale[axes[i]] = (float)resize->ratio[axes[i]][1] / (float)resize->ratio[axes[i]][0];
    resize->by_sizes = true;
    return 0;
}

/* Begins and ends of the part of each axis that is read, as parts of the whole. */
static int read_crop(const struct tensor *roi, const int *axes, int axis_count,
                     struct resize *resize, struct error *err)
{
    if (resize->coordinate != RESIZE_CROP)
        return 0;
    if (!is_given(roi))
        return error_set(err, ERROR_FORMAT, "roi", "is missing");
    if (!roi->data)
        return error_set(err, ERROR_UNSUPPORTED, "roi",
                         "is computed from the input's values; it must be constant");
    if (!(TYPES_FLOAT & 1u << roi->type) || roi->shape.rank != 1 ||
        roi->shape.dim[0] != 2 * (int64_t)axis_count)
        return error_set(err, ERROR_FORMAT, "roi", "a list of %d floats expected", 2 * axis_count);
    for (int i = 0; i < axis_count; i++)
        for (int k = 0; k < 2; k++) {
            double number = number_load(roi, i + k * axis_count);
            if (!(fabs(number) <= CROP_MAX))
                return error_set(err, ERROR_FORMAT, "roi", "%g is out of all range", number);
            resize->crop[axes[i]][k] = (float)number;
        }
    return 0;
}

int resize_resolve(const struct node *node, const struct shape *from, const struct tensor *roi,
                   const struct tensor *scales, const struct tensor *sizes, struct resize *resize,
                   struct error *err)
{
    *resize = (struct resize){ .in = *from, .out = *from };
    if (shape_elements(from) <= 0)
        return error_set(err, ERROR_FORMAT, "input", "is empty");
    int rc = read_modes(node, resize, err);
    if (rc)
        return rc;
    int axes[SHAPE_RANK_MAX] = { 0 }, axis_count = 0;
    const int64_t *listed = NULL;
    size_t listed_count = node_ints(node, "axes", &listed);
    bool flags[SHAPE_RANK_MAX];
    if ((rc = rule_axes("axes", listed, listed_count, from->rank, flags, err)))
        return rc;
    for (int i = 0; i < from->rank; i++) {
        resize->scale[i] = 1;
        resize->crop[i][1] = 1;
        resize->ratio[i][0] = resize->ratio[i][1] = 1;
    }
    if (listed_count > 0)
        for (; axis_count < (int)listed_count; axis_count++)
            axes[axis_count] =
                (int)(listed[axis_count] < 0 ? listed[axis_count] + from->rank : listed[axis_count]);
    else
        for (; axis_count < from->rank; axis_count++)
            axes[axis_count] = axis_count;

    if ((rc = read_crop(roi, axes, axis_count, resize, err)))
        return rc;
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
        return read_sizes(node, &listed_sizes, axes, axis_count, from, resize, err);
    if (is_given(sizes))
        return read_sizes(node, sizes, axes, axis_count, from, resize, err);
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

/* What follows the data, and where it is among the inputs of this row. */
enum part { ROI, RESIZE_SCALES, RESIZE_LENGTHS };

static const struct tensor *pick_input(const struct node *node, const struct tensor *const *in,
                                       enum part part)
{
    int most = node->op->inputs_max;
    if (most == 4)
        return in[1 + part];
    return most == 2 && part == RESIZE_SCALES ? in[1] : NULL;
}

static int resolve_inputs(const struct node *node, const struct shape *from,
                          const struct tensor *const *in, struct resize *resize, struct error *err)
{
    return resize_resolve(node, from, pick_input(node, in, ROI), pick_input(node, in, RESIZE_SCALES),
                          pick_input(node, in, RESIZE_LENGTHS), resize, err);
}

static int resize_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    const struct tensor *in[4] = { 0 };
    struct resize resize;
    for (int i = 1; i < 4; i++)
        in[i] = rule_constant(values, i);
    int rc = rule_input(values, 0, "input", TYPES_FLOAT | TYPES_WHOLE | TYPE(BOOL), 1,
                        SHAPE_RANK_MAX, err);
    if (rc || (rc = resolve_inputs(node, &values->in[0]->shape, in, &resize, err)))
        return rc;
    rule_output(values, 0, values->in[0]->type, &resize.out);
    return 0;
}

/* The weighted sum over all dimensions from `axis` on; at: what lies before. */
static double blend(const struct resize_taps *taps, const int64_t *steps, int axis, int rank,
                    const struct tensor *in, int64_t at)
{
    if (axis == rank)
        return element_load(in, at);
    double sum = 0;
    for (int i = 0; i < taps[axis].count; i++)
        sum += taps[axis].weight[i] *
               blend(taps, steps, axis + 1, rank, in, at + taps[axis].index[i] * steps[axis]);
    return sum;
}

static double blend_spans(const struct resize *resize, const struct resize_span *spans,
                          const int64_t *steps, int axis, const struct tensor *in, int64_t at)
{
    if (axis == resize->in.rank)
        return element_load(in, at);
    double sum = 0;
    for (int64_t i = spans[axis].first; i < spans[axis].end; i++) {
        int64_t index;
        double weight = resize_span_weight(resize, axis, &spans[axis], i, &index);
        if (weight != 0)
            sum += weight * blend_spans(resize, spans, steps, axis + 1, in, at + index * steps[axis]);
    }
    return sum;
}

/* With antialias an element is made of as many as it stands for, with weights worked out on the way. */
static void resize_spans(const struct resize *resize, const struct tensor *in, struct tensor *out)
{
    int64_t steps[SHAPE_RANK_MAX];
    struct resize_span spans[SHAPE_RANK_MAX] = { { 0 } };
    shape_steps(&resize->in, steps);
    for (int64_t n = 0, count = shape_elements(&resize->out); n < count; n++) {
        int64_t rest = n;
        bool outside = false;
        for (int i = resize->out.rank - 1; i >= 0; i--) {
            resize_span(resize, i, rest % resize->out.dim[i], &spans[i]);
            outside = outside || spans[i].first == spans[i].end;
            rest /= resize->out.dim[i];
        }
        element_store(out, n,
                      outside ? (double)resize->extrapolation
                              : blend_spans(resize, spans, steps, 0, in, 0));
    }
}

static int resize_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err)
{
    struct resize resize;
    int rc = resolve_inputs(node, &in[0]->shape, in, &resize, err);
    if (rc)
        return rc;
    if (resize.antialias) {
        resize_spans(&resize, in[0], out[0]);
        return 0;
    }
    int rank = resize.out.rank;
    int64_t steps[SHAPE_RANK_MAX], index[SHAPE_RANK_MAX];
    struct resize_taps taps[SHAPE_RANK_MAX];
    shape_steps(&resize.in, steps);
    resize_first(&resize, index, taps);
    int64_t elements = shape_elements(&resize.out);
    for (int64_t n = 0; n < elements; n++) {
        bool outside = false;
        for (int i = 0; i < rank; i++)
            outside = outside || taps[i].count == 0;
        element_store(out[0], n,
                      outside ? (double)resize.extrapolation : blend(taps, steps, 0, rank, in[0], 0));
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
    struct resize resize;
    int rc = resolve_inputs(g->node, &from, in, &resize, g->err);
    if (rc)
        return rc;
    if (resize.antialias || resize.coordinate == RESIZE_CROP)
        return error_set(g->err, ERROR_UNSUPPORTED, "antialias or tf_crop_and_resize",
                         "has no gradient");
    list[next++] = (struct attribute)GRADIENT_INTS("input_shape", from.dim, from.rank);
    const struct tensor *scales = pick_input(g->node, in, RESIZE_SCALES);
    const struct tensor *sizes = pick_input(g->node, in, RESIZE_LENGTHS);
    if (is_given(sizes)) {
        if ((rc = rule_ints(sizes, "input sizes", lengths, &count, g->err)))
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
