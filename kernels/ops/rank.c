/* rank: which elements along an axis are the largest: ArgMax, ArgMin, TopK and Hardmax. */
#include "ops/families.h"
#include "ops/gradient.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "tensor/number.h"

/* A line of elements `step` apart and which way round they are ordered. */
struct line {
    const struct tensor *in;
    int64_t first, step;
    bool largest;
};

static int arg_shape(const struct node *node, const struct op_values *values, struct error *err);
static int arg_max_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);
static int arg_min_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);
static int top_k_shape(const struct node *node, const struct op_values *values, struct error *err);
static int top_k_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);
static int hardmax_shape(const struct node *node, const struct op_values *values, struct error *err);
static int hardmax_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);

#define ARG_ATTRIBUTES                                                      \
    OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }, { "keepdims", ATTRIBUTE_INT }, \
                  { "select_last_index", ATTRIBUTE_INT }),                  \
        .gradient = gradient_none
/* Both outputs have to be there: the kernel keeps its order in the indices. */
#define TOP_K_ROW(inputs, first, last)                                                 \
    .name = "TopK", .inputs_min = (inputs), .inputs_max = (inputs), .outputs_min = 2,  \
    .outputs_max = 2, .opset_min = (first), .opset_max = (last), .shape = top_k_shape, \
    .reference = top_k_reference

static const struct op rows[] = {
    { OP_ROW("ArgMax", 1, 1, 1, OPSET_MIN, OPSET_MAX, arg_shape, arg_max_reference), ARG_ATTRIBUTES },
    { OP_ROW("ArgMin", 1, 1, 1, OPSET_MIN, OPSET_MAX, arg_shape, arg_min_reference), ARG_ATTRIBUTES },
    { TOP_K_ROW(1, OPSET_MIN, 9), OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }, { "k", ATTRIBUTE_INT }) },
    { TOP_K_ROW(2, 10, 10), OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }) },
    { TOP_K_ROW(2, 11, OPSET_MAX),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }, { "largest", ATTRIBUTE_INT },
                    { "sorted", ATTRIBUTE_INT }) },
    /* Until 12 the tensor counts as a matrix, as with Softmax. */
    { OP_ROW("Hardmax", 1, 1, 1, OPSET_MIN, 12, hardmax_shape, hardmax_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }), .gradient = gradient_none },
    { OP_ROW("Hardmax", 1, 1, 1, 13, OPSET_MAX, hardmax_shape, hardmax_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }), .gradient = gradient_none },
};
const struct op_family rank_family = OP_FAMILY(rows);

static int arg_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int axis = 0;
    int rc = rule_input(values, 0, "input", TYPES_NUMERIC, 1, SHAPE_RANK_MAX, err);
    const struct shape *from = &values->in[0]->shape;
    if (rc || (rc = rule_axis("axis", node_int(node, "axis", 0), from->rank, &axis, err)))
        return rc;
    if (from->dim[axis] == 0)
        return error_set(err, ERROR_UNSUPPORTED, "input", "is empty");
    bool keep = node_int(node, "keepdims", 1) != 0;
    struct shape shape = { 0 };
    for (int i = 0; i < from->rank; i++)
        if (i != axis || keep)
            shape.dim[shape.rank++] = i == axis ? 1 : from->dim[i];
    rule_output(values, 0, TENSOR_I64, &shape);
    return 0;
}

/* Whether element b of the line comes before element a, or is as good where ties count. */
static bool is_before(const struct line *line, int64_t b, int64_t a, bool ties)
{
    b = line->first + b * line->step;
    a = line->first + a * line->step;
    if (line->in->type == TENSOR_REAL) {
        const real *data = line->in->data;
        return (line->largest ? data[b] > data[a] : data[b] < data[a]) ||
               (ties && data[b] == data[a]);
    }
    if (!tensor_type_is_whole(line->in->type)) {
        double x = number_load(line->in, b), y = number_load(line->in, a);
        return (line->largest ? x > y : x < y) || (ties && x == y);
    }
    uint64_t turn = line->in->type == TENSOR_U64 ? (uint64_t)1 << 63 : 0;
    int64_t x = (int64_t)((uint64_t)number_load_whole(line->in, b) ^ turn);
    int64_t y = (int64_t)((uint64_t)number_load_whole(line->in, a) ^ turn);
    return (line->largest ? x > y : x < y) || (ties && x == y);
}

/* The same of reals, which there are most of. */
static int64_t find_best_real(const struct line *line, int64_t length, bool last)
{
    const real *x = (const real *)line->in->data + line->first;
    real value = x[0];
    int64_t best = 0;
    for (int64_t k = 1; k < length; k++) {
        real next = x[k * line->step];
        if ((line->largest ? next > value : next < value) || (last && next == value)) {
            value = next;
            best = k;
        }
    }
    return best;
}

static int64_t find_best(const struct line *line, int64_t length, bool last)
{
    if (line->in->type == TENSOR_REAL)
        return find_best_real(line, length, last);
    int64_t best = 0;
    for (int64_t k = 1; k < length; k++)
        if (is_before(line, k, best, last))
            best = k;
    return best;
}

