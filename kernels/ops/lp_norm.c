/* lp_norm: elements divided by what lies around them: LpNormalization by the norm of a line, LRN by the
 * squares of the channels beside. */
#include "ops/element.h"
#include "ops/families.h"
#include "ops/rules.h"

#define SIZE_MAX_LRN ((int64_t)1 << 20) /* channels of a neighbourhood; far above any network */

static int lp_shape(const struct node *node, const struct op_values *values, struct error *err);
static int lp_reference(const struct node *node, const struct tensor *const *in,
                        struct tensor *const *out, struct error *err);
static int lrn_shape(const struct node *node, const struct op_values *values, struct error *err);
static int lrn_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    { OP_ROW("LpNormalization", 1, 1, 1, OPSET_MIN, OPSET_MAX, lp_shape, lp_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }, { "p", ATTRIBUTE_INT }) },
    { OP_ROW("LRN", 1, 1, 1, OPSET_MIN, OPSET_MAX, lrn_shape, lrn_reference), .heavy = true,
      OP_ATTRIBUTES({ "alpha", ATTRIBUTE_FLOAT }, { "beta", ATTRIBUTE_FLOAT },
                    { "bias", ATTRIBUTE_FLOAT }, { "size", ATTRIBUTE_INT }) },
};
const struct op_family lp_norm_family = OP_FAMILY(rows);

static int lp_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int axis;
    int64_t p = node_int(node, "p", 2);
    int rc = rule_input(values, 0, "input", TYPES_FLOAT, 1, SHAPE_RANK_MAX, err);
    const struct shape *shape = &values->in[0]->shape;
    if (rc || (rc = rule_axis("axis", node_int(node, "axis", -1), shape->rank, &axis, err)))
        return rc;
    if (p != 1 && p != 2)
        return error_set(err, ERROR_FORMAT, "p", "%lld is neither 1 nor 2", (long long)p);
    rule_output(values, 0, values->in[0]->type, shape);
    return 0;
}

/* A line of zeros stays one. */
static int lp_reference(const struct node *node, const struct tensor *const *in,
                        struct tensor *const *out, struct error *err)
{
    int axis = 0;
    bool squares = node_int(node, "p", 2) == 2;
    const struct shape *shape = &in[0]->shape;
    int rc = rule_axis("axis", node_int(node, "axis", -1), shape->rank, &axis, err);
    if (rc)
        return rc;
    int64_t step = shape_span(shape, axis + 1, shape->rank), size = shape->dim[axis];
    int64_t lines = size ? shape_elements(shape) / size : 0;
    for (int64_t line = 0; line < lines; line++) {
        int64_t first = line / step * step * size + line % step;
        double norm = 0;
        for (int64_t k = 0; k < size; k++) {
            double x = element_load(in[0], first + k * step);
            norm += squares ? x * x : fabs(x);
        }
        norm = squares ? sqrt(norm) : norm;
        for (int64_t k = 0; k < size; k++) {
            double x = element_load(in[0], first + k * step);
            element_store(out[0], first + k * step, norm == 0 ? 0 : x / norm);
        }
    }
    return 0;
}

static int lrn_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int64_t size = node_int(node, "size", 0);
    int rc = rule_input(values, 0, "input", TYPES_FLOAT, 2, SHAPE_RANK_MAX, err);
    if (rc)
        return rc;
    if (size < 1 || size > SIZE_MAX_LRN)
        return error_set(err, ERROR_FORMAT, "size", "%lld is outside [1, %lld]", (long long)size,
                         (long long)SIZE_MAX_LRN);
    rule_output(values, 0, values->in[0]->type, &values->in[0]->shape);
    return 0;
}

/* Of an even size the channel behind is one more than those before. */
static int lrn_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err)
{
    (void)err;
    const struct shape *shape = &in[0]->shape;
    double alpha = (double)node_float(node, "alpha", 1e-4f),
           bias = (double)node_float(node, "bias", 1);
    double beta = (double)node_float(node, "beta", 0.75f);
    int64_t width = node_int(node, "size", 1), before = (width - 1) / 2, behind = width / 2;
    int64_t channels = shape->dim[1], size = shape_span(shape, 2, shape->rank);
    for (int64_t at = 0, count = shape_elements(shape); at < count; at++) {
        int64_t channel = at / size % channels;
        int64_t first = channel < before ? -channel : -before;
        int64_t last = channels - 1 - channel < behind ? channels - 1 - channel : behind;
        double squares = 0;
        for (int64_t k = first; k <= last; k++) {
            double x = element_load(in[0], at + k * size);
            squares += x * x;
        }
        element_store(out[0], at,
                      element_load(in[0], at) / pow(bias + alpha / (double)width * squares, beta));
    }
    return 0;
}
