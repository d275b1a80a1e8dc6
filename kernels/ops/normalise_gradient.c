/* normalise_gradient: what flows back through Softmax and the normalisations. Each has an op of its
 * own, as sums over what was normalised together stand in all their formulas; with x' for x less its
 * mean and over its deviation, and means taken over what shares mean and deviation:
 *
 *     dx = scale / deviation * (dy - mean(dy) - x' * mean(dy * x'))
 *     dscale = sum(dy * x'), dbias = sum(dy) */
#include "ops/families.h"
#include "ops/normalise.h"
#include "ops/resolve.h"
#include "ops/rules.h"

#define BLOCK 64 /* columns whose sums are taken in one go over all rows */

static int softmax_shape(const struct node *node, const struct op_values *values, struct error *err);
static int softmax_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);
static int log_softmax_reference(const struct node *node, const struct tensor *const *in,
                                 struct tensor *const *out, struct error *err);
static int batch_shape(const struct node *node, const struct op_values *values, struct error *err);
static int batch_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);
static int instance_shape(const struct node *node, const struct op_values *values, struct error *err);
static int instance_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err);
static int layer_shape(const struct node *node, const struct op_values *values, struct error *err);
static int layer_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);

/* clang-format off */
#define OWN_ROW(op_name, inputs, outputs, rule, kernel) \
    OP_ROW(op_name, inputs, inputs, outputs, OPSET_OWN, OPSET_OWN, rule, kernel)
/* clang-format on */

static const struct op rows[] = {
    /* (dy, y) -> dx, along one axis */
    { OWN_ROW("softmax_grad", 2, 1, softmax_shape, softmax_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }) },
    { OWN_ROW("log_softmax_grad", 2, 1, softmax_shape, log_softmax_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }) },
    /* (dy, x, scale, mean, 1 / deviation) -> (dx, dscale, dbias). frozen: mean and deviation do not
     * depend on x. */
    { OWN_ROW("batch_norm_grad", 5, 3, batch_shape, batch_reference),
      OP_ATTRIBUTES({ "frozen", ATTRIBUTE_INT }) },
    /* (dy, x, scale) -> (dx, dscale, dbias) */
    { OWN_ROW("instance_norm_grad", 3, 3, instance_shape, instance_reference),
      OP_ATTRIBUTES({ "epsilon", ATTRIBUTE_FLOAT }) },
    { OWN_ROW("layer_norm_grad", 3, 3, layer_shape, layer_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }, { "epsilon", ATTRIBUTE_FLOAT }) },
};
const struct op_family normalise_gradient_family = OP_FAMILY(rows);

/* dy is like x (input 1). */
static int same_as_second(const struct op_values *values, int rank_min, struct error *err)
{
    int rc = rule_input(values, 1, "input", TYPE(REAL), rank_min, SHAPE_RANK_MAX, err);
    if (rc || (rc = rule_input(values, 0, "gradient", TYPE(REAL), 0, SHAPE_RANK_MAX, err)))
        return rc;
    if (!shape_equal(&values->in[0]->shape, &values->in[1]->shape))
        return error_set(err, ERROR_FORMAT, "gradient", "its shape is not that of the input");
    rule_output(values, 0, TENSOR_REAL, &values->in[1]->shape);
    return 0;
}

/* ---- Softmax ---- */

static int softmax_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int axis;
    int rc = same_as_second(values, 1, err);
    return rc ? rc
              : rule_axis("axis", node_int(node, "axis", -1), values->in[1]->shape.rank, &axis, err);
}

/* The part of dy's sum that every number of a line gives back: weighted by y where that is the Softmax
 * itself, whole where it is the logarithm. */
static void softmax_line(const real *dy, const real *y, real *dx, int64_t size, int64_t step,
                         bool logarithm)
{
    double sum = 0;
    for (int64_t k = 0; k < size; k++)
        sum += (double)dy[k * step] * (logarithm ? 1 : (double)y[k * step]);
    for (int64_t k = 0; k < size; k++) {
        double above = (double)dy[k * step], value = (double)y[k * step];
        dx[k * step] = (real)(logarithm ? above - exp(value) * sum : value * (above - sum));
    }
}

static int softmax_lines(const struct node *node, const struct tensor *const *in,
                         struct tensor *out, bool logarithm)
{
    int64_t outer, size, inner;
    softmax_span(node, &in[1]->shape, &outer, &size, &inner);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            int64_t at = o * size * inner + i;
            softmax_line((const real *)in[0]->data + at, (const real *)in[1]->data + at,
                         (real *)out->data + at, size, inner, logarithm);
        }
    return 0;
}

