/* normalise: Softmax, its logarithm and batch normalisation. That has ONNX's rows, and batch_norm_train,
 * which is how we train: on the batch's own statistics, renewing the running ones as PyTorch does. */
#include "ops/normalise.h"
#include "ops/element.h"
#include "ops/families.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "tensor/number.h"

static int softmax_shape(const struct node *node, const struct op_values *values, struct error *err);
static int softmax_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);
static int log_softmax_reference(const struct node *node, const struct tensor *const *in,
                                 struct tensor *const *out, struct error *err);
static int batch_shape(const struct node *node, const struct op_values *values, struct error *err);
static int batch_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);
static int train_shape(const struct node *node, const struct op_values *values, struct error *err);
static int train_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    /* Until 12 the tensor counts as a matrix, split before the axis. */
    { OP_ROW("Softmax", 1, 1, 1, OPSET_MIN, 12, softmax_shape, softmax_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }), .gradient = softmax_gradient },
    { OP_ROW("Softmax", 1, 1, 1, 13, OPSET_MAX, softmax_shape, softmax_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }), .gradient = softmax_gradient },
    { OP_ROW("LogSoftmax", 1, 1, 1, OPSET_MIN, 12, softmax_shape, log_softmax_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }), .gradient = log_softmax_gradient },
    { OP_ROW("LogSoftmax", 1, 1, 1, 13, OPSET_MAX, softmax_shape, log_softmax_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }), .gradient = log_softmax_gradient },
    /* Until 13 more outputs than one mean training, and the last two are the batch's own statistics. */
    { OP_ROW("BatchNormalization", 5, 5, 5, OPSET_MIN, 13, batch_shape, batch_reference),
      OP_ATTRIBUTES({ "epsilon", ATTRIBUTE_FLOAT }, { "momentum", ATTRIBUTE_FLOAT },
                    { "spatial", ATTRIBUTE_INT }),
      .gradient = batch_norm_gradient },
    { OP_ROW("BatchNormalization", 5, 5, 3, 14, OPSET_MAX, batch_shape, batch_reference),
      OP_ATTRIBUTES({ "epsilon", ATTRIBUTE_FLOAT }, { "momentum", ATTRIBUTE_FLOAT },
                    { "training_mode", ATTRIBUTE_INT }),
      .gradient = batch_norm_gradient },
    /* (x, scale, bias, running mean, running variance) -> (y, mean, 1 / deviation, next running mean,
     * next running variance) */
    { OP_ROW("batch_norm_train", 5, 5, 5, OPSET_OWN, OPSET_OWN, train_shape, train_reference),
      OP_ATTRIBUTES({ "epsilon", ATTRIBUTE_FLOAT }, { "momentum", ATTRIBUTE_FLOAT }),
      .gradient = batch_norm_train_gradient },
};
const struct op_family normalise_family = OP_FAMILY(rows);

void softmax_span(const struct node *node, const struct shape *input, int64_t *outer, int64_t *size,
                  int64_t *inner)
{
    bool matrix = node->op->opset_max < 13;
    int64_t axis = node_int(node, "axis", matrix ? 1 : -1);
    int from = (int)(axis < 0 ? axis + input->rank : axis);
    *outer = shape_span(input, 0, from);
    *size = matrix ? shape_span(input, from, input->rank) : input->dim[from];
    *inner = matrix ? 1 : shape_span(input, from + 1, input->rank);
}

static int softmax_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int axis;
    int rc = rule_input(values, 0, "input", TYPES_FLOAT, 1, SHAPE_RANK_MAX, err);
    const struct shape *shape = &values->in[0]->shape;
    int64_t fallback = node->op->opset_max < 13 ? 1 : -1;
    if (rc || (rc = rule_axis("axis", node_int(node, "axis", fallback), shape->rank, &axis, err)))
        return rc;
    rule_output(values, 0, values->in[0]->type, shape);
    return 0;
}

/* One line that is normalised; its numbers lie `step` apart. */
typedef void line_fn(const real *from, real *to, int64_t size, int64_t step);

static void softmax_line(const real *from, real *to, int64_t size, int64_t step)
{
    real largest = -INFINITY;
    double sum = 0;
    for (int64_t k = 0; k < size; k++)
        largest = fmax(largest, from[k * step]);
    for (int64_t k = 0; k < size; k++) {
        to[k * step] = exp(from[k * step] - largest);
        sum += (double)to[k * step];
    }
    for (int64_t k = 0; k < size; k++)
        to[k * step] = (real)((double)to[k * step] / sum);
}

