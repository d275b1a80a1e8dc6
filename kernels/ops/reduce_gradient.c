/* reduce_gradient: what comes from above goes to each element that was folded: whole (ReduceSum), by
 * their number (ReduceMean), shared among those that are the largest (ReduceMax, as PyTorch's amax
 * does), or times the product of the others (ReduceProd). */
#include "ops/reduce_gradient.h"
#include "ops/families.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "ops/walk.h"

static int keep_dims(struct gradient *g, int value, int64_t *terms);
static int spread(struct gradient *g, int kept);
static int shape_rule(const struct node *node, const struct op_values *values, struct error *err);
static int extreme_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);
static int prod_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err);

/* (gradient, result, input) and (gradient, input); gradient and result have the input's rank, folded
 * dimensions are 1. */
static const struct op rows[] = {
    { OP_ROW("reduce_extreme_grad", 3, 3, 1, OPSET_OWN, OPSET_OWN, shape_rule, extreme_reference) },
    { OP_ROW("reduce_prod_grad", 2, 2, 1, OPSET_OWN, OPSET_OWN, shape_rule, prod_reference) },
};
const struct op_family reduce_gradient_family = OP_FAMILY(rows);

/* ---- rules ---- */

int gradient_of_reduce_sum(struct gradient *g)
{
    g->in[0] = spread(g, keep_dims(g, g->out[0], NULL));
    return gradient_end(g);
}

int gradient_of_reduce_mean(struct gradient *g)
{
    int64_t terms = 1;
    int kept = keep_dims(g, g->out[0], &terms);
    int scaled = gradient_op(g, "Mul", kept, gradient_scalar(g, 1 / (double)terms));
    g->in[0] = spread(g, scaled);
    return gradient_end(g);
}

int gradient_of_reduce_extreme(struct gradient *g)
{
    int inputs[] = { keep_dims(g, g->out[0], NULL), keep_dims(g, g->node->outputs[0], NULL),
                     g->node->inputs[0] };
    g->in[0] = gradient_node(g, "reduce_extreme_grad", inputs, 3, NULL, NULL, 1);
    return gradient_end(g);
}

int gradient_of_reduce_prod(struct gradient *g)
{
    int inputs[] = { keep_dims(g, g->out[0], NULL), g->node->inputs[0] };
    g->in[0] = gradient_node(g, "reduce_prod_grad", inputs, 2, NULL, NULL, 1);
    return gradient_end(g);
}

/* What went into many sums comes back from them: a sum the other way round. */
int gradient_of_cum_sum(struct gradient *g)
{
    struct attribute turned[] = {
        GRADIENT_INT("exclusive", node_int(g->node, "exclusive", 0)),
        GRADIENT_INT("reverse", !node_int(g->node, "reverse", 0)),
        { 0 },
    };
    if (g->wants[0])
        g->in[0] =
            gradient_node(g, "CumSum", (int[]){ g->out[0], g->node->inputs[1] }, 2, turned, NULL, 1);
    return gradient_end(g);
}

/* Something of the output's shape in that which keepdims would have given; *terms is how many elements
 * each of its stands for. */
static int keep_dims(struct gradient *g, int value, int64_t *terms)
{
    const struct tensor *axes = NULL;
    bool folded[SHAPE_RANK_MAX] = { false };
    if (g->rc)
        return -1;
    if (g->node->input_count > 1 && g->node->inputs[1] >= 0)
        axes = &g->graph->values[g->node->inputs[1]].constant;
    struct shape shape = *gradient_shape(g, g->node->inputs[0]);
    g->rc = reduce_axes(g->node, axes, shape.rank, folded, g->err);
    for (int d = 0; d < shape.rank; d++)
        if (folded[d]) {
            if (terms)
                *terms *= shape.dim[d];
            shape.dim[d] = 1;
        }
    if (g->rc || shape_equal(&shape, gradient_shape(g, value)))
        return g->rc ? -1 : value;
    return gradient_op(g, "Reshape", value, gradient_ints(g, shape.dim, (size_t)shape.rank));
}

static int spread(struct gradient *g, int kept)
{
    struct shape shape = *gradient_shape(g, g->node->inputs[0]);
    return gradient_op(g, "Expand", kept, gradient_ints(g, shape.dim, (size_t)shape.rank));
}

