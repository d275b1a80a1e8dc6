/* reduce: ReduceSum and its relatives. */
#include "ops/reduce_gradient.h"
#include "ops/families.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "ops/walk.h"
#include "tensor/number.h"
#include <string.h>

enum reduction {
    REDUCE_MAX,
    REDUCE_MIN,
    REDUCE_MEAN,
    REDUCE_SUM,
    REDUCE_PROD,
    REDUCE_L1,
    REDUCE_L2,
    REDUCE_SUM_SQUARE,
    REDUCE_LOG_SUM,
    REDUCE_LOG_SUM_EXP,
};

/* What has been folded so far: of fractions, or of whole numbers. */
struct fold {
    double sum;
    int64_t whole_sum, count;
};

static int reduce_shape(const struct node *node, const struct op_values *values, struct error *err);
static int extreme_shape(const struct node *node, const struct op_values *values, struct error *err);
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
REDUCE_REFERENCE(l1, REDUCE_L1)
REDUCE_REFERENCE(l2, REDUCE_L2)
REDUCE_REFERENCE(sum_square, REDUCE_SUM_SQUARE)
REDUCE_REFERENCE(log_sum, REDUCE_LOG_SUM)
REDUCE_REFERENCE(log_sum_exp, REDUCE_LOG_SUM_EXP)

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
    REDUCE_ROWS("ReduceMax", 18, extreme_shape, max_reference, gradient_of_reduce_extreme),
    REDUCE_ROWS("ReduceMin", 18, extreme_shape, min_reference, gradient_of_reduce_extreme),
    REDUCE_ROWS("ReduceMean", 18, reduce_shape, mean_reference, gradient_of_reduce_mean),
    REDUCE_ROWS("ReduceSum", 13, reduce_shape, sum_reference, gradient_of_reduce_sum),
    REDUCE_ROWS("ReduceProd", 18, reduce_shape, prod_reference, gradient_of_reduce_prod),
    REDUCE_ROWS("ReduceL1", 18, reduce_shape, l1_reference, NULL),
    REDUCE_ROWS("ReduceL2", 18, reduce_shape, l2_reference, NULL),
    REDUCE_ROWS("ReduceSumSquare", 18, reduce_shape, sum_square_reference, NULL),
    REDUCE_ROWS("ReduceLogSum", 18, reduce_shape, log_sum_reference, NULL),
    REDUCE_ROWS("ReduceLogSumExp", 18, reduce_shape, log_sum_exp_reference, NULL),
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
    return check_reduce(node, values, TYPES_NUMERIC, err);
}

static int extreme_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    return check_reduce(node, values, TYPES_NUMERIC | TYPE(BOOL), err);
}

/* True of what is folded in whole numbers, where they are what the tensor holds. */
static bool is_exact(enum reduction reduction)
{
    return reduction == REDUCE_MAX || reduction == REDUCE_MIN || reduction == REDUCE_SUM ||
           reduction == REDUCE_PROD || reduction == REDUCE_L1 || reduction == REDUCE_SUM_SQUARE;
}

/* largest: of all elements, for REDUCE_LOG_SUM_EXP; an infinite one is what all others are nothing beside. */
static double fold_float(enum reduction reduction, double sum, double x, double largest)
{
    switch (reduction) {
    case REDUCE_MAX:
        return x > sum || isnan(x) ? x : sum;
    case REDUCE_MIN:
        return x < sum || isnan(x) ? x : sum;
    case REDUCE_PROD:
        return sum * x;
    case REDUCE_L1:
        return sum + fabs(x);
    case REDUCE_L2:
    case REDUCE_SUM_SQUARE:
        return sum + x * x;
    case REDUCE_LOG_SUM_EXP:
        return sum + (x == largest ? 1 : exp(x - largest));
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
    case REDUCE_SUM_SQUARE:
        return (int64_t)((uint64_t)sum + (uint64_t)x * (uint64_t)x);
    default:
        return (int64_t)((uint64_t)sum + (uint64_t)x);
    }
}

/* What a fold begins with; whole numbers as number_load_whole has them. */
static struct fold begin_fold(enum reduction reduction, enum tensor_type type)
{
    struct fold fold = { 0 };
    if (reduction == REDUCE_MAX || reduction == REDUCE_MIN) {
        bool max = reduction == REDUCE_MAX;
        fold.sum = max ? (double)-INFINITY : (double)INFINITY;
        fold.whole_sum = max ? INT64_MIN : INT64_MAX;
        if (type == TENSOR_U64)
            fold.whole_sum = max ? 0 : -1; /* all bits */
    } else if (reduction == REDUCE_PROD) {
        fold.sum = fold.whole_sum = 1;
    }
    return fold;
}

