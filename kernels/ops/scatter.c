/* scatter: ops that write elements or parts into a copy of a tensor by indices: ScatterElements (once Scatter) and
 * ScatterND. Where an index comes twice without a reduction, the last one stays. */
#include "ops/families.h"
#include "ops/gather.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "tensor/number.h"
#include <string.h>

enum merge { MERGE_NONE, MERGE_ADD, MERGE_MUL, MERGE_MAX, MERGE_MIN, MERGE_COUNT };

static int elements_shape(const struct node *node, const struct op_values *values, struct error *err);
static int elements_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err);
static int nd_shape(const struct node *node, const struct op_values *values, struct error *err);
static int nd_reference(const struct node *node, const struct tensor *const *in,
                        struct tensor *const *out, struct error *err);

#define ELEMENTS(name, first, last) \
    OP_ROW(name, 3, 3, 1, first, last, elements_shape, elements_reference)
#define ND(first, last) OP_ROW("ScatterND", 3, 3, 1, first, last, nd_shape, nd_reference)

static const struct op rows[] = {
    { ELEMENTS("Scatter", 9, 10), OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }) },
    { ELEMENTS("ScatterElements", 11, 15), OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }) },
    { ELEMENTS("ScatterElements", 16, OPSET_MAX),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }, { "reduction", ATTRIBUTE_STRING }) },
    { ND(11, 15) },
    { ND(16, OPSET_MAX), OP_ATTRIBUTES({ "reduction", ATTRIBUTE_STRING }) },
};
const struct op_family scatter_family = OP_FAMILY(rows);

/* MERGE_COUNT for an unknown word. */
static enum merge read_merge(const struct node *node)
{
    static const char *const words[] = { "none", "add", "mul", "max", "min" };
    const char *word = node_string(node, "reduction", "none");
    enum merge merge = MERGE_NONE;
    while (merge < MERGE_COUNT && strcmp(words[merge], word) != 0)
        merge++;
    return merge;
}

/* data, indices and updates have types that go together. */
static int check_inputs(const struct node *node, const struct op_values *values, struct error *err)
{
    enum merge merge = read_merge(node);
    if (merge == MERGE_COUNT)
        return error_set(err, ERROR_FORMAT, "reduction", "unknown word '%.32s'",
                         node_string(node, "reduction", ""));
    unsigned types = merge == MERGE_NONE ? TYPES_ALL : TYPES_NUMERIC;
    int rc = rule_input(values, 0, "data", types, 1, SHAPE_RANK_MAX, err);
    if (rc || (rc = rule_input(values, 1, "indices", TYPE(I64) | TYPE(I32), 1, SHAPE_RANK_MAX, err)))
        return rc;
    return rule_input(values, 2, "updates", 1u << values->in[0]->type, 0, SHAPE_RANK_MAX, err);
}

static double merge_float(enum merge merge, double x, double y)
{
    switch (merge) {
    case MERGE_ADD:
        return x + y;
    case MERGE_MUL:
        return x * y;
    case MERGE_MAX:
        return y > x || isnan(y) ? y : x;
    case MERGE_MIN:
    default:
        return y < x || isnan(y) ? y : x;
    }
}

/* turn: a bit to turn before numbers are compared, so that unsigned ones compare as signed ones. */
static int64_t merge_whole(enum merge merge, uint64_t x, uint64_t y, uint64_t turn)
{
    bool larger = (int64_t)(y ^ turn) > (int64_t)(x ^ turn);
    switch (merge) {
    case MERGE_ADD:
        return (int64_t)(x + y);
    case MERGE_MUL:
        return (int64_t)(x * y);
    case MERGE_MAX:
        return (int64_t)(larger ? y : x);
    case MERGE_MIN:
    default:
        return (int64_t)(larger ? x : y);
    }
}

static void merge_one(enum merge merge, struct tensor *out, int64_t at,
                      const struct tensor *updates, int64_t from)
{
    if (merge == MERGE_NONE) {
        number_copy(out, at, updates, from);
    } else if (tensor_type_is_whole(out->type)) {
        uint64_t turn = out->type == TENSOR_U64 ? (uint64_t)1 << 63 : 0;
        number_store_whole(out, at,
                           merge_whole(merge, (uint64_t)number_load_whole(out, at),
                                       (uint64_t)number_load_whole(updates, from), turn));
    } else {
        number_store(out, at, merge_float(merge, number_load(out, at), number_load(updates, from)));
    }
}

static int elements_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int axis = 0;
    int rc = check_inputs(node, values, err);
    const struct shape *data = &values->in[0]->shape, *indices = &values->in[1]->shape;
    if (rc || (rc = rule_axis("axis", node_int(node, "axis", 0), data->rank, &axis, err)) ||
        (rc = rule_input(values, 1, "indices", TYPES_ALL, data->rank, data->rank, err)))
        return rc;
    for (int i = 0; i < data->rank; i++)
        if (i != axis && indices->dim[i] > data->dim[i])
            return error_set(err, ERROR_FORMAT, "indices", "dimension %d is %lld, of data %lld", i,
                             (long long)indices->dim[i], (long long)data->dim[i]);
    if (!shape_equal(indices, &values->in[2]->shape))
        return error_set(err, ERROR_FORMAT, "updates", "has not the shape of the indices");
    rule_output(values, 0, values->in[0]->type, data);
    return 0;
}

static int elements_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err)
{
    const struct shape *data = &in[0]->shape;
    enum merge merge = read_merge(node);
    int axis = concat_axis(node, data);
    int64_t step = shape_span(data, axis + 1, data->rank), index = 0;
    memcpy(out[0]->data, in[0]->data, tensor_bytes(out[0]));
    struct walk walk;
    gather_walk(&walk, &in[1]->shape, data, axis);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t i = 0; i < walk.row; i++) {
            int64_t from = walk.at[0] + i * walk.row_step[0];
            int rc = gather_index(node, in[1], from, data->dim[axis], &index, err);
            if (rc)
                return rc;
            int64_t to = walk.at[1] + i * walk.row_step[1] + index * step;
            merge_one(merge, out[0], to, in[2], from);
        }
    return 0;
}

static int nd_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct gather_nd nd;
    int rc = check_inputs(node, values, err);
    if (rc || (rc = gather_nd_span(&values->in[0]->shape, &values->in[1]->shape, 0, &nd, err)))
        return rc;
    if (!shape_equal(&nd.shape, &values->in[2]->shape)) {
        char wanted[128];
        shape_format(&nd.shape, wanted, sizeof wanted);
        return error_set(err, ERROR_FORMAT, "updates", "shape %s expected", wanted);
    }
    rule_output(values, 0, values->in[0]->type, &values->in[0]->shape);
    return 0;
}

static int nd_reference(const struct node *node, const struct tensor *const *in,
                        struct tensor *const *out, struct error *err)
{
    struct gather_nd nd;
    const struct shape *data = &in[0]->shape;
    enum merge merge = read_merge(node);
    int rc = gather_nd_span(data, &in[1]->shape, 0, &nd, err);
    memcpy(out[0]->data, in[0]->data, tensor_bytes(out[0]));
    for (int64_t i = 0; !rc && i < nd.tuples; i++) {
        int64_t piece = 0;
        rc = gather_nd_piece(node, &nd, data, in[1], i, &piece, err);
        for (int64_t k = 0; !rc && k < nd.piece; k++)
            merge_one(merge, out[0], piece * nd.piece + k, in[2], i * nd.piece + k);
    }
    return rc;
}