static int arg_reference(const struct node *node, const struct tensor *in, struct tensor *out,
                         bool largest, struct error *err)
{
    int axis = 0;
    const struct shape *from = &in->shape;
    int rc = rule_axis("axis", node_int(node, "axis", 0), from->rank, &axis, err);
    if (rc)
        return rc;
    bool last = node_int(node, "select_last_index", 0) != 0;
    int64_t outer = shape_span(from, 0, axis), inner = shape_span(from, axis + 1, from->rank);
    int64_t *to = out->data;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            struct line line = { in, o * from->dim[axis] * inner + i, inner, largest };
            *to++ = find_best(&line, from->dim[axis], last);
        }
    return 0;
}

static int arg_max_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    return arg_reference(node, in[0], out[0], true, err);
}

static int arg_min_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    return arg_reference(node, in[0], out[0], false, err);
}

static int top_k_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int axis = 0;
    int rc = rule_input(values, 0, "X", TYPES_NUMERIC, 1, SHAPE_RANK_MAX, err);
    struct shape shape = values->in[0]->shape;
    if (rc || (rc = rule_axis("axis", node_int(node, "axis", -1), shape.rank, &axis, err)))
        return rc;
    int64_t k[RULE_INTS_MAX] = { node_int(node, "k", -1) };
    size_t count = 1;
    if (node->op->inputs_max > 1)
        rc = rule_ints(rule_constant(values, 1), "input K", k, &count, err);
    if (rc)
        return rc;
    if (count != 1 || k[0] < 0 || k[0] > shape.dim[axis])
        return error_set(err, ERROR_FORMAT, "k", "one number of 0 to %lld expected",
                         (long long)shape.dim[axis]);
    shape.dim[axis] = k[0];
    rule_output(values, 0, values->in[0]->type, &shape);
    rule_output(values, 1, TENSOR_I64, &shape);
    return 0;
}

/* The order of TopK: NaN comes before all numbers, and of equal ones the first. */
static bool comes_before(const struct line *line, int64_t b, int64_t a)
{
    double x = number_load(line->in, line->first + b * line->step);
    double y = number_load(line->in, line->first + a * line->step);
    if (isnan(x) || isnan(y))
        return isnan(x) && isnan(y) ? b < a : isnan(x) != 0;
    return is_before(line, b, a, false) || (b < a && is_before(line, b, a, true));
}

/* Puts heap[at] where it belongs among the count first of a heap whose root comes last. */
static void sift_down(const struct line *line, int64_t *heap, int64_t step, int64_t count, int64_t at)
{
    for (;;) {
        int64_t last = at;
        for (int64_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
            if (comes_before(line, heap[last * step], heap[child * step]))
                last = child;
        if (last == at)
            return;
        int64_t index = heap[at * step];
        heap[at * step] = heap[last * step];
        heap[last * step] = index;
        at = last;
    }
}

/* A heap of those that are best so far, which is then taken apart from its root on. */
static void take_best(const struct line *line, int64_t length, int64_t *heap, int64_t step, int64_t k)
{
    for (int64_t i = 0; i < k; i++)
        heap[i * step] = i;
    for (int64_t i = k / 2 - 1; i >= 0; i--)
        sift_down(line, heap, step, k, i);
    for (int64_t i = k; k > 0 && i < length; i++)
        if (comes_before(line, i, heap[0])) {
            heap[0] = i;
            sift_down(line, heap, step, k, 0);
        }
    for (int64_t left = k - 1; left > 0; left--) {
        int64_t index = heap[0];
        heap[0] = heap[left * step];
        heap[left * step] = index;
        sift_down(line, heap, step, left, 0);
    }
}

/* Always sorted: where that is not asked for, any order will do. */
static int top_k_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    int axis = 0;
    const struct shape *from = &in[0]->shape;
    int rc = rule_axis("axis", node_int(node, "axis", -1), from->rank, &axis, err);
    if (rc)
        return rc;
    bool largest = node_int(node, "largest", 1) != 0;
    int64_t outer = shape_span(from, 0, axis), inner = shape_span(from, axis + 1, from->rank);
    int64_t length = from->dim[axis], k = out[0]->shape.dim[axis];
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            struct line line = { in[0], o * length * inner + i, inner, largest };
            int64_t first = o * k * inner + i;
            int64_t *heap = (int64_t *)out[1]->data + first;
            take_best(&line, length, heap, inner, k);
            for (int64_t n = 0; n < k; n++)
                number_copy(out[0], first + n * inner, in[0], line.first + heap[n * inner] * inner);
        }
    return 0;
}

static int hardmax_shape(const struct node *node, const struct op_values *values, struct error *err)
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

/* 1 at the first of the largest, 0 elsewhere. */
static int hardmax_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    (void)err;
    int64_t outer, size, inner;
    softmax_span(node, &in[0]->shape, &outer, &size, &inner);
    for (int64_t o = 0; size > 0 && o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            struct line line = { in[0], o * size * inner + i, inner, true };
            int64_t best = find_best(&line, size, false);
            for (int64_t k = 0; k < size; k++)
                number_store(out[0], line.first + k * inner, k == best);
        }
    return 0;
}
