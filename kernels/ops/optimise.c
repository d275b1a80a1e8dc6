/* optimise: one step of an optimiser for one tensor, and what goes with it. Formulas are PyTorch's
 * (torch.optim.SGD, Adam and AdamW, torch.nn.utils.clip_grad_norm_). Nothing is differentiated
 * through them. Rows of one parameter each are worked through element by element, so that a back end
 * may write the results over the old weights and moments. */
#include "ops/families.h"
#include "ops/resolve.h"
#include "ops/rules.h"

enum { SGD_WEIGHTS, SGD_GRADIENT, SGD_VELOCITY, SGD_RATE, SGD_SCALE, SGD_INPUTS };
enum { ADAM_WEIGHTS, ADAM_GRADIENT, ADAM_M, ADAM_V, ADAM_STEP, ADAM_RATE, ADAM_SCALE, ADAM_INPUTS };

static int sgd_shape(const struct node *node, const struct op_values *values, struct error *err);
static int sgd_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err);
static int adam_shape(const struct node *node, const struct op_values *values, struct error *err);
static int adam_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err);
static int average_shape(const struct node *node, const struct op_values *values, struct error *err);
static int average_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);
static int squares_shape(const struct node *node, const struct op_values *values, struct error *err);
static int squares_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);
static int clip_factor_shape(const struct node *node, const struct op_values *values,
                             struct error *err);
static int clip_factor_reference(const struct node *node, const struct tensor *const *in,
                                 struct tensor *const *out, struct error *err);

/* clang-format off */
#define OWN_ROW(op_name, least, most, outputs, rule, kernel) \
    OP_ROW(op_name, least, most, outputs, OPSET_OWN, OPSET_OWN, rule, kernel)
/* clang-format on */

static const struct op rows[] = {
    /* (weights, gradient, velocity, rate, [scale]) -> (weights, velocity) */
    { OWN_ROW("sgd", 4, SGD_INPUTS, 2, sgd_shape, sgd_reference),
      OP_ATTRIBUTES({ "momentum", ATTRIBUTE_FLOAT }, { "weight_decay", ATTRIBUTE_FLOAT },
                    { "nesterov", ATTRIBUTE_INT }) },
    /* (weights, gradient, m, v, step, rate, [scale]) -> (weights, m, v) */
    { OWN_ROW("adam", 6, ADAM_INPUTS, 3, adam_shape, adam_reference),
      OP_ATTRIBUTES({ "beta1", ATTRIBUTE_FLOAT }, { "beta2", ATTRIBUTE_FLOAT },
                    { "epsilon", ATTRIBUTE_FLOAT }, { "weight_decay", ATTRIBUTE_FLOAT },
                    { "decoupled", ATTRIBUTE_INT }) },
    /* (average, x) -> average */
    { OWN_ROW("moving_average", 2, 2, 1, average_shape, average_reference),
      OP_ATTRIBUTES({ "decay", ATTRIBUTE_FLOAT }) },
    /* (x…) -> the sum of the squares of all elements of all of them */
    { OWN_ROW("sum_squares", 1, GRAPH_NODE_INPUTS_MAX, 1, squares_shape, squares_reference) },
    /* (sums of squares…) -> what a gradient is multiplied with to be no longer than max_norm */
    { OWN_ROW("clip_factor", 1, GRAPH_NODE_INPUTS_MAX, 1, clip_factor_shape, clip_factor_reference),
      OP_ATTRIBUTES({ "max_norm", ATTRIBUTE_FLOAT }) },
};
const struct op_family optimise_family = OP_FAMILY(rows);

void sgd_resolve(const struct node *node, struct sgd *sgd)
{
    *sgd = (struct sgd){
        .momentum = (double)node_float(node, "momentum", 0),
        .weight_decay = (double)node_float(node, "weight_decay", 0),
        .nesterov = node_int(node, "nesterov", 0) != 0,
    };
}

void adam_resolve(const struct node *node, struct adam *adam)
{
    *adam = (struct adam){
        .beta1 = (double)node_float(node, "beta1", 0.9f),
        .beta2 = (double)node_float(node, "beta2", 0.999f),
        .epsilon = (double)node_float(node, "epsilon", 1e-8f),
        .weight_decay = (double)node_float(node, "weight_decay", 0),
        .decoupled = node_int(node, "decoupled", 0) != 0,
    };
}

/* Inputs 1 … last have the shape of input 0, those behind them are single numbers. */
static int alike_and_numbers(const struct op_values *values, int last, int numbers, struct error *err)
{
    int rc = rule_input(values, 0, "first input", TYPE(REAL), 0, SHAPE_RANK_MAX, err);
    for (int i = 1; !rc && i <= last; i++) {
        rc = rule_input(values, i, "input", TYPE(REAL), 0, SHAPE_RANK_MAX, err);
        if (!rc && !shape_equal(&values->in[i]->shape, &values->in[0]->shape))
            rc = error_set(err, ERROR_FORMAT, "shapes", "input %d has another shape than the first",
                           i);
    }
    for (int i = last + 1; !rc && i <= last + numbers; i++)
        if (values->in[i])
            rc = rule_input(values, i, "number", TYPE(REAL), 0, 0, err);
    return rc;
}

