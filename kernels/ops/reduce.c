/* reduce: ReduceMax and its relatives, ArgMax and CumSum. */
#include "ops/reduce_gradient.h"
#include "ops/families.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "ops/walk.h"

enum reduction { REDUCE_MAX, REDUCE_MIN, REDUCE_MEAN, REDUCE_SUM, REDUCE_PROD };

static int reduce_shape(const struct node *node, const struct op_values *values, struct error *err);
static int mean_shape(const struct node *node, const struct op_values *values, struct error *err);
static int arg_max_shape(const struct node *node, const struct op_values *values, struct error *err);
static int arg_max_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);
static int cum_sum_shape(const struct node *node, const struct op_values *values, struct error *err);
static int cum_sum_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);
static int reduce(const struct node *node, enum reduction reduction, const struct tensor *const *in,
                  struct tensor *out, struct error *err);

#define REDUCE_REFERENCE(name, reduction)                                                \
    static int name##_reference(const struct node *node, const struct tensor *const *in, \
                                struct tensor *const *out, struct error *err)            \
    {                                                                                    \
        return reduce(node, reduction, in, out[0], err);                                 \
    }
REDUCE_REFERENCE(max, REDUCE_MAX)
REDUCE_REFERENCE(min, REDUCE_MIN)
REDUCE_REFERENCE(mean, REDUCE_MEAN)
REDUCE_REFERENCE(sum, REDUCE_SUM)
REDUCE_REFERENCE(prod, REDUCE_PROD)

/* Axes as an attribute, and from some opset on as an input. */
#define REDUCE_ROWS(op_name, change, rule, kernel, gradient_rule)                                    \
    { OP_ROW(op_name, 1, 1, 1, OPSET_MIN, change - 1, rule, kernel),                                 \
      OP_ATTRIBUTES({ "axes", ATTRIBUTE_INTS }, { "keepdims", ATTRIBUTE_INT }),                      \
      .gradient = gradient_rule },                                                                   \
    {                                                                                                \
        OP_ROW(op_name, 1, 2, 1, change, OPSET_MAX, rule, kernel),                                   \
            OP_ATTRIBUTES({ "keepdims", ATTRIBUTE_INT }, { "noop_with_empty_axes", ATTRIBUTE_INT }), \
            .gradient = gradient_rule                                                                \
    }

static const struct op rows[] = {
    REDUCE_ROWS("ReduceMax", 18, reduce_shape, max_reference, gradient_of_reduce_extreme),
    REDUCE_ROWS("ReduceMin", 18, reduce_shape, min_reference, gradient_of_reduce_extreme),
    REDUCE_ROWS("ReduceMean", 18, mean_shape, mean_reference, gradient_of_reduce_mean),
    REDUCE_ROWS("ReduceSum", 13, reduce_shape, sum_reference, gradient_of_reduce_sum),
    REDUCE_ROWS("ReduceProd", 18, reduce_shape, prod_reference, gradient_of_reduce_prod),
    { OP_ROW("ArgMax", 1, 1, 1, OPSET_MIN, OPSET_MAX, arg_max_shape, arg_max_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }, { "keepdims", ATTRIBUTE_INT },
                    { "select_last_index", ATTRIBUTE_INT }),
      .gradient = gradient_none },
    { OP_ROW("CumSum", 2, 2, 1, 11, OPSET_MAX, cum_sum_shape, cum_sum_reference),
      OP_ATTRIBUTES({ "exclusive", ATTRIBUTE_INT }, { "reverse", ATTRIBUTE_INT }),
      .gradient = gradient_of_cum_sum },
};
const struct op_family reduce_family = OP_FAMILY(rows);

int reduce_axes(const struct node *node, const struct tensor *axes, int rank, bool *flags,
                struct error *err)
{
    bool given;
    int rc = rule_axes_attribute_or_input(node, axes, rank, flags, &given, err);
    if (rc)
        return rc;
    if (!given && !node_int(node, "noop_with_empty_axes", 0))
        for (int i = 0; i < rank; i++)
            flags[i] = true;
    return 0;
}

