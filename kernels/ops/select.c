/* select: ops whose result is as long as the input's values have it: NonZero, Compress and Unique. Shapes must be
 * known before anything runs, so the values that decide have to be constants. */
#include "ops/families.h"
#include "ops/gradient.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "tensor/number.h"
#include <string.h>

/* Unique compares each part with each: at most so many elements are compared. */
#define UNIQUE_WORK_MAX ((int64_t)1 << 26)

/* A tensor as parts along an axis, or as its elements: outer x length x inner. */
struct parts {
    const struct tensor *in;
    int64_t outer, length, inner;
};

static int non_zero_shape(const struct node *node, const struct op_values *values, struct error *err);
static int non_zero_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err);
static int compress_shape(const struct node *node, const struct op_values *values, struct error *err);
static int compress_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err);
static int unique_shape(const struct node *node, const struct op_values *values, struct error *err);
static int unique_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    { OP_ROW("NonZero", 1, 1, 1, 9, OPSET_MAX, non_zero_shape, non_zero_reference),
      .gradient = gradient_none },
    { OP_ROW("Compress", 2, 2, 1, 9, OPSET_MAX, compress_shape, compress_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }) },
    { OP_ROW("Unique", 1, 1, 4, 11, OPSET_MAX, unique_shape, unique_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }, { "sorted", ATTRIBUTE_INT }) },
};
const struct op_family select_family = OP_FAMILY(rows);

static int check_constant(const struct tensor *tensor, const char *what, struct error *err)
{
    if (tensor->data)
        return 0;
    return error_set(err, ERROR_UNSUPPORTED, what,
                     "is computed from the input's values; it must be constant");
}

static bool is_zero(const struct tensor *tensor, int64_t at)
{
    if (tensor_type_is_whole(tensor->type))
        return number_load_whole(tensor, at) == 0;
    return number_load(tensor, at) == 0;
}

static int non_zero_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = rule_input(values, 0, "input", TYPES_ALL, 0, SHAPE_RANK_MAX, err);
    const struct tensor *x = rule_constant(values, 0);
    if (rc || (rc = check_constant(x, "input", err)))
        return rc;
    struct shape shape = { .rank = 2, .dim = { x->shape.rank, 0 } };
    for (int64_t i = 0, elements = shape_elements(&x->shape); i < elements; i++)
        shape.dim[1] += !is_zero(x, i);
    rule_output(values, 0, TENSOR_I64, &shape);
    return 0;
}

/* A column of indices for each element that is not 0. */
static int non_zero_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    const struct shape *shape = &in[0]->shape;
    int64_t *to = out[0]->data, columns = out[0]->shape.dim[1], column = 0;
    for (int64_t i = 0, elements = shape_elements(shape); i < elements; i++) {
        if (is_zero(in[0], i))
            continue;
        int64_t rest = i;
        for (int d = shape->rank - 1; d >= 0; d--) {
            to[d * columns + column] = rest % shape->dim[d];
            rest /= shape->dim[d];
        }
        column++;
    }
    return 0;
}

static int find_parts(const struct node *node, const struct shape *shape, struct parts *parts,
                      struct error *err)
{
    *parts = (struct parts){ .outer = 1, .length = shape_elements(shape), .inner = 1 };
    if (!node_attribute(node, "axis"))
        return 0;
    int axis = 0;
    int rc = rule_axis("axis", node_int(node, "axis", 0), shape->rank, &axis, err);
    if (rc)
        return rc;
    parts->outer = shape_span(shape, 0, axis);
    parts->length = shape->dim[axis];
    parts->inner = shape_span(shape, axis + 1, shape->rank);
    return 0;
}

/* The shape with so many parts. */
static struct shape parts_shape(const struct node *node, const struct shape *from, int64_t count)
{
    struct shape shape = *from;
    if (!node_attribute(node, "axis"))
        return (struct shape){ .rank = 1, .dim = { count } };
    int64_t axis = node_int(node, "axis", 0);
    shape.dim[axis < 0 ? axis + from->rank : axis] = count;
    return shape;
}

/* Part `from` becomes part `to` of out, which has `count`. */
static void copy_part(const struct parts *parts, int64_t from, struct tensor *out, int64_t to,
                      int64_t count)
{
    size_t bytes = (size_t)parts->inner * tensor_type_bytes(out->type);
    for (int64_t o = 0; o < parts->outer; o++)
        memcpy((char *)out->data + (size_t)(o * count + to) * bytes,
               (const char *)parts->in->data + (size_t)(o * parts->length + from) * bytes, bytes);
}

/* The condition may be shorter or longer than the axis. */
static int compress_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct parts parts;
    int rc = rule_input(values, 0, "input", TYPES_ALL, 1, SHAPE_RANK_MAX, err);
    if (rc || (rc = rule_input(values, 1, "condition", TYPE(BOOL), 1, 1, err)))
        return rc;
    const struct tensor *condition = rule_constant(values, 1);
    const struct shape *from = &values->in[0]->shape;
    if ((rc = check_constant(condition, "input condition", err)) ||
        (rc = find_parts(node, from, &parts, err)))
        return rc;
    int64_t count = 0;
    for (int64_t i = 0; i < condition->shape.dim[0] && i < parts.length; i++)
        count += ((const uint8_t *)condition->data)[i] != 0;
    struct shape shape = parts_shape(node, from, count);
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

