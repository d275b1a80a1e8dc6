/* layer_norm: normalisations of each picture for itself: InstanceNormalization, LayerNormalization,
 * GroupNormalization and MeanVarianceNormalization. */
#include "ops/element.h"
#include "ops/families.h"
#include "ops/normalise.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "ops/walk.h"

static int instance_shape(const struct node *node, const struct op_values *values, struct error *err);
static int instance_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err);
static int layer_shape(const struct node *node, const struct op_values *values, struct error *err);
static int layer_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);
static int group_shape(const struct node *node, const struct op_values *values, struct error *err);
static int group_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);
static int mean_variance_shape(const struct node *node, const struct op_values *values,
                               struct error *err);
static int mean_variance_reference(const struct node *node, const struct tensor *const *in,
                                   struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    { OP_ROW("InstanceNormalization", 3, 3, 1, OPSET_MIN, OPSET_MAX, instance_shape,
             instance_reference),
      OP_ATTRIBUTES({ "epsilon", ATTRIBUTE_FLOAT }), .gradient = instance_norm_gradient },
    /* (x, scale, [bias]) -> (y, [mean], [1 / deviation]) */
    { OP_ROW("LayerNormalization", 2, 3, 3, 17, OPSET_MAX, layer_shape, layer_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }, { "epsilon", ATTRIBUTE_FLOAT },
                    { "stash_type", ATTRIBUTE_INT }),
      .gradient = layer_norm_gradient },
    /* Until 20 there is one scale and bias for each group, then for each channel. */
    { OP_ROW("GroupNormalization", 3, 3, 1, 18, 20, group_shape, group_reference),
      OP_ATTRIBUTES({ "epsilon", ATTRIBUTE_FLOAT }, { "num_groups", ATTRIBUTE_INT }) },
    { OP_ROW("GroupNormalization", 3, 3, 1, 21, OPSET_MAX, group_shape, group_reference),
      OP_ATTRIBUTES({ "epsilon", ATTRIBUTE_FLOAT }, { "num_groups", ATTRIBUTE_INT },
                    { "stash_type", ATTRIBUTE_INT }) },
    { OP_ROW("MeanVarianceNormalization", 1, 1, 1, 9, OPSET_MAX, mean_variance_shape,
             mean_variance_reference),
      OP_ATTRIBUTES({ "axes", ATTRIBUTE_INTS }) },
};
const struct op_family layer_norm_family = OP_FAMILY(rows);

void normalise_measure(const real *from, int64_t size, double epsilon, double *mean,
                       double *inverse_deviation)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < size; i++)
        sum += (double)from[i];
    *mean = sum / (double)size;
    for (int64_t i = 0; i < size; i++)
        squares += ((double)from[i] - *mean) * ((double)from[i] - *mean);
    *inverse_deviation = 1 / sqrt(squares / (double)size + epsilon);
}

/* The same of elements [at, at + size) of a tensor of any type. */
static void measure(const struct tensor *x, int64_t at, int64_t size, double epsilon, double *mean,
                    double *inverse)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < size; i++)
        sum += element_load(x, at + i);
    *mean = sum / (double)size;
    for (int64_t i = 0; i < size; i++) {
        double distance = element_load(x, at + i) - *mean;
        squares += distance * distance;
    }
    *inverse = 1 / sqrt(squares / (double)size + epsilon);
}

/* Scale and bias, so many numbers each, of the input's type. */
static int check_parameters(const struct op_values *values, int64_t count, struct error *err)
{
    for (int i = 1; i < 3; i++) {
        int rc = rule_input(values, i, "parameters", 1u << values->in[0]->type, 1, 1, err);
        if (rc)
            return rc;
        if (values->in[i]->shape.dim[0] != count)
            return error_set(err, ERROR_FORMAT, "parameters", "%lld numbers for %lld channels",
                             (long long)values->in[i]->shape.dim[0], (long long)count);
    }
    return 0;
}

/* ---- instances and groups ---- */

static int instance_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = rule_input(values, 0, "input", TYPES_FLOAT, 3, SHAPE_RANK_MAX, err);
    const struct shape *shape = &values->in[0]->shape;
    if (rc || (rc = check_parameters(values, shape->dim[1], err)))
        return rc;
    rule_output(values, 0, values->in[0]->type, shape);
    return 0;
}