static int check_reduce(const struct node *node, const struct op_values *values, unsigned types,
                        struct error *err)
{
    bool flags[SHAPE_RANK_MAX];
    int rc = rule_input(values, 0, "input", types, 0, SHAPE_RANK_MAX, err);
    const struct shape *from = &values->in[0]->shape;
    if (rc || (rc = reduce_axes(node, rule_constant(values, 1), from->rank, flags, err)))
        return rc;
    if (shape_elements(from) == 0)
        return error_set(err, ERROR_UNSUPPORTED, "input", "is empty");
    bool keep = node_int(node, "keepdims", 1) != 0;
    struct shape shape = { 0 };
    for (int i = 0; i < from->rank; i++)
        if (!flags[i] || keep)
            shape.dim[shape.rank++] = flags[i] ? 1 : from->dim[i];
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

static int reduce_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    return check_reduce(node, values, TYPES_NUMBER, err);
}

static int mean_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    return check_reduce(node, values, TYPE(REAL), err);
}

static double fold_float(enum reduction reduction, double sum, double x)
{
    switch (reduction) {
    case REDUCE_MAX:
        return x > sum || isnan(x) ? x : sum;
    case REDUCE_MIN:
        return x < sum || isnan(x) ? x : sum;
    case REDUCE_PROD:
        return sum * x;
    default:
        return sum + x;
    }
}

static int64_t fold_whole(enum reduction reduction, int64_t sum, int64_t x)
{
    switch (reduction) {
    case REDUCE_MAX:
        return x > sum ? x : sum;
    case REDUCE_MIN:
        return x < sum ? x : sum;
    case REDUCE_PROD:
        return (int64_t)((uint64_t)sum * (uint64_t)x);
    default:
        return (int64_t)((uint64_t)sum + (uint64_t)x);
    }
}

/* Folds what one output element stands for: the walk goes over its input elements. */
static void reduce_one(enum reduction reduction, struct walk walk, const struct tensor *in,
                       struct tensor *out, int64_t at)
{
    double float_sum = reduction == REDUCE_PROD ? 1 : 0;
    int64_t whole_sum = reduction == REDUCE_PROD, count = 0;
    if (reduction == REDUCE_MAX || reduction == REDUCE_MIN) {
        float_sum = reduction == REDUCE_MAX ? (double)-INFINITY : (double)INFINITY;
        whole_sum = reduction == REDUCE_MAX ? INT64_MIN : INT64_MAX;
    }
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t i = 0; i < walk.row; i++, count++) {
            int64_t from = walk.at[0] + i * walk.row_step[0];
            if (in->type == TENSOR_REAL)
                float_sum = fold_float(reduction, float_sum, (double)((const real *)in->data)[from]);
            else
                whole_sum = fold_whole(reduction, whole_sum, rule_int_at(in, from));
        }
    if (reduction == REDUCE_MEAN)
        float_sum /= (double)count;
    if (in->type == TENSOR_REAL)
        ((real *)out->data)[at] = (real)float_sum;
    else
        rule_set_int(out, at, whole_sum);
}

/* One walk over what stays, and for each of its elements one over what is folded. */
static int reduce(const struct node *node, enum reduction reduction, const struct tensor *const *in,
                  struct tensor *out, struct error *err)
{
    const struct shape *from = &in[0]->shape;
    bool flags[SHAPE_RANK_MAX];
    int rc = reduce_axes(node, node->op->inputs_max > 1 ? in[1] : NULL, from->rank, flags, err);
    if (rc)
        return rc;
    int64_t steps[SHAPE_RANK_MAX];
    shape_steps(from, steps);
    struct shape kept = { .rank = from->rank }, folded = { .rank = from->rank };
    for (int i = 0; i < from->rank; i++) {
        kept.dim[i] = flags[i] ? 1 : from->dim[i];
        folded.dim[i] = flags[i] ? from->dim[i] : 1;
    }
    struct walk outer;
    walk_init(&outer, &kept);
    walk_add_steps(&outer, 0, steps);
    int64_t at = 0;
    for (bool more = walk_begin(&outer); more; more = walk_next(&outer))
        for (int64_t i = 0; i < outer.row; i++) {
            struct walk inner;
            walk_init(&inner, &folded);
            walk_add_steps(&inner, outer.at[0] + i * outer.row_step[0], steps);
            reduce_one(reduction, inner, in[0], out, at++);
        }
    return 0;
}

