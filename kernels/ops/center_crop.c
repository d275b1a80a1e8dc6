/* center_crop: CenterCropPad: the middle of a tensor, or a tensor in the middle of zeros, each axis for
 * itself. What is odd is one more behind. */
#include "ops/families.h"
#include "ops/rules.h"
#include "ops/walk.h"
#include <string.h>

static int crop_shape(const struct node *node, const struct op_values *values, struct error *err);
static int crop_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    { OP_ROW("CenterCropPad", 2, 2, 1, 18, OPSET_MAX, crop_shape, crop_reference),
      OP_ATTRIBUTES({ "axes", ATTRIBUTE_INTS }) },
};
const struct op_family center_crop_family = OP_FAMILY(rows);

static int crop_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int64_t sizes[RULE_INTS_MAX];
    const int64_t *axes;
    size_t count = 0, listed = node_ints(node, "axes", &axes);
    bool flags[SHAPE_RANK_MAX];
    int rc = rule_input(values, 0, "input", TYPES_ALL, 1, SHAPE_RANK_MAX, err);
    if (rc || (rc = rule_input(values, 1, "shape", TYPE(I64) | TYPE(I32), 1, 1, err)) ||
        (rc = rule_ints(rule_constant(values, 1), "shape", sizes, &count, err)))
        return rc;
    struct shape shape = values->in[0]->shape;
    if ((rc = rule_axes("axes", axes, listed, shape.rank, flags, err)))
        return rc;
    if (count != (listed ? listed : (size_t)shape.rank))
        return error_set(err, ERROR_FORMAT, "shape", "%zu numbers for %zu axes", count,
                         listed ? listed : (size_t)shape.rank);
    for (size_t i = 0; i < count; i++) {
        int axis = (int)i;
        if (listed && (rc = rule_axis("axes", axes[i], shape.rank, &axis, err)))
            return rc;
        if (sizes[i] < 0)
            return error_set(err, ERROR_FORMAT, "shape", "%lld is not a size", (long long)sizes[i]);
        shape.dim[axis] = sizes[i];
    }
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

static int crop_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err)
{
    (void)node;
    (void)err;
    const struct shape *from = &in[0]->shape, *to = &out[0]->shape;
    int64_t from_steps[SHAPE_RANK_MAX], to_steps[SHAPE_RANK_MAX], from_at = 0, to_at = 0;
    struct shape both = *to; /* what is in either */
    shape_steps(from, from_steps);
    shape_steps(to, to_steps);
    for (int i = 0; i < to->rank; i++) {
        int64_t less = from->dim[i] - to->dim[i];
        if (less > 0) {
            from_at += less / 2 * from_steps[i];
        } else {
            both.dim[i] = from->dim[i];
            to_at += -less / 2 * to_steps[i];
        }
    }
    memset(out[0]->data, 0, tensor_bytes(out[0]));
    struct walk walk;
    walk_init(&walk, &both);
    walk_add_steps(&walk, to_at, to_steps);
    walk_add_steps(&walk, from_at, from_steps);
    walk_copy(&walk, out[0]->data, in[0]->data, tensor_type_bytes(in[0]->type));
    return 0;
}