static void log_softmax_line(const real *from, real *to, int64_t size, int64_t step)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t k = 0; k < size; k++)
        largest = fmax(largest, (double)from[k * step]);
    for (int64_t k = 0; k < size; k++)
        sum += exp((double)from[k * step] - largest);
    for (int64_t k = 0; k < size; k++)
        to[k * step] = (real)((double)from[k * step] - largest - log(sum));
}

/* The same of any type, from element `at` on. */
static void any_line(const struct tensor *in, struct tensor *out, int64_t at, int64_t size,
                     int64_t step, bool logarithm)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t k = 0; k < size; k++)
        largest = fmax(largest, number_load(in, at + k * step));
    for (int64_t k = 0; k < size; k++)
        sum += exp(number_load(in, at + k * step) - largest);
    for (int64_t k = 0; k < size; k++) {
        double x = number_load(in, at + k * step) - largest;
        number_store(out, at + k * step, logarithm ? x - log(sum) : exp(x) / sum);
    }
}

static int each_line(const struct node *node, const struct tensor *in, struct tensor *out,
                     line_fn *line)
{
    int64_t outer, size, inner;
    softmax_span(node, &in->shape, &outer, &size, &inner);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            int64_t at = o * size * inner + i;
            if (in->type == TENSOR_REAL)
                line((const real *)in->data + at, (real *)out->data + at, size, inner);
            else
                any_line(in, out, at, size, inner, line == log_softmax_line);
        }
    return 0;
}

static int softmax_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    (void)err;
    return each_line(node, in[0], out[0], softmax_line);
}

static int log_softmax_reference(const struct node *node, const struct tensor *const *in,
                                 struct tensor *const *out, struct error *err)
{
    (void)err;
    return each_line(node, in[0], out[0], log_softmax_line);
}

int rule_per_channel(const struct op_values *values, int first, int last, int64_t channels,
                     struct error *err)
{
    for (int i = first; i <= last; i++) {
        int rc = rule_input(values, i, "parameters", TYPE(REAL), 1, 1, err);
        if (rc)
            return rc;
        if (values->in[i]->shape.dim[0] != channels)
            return error_set(err, ERROR_FORMAT, "parameters", "%lld numbers for %lld channels",
                             (long long)values->in[i]->shape.dim[0], (long long)channels);
    }
    return 0;
}

/* ---- batch normalisation ---- */

static bool wants(const struct node *node, int output)
{
    return output < node->output_count && node->outputs[output] >= 0;
}

static bool trains(const struct node *node)
{
    bool more = false;
    for (int i = 1; i < 5; i++)
        more = more || wants(node, i);
    return node->op->opset_max < 14 ? more : node_int(node, "training_mode", 0) != 0;
}

bool batch_norm_is_plain(const struct node *node)
{
    return !trains(node) && node_int(node, "spatial", 1);
}

/* Before opset 9 each place of a channel could have numbers of its own: then it is a channel. */
static void batch_span(const struct node *node, const struct shape *shape, int64_t *channels,
                       int64_t *size)
{
    bool spatial = node_int(node, "spatial", 1) != 0;
    *size = spatial ? shape_span(shape, 2, shape->rank) : 1;
    *channels = spatial ? shape->dim[1] : shape_span(shape, 1, shape->rank);
}

static int batch_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int rc = rule_input(values, 0, "input", TYPES_FLOAT, 2, SHAPE_RANK_MAX, err);
    if (rc)
        return rc;
    const struct shape *shape = &values->in[0]->shape;
    struct shape parameters = { .rank = 1, .dim = { shape->dim[1] } };
    for (int i = 2; i < shape->rank && !node_int(node, "spatial", 1); i++)
        parameters.dim[parameters.rank++] = shape->dim[i];
    for (int i = 1; i < 5; i++) {
        if ((rc = rule_input(values, i, "parameters", TYPES_FLOAT, parameters.rank, parameters.rank,
                             err)))
            return rc;
        if (!shape_equal(&values->in[i]->shape, &parameters))
            return error_set(err, ERROR_FORMAT, "parameters", "%lld numbers for %lld channels",
                             (long long)values->in[i]->shape.dim[0], (long long)shape->dim[1]);
    }
    for (int i = 1; i < 5 && !trains(node); i++)
        if (wants(node, i))
            return error_set(err, ERROR_FORMAT, "outputs",
                             "running statistics are only an output of training_mode 1");
    if (trains(node) && shape_elements(shape) <= 0)
        return error_set(err, ERROR_FORMAT, "input", "is empty");
    rule_output(values, 0, values->in[0]->type, shape);
    for (int i = 1; i < 5; i++)
        rule_output(values, i, values->in[4 - i % 2]->type, &parameters);
    return 0;
}

