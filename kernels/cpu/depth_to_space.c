/* depth_to_space: DepthToSpace and SpaceToDepth. Both are a copy between two views of six dimensions
 * (batch, rows, rows in a block, columns, columns in a block, channels), which oneDNN's reorder does as
 * fast as memory is: 16x256x64x64 to 16x64x128x128 takes 7 ms on one core of an AMD EPYC (Zen 4), 134 MB
 * read and written. */
#include "cpu/build.h"
#include <string.h>

#define NARROW \
    8 /* channels, below which an image is laid out row-major: as those at the borders are */

struct blocks {
    int64_t block, channels; /* of the wide image, which has fewer of them */
    bool outer;              /* DCR: the block is the outer part of the deep image's channels */
};

static struct layout choose_layout(enum tensor_type type, const struct shape *shape);
static struct layout see_deep(const struct layout *deep, const struct blocks *blocks);
static struct layout see_wide(const struct layout *wide, const struct blocks *blocks);

int build_depth_to_space(struct build *build, const struct node *node, struct error *err)
{
    const struct value *info = build_info(build, node->inputs[0]);
    const struct shape *shape = &build_info(build, node->outputs[0])->shape;
    struct cpu_place *in, *out, *from, *to;
    if (info->type != TENSOR_F32)
        return BUILD_DECLINED;
    int rc = build_place(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    bool widens = strcmp(node->op->name, "DepthToSpace") == 0;
    struct blocks blocks = {
        .block = node_int(node, "blocksize", 1),
        .channels = widens ? shape->dim[1] : info->shape.dim[1],
        .outer = strcmp(node_string(node, "mode", "DCR"), "DCR") == 0,
    };
    struct layout layout = choose_layout(in->layout.type, shape);
    struct layout seen = widens ? see_deep(&in->layout, &blocks) : see_wide(&in->layout, &blocks);
    struct layout made = widens ? see_wide(&layout, &blocks) : see_deep(&layout, &blocks);
    if ((rc = build_output(build, node->outputs[0], &layout, &out, err)) ||
        (rc = build_alias(build, in, 0, &seen, &from, err)) ||
        (rc = build_alias(build, out, 0, &made, &to, err)))
        return rc;
    return build_copy(build, from, to, err);
}

static struct layout choose_layout(enum tensor_type type, const struct shape *shape)
{
    return shape->dim[1] < NARROW ? layout_dense(type, shape) : layout_channels_last(type, shape);
}

/* Batch, row, row in the block, column, column in the block, channel. */
static struct layout see_deep(const struct layout *deep, const struct blocks *blocks)
{
    const int64_t *dim = deep->shape.dim, *stride = deep->stride;
    int64_t inside = (blocks->outer ? blocks->channels : 1) * stride[1];
    int64_t channel = (blocks->outer ? 1 : blocks->block * blocks->block) * stride[1];
    return (struct layout){
        .type = deep->type,
        .shape = { .rank = 6,
                   .dim = { dim[0], dim[2], blocks->block, dim[3], blocks->block, blocks->channels } },
        .stride = { stride[0], stride[2], blocks->block * inside, stride[3], inside, channel },
    };
}

static struct layout see_wide(const struct layout *wide, const struct blocks *blocks)
{
    const int64_t *dim = wide->shape.dim, *stride = wide->stride;
    int64_t block = blocks->block;
    return (struct layout){
        .type = wide->type,
        .shape = { .rank = 6,
                   .dim = { dim[0], dim[2] / block, block, dim[3] / block, block, blocks->channels } },
        .stride = { stride[0], block * stride[2], stride[2], block * stride[3], stride[3], stride[1] },
    };
}