static int softmax_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    (void)err;
    return softmax_lines(node, in, out[0], false);
}

static int log_softmax_reference(const struct node *node, const struct tensor *const *in,
                                 struct tensor *const *out, struct error *err)
{
    (void)err;
    return softmax_lines(node, in, out[0], true);
}

/* Before opset 13 several dimensions may be normalised at once; they are made one for the op. */
static int through_softmax(struct gradient *g, const char *op)
{
    const struct shape shape = *gradient_shape(g, g->node->inputs[0]);
    int64_t outer, size, inner, axis = 0, before = 1;
    softmax_span(g->node, &shape, &outer, &size, &inner);
    while (axis < shape.rank && (before != outer || shape.dim[axis] != size))
        before *= shape.dim[axis++];
    int inputs[] = { g->out[0], g->node->outputs[0] };
    bool joined = axis == shape.rank;
    if (joined) {
        int matrix = gradient_ints(g, (int64_t[]){ outer, size }, 2);
        inputs[0] = gradient_op(g, "Reshape", inputs[0], matrix);
        inputs[1] = gradient_op(g, "Reshape", inputs[1], matrix);
        axis = 1;
    }
    int dx = gradient_node(g, op, inputs, 2,
                           (struct attribute[]){ GRADIENT_INT("axis", axis), { 0 } }, NULL, 1);
    g->in[0] = joined ? gradient_reshape_as(g, dx, 0) : dx;
    return gradient_end(g);
}

int softmax_gradient(struct gradient *g)
{
    return through_softmax(g, "softmax_grad");
}

int log_softmax_gradient(struct gradient *g)
{
    return through_softmax(g, "log_softmax_grad");
}

/* ---- batch normalisation ---- */

static int batch_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = same_as_second(values, 2, err);
    if (!rc)
        rc = rule_per_channel(values, 2, 4, values->in[1]->shape.dim[1], err);
    for (int i = 1; !rc && i < 3; i++)
        rule_output(values, i, TENSOR_REAL, &values->in[2]->shape);
    return rc;
}

static int batch_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    (void)err;
    const real *dy = in[0]->data, *x = in[1]->data, *scale = in[2]->data;
    const real *mean = in[3]->data, *inverse = in[4]->data;
    real *dx = out[0]->data;
    bool frozen = node_int(node, "frozen", 0) != 0;
    int64_t batch = in[1]->shape.dim[0], channels = in[1]->shape.dim[1];
    int64_t size = shape_span(&in[1]->shape, 2, in[1]->shape.rank);
    double count = (double)(batch * size);
    for (int64_t c = 0; c < channels; c++) {
        double sum = 0, product = 0, factor = (double)scale[c] * (double)inverse[c];
        for (int64_t n = 0; n < batch; n++)
            for (int64_t i = 0, at = (n * channels + c) * size; i < size; i++, at++) {
                sum += (double)dy[at];
                product += (double)dy[at] * ((double)x[at] - (double)mean[c]) * (double)inverse[c];
            }
        for (int64_t n = 0; n < batch; n++)
            for (int64_t i = 0, at = (n * channels + c) * size; i < size; i++, at++) {
                double normal = ((double)x[at] - (double)mean[c]) * (double)inverse[c];
                double share = frozen ? 0 : (sum + normal * product) / count;
                dx[at] = (real)(factor * ((double)dy[at] - share));
            }
        if (out[1])
            ((real *)out[1]->data)[c] = (real)product;
        if (out[2])
            ((real *)out[2]->data)[c] = (real)sum;
    }
    return 0;
}

/* Frozen statistics, but not necessarily frozen scale and bias. The input's gradient alone is dy times
 * a number per channel, which passes know how to fuse. */
