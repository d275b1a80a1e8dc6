/* binary_gradient: gradients of the elementwise ops of two or more tensors. What was broadcast is
 * added up. Where nodes of the table do not say it well there are ops of our own, whose first input,
 * what comes from above, has the shape that the others broadcast to. */
#include "ops/elementwise_gradient.h"
#include "ops/families.h"
#include "ops/rules.h"
#include "ops/walk.h"

/* name, value for d from above and the operands x and y. As in PyTorch, two equal ones share what comes
 * for the larger, and at 0 the slope of PRelu is its operand. */
#define GRADIENT_OPS(X)                             \
    X(max_grad, x > y ? d : x == y ? d / 2 : 0)     \
    X(min_grad, x < y ? d : x == y ? d / 2 : 0)     \
    X(prelu_grad, x > 0 ? d : d * y)                \
    X(pow_grad, y == 0 ? 0 : d * y * pow(x, y - 1)) \
    X(pow_grad_exponent, x == 0 && y >= 0 ? 0 : d * pow(x, y) * log(x))

static int own_op(struct gradient *g, const char *op, int x, int y);
static int extreme(struct gradient *g, const char *op, const char *gradient);

/* ---- rules ---- */

int gradient_of_Add(struct gradient *g)
{
    return gradient_of_Sum(g);
}

int gradient_of_Sum(struct gradient *g)
{
    for (int i = 0; i < g->node->input_count; i++)
        if (g->wants[i])
            g->in[i] = gradient_sum_to(g, g->out[0], i);
    return gradient_end(g);
}

int gradient_of_Sub(struct gradient *g)
{
    if (g->wants[0])
        g->in[0] = gradient_sum_to(g, g->out[0], 0);
    if (g->wants[1])
        g->in[1] = gradient_op(g, "Neg", gradient_sum_to(g, g->out[0], 1), -1);
    return gradient_end(g);
}

int gradient_of_Mul(struct gradient *g)
{
    for (int i = 0; i < 2; i++)
        if (g->wants[i])
            g->in[i] =
                gradient_sum_to(g, gradient_op(g, "Mul", g->out[0], g->node->inputs[1 - i]), i);
    return gradient_end(g);
}

/* With q = x / y: d / y for x, and -q d / y for y. */
int gradient_of_Div(struct gradient *g)
{
    int slope = gradient_op(g, "Div", g->out[0], g->node->inputs[1]);
    if (g->wants[0])
        g->in[0] = gradient_sum_to(g, slope, 0);
    if (g->wants[1]) {
        int product = gradient_op(g, "Mul", slope, g->node->outputs[0]);
        g->in[1] = gradient_op(g, "Neg", gradient_sum_to(g, product, 1), -1);
    }
    return gradient_end(g);
}

int gradient_of_Min(struct gradient *g)
{
    return extreme(g, "Min", "min_grad");
}

int gradient_of_Max(struct gradient *g)
{
    return extreme(g, "Max", "max_grad");
}

/* Squares, by far the most frequent, are spared the power. */
int gradient_of_Pow(struct gradient *g)
{
    int x = g->node->inputs[0], y = g->node->inputs[1];
    const struct tensor *exponent = &g->graph->values[y].constant;
    bool square = exponent->data && shape_elements(&exponent->shape) == 1 &&
                  *(const float *)exponent->data == 2;
    if (g->wants[0] && square)
        g->in[0] =
            gradient_sum_to(g, gradient_op(g, "Mul", gradient_op(g, "Mul", g->out[0], x), y), 0);
    else if (g->wants[0])
        g->in[0] = gradient_sum_to(g, own_op(g, "pow_grad", x, y), 0);
    if (g->wants[1])
        g->in[1] = gradient_sum_to(g, own_op(g, "pow_grad_exponent", x, y), 1);
    return gradient_end(g);
}

/* x y where x is not above 0: as if from min(x, 0) times y. */
int gradient_of_PRelu(struct gradient *g)
{
    int x = g->node->inputs[0];
    if (g->wants[0])
        g->in[0] = gradient_sum_to(g, own_op(g, "prelu_grad", x, g->node->inputs[1]), 0);
    if (g->wants[1]) {
        int below = gradient_op(g, "Min", x, gradient_scalar(g, 0));
        g->in[1] = gradient_sum_to(g, gradient_op(g, "Mul", g->out[0], below), 1);
    }
    return gradient_end(g);
}