/* Mean and mean square distance from it, of channel c of so many of this size. */
static void measure_channel(const struct tensor *x, int64_t channels, int64_t size, int64_t c,
                            double *mean, double *variance)
{
    int64_t batch = x->shape.dim[0];
    double sum = 0, squares = 0, count = (double)(batch * size);
    for (int64_t n = 0; n < batch; n++)
        for (int64_t i = 0; i < size; i++)
            sum += element_load(x, (n * channels + c) * size + i);
    *mean = sum / count;
    for (int64_t n = 0; n < batch; n++)
        for (int64_t i = 0; i < size; i++) {
            double distance = element_load(x, (n * channels + c) * size + i) - *mean;
            squares += distance * distance;
        }
    *variance = squares / count;
}

/* The running statistics that follow, with the biased variance, and the batch's own. */
static void put_statistics(const struct node *node, const struct tensor *const *in, int64_t c,
                           double mean, double variance, struct tensor *const *out)
{
    double running_mean = element_load(in[3], c), running_variance = element_load(in[4], c);
    batch_norm_renew(node, mean, &running_mean);
    batch_norm_renew(node, variance, &running_variance);
    const double results[] = { running_mean, running_variance, mean, variance };
    for (int i = 1; i < 5; i++)
        if (out[i])
            element_store(out[i], c, results[i - 1]);
}

static int batch_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    (void)err;
    double epsilon = (double)node_float(node, "epsilon", 1e-5f);
    int64_t batch = in[0]->shape.dim[0], channels, size;
    batch_span(node, &in[0]->shape, &channels, &size);
    for (int64_t c = 0; c < channels; c++) {
        double mean = element_load(in[3], c), variance = element_load(in[4], c);
        if (trains(node)) {
            measure_channel(in[0], channels, size, c, &mean, &variance);
            put_statistics(node, in, c, mean, variance, out);
        }
        double factor = element_load(in[1], c) / sqrt(variance + epsilon);
        double offset = element_load(in[2], c) - mean * factor;
        for (int64_t n = 0; n < batch; n++)
            for (int64_t i = 0; i < size; i++) {
                int64_t at = (n * channels + c) * size + i;
                element_store(out[0], at, element_load(in[0], at) * factor + offset);
            }
    }
    return 0;
}

static int train_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = rule_input(values, 0, "input", TYPE(REAL), 2, SHAPE_RANK_MAX, err);
    const struct shape *shape = &values->in[0]->shape;
    if (rc || (rc = rule_per_channel(values, 1, 4, shape->dim[1], err)))
        return rc;
    if (shape_elements(shape) <= shape->dim[1])
        return error_set(err, ERROR_FORMAT, "input",
                         "one number per channel: a batch of it has no variance");
    rule_output(values, 0, TENSOR_REAL, shape);
    for (int i = 1; i < 5; i++)
        rule_output(values, i, TENSOR_REAL, &values->in[1]->shape);
    return 0;
}

void batch_norm_renew(const struct node *node, double batch, double *running)
{
    double momentum = (double)node_float(node, "momentum", 0.9f);
    *running = *running * momentum + batch * (1 - momentum);
}

/* The running variance takes the unbiased one, as PyTorch's does; ONNX's own training mode takes the
 * biased one. */
static int train_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    (void)err;
    const real *scale = in[1]->data, *bias = in[2]->data;
    double epsilon = (double)node_float(node, "epsilon", 1e-5f);
    int64_t batch = in[0]->shape.dim[0], channels = in[0]->shape.dim[1];
    int64_t size = shape_span(&in[0]->shape, 2, in[0]->shape.rank);
    double count = (double)(batch * size);
    for (int64_t c = 0; c < channels; c++) {
        double mean, variance;
        measure_channel(in[0], channels, size, c, &mean, &variance);
        double inverse = 1 / sqrt(variance + epsilon);
        for (int64_t n = 0; n < batch; n++) {
            const real *from = (const real *)in[0]->data + (n * channels + c) * size;
            real *to = (real *)out[0]->data + (n * channels + c) * size;
            for (int64_t i = 0; i < size; i++)
                to[i] =
                    (real)(((double)from[i] - mean) * inverse * (double)scale[c] + (double)bias[c]);
        }
        double next_mean = (double)((const real *)in[3]->data)[c];
        double next_variance = (double)((const real *)in[4]->data)[c];
        batch_norm_renew(node, mean, &next_mean);
        batch_norm_renew(node, variance * count / (count - 1), &next_variance);
        const double results[] = { mean, inverse, next_mean, next_variance };
        for (int k = 1; k < 5; k++)
            if (out[k])
                ((real *)out[k]->data)[c] = (real)results[k - 1];
    }
    return 0;
}
