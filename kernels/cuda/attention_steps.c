/* attention_steps: which attention of a graph has a kernel, and its step. */
#include "cuda/attention.h"
#include "cuda/iterate.h"
#include "cuda/kernel_step.h"
#include "cuda/makers.h"
#include "ops/resolve.h"
#include "passes/attention.h"
#include "passes/fused.h"
#include "passes/rewrite.h"
#include <assert.h>
#include <stddef.h>

static cuda_maker make_attention;

static const struct cuda_row rows[] = {
    { "attention", make_attention },
};
const struct cuda_family cuda_attention_family = CUDA_FAMILY(rows);

static attention_accepts accepts;
static bool read_scale(const struct graph *graph, const struct node *scores, float *scale);
static struct attention describe(const struct node *node,
                                 struct cuda_place *const places[ATTENTION_INPUTS + 1]);

static void launch_attention(const void *args, void *stream)
{
    attention_tiles(args, attention_blocks(args), stream);
}

/* ---- in graphs ---- */

int cuda_find_attention(struct graph *graph, struct error *err)
{
    return attention_fuse(graph, accepts, err);
}

static bool accepts(const struct graph *graph, const struct attention_found *found,
                    struct attribute *attribute)
{
    const struct shape *out = &graph->values[graph->nodes[found->result].outputs[0]].shape;
    *attribute = (struct attribute){ .name = (char *)"scale", .kind = ATTRIBUTE_FLOAT };
    return !found->turned && read_scale(graph, &graph->nodes[found->product], &attribute->f) &&
           out->dim[out->rank - 1] <= ATTENTION_VALUES_MAX;
}

/* A product with nothing behind it, or a constant factor or divisor. */
static bool read_scale(const struct graph *graph, const struct node *scores, float *scale)
{
    struct pointwise posts[FUSED_POSTS_MAX];
    *scale = 1;
    size_t count = fused_get_posts(scores, posts);
    if (count == 0)
        return true;
    if (count > 1 || (posts[0].kind != POINTWISE_MUL && posts[0].kind != POINTWISE_DIV) ||
        !rewrite_scalar(graph, scores->inputs[posts[0].operand], scale))
        return false;
    if (posts[0].kind == POINTWISE_DIV)
        *scale = 1 / *scale;
    return true;
}

/* ---- the step ---- */

static int make_attention(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct cuda_place *places[ATTENTION_INPUTS + 1];
    int to = node->outputs[0], rc = 0;
    struct layout layout = layout_dense(cuda_product_type(build, to), &cuda_info(build, to)->shape);
    for (int k = 0; !rc && k < ATTENTION_INPUTS; k++)
        rc = cuda_where(build, node->inputs[k], &places[k], err);
    if (!rc)
        rc = cuda_output(build, to, &layout, &places[ATTENTION_INPUTS], err);
    if (rc)
        return rc;
    struct attention args = describe(node, places);
    uint64_t flop = 2u * (uint64_t)args.batch * (uint64_t)args.rows * (uint64_t)args.keys *
                    (uint64_t)(args.depth + args.columns);
    struct kernel_step step = kernel_begin(launch_attention, &args, sizeof args);
    kernel_read(&step, places[ATTENTION_Q], offsetof(struct attention, q.data));
    kernel_read(&step, places[ATTENTION_K], offsetof(struct attention, k.data));
    kernel_read(&step, places[ATTENTION_V], offsetof(struct attention, v.data));
    kernel_write(&step, places[ATTENTION_INPUTS], offsetof(struct attention, to.data));
    rc = kernel_add(build, &step, "attention", err);
    if (!rc)
        cuda_set_flop(build, flop);
    return rc;
}

/* The leading dimensions as those of the result, and the steps of the last two. */
static struct view split_view(const struct cuda_place *place, const struct shape *batch,
                              int64_t steps[2])
{
    struct cuda_place leading = *place;
    int rank = leading.layout.shape.rank -= 2;
    steps[0] = place->layout.stride[rank];
    steps[1] = place->layout.stride[rank + 1];
    return cuda_view_broadcast(&leading, batch);
}

static struct attention describe(const struct node *node,
                                 struct cuda_place *const places[ATTENTION_INPUTS + 1])
{
    struct matmul_span span;
    struct shape batch = places[ATTENTION_INPUTS]->layout.shape;
    int64_t to_step[2];
    bool goes =
        matmul_span(&places[ATTENTION_Q]->layout.shape, &places[ATTENTION_K]->layout.shape, &span);
    assert(goes);
    struct attention attention = {
        .rows = (int32_t)span.m,
        .keys = (int32_t)span.n,
        .depth = (int32_t)span.k,
        .columns = (int32_t)batch.dim[batch.rank - 1],
        .scale = node_float(node, "scale", 1),
    };
    batch.rank -= 2;
    attention.batch = (int32_t)shape_elements(&batch);
    attention.q = split_view(places[ATTENTION_Q], &batch, attention.q_step);
    attention.k = split_view(places[ATTENTION_K], &batch, attention.k_step);
    attention.v = split_view(places[ATTENTION_V], &batch, attention.v_step);
    attention.to = split_view(places[ATTENTION_INPUTS], &batch, to_step);
    iterate_join((struct view *const[]){ &attention.to, &attention.q, &attention.k, &attention.v },
                 4);
    return attention;
}