int gradient_of_Where(struct gradient *g)
{
    int condition = g->node->inputs[0], zero = gradient_scalar(g, 0);
    for (int i = 1; i < 3; i++) {
        if (!g->wants[i])
            continue;
        int inputs[] = { condition, i == 1 ? g->out[0] : zero, i == 1 ? zero : g->out[0] };
        g->in[i] = gradient_sum_to(g, gradient_node(g, "Where", inputs, 3, NULL, NULL, 1), i);
    }
    return gradient_end(g);
}

static int own_op(struct gradient *g, const char *op, int x, int y)
{
    return gradient_node(g, op, (int[]){ g->out[0], x, y }, 3, NULL, NULL, 1);
}

/* Of many, as of pairs: max(max(a, b), c), from the last one on. What is the largest of those before
 * it is computed again. */
static int extreme(struct gradient *g, const char *op, const char *gradient)
{
    int count = g->node->input_count, before[GRAPH_NODE_INPUTS_MAX] = { g->node->inputs[0] };
    int from_above = g->out[0];
    for (int i = 1; i < count - 1; i++)
        before[i] = gradient_op(g, op, before[i - 1], g->node->inputs[i]);
    for (int i = count - 1; i > 0; i--) {
        int pair[] = { from_above, before[i - 1], g->node->inputs[i] };
        int swapped[] = { from_above, g->node->inputs[i], before[i - 1] };
        if (g->wants[i])
            g->in[i] = gradient_sum_to(g, gradient_node(g, gradient, swapped, 3, NULL, NULL, 1), i);
        from_above = gradient_node(g, gradient, pair, 3, NULL, NULL, 1);
    }
    if (g->wants[0])
        g->in[0] = gradient_sum_to(g, from_above, 0);
    return gradient_end(g);
}

/* ---- rows ---- */

#define SCALAR(name, value)                           \
    static real scalar_##name(real d, real x, real y) \
    {                                                 \
        return value;                                 \
    }
GRADIENT_OPS(SCALAR)

static int gradient_shape_rule(const struct node *node, const struct op_values *values,
                               struct error *err)
{
    static const char *const names[] = { "gradient", "x", "y" };
    (void)node;
    for (int i = 0; i < 3; i++) {
        struct shape sum;
        int rc = rule_input(values, i, names[i], TYPE(REAL), 0, SHAPE_RANK_MAX, err);
        if (rc)
            return rc;
        const struct shape *shape = &values->in[0]->shape;
        if (!shape_broadcast(shape, &values->in[i]->shape, &sum) || !shape_equal(&sum, shape))
            return error_set(err, ERROR_FORMAT, names[i],
                             "does not broadcast to the gradient's shape");
    }
    rule_output(values, 0, TENSOR_REAL, &values->in[0]->shape);
    return 0;
}

static int map(const struct tensor *const *in, struct tensor *out,
               real (*scalar)(real d, real x, real y))
{
    struct walk walk;
    walk_init(&walk, &out->shape);
    for (int i = 0; i < 3; i++)
        walk_add_broadcast(&walk, &in[i]->shape);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk)) {
        const real *d = (const real *)in[0]->data + walk.at[0];
        const real *x = (const real *)in[1]->data + walk.at[1];
        const real *y = (const real *)in[2]->data + walk.at[2];
        for (int64_t i = 0; i < walk.row; i++)
            ((real *)out->data)[walk.at[0] + i] =
                scalar(d[i], x[i * walk.row_step[1]], y[i * walk.row_step[2]]);
    }
    return 0;
}

#define REFERENCE(name, value)                                                           \
    static int reference_##name(const struct node *node, const struct tensor *const *in, \
                                struct tensor *const *out, struct error *err)            \
    {                                                                                    \
        (void)node, (void)err;                                                           \
        return map(in, out[0], scalar_##name);                                           \
    }
GRADIENT_OPS(REFERENCE)

#define ROW(name, value) \
    { OP_ROW(#name, 3, 3, 1, OPSET_OWN, OPSET_OWN, gradient_shape_rule, reference_##name) },

static const struct op rows[] = { GRADIENT_OPS(ROW) };
const struct op_family binary_gradient_family = OP_FAMILY(rows);
