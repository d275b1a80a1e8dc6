/* sum_to: a tensor added up to a shape that broadcasts to its own; what gradients do where an operand
 * was broadcast. */
#include "ops/families.h"
#include "ops/rules.h"
#include "ops/walk.h"

static int sum_to_shape(const struct node *node, const struct op_values *values, struct error *err);
static int sum_to_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err);
static double sum_one(const struct tensor *in, struct walk walk);

static const struct op rows[] = {
    { OP_ROW("sum_to", 1, 1, 1, OPSET_OWN, OPSET_OWN, sum_to_shape, sum_to_reference),
      OP_ATTRIBUTES({ "shape", ATTRIBUTE_INTS }) },
};
const struct op_family sum_to_family = OP_FAMILY(rows);

static int sum_to_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    const int64_t *dims = NULL;
    struct shape shape = { .rank = (int)node_ints(node, "shape", &dims) }, sum;
    int rc = rule_input(values, 0, "input", TYPE(REAL), 0, SHAPE_RANK_MAX, err);
    if (rc)
        return rc;
    if (shape.rank > SHAPE_RANK_MAX)
        return error_set(err, ERROR_FORMAT, "shape", "%d dimensions", shape.rank);
    for (int d = 0; d < shape.rank; d++)
        shape.dim[d] = dims[d];
    if (!shape_broadcast(&values->in[0]->shape, &shape, &sum) ||
        !shape_equal(&values->in[0]->shape, &sum))
        return error_set(err, ERROR_FORMAT, "shape", "does not broadcast to the input's");
    rule_output(values, 0, TENSOR_REAL, &shape);
    return 0;
}

/* One walk over the output's elements, and for each one over what it is the sum of. */
static int sum_to_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    const struct shape *from = &in[0]->shape, *to = &out[0]->shape;
    int64_t steps[SHAPE_RANK_MAX];
    struct shape kept = { .rank = from->rank }, folded = { .rank = from->rank };
    for (int d = 0, missing = from->rank - to->rank; d < from->rank; d++) {
        kept.dim[d] = d < missing ? 1 : to->dim[d - missing];
        folded.dim[d] = kept.dim[d] == from->dim[d] ? 1 : from->dim[d];
    }
    shape_steps(from, steps);
    struct walk outer;
    walk_init(&outer, &kept);
    walk_add_steps(&outer, 0, steps);
    real *next = out[0]->data;
    for (bool more = walk_begin(&outer); more; more = walk_next(&outer))
        for (int64_t i = 0; i < outer.row; i++) {
            struct walk inner;
            walk_init(&inner, &folded);
            walk_add_steps(&inner, outer.at[0] + i * outer.row_step[0], steps);
            *next++ = (real)sum_one(in[0], inner);
        }
    return 0;
}

static double sum_one(const struct tensor *in, struct walk walk)
{
    const real *data = in->data;
    double sum = 0;
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t i = 0; i < walk.row; i++)
            sum += (double)data[walk.at[0] + i * walk.row_step[0]];
    return sum;
}