static int group_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int64_t groups = node_int(node, "num_groups", 0);
    int rc = rule_input(values, 0, "input", TYPES_FLOAT, 3, SHAPE_RANK_MAX, err);
    const struct shape *shape = &values->in[0]->shape;
    if (rc)
        return rc;
    if (groups < 1 || groups > shape->dim[1] || shape->dim[1] % groups)
        return error_set(err, ERROR_FORMAT, "num_groups", "%lld for %lld channels",
                         (long long)groups, (long long)shape->dim[1]);
    bool per_channel = node->op->opset_max > 20;
    if ((rc = check_parameters(values, per_channel ? shape->dim[1] : groups, err)))
        return rc;
    rule_output(values, 0, values->in[0]->type, shape);
    return 0;
}

/* Groups of channels, each normalised for itself; a scale goes for so many channels. */
static void normalise_groups(const struct tensor *const *in, struct tensor *out, int64_t groups,
                             int64_t channels_of_scale, double epsilon)
{
    const struct shape *shape = &in[0]->shape;
    int64_t channels = shape->dim[1], size = shape_span(shape, 2, shape->rank);
    int64_t group = channels / groups * size;
    for (int64_t n = 0; n < shape->dim[0] * groups; n++) {
        double mean, inverse;
        measure(in[0], n * group, group, epsilon, &mean, &inverse);
        for (int64_t at = n * group; at < (n + 1) * group; at++) {
            int64_t scale = at / size % channels / channels_of_scale;
            element_store(out, at,
                          (element_load(in[0], at) - mean) * inverse * element_load(in[1], scale) +
                              element_load(in[2], scale));
        }
    }
}

static int instance_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err)
{
    (void)err;
    double epsilon = (double)node_float(node, "epsilon", 1e-5f);
    if (shape_elements(&in[0]->shape) > 0)
        normalise_groups(in, out[0], in[0]->shape.dim[1], 1, epsilon);
    return 0;
}

static int group_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    (void)err;
    double epsilon = (double)node_float(node, "epsilon", 1e-5f);
    int64_t channels = in[0]->shape.dim[1];
    if (shape_elements(&in[0]->shape) > 0)
        normalise_groups(in, out[0], node_int(node, "num_groups", 0),
                         channels / in[1]->shape.dim[0], epsilon);
    return 0;
}

/* ---- layers ---- */

bool layer_norm_is_plain(const struct node *node, const struct shape *input,
                         const struct shape *scale, const struct shape *bias)
{
    int64_t axis = node_int(node, "axis", -1);
    struct shape tail = { .rank = axis < 0 ? (int)-axis : input->rank - (int)axis };
    for (int i = 0; i < tail.rank; i++)
        tail.dim[i] = input->dim[input->rank - tail.rank + i];
    for (int i = 1; i < node->output_count; i++)
        if (node->outputs[i] >= 0)
            return false;
    return shape_equal(scale, &tail) && (!bias || shape_equal(bias, &tail));
}

/* Everything from the axis on is normalised together; scale and bias broadcast to the input. */
static int layer_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int axis = 0;
    int rc = rule_input(values, 0, "input", TYPES_FLOAT, 1, SHAPE_RANK_MAX, err);
    const struct shape *shape = &values->in[0]->shape;
    if (rc || (rc = rule_axis("axis", node_int(node, "axis", -1), shape->rank, &axis, err)))
        return rc;
    for (int i = 1; i < 3; i++) {
        struct shape both;
        if (!values->in[i])
            continue;
        rc = rule_input(values, i, "scale or bias", 1u << values->in[0]->type, 0, shape->rank, err);
        if (rc)
            return rc;
        if (!shape_broadcast(shape, &values->in[i]->shape, &both) || !shape_equal(&both, shape))
            return error_set(err, ERROR_FORMAT, "scale or bias",
                             "its shape does not broadcast to the input's");
    }
    enum tensor_type stash = type_of_onnx(node_int(node, "stash_type", 1));
    if (stash != TENSOR_F32 && stash != TENSOR_BF16)
        return error_set(err, ERROR_UNSUPPORTED, "stash_type",
                         "only float and bfloat16 are supported");
    struct shape moments = *shape;
    for (int i = axis; i < moments.rank; i++)
        moments.dim[i] = 1;
    rule_output(values, 0, values->in[0]->type, shape);
    for (int i = 1; i < 3; i++)
        rule_output(values, i, stash == TENSOR_F32 ? TENSOR_REAL : stash, &moments);
    return 0;
}

/* Where an element of `full` finds its partner in what broadcasts to it. */
static int64_t partner_of(int64_t at, const struct shape *full, const struct shape *part)
{
    int64_t partner = 0, step = 1;
    for (int i = full->rank - 1, k = part->rank - 1; k >= 0; i--, k--) {
        if (part->dim[k] != 1)
            partner += at % full->dim[i] * step;
        at /= full->dim[i];
        step *= part->dim[k];
    }
    return partner;
}