int batch_norm_gradient(struct gradient *g)
{
    enum { X, SCALE, BIAS, MEAN, VARIANCE };
    const int *in = g->node->inputs;
    if (!batch_norm_is_plain(g->node))
        return error_set(g->err, ERROR_UNSUPPORTED, "training_mode or spatial",
                         "only inference, one number per channel, has a gradient");
    int epsilon = gradient_scalar(g, (double)node_float(g->node, "epsilon", 1e-5f));
    int deviation = gradient_op(g, "Sqrt", gradient_op(g, "Add", in[VARIANCE], epsilon), -1);
    int factor = gradient_op(g, "Div", in[SCALE], deviation);
    if (!g->wants[SCALE] && !g->wants[BIAS] && !g->wants[MEAN] && !g->wants[VARIANCE]) {
        struct shape channels = *gradient_shape(g, in[X]);
        int64_t dims[SHAPE_RANK_MAX] = { channels.dim[1], 1, 1, 1, 1, 1, 1, 1 };
        int column = gradient_ints(g, dims, (size_t)channels.rank - 1);
        g->in[X] = gradient_op(g, "Mul", g->out[0], gradient_op(g, "Reshape", factor, column));
        return gradient_end(g);
    }
    int inverse = gradient_op(g, "Reciprocal", deviation, -1), outputs[3] = { 0 };
    int inputs[] = { g->out[0], in[X], in[SCALE], in[MEAN], inverse };
    gradient_node(g, "batch_norm_grad", inputs, 5,
                  (struct attribute[]){ GRADIENT_INT("frozen", 1), { 0 } }, outputs, 3);
    g->in[X] = outputs[0];
    g->in[SCALE] = outputs[1];
    g->in[BIAS] = outputs[2];
    if (g->wants[MEAN])
        g->in[MEAN] = gradient_op(g, "Neg", gradient_op(g, "Mul", outputs[2], factor), -1);
    if (g->wants[VARIANCE]) { /* of 1 / sqrt(variance + epsilon), with x' already over it */
        int half = gradient_op(g, "Mul", gradient_scalar(g, -0.5),
                               gradient_op(g, "Div", factor, deviation));
        g->in[VARIANCE] = gradient_op(g, "Mul", outputs[1], half);
    }
    return gradient_end(g);
}

int batch_norm_train_gradient(struct gradient *g)
{
    const struct node *node = g->node;
    for (int k = 1; k < node->output_count; k++)
        if (g->out[k] >= 0)
            return error_set(g->err, ERROR_UNSUPPORTED, "statistics",
                             "no gradient goes through them, only through the normalised input");
    if (node->output_count < 3 || node->outputs[1] < 0 || node->outputs[2] < 0)
        return error_set(g->err, ERROR_UNSUPPORTED, "outputs",
                         "mean and deviation are left out; the gradient needs them");
    int inputs[] = { g->out[0], node->inputs[0], node->inputs[1], node->outputs[1], node->outputs[2] };
    int outputs[3] = { 0 };
    gradient_node(g, "batch_norm_grad", inputs, 5, NULL, outputs, 3);
    for (int k = 0; k < 3; k++)
        g->in[k] = outputs[k];
    return gradient_end(g);
}

/* ---- instance normalisation ---- */

static int instance_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = same_as_second(values, 3, err);
    if (!rc)
        rc = rule_per_channel(values, 2, 2, values->in[1]->shape.dim[1], err);
    for (int i = 1; !rc && i < 3; i++)
        rule_output(values, i, TENSOR_REAL, &values->in[2]->shape);
    return rc;
}

static int instance_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err)
{
    (void)err;
    const real *scale = in[2]->data;
    double epsilon = (double)node_float(node, "epsilon", 1e-5f);
    int64_t batch = in[1]->shape.dim[0], channels = in[1]->shape.dim[1];
    int64_t size = shape_span(&in[1]->shape, 2, in[1]->shape.rank);
    for (int64_t c = 0; c < channels; c++) {
        double dscale = 0, dbias = 0;
        for (int64_t n = 0; n < batch; n++) {
            int64_t at = (n * channels + c) * size;
            const real *dy = (const real *)in[0]->data + at, *x = (const real *)in[1]->data + at;
            real *dx = (real *)out[0]->data + at;
            double mean, inverse, sum = 0, product = 0;
            normalise_measure(x, size, epsilon, &mean, &inverse);
            for (int64_t i = 0; i < size; i++) {
                sum += (double)dy[i];
                product += (double)dy[i] * ((double)x[i] - mean) * inverse;
            }
            for (int64_t i = 0; i < size; i++) {
                double normal = ((double)x[i] - mean) * inverse;
                dx[i] = (real)((double)scale[c] * inverse *
                               ((double)dy[i] - (sum + normal * product) / (double)size));
            }
            dscale += product;
            dbias += sum;
        }
        if (out[1])
            ((real *)out[1]->data)[c] = (real)dscale;
        if (out[2])
            ((real *)out[2]->data)[c] = (real)dbias;
    }
    return 0;
}

