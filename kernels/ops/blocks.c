/* blocks: DepthToSpace and SpaceToDepth, which move squares of a picture into channels and back. */
#include "ops/families.h"
#include "ops/move.h"
#include "ops/rules.h"
#include "ops/walk.h"
#include <string.h>

#define BLOCK_MAX (1 << 15)

static int depth_to_space_shape(const struct node *node, const struct op_values *values,
                                struct error *err);
static int depth_to_space_reference(const struct node *node, const struct tensor *const *in,
                                    struct tensor *const *out, struct error *err);
static int space_to_depth_shape(const struct node *node, const struct op_values *values,
                                struct error *err);
static int space_to_depth_reference(const struct node *node, const struct tensor *const *in,
                                    struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    { OP_ROW("DepthToSpace", 1, 1, 1, OPSET_MIN, OPSET_MAX, depth_to_space_shape,
             depth_to_space_reference),
      .gradient = depth_to_space_gradient,
      OP_ATTRIBUTES({ "blocksize", ATTRIBUTE_INT }, { "mode", ATTRIBUTE_STRING }) },
    { OP_ROW("SpaceToDepth", 1, 1, 1, OPSET_MIN, OPSET_MAX, space_to_depth_shape,
             space_to_depth_reference),
      .gradient = space_to_depth_gradient, OP_ATTRIBUTES({ "blocksize", ATTRIBUTE_INT }) },
    /* The way back of DepthToSpace, in either of its modes; ONNX has it for DCR alone. */
    { OP_ROW("space_to_depth", 1, 1, 1, OPSET_OWN, OPSET_OWN, space_to_depth_shape,
             space_to_depth_reference),
      .gradient = space_to_depth_gradient,
      OP_ATTRIBUTES({ "blocksize", ATTRIBUTE_INT }, { "mode", ATTRIBUTE_STRING }) },
};
const struct op_family blocks_family = OP_FAMILY(rows);

static int read_block(const struct node *node, const struct op_values *values, int64_t *block,
                      struct error *err)
{
    *block = node_int(node, "blocksize", 0);
    if (*block < 1 || *block > BLOCK_MAX)
        return error_set(err, ERROR_FORMAT, "blocksize", "%lld is outside [1, %d]",
                         (long long)*block, BLOCK_MAX);
    return rule_input(values, 0, "input", TYPES_ALL, 4, 4, err);
}

static bool is_block_outer(const struct node *node)
{
    return strcmp(node_string(node, "mode", "DCR"), "DCR") == 0;
}

static int depth_to_space_shape(const struct node *node, const struct op_values *values,
                                struct error *err)
{
    int64_t block;
    int rc = read_block(node, values, &block, err);
    if (rc)
        return rc;
    const char *mode = node_string(node, "mode", "DCR");
    if (strcmp(mode, "DCR") != 0 && strcmp(mode, "CRD") != 0)
        return error_set(err, ERROR_FORMAT, "mode", "unknown word '%.32s'", mode);
    const int64_t *dim = values->in[0]->shape.dim;
    if (dim[1] % (block * block))
        return error_set(err, ERROR_FORMAT, "input", "%lld channels do not divide by %lld",
                         (long long)dim[1], (long long)(block * block));
    struct shape shape = {
        .rank = 4,
        .dim = { dim[0], dim[1] / (block * block), dim[2] * block, dim[3] * block },
    };
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

static int depth_to_space_reference(const struct node *node, const struct tensor *const *in,
                                    struct tensor *const *out, struct error *err)
{
    (void)err;
    const int64_t *dim = in[0]->shape.dim;
    int64_t block = node_int(node, "blocksize", 1), plane = dim[2] * dim[3];
    int64_t channels = dim[1] / (block * block);
    /* Output: batch, channel, row, row in block, column, column in block. In DCR the block is the
     * outer part of the input's channels, in CRD the inner. */
    bool outer = is_block_outer(node);
    int64_t block_step = outer ? channels * plane : plane;
    const struct shape shape = { .rank = 6,
                                 .dim = { dim[0], channels, dim[2], block, dim[3], block } };
    const int64_t steps[] = {
        dim[1] * plane, outer ? plane : block * block * plane, dim[3], block * block_step, 1,
        block_step
    };
    walk_fill(&shape, steps, in[0], out[0]);
    return 0;
}

static int space_to_depth_shape(const struct node *node, const struct op_values *values,
                                struct error *err)
{
    int64_t block;
    int rc = read_block(node, values, &block, err);
    if (rc)
        return rc;
    const int64_t *dim = values->in[0]->shape.dim;
    if (dim[2] % block || dim[3] % block)
        return error_set(err, ERROR_FORMAT, "input", "%lldx%lld do not divide by %lld",
                         (long long)dim[2], (long long)dim[3], (long long)block);
    struct shape shape = {
        .rank = 4,
        .dim = { dim[0], dim[1] * block * block, dim[2] / block, dim[3] / block },
    };
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

static int space_to_depth_reference(const struct node *node, const struct tensor *const *in,
                                    struct tensor *const *out, struct error *err)
{
    (void)err;
    const int64_t *dim = in[0]->shape.dim;
    int64_t block = node_int(node, "blocksize", 1), plane = dim[2] * dim[3];
    int64_t height = dim[2] / block, width = dim[3] / block;
    if (is_block_outer(node)) {
        const struct shape shape = { .rank = 6,
                                     .dim = { dim[0], block, block, dim[1], height, width } };
        const int64_t steps[] = { dim[1] * plane, dim[3], 1, plane, block * dim[3], block };
        walk_fill(&shape, steps, in[0], out[0]);
        return 0;
    }
    const struct shape shape = { .rank = 6, .dim = { dim[0], dim[1], block, block, height, width } };
    const int64_t steps[] = { dim[1] * plane, plane, dim[3], 1, block * dim[3], block };
    walk_fill(&shape, steps, in[0], out[0]);
    return 0;
}