static int arg_max_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int axis = 0;
    int rc = rule_input(values, 0, "input", TYPES_NUMBER, 1, SHAPE_RANK_MAX, err);
    const struct shape *from = &values->in[0]->shape;
    if (rc || (rc = rule_axis("axis", node_int(node, "axis", 0), from->rank, &axis, err)))
        return rc;
    if (shape_elements(from) == 0)
        return error_set(err, ERROR_UNSUPPORTED, "input", "is empty");
    bool keep = node_int(node, "keepdims", 1) != 0;
    struct shape shape = { 0 };
    for (int i = 0; i < from->rank; i++)
        if (i != axis || keep)
            shape.dim[shape.rank++] = i == axis ? 1 : from->dim[i];
    rule_output(values, 0, TENSOR_I64, &shape);
    return 0;
}

static int arg_max_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    int axis = 0;
    const struct shape *from = &in[0]->shape;
    int rc = rule_axis("axis", node_int(node, "axis", 0), from->rank, &axis, err);
    if (rc)
        return rc;
    bool last = node_int(node, "select_last_index", 0) != 0;
    int64_t outer = shape_span(from, 0, axis), inner = shape_span(from, axis + 1, from->rank);
    int64_t *to = out[0]->data;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            int64_t best = 0, first = o * from->dim[axis] * inner + i;
            for (int64_t k = 1; k < from->dim[axis]; k++) {
                int64_t a = first + best * inner, b = first + k * inner;
                bool larger, equal;
                if (in[0]->type == TENSOR_REAL) {
                    const real *data = in[0]->data;
                    larger = data[b] > data[a];
                    equal = data[b] == data[a];
                } else {
                    larger = rule_int_at(in[0], b) > rule_int_at(in[0], a);
                    equal = rule_int_at(in[0], b) == rule_int_at(in[0], a);
                }
                if (larger || (equal && last))
                    best = k;
            }
            *to++ = best;
        }
    return 0;
}

static int cum_sum_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = rule_input(values, 0, "x", TYPES_NUMBER, 1, SHAPE_RANK_MAX, err);
    if (rc || (rc = rule_input(values, 1, "axis", TYPE(I64) | TYPE(I32), 0, 1, err)))
        return rc;
    if (shape_elements(&values->in[1]->shape) != 1)
        return error_set(err, ERROR_FORMAT, "axis", "one number expected");
    rule_output(values, 0, values->in[0]->type, &values->in[0]->shape);
    return 0;
}

static int cum_sum_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    int axis = 0;
    const struct shape *from = &in[0]->shape;
    int rc = rule_axis("axis", rule_int_at(in[1], 0), from->rank, &axis, err);
    if (rc)
        return rc;
    bool exclusive = node_int(node, "exclusive", 0), reverse = node_int(node, "reverse", 0);
    int64_t outer = shape_span(from, 0, axis), inner = shape_span(from, axis + 1, from->rank);
    int64_t length = from->dim[axis];
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            double float_sum = 0;
            int64_t whole_sum = 0;
            for (int64_t k = 0; k < length; k++) {
                int64_t at = (o * length + (reverse ? length - 1 - k : k)) * inner + i;
                double float_before = float_sum;
                int64_t whole_before = whole_sum;
                if (in[0]->type == TENSOR_REAL) {
                    float_sum += (double)((const real *)in[0]->data)[at];
                    ((real *)out[0]->data)[at] = (real)(exclusive ? float_before : float_sum);
                } else {
                    whole_sum = fold_whole(REDUCE_SUM, whole_sum, rule_int_at(in[0], at));
                    rule_set_int(out[0], at, exclusive ? whole_before : whole_sum);
                }
            }
        }
    return 0;
}