/* (dy, x, scale) -> (dx, dscale, dbias) of both. */
static int through_norm(struct gradient *g, const char *op, const struct attribute *attributes)
{
    int inputs[] = { g->out[0], g->node->inputs[0], g->node->inputs[1] };
    int outputs[3] = { 0, g->wants[1] ? 0 : -1, g->wants[2] ? 0 : -1 };
    gradient_node(g, op, inputs, 3, attributes, outputs, 3);
    for (int k = 0; k < 3; k++)
        g->in[k] = outputs[k];
    return gradient_end(g);
}

int instance_norm_gradient(struct gradient *g)
{
    float epsilon = node_float(g->node, "epsilon", 1e-5f);
    return through_norm(g, "instance_norm_grad",
                        (struct attribute[]){ GRADIENT_FLOAT("epsilon", epsilon), { 0 } });
}

/* ---- layer normalisation ---- */

static int layer_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = same_as_second(values, 1, err);
    if (!rc)
        rc = rule_input(values, 2, "scale", TYPE(REAL), 1, values->in[1]->shape.rank, err);
    for (int i = 1; !rc && i < 3; i++)
        rule_output(values, i, TENSOR_REAL, &values->in[2]->shape);
    return rc;
}

static void layer_row(const real *dy, const real *x, const real *scale, int64_t size,
                      double epsilon, real *dx)
{
    double mean, inverse, sum = 0, product = 0;
    normalise_measure(x, size, epsilon, &mean, &inverse);
    for (int64_t i = 0; i < size; i++) {
        sum += (double)dy[i] * (double)scale[i];
        product += (double)dy[i] * (double)scale[i] * ((double)x[i] - mean) * inverse;
    }
    for (int64_t i = 0; i < size; i++) {
        double normal = ((double)x[i] - mean) * inverse;
        dx[i] = (real)(inverse *
                       ((double)dy[i] * (double)scale[i] - (sum + normal * product) / (double)size));
    }
}

/* Sums over all rows for a block of columns. */
static void layer_block(const real *dy, const real *x, int64_t row_count, int64_t size,
                        double epsilon, int64_t from, double dscale[BLOCK], double dbias[BLOCK])
{
    int64_t columns = size - from < BLOCK ? size - from : BLOCK;
    for (int64_t k = 0; k < columns; k++)
        dscale[k] = dbias[k] = 0;
    for (int64_t row = 0; row < row_count; row++) {
        double mean, inverse;
        normalise_measure(x + row * size, size, epsilon, &mean, &inverse);
        for (int64_t k = 0, at = row * size + from; k < columns; k++, at++) {
            dscale[k] += (double)dy[at] * ((double)x[at] - mean) * inverse;
            dbias[k] += (double)dy[at];
        }
    }
}

static int layer_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    (void)err;
    const real *dy = in[0]->data, *x = in[1]->data, *scale = in[2]->data;
    real *dx = out[0]->data;
    double epsilon = (double)node_float(node, "epsilon", 1e-5f), dscale[BLOCK], dbias[BLOCK];
    int64_t size = shape_elements(&in[2]->shape);
    int64_t row_count = size ? shape_elements(&in[1]->shape) / size : 0;
    for (int64_t row = 0; row < row_count; row++)
        layer_row(dy + row * size, x + row * size, scale, size, epsilon, dx + row * size);
    for (int64_t from = 0; (out[1] || out[2]) && from < size; from += BLOCK) {
        layer_block(dy, x, row_count, size, epsilon, from, dscale, dbias);
        for (int64_t k = 0; k < BLOCK && from + k < size; k++) {
            if (out[1])
                ((real *)out[1]->data)[from + k] = (real)dscale[k];
            if (out[2])
                ((real *)out[2]->data)[from + k] = (real)dbias[k];
        }
    }
    return 0;
}

int layer_norm_gradient(struct gradient *g)
{
    float epsilon = node_float(g->node, "epsilon", 1e-5f);
    int64_t axis = node_int(g->node, "axis", -1);
    const int *in = g->node->inputs;
    bool biased = g->node->input_count > 2 && in[2] >= 0;
    if (!layer_norm_is_plain(g->node, gradient_shape(g, in[0]), gradient_shape(g, in[1]),
                             biased ? gradient_shape(g, in[2]) : NULL))
        return error_set(g->err, ERROR_UNSUPPORTED, "outputs, scale or bias",
                         "only y alone, with a scale of the normalised dimensions, has a gradient");
    return through_norm(g, "layer_norm_grad",
                        (struct attribute[]){
                            GRADIENT_INT("axis", axis), GRADIENT_FLOAT("epsilon", epsilon), { 0 } });
}