static real number(const struct tensor *tensor, real fallback)
{
    return tensor ? *(const real *)tensor->data : fallback;
}

/* ---- SGD ---- */

static int sgd_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = alike_and_numbers(values, SGD_VELOCITY, 2, err);
    if (rc)
        return rc;
    for (int i = 0; i < 2; i++)
        rule_output(values, i, TENSOR_REAL, &values->in[0]->shape);
    return 0;
}

static int sgd_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err)
{
    (void)err;
    const real *w = in[SGD_WEIGHTS]->data, *g = in[SGD_GRADIENT]->data, *v = in[SGD_VELOCITY]->data;
    real *next_w = out[0]->data, *next_v = out[1] ? out[1]->data : NULL;
    double rate = (double)number(in[SGD_RATE], 0), scale = (double)number(in[SGD_SCALE], 1);
    struct sgd sgd;
    sgd_resolve(node, &sgd);
    for (int64_t i = 0, n = shape_elements(&in[0]->shape); i < n; i++) {
        double slope = (double)g[i] * scale + sgd.weight_decay * (double)w[i];
        double velocity = sgd.momentum * (double)v[i] + slope;
        double way = sgd.nesterov ? slope + sgd.momentum * velocity : velocity;
        next_w[i] = (real)((double)w[i] - rate * way);
        if (next_v)
            next_v[i] = (real)velocity;
    }
    return 0;
}

/* ---- Adam and AdamW ---- */

static int adam_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = alike_and_numbers(values, ADAM_V, 3, err);
    if (rc)
        return rc;
    for (int i = 0; i < 3; i++)
        rule_output(values, i, TENSOR_REAL, &values->in[0]->shape);
    return 0;
}

static int adam_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err)
{
    (void)err;
    const real *w = in[ADAM_WEIGHTS]->data, *g = in[ADAM_GRADIENT]->data;
    const real *m = in[ADAM_M]->data, *v = in[ADAM_V]->data;
    real *next_w = out[0]->data, *next_m = out[1] ? out[1]->data : NULL;
    real *next_v = out[2] ? out[2]->data : NULL;
    double scale = (double)number(in[ADAM_SCALE], 1);
    struct adam adam;
    struct adam_step now;
    adam_resolve(node, &adam);
    adam_step(&adam, (double)number(in[ADAM_STEP], 1), (double)number(in[ADAM_RATE], 0), &now);
    for (int64_t i = 0, n = shape_elements(&in[0]->shape); i < n; i++) {
        double slope = (double)g[i] * scale + now.decay * (double)w[i];
        double mean = adam.beta1 * (double)m[i] + (1 - adam.beta1) * slope;
        double square = adam.beta2 * (double)v[i] + (1 - adam.beta2) * slope * slope;
        next_w[i] = (real)(now.keep * (double)w[i] -
                           now.rate * mean / (sqrt(square) * now.root + adam.epsilon));
        if (next_m)
            next_m[i] = (real)mean;
        if (next_v)
            next_v[i] = (real)square;
    }
    return 0;
}

/* ---- moving average ---- */

static int average_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = alike_and_numbers(values, 1, 0, err);
    if (!rc)
        rule_output(values, 0, TENSOR_REAL, &values->in[0]->shape);
    return rc;
}

static int average_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    (void)err;
    const real *average = in[0]->data, *x = in[1]->data;
    real *next = out[0]->data;
    double decay = (double)node_float(node, "decay", 0);
    for (int64_t i = 0, n = shape_elements(&in[0]->shape); i < n; i++)
        next[i] = (real)(decay * (double)average[i] + (1 - decay) * (double)x[i]);
    return 0;
}

/* ---- clipping by the norm ---- */

/* All given inputs are numbers, or of any shape; the output is one number. */
static int to_number(const struct node *node, const struct op_values *values, int rank_max,
                     struct error *err)
{
    const struct shape scalar = { .rank = 0 };
    for (int i = 0; i < node->input_count; i++) {
        int rc = rule_input(values, i, "input", TYPE(REAL), 0, rank_max, err);
        if (rc)
            return rc;
    }
    rule_output(values, 0, TENSOR_REAL, &scalar);
    return 0;
}

static int squares_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    return to_number(node, values, SHAPE_RANK_MAX, err);
}

static int squares_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    (void)err;
    double sum = 0;
    for (int k = 0; k < node->input_count; k++) {
        const real *x = in[k]->data;
        for (int64_t i = 0, n = shape_elements(&in[k]->shape); i < n; i++)
            sum += (double)x[i] * (double)x[i];
    }
    *(real *)out[0]->data = (real)sum;
    return 0;
}

static int clip_factor_shape(const struct node *node, const struct op_values *values,
                             struct error *err)
{
    return to_number(node, values, 0, err);
}

static int clip_factor_reference(const struct node *node, const struct tensor *const *in,
                                 struct tensor *const *out, struct error *err)
{
    (void)err;
    double sum = 0;
    for (int k = 0; k < node->input_count; k++)
        sum += (double)*(const real *)in[k]->data;
    *(real *)out[0]->data = (real)clip_factor(sum, (double)node_float(node, "max_norm", 1));
    return 0;
}