static struct fold fold_floats(enum reduction reduction, struct walk walk, const struct tensor *in,
                               double largest)
{
    struct fold fold = begin_fold(reduction, in->type);
    double sum = fold.sum;
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk)) {
        fold.count += walk.row;
        for (int64_t i = 0; i < walk.row; i++) {
            int64_t from = walk.at[0] + i * walk.row_step[0];
            double x = in->type == TENSOR_REAL ? (double)((const real *)in->data)[from]
                                               : number_load(in, from);
            sum = fold_float(reduction, sum, x, largest);
        }
    }
    fold.sum = sum;
    return fold;
}

/* Unsigned numbers are compared with the highest bit turned, so that they compare as signed ones. */
static struct fold fold_wholes(enum reduction reduction, struct walk walk, const struct tensor *in)
{
    struct fold fold = begin_fold(reduction, in->type);
    bool compares = reduction == REDUCE_MAX || reduction == REDUCE_MIN;
    bool is_signed = TYPES_SIGNED & 1u << in->type;
    uint64_t turn = compares && in->type == TENSOR_U64 ? (uint64_t)1 << 63 : 0;
    int64_t sum = (int64_t)((uint64_t)fold.whole_sum ^ turn);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk)) {
        fold.count += walk.row;
        for (int64_t i = 0; i < walk.row; i++) {
            int64_t from = walk.at[0] + i * walk.row_step[0];
            int64_t x = in->type == TENSOR_I64
                            ? ((const int64_t *)in->data)[from]
                            : (int64_t)((uint64_t)number_load_whole(in, from) ^ turn);
            if (reduction == REDUCE_L1 && is_signed && x < 0)
                x = (int64_t)(0 - (uint64_t)x);
            sum = fold_whole(reduction, sum, x);
        }
    }
    fold.whole_sum = (int64_t)((uint64_t)sum ^ turn);
    return fold;
}

static double find_largest(const struct walk *walk, const struct tensor *in)
{
    if (!tensor_type_is_whole(in->type))
        return fold_floats(REDUCE_MAX, *walk, in, 0).sum;
    int64_t largest = fold_wholes(REDUCE_MAX, *walk, in).whole_sum;
    return in->type == TENSOR_U64 ? (double)(uint64_t)largest : (double)largest;
}

/* Folds what one output element stands for: the walk goes over its input elements. Of none at all the largest
 * is the smallest number that there is, and so on. */
static void reduce_one(enum reduction reduction, const struct walk *walk, const struct tensor *in,
                       struct tensor *out, int64_t at)
{
    double largest = reduction == REDUCE_LOG_SUM_EXP ? find_largest(walk, in) : 0;
    bool whole = tensor_type_is_whole(in->type) && is_exact(reduction);
    struct fold fold =
        whole ? fold_wholes(reduction, *walk, in) : fold_floats(reduction, *walk, in, largest);
    if (whole && fold.count > 0) {
        number_store_whole(out, at, fold.whole_sum);
        return;
    }
    switch (reduction) {
    case REDUCE_MEAN:
        fold.sum /= (double)fold.count;
        break;
    case REDUCE_L2:
        fold.sum = sqrt(fold.sum);
        break;
    case REDUCE_LOG_SUM:
        fold.sum = log(fold.sum);
        break;
    case REDUCE_LOG_SUM_EXP:
        fold.sum = largest + log(fold.sum);
        break;
    default:
        break;
    }
    number_store(out, at, fold.sum);
}

/* One walk over what stays, and for each of its elements one over what is folded. */
static int reduce(const struct node *node, enum reduction reduction, const struct tensor *const *in,
                  struct tensor *out, struct error *err)
{
    const struct shape *from = &in[0]->shape;
    bool flags[SHAPE_RANK_MAX], any = false;
    int rc = reduce_axes(node, node->op->inputs_max > 1 ? in[1] : NULL, from->rank, flags, err);
    if (rc)
        return rc;
    int64_t steps[SHAPE_RANK_MAX];
    shape_steps(from, steps);
    struct shape kept = { .rank = from->rank }, folded = { .rank = from->rank };
    for (int i = 0; i < from->rank; i++) {
        kept.dim[i] = flags[i] ? 1 : from->dim[i];
        folded.dim[i] = flags[i] ? from->dim[i] : 1;
        any = any || flags[i];
    }
    if (!any && node_int(node, "noop_with_empty_axes", 0)) {
        memcpy(out->data, in[0]->data, tensor_bytes(out));
        return 0;
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
            reduce_one(reduction, &inner, in[0], out, at++);
        }
    return 0;
}