/* ---- rows ---- */

static int shape_rule(const struct node *node, const struct op_values *values, struct error *err)
{
    int last = node->input_count - 1;
    for (int i = 0; i <= last; i++) {
        int rc = rule_input(values, i, i == last ? "input" : "gradient", TYPE(REAL), 0,
                            SHAPE_RANK_MAX, err);
        if (rc)
            return rc;
    }
    const struct shape *shape = &values->in[last]->shape;
    for (int i = 0; i < last; i++) {
        struct shape sum;
        if (values->in[i]->shape.rank != shape->rank ||
            !shape_equal(&values->in[i]->shape, &values->in[0]->shape) ||
            !shape_broadcast(shape, &values->in[i]->shape, &sum) || !shape_equal(&sum, shape))
            return error_set(err, ERROR_FORMAT, "gradient", "its shape does not go with the input's");
    }
    rule_output(values, 0, TENSOR_REAL, shape);
    return 0;
}

/* Walks over what one element of the gradient stands for. */
static struct walk inner_walk(const struct shape *shape, const struct shape *kept, int64_t start)
{
    int64_t steps[SHAPE_RANK_MAX];
    struct shape folded = { .rank = shape->rank };
    for (int d = 0; d < shape->rank; d++)
        folded.dim[d] = kept->dim[d] == shape->dim[d] ? 1 : shape->dim[d];
    shape_steps(shape, steps);
    struct walk walk;
    walk_init(&walk, &folded);
    walk_add_steps(&walk, start, steps);
    return walk;
}

static void share_extreme(struct walk walk, const real *x, real result, real gradient, real *to)
{
    int64_t count = 0;
    struct walk again = walk;
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t i = 0; i < walk.row; i++)
            count += x[walk.at[0] + i * walk.row_step[0]] == result;
    for (bool more = walk_begin(&again); more; more = walk_next(&again))
        for (int64_t i = 0; i < again.row; i++) {
            int64_t at = again.at[0] + i * again.row_step[0];
            to[at] = x[at] == result ? gradient / (real)count : 0;
        }
}

/* Zeros apart: one of them leaves a slope only for itself, two leave none. */
static void share_product(struct walk walk, const real *x, real gradient, real *to)
{
    double product = 1;
    int64_t zeros = 0;
    struct walk again = walk;
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t i = 0; i < walk.row; i++) {
            double number = (double)x[walk.at[0] + i * walk.row_step[0]];
            zeros += number == 0;
            product *= number == 0 ? 1 : number;
        }
    for (bool more = walk_begin(&again); more; more = walk_next(&again))
        for (int64_t i = 0; i < again.row; i++) {
            int64_t at = again.at[0] + i * again.row_step[0];
            double slope = x[at] == 0 ? (zeros == 1 ? product : 0)
                                      : (zeros == 0 ? product / (double)x[at] : 0);
            to[at] = (real)((double)gradient * slope);
        }
}

static int extreme_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    const real *gradient = in[0]->data, *result = in[1]->data;
    int64_t steps[SHAPE_RANK_MAX], at = 0;
    shape_steps(&in[2]->shape, steps);
    struct walk outer;
    walk_init(&outer, &in[0]->shape);
    walk_add_steps(&outer, 0, steps);
    for (bool more = walk_begin(&outer); more; more = walk_next(&outer))
        for (int64_t i = 0; i < outer.row; i++, at++)
            share_extreme(
                inner_walk(&in[2]->shape, &in[0]->shape, outer.at[0] + i * outer.row_step[0]),
                in[2]->data, result[at], gradient[at], out[0]->data);
    return 0;
}

static int prod_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    const real *gradient = in[0]->data;
    int64_t steps[SHAPE_RANK_MAX], at = 0;
    shape_steps(&in[1]->shape, steps);
    struct walk outer;
    walk_init(&outer, &in[0]->shape);
    walk_add_steps(&outer, 0, steps);
    for (bool more = walk_begin(&outer); more; more = walk_next(&outer))
        for (int64_t i = 0; i < outer.row; i++, at++)
            share_product(
                inner_walk(&in[1]->shape, &in[0]->shape, outer.at[0] + i * outer.row_step[0]),
                in[1]->data, gradient[at], out[0]->data);
    return 0;
}
