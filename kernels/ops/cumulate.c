/* cumulate: CumSum. */
#include "ops/families.h"
#include "ops/reduce_gradient.h"
#include "ops/rules.h"
#include "tensor/number.h"

static int cum_sum_shape(const struct node *node, const struct op_values *values, struct error *err);
static int cum_sum_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    { OP_ROW("CumSum", 2, 2, 1, 11, OPSET_MAX, cum_sum_shape, cum_sum_reference),
      OP_ATTRIBUTES({ "exclusive", ATTRIBUTE_INT }, { "reverse", ATTRIBUTE_INT }),
      .gradient = gradient_of_cum_sum },
};
const struct op_family cumulate_family = OP_FAMILY(rows);

static int cum_sum_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = rule_input(values, 0, "x", TYPES_NUMERIC, 1, SHAPE_RANK_MAX, err);
    if (rc || (rc = rule_input(values, 1, "axis", TYPE(I64) | TYPE(I32), 0, 1, err)))
        return rc;
    if (shape_elements(&values->in[1]->shape) != 1)
        return error_set(err, ERROR_FORMAT, "axis", "one number expected");
    rule_output(values, 0, values->in[0]->type, &values->in[0]->shape);
    return 0;
}

/* One line of `length` elements that lie `step` apart, from `at` on. */
static void sum_reals(const real *in, real *out, int64_t step, int64_t length, bool exclusive)
{
    double sum = 0;
    for (int64_t k = 0; k < length; k++) {
        double before = sum;
        sum += (double)in[k * step];
        out[k * step] = (real)(exclusive ? before : sum);
    }
}

static void sum_floats(const struct tensor *in, struct tensor *out, int64_t at, int64_t step,
                       int64_t length, bool exclusive)
{
    double sum = 0;
    for (int64_t k = 0; k < length; k++, at += step) {
        double before = sum;
        sum += number_load(in, at);
        number_store(out, at, exclusive ? before : sum);
    }
}

static void sum_wholes(const struct tensor *in, struct tensor *out, int64_t at, int64_t step,
                       int64_t length, bool exclusive)
{
    uint64_t sum = 0;
    for (int64_t k = 0; k < length; k++, at += step) {
        uint64_t before = sum;
        sum += (uint64_t)number_load_whole(in, at);
        number_store_whole(out, at, (int64_t)(exclusive ? before : sum));
    }
}

static void sum_line(const struct tensor *in, struct tensor *out, int64_t at, int64_t step,
                     int64_t length, bool exclusive)
{
    if (in->type == TENSOR_REAL)
        sum_reals((const real *)in->data + at, (real *)out->data + at, step, length, exclusive);
    else if (tensor_type_is_whole(in->type))
        sum_wholes(in, out, at, step, length, exclusive);
    else
        sum_floats(in, out, at, step, length, exclusive);
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
            int64_t first = (o * length + (reverse ? length - 1 : 0)) * inner + i;
            sum_line(in[0], out[0], first, reverse ? -inner : inner, length, exclusive);
        }
    return 0;
}