static int layer_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    int axis = 0;
    const struct shape *shape = &in[0]->shape;
    int rc = rule_axis("axis", node_int(node, "axis", -1), shape->rank, &axis, err);
    if (rc)
        return rc;
    double epsilon = (double)node_float(node, "epsilon", 1e-5f), mean, inverse;
    int64_t size = shape_span(shape, axis, shape->rank);
    int64_t row_count = size ? shape_span(shape, 0, axis) : 0;
    for (int64_t r = 0; r < row_count; r++) {
        measure(in[0], r * size, size, epsilon, &mean, &inverse);
        for (int64_t at = r * size; out[0] && at < (r + 1) * size; at++) {
            double scale = element_load(in[1], partner_of(at, shape, &in[1]->shape));
            double bias = in[2] ? element_load(in[2], partner_of(at, shape, &in[2]->shape)) : 0;
            element_store(out[0], at, (element_load(in[0], at) - mean) * inverse * scale + bias);
        }
        if (out[1])
            element_store(out[1], r, mean);
        if (out[2])
            element_store(out[2], r, inverse);
    }
    return 0;
}

/* ---- mean and variance along some axes ---- */

#define DEVIATION_LEAST 1e-9 /* what the standard adds to it */

static int read_axes(const struct node *node, int rank, bool flags[SHAPE_RANK_MAX], struct error *err)
{
    static const int64_t usual[] = { 0, 2, 3 };
    const int64_t *axes = usual;
    size_t count = node_ints(node, "axes", &axes);
    if (!node_attribute(node, "axes"))
        return rule_axes("axes", usual, sizeof usual / sizeof *usual, rank, flags, err);
    return rule_axes("axes", axes, count, rank, flags, err);
}

static int mean_variance_shape(const struct node *node, const struct op_values *values,
                               struct error *err)
{
    bool flags[SHAPE_RANK_MAX];
    int rc = rule_input(values, 0, "input", TYPES_FLOAT, 1, SHAPE_RANK_MAX, err);
    const struct shape *shape = &values->in[0]->shape;
    if (rc || (rc = read_axes(node, shape->rank, flags, err)))
        return rc;
    rule_output(values, 0, values->in[0]->type, shape);
    return 0;
}

/* What is normalised together with the element at `first`; its own elements by a walk. */
static void normalise_axes(struct walk walk, const struct tensor *in, struct tensor *out)
{
    double sum = 0, squares = 0, count = 0;
    struct walk again = walk, last = walk;
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t i = 0; i < walk.row; i++, count++)
            sum += element_load(in, walk.at[0] + i * walk.row_step[0]);
    double mean = sum / count;
    for (bool more = walk_begin(&again); more; more = walk_next(&again))
        for (int64_t i = 0; i < again.row; i++) {
            double distance = element_load(in, again.at[0] + i * again.row_step[0]) - mean;
            squares += distance * distance;
        }
    double deviation = sqrt(squares / count) + DEVIATION_LEAST;
    for (bool more = walk_begin(&last); more; more = walk_next(&last))
        for (int64_t i = 0; i < last.row; i++) {
            int64_t at = last.at[0] + i * last.row_step[0];
            element_store(out, at, (element_load(in, at) - mean) / deviation);
        }
}

static int mean_variance_reference(const struct node *node, const struct tensor *const *in,
                                   struct tensor *const *out, struct error *err)
{
    bool flags[SHAPE_RANK_MAX];
    int64_t steps[SHAPE_RANK_MAX];
    const struct shape *shape = &in[0]->shape;
    int rc = read_axes(node, shape->rank, flags, err);
    if (rc || shape_elements(shape) == 0)
        return rc;
    struct shape together = *shape, apart = *shape;
    for (int i = 0; i < shape->rank; i++)
        *(flags[i] ? &apart.dim[i] : &together.dim[i]) = 1;
    shape_steps(shape, steps);
    struct walk outer;
    walk_init(&outer, &apart);
    walk_add_steps(&outer, 0, steps);
    for (bool more = walk_begin(&outer); more; more = walk_next(&outer))
        for (int64_t i = 0; i < outer.row; i++) {
            struct walk walk;
            walk_init(&walk, &together);
            walk_add_steps(&walk, outer.at[0] + i * outer.row_step[0], steps);
            normalise_axes(walk, in[0], out[0]);
        }
    return 0;
}
