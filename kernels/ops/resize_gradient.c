/* resize_gradient: the adjoint of Resize. Every element of dy goes back to the elements that it was
 * made of, with the weights of the way there (resize_taps). */
#include "ops/families.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "ops/walk.h"
#include <string.h>

static int resize_grad_shape(const struct node *node, const struct op_values *values,
                             struct error *err);
static int resize_grad_reference(const struct node *node, const struct tensor *const *in,
                                 struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    /* The forward op's attributes; its list of scales or sizes as an attribute. */
    { OP_ROW("resize_grad", 1, 1, 1, OPSET_OWN, OPSET_OWN, resize_grad_shape, resize_grad_reference),
      .heavy = true,
      OP_ATTRIBUTES({ "input_shape", ATTRIBUTE_INTS }, { "mode", ATTRIBUTE_STRING },
                    { "axes", ATTRIBUTE_INTS }, { "scales", ATTRIBUTE_FLOATS },
                    { "sizes", ATTRIBUTE_INTS }, { "coordinate_transformation_mode", ATTRIBUTE_STRING },
                    { "cubic_coeff_a", ATTRIBUTE_FLOAT }, { "exclude_outside", ATTRIBUTE_INT },
                    { "nearest_mode", ATTRIBUTE_STRING }) },
};
const struct op_family resize_gradient_family = OP_FAMILY(rows);

static int resize_grad_shape(const struct node *node, const struct op_values *values,
                             struct error *err)
{
    struct shape from;
    struct resize resize;
    int rc = rule_shape_attribute(node, "input_shape", &from, err);
    if (rc || (rc = rule_input(values, 0, "dy", TYPE(REAL), from.rank, from.rank, err)) ||
        (rc = resize_resolve(node, &from, NULL, NULL, NULL, &resize, err)))
        return rc;
    if (!shape_equal(&resize.out, &values->in[0]->shape))
        return error_set(err, ERROR_FORMAT, "dy", "is not the output's shape");
    rule_output(values, 0, TENSOR_REAL, &from);
    return 0;
}

/* Adds amount times the weights of all dimensions from `axis` on. */
static void spread(const struct resize_taps *taps, const int64_t *steps, int axis, int rank,
                   double amount, real *to)
{
    if (axis == rank) {
        *to += (real)amount;
        return;
    }
    for (int i = 0; i < taps[axis].count; i++)
        spread(taps, steps, axis + 1, rank, amount * taps[axis].weight[i],
               to + taps[axis].index[i] * steps[axis]);
}

static int resize_grad_reference(const struct node *node, const struct tensor *const *in,
                                 struct tensor *const *out, struct error *err)
{
    struct resize resize;
    int rc = resize_resolve(node, &out[0]->shape, NULL, NULL, NULL, &resize, err);
    if (rc)
        return rc;
    int rank = resize.out.rank;
    int64_t steps[SHAPE_RANK_MAX], index[SHAPE_RANK_MAX];
    struct resize_taps taps[SHAPE_RANK_MAX];
    const real *dy = in[0]->data;
    memset(out[0]->data, 0, tensor_bytes(out[0]));
    shape_steps(&resize.in, steps);
    resize_first(&resize, index, taps);
    for (int64_t n = 0, count = shape_elements(&resize.out); n < count; n++) {
        spread(taps, steps, 0, rank, (double)dy[n], out[0]->data);
        resize_next(&resize, index, taps);
    }
    return 0;
}