static int compress_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err)
{
    struct parts parts;
    int rc = find_parts(node, &in[0]->shape, &parts, err);
    if (rc)
        return rc;
    parts.in = in[0];
    int64_t count = 0, next = 0;
    for (int64_t i = 0; i < in[1]->shape.dim[0] && i < parts.length; i++)
        count += ((const uint8_t *)in[1]->data)[i] != 0;
    for (int64_t i = 0; i < in[1]->shape.dim[0] && i < parts.length; i++)
        if (((const uint8_t *)in[1]->data)[i])
            copy_part(&parts, i, out[0], next++, count);
    return 0;
}

/* -1, 0 or 1 as part a is smaller than part b, the same or larger, by their first elements that differ. NaN is
 * larger than all numbers. */
static int compare_parts(const struct parts *parts, int64_t a, int64_t b)
{
    const struct tensor *in = parts->in;
    for (int64_t o = 0; o < parts->outer; o++)
        for (int64_t i = 0; i < parts->inner; i++) {
            int64_t left = (o * parts->length + a) * parts->inner + i;
            int64_t right = (o * parts->length + b) * parts->inner + i;
            int order;
            if (tensor_type_is_whole(in->type)) {
                uint64_t turn = in->type == TENSOR_U64 ? (uint64_t)1 << 63 : 0;
                int64_t x = (int64_t)((uint64_t)number_load_whole(in, left) ^ turn);
                int64_t y = (int64_t)((uint64_t)number_load_whole(in, right) ^ turn);
                order = (x > y) - (x < y);
            } else {
                double x = number_load(in, left), y = number_load(in, right);
                order = isnan(x) || isnan(y) ? (isnan(x) != 0) - (isnan(y) != 0) : (x > y) - (x < y);
            }
            if (order != 0)
                return order;
        }
    return 0;
}

/* The first part behind `last` in the order asked for; last -1: of all. -1: there is none. */
static int64_t next_unique(const struct parts *parts, bool sorted, int64_t last)
{
    int64_t best = -1;
    for (int64_t i = sorted ? 0 : last + 1; i < parts->length; i++) {
        if (!sorted) {
            int64_t k = 0;
            while (k < i && compare_parts(parts, k, i) != 0)
                k++;
            if (k == i)
                return i;
        } else if ((last < 0 || compare_parts(parts, i, last) > 0) &&
                   (best < 0 || compare_parts(parts, i, best) < 0)) {
            best = i;
        }
    }
    return best;
}

static int unique_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct parts parts;
    int rc = rule_input(values, 0, "input", TYPES_ALL, 0, SHAPE_RANK_MAX, err);
    const struct tensor *x = rule_constant(values, 0);
    if (rc || (rc = check_constant(x, "input", err)) ||
        (rc = find_parts(node, &x->shape, &parts, err)))
        return rc;
    parts.in = x;
    if (parts.length > 0 && shape_elements(&x->shape) > UNIQUE_WORK_MAX / parts.length)
        return error_set(err, ERROR_LIMIT, "input", "%lld parts are too many to be compared",
                         (long long)parts.length);
    bool sorted = node_int(node, "sorted", 1) != 0;
    int64_t count = 0;
    for (int64_t i = next_unique(&parts, sorted, -1); i >= 0; i = next_unique(&parts, sorted, i))
        count++;
    struct shape shape = parts_shape(node, &x->shape, count);
    struct shape list = { .rank = 1, .dim = { count } }, all = { .rank = 1, .dim = { parts.length } };
    rule_output(values, 0, x->type, &shape);
    rule_output(values, 1, TENSOR_I64, &list); /* where each comes first */
    rule_output(values, 2, TENSOR_I64, &all);  /* which one each part is */
    rule_output(values, 3, TENSOR_I64, &list); /* how often each comes */
    return 0;
}

static int unique_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err)
{
    struct parts parts;
    int rc = find_parts(node, &in[0]->shape, &parts, err);
    if (rc)
        return rc;
    parts.in = in[0];
    bool sorted = node_int(node, "sorted", 1) != 0;
    int64_t *lists[4] = { NULL };
    for (int i = 1; i < 4; i++)
        lists[i] = out[i] ? out[i]->data : NULL;
    int64_t count = shape_elements(&out[0]->shape), next = 0;
    if (node_attribute(node, "axis"))
        count = out[0]->shape.dim[concat_axis(node, &out[0]->shape)];
    for (int64_t i = next_unique(&parts, sorted, -1); i >= 0;
         i = next_unique(&parts, sorted, i), next++) {
        int64_t times = 0;
        copy_part(&parts, i, out[0], next, count);
        for (int64_t k = 0; k < parts.length; k++) {
            if (compare_parts(&parts, k, i) != 0)
                continue;
            times++;
            if (lists[2])
                lists[2][k] = next;
        }
        if (lists[1])
            lists[1][next] = i;
        if (lists[3])
            lists[3][next] = times;
    }
    return 0;
}
