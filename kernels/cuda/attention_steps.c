/* attention_steps: finds attention in a graph and makes its step. */
#include "cuda/attention.h"
#include "cuda/iterate.h"
#include "cuda/kernel_step.h"
#include "cuda/makers.h"
#include "ops/resolve.h"
#include "passes/fused.h"
#include "passes/rewrite.h"
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { Q, K, V, INPUTS };

static cuda_maker make_attention;

static const struct cuda_row rows[] = {
    { "attention", make_attention },
};
const struct cuda_family cuda_attention_family = CUDA_FAMILY(rows);

/* Its node takes the place of others after inference, so that it needs no rule for shapes. */
static const struct op attention_op = {
    .name = "attention",
    .inputs_min = INPUTS,
    .inputs_max = INPUTS,
    .outputs_min = 1,
    .outputs_max = 1,
    .opset_min = OPSET_OWN,
    .opset_max = OPSET_OWN,
    .heavy = true,
};

static bool is_attention(const struct graph *graph, const struct rewrite_uses *uses, int node,
                         int inputs[INPUTS], float *scale);
static int only_producer(const struct graph *graph, const struct rewrite_uses *uses, int value);
static bool read_scale(const struct graph *graph, const struct node *scores, float *scale);
static bool is_over_last(const struct graph *graph, const struct node *softmax);
static int replace(struct graph *graph, int index, const int inputs[INPUTS], float scale,
                   struct error *err);
static struct attention describe(const struct node *node,
                                 struct cuda_place *const places[INPUTS + 1]);

static void launch_attention(const void *args, void *stream)
{
    attention_tiles(args, attention_blocks(args), stream);
}

/* ---- in graphs ---- */

int cuda_find_attention(struct graph *graph, struct error *err)
{
    struct rewrite_uses uses;
    int inputs[INPUTS];
    float scale;
    int rc = rewrite_take_uses(&uses, graph, err);
    for (int i = 0; !rc && i < graph->node_count; i++)
        if (is_attention(graph, &uses, i, inputs, &scale))
            rc = replace(graph, i, inputs, scale, err);
    rewrite_free_uses(&uses);
    return rc ? rc : rewrite_finish(graph, err);
}

/* index: of the second product. */
static bool is_attention(const struct graph *graph, const struct rewrite_uses *uses, int index,
                         int inputs[INPUTS], float *scale)
{
    if (!rewrite_is_op(graph, index, "MatMul"))
        return false;
    const struct node *node = &graph->nodes[index];
    int softmax = only_producer(graph, uses, node->inputs[0]);
    if (!rewrite_is_op(graph, softmax, "Softmax") || !is_over_last(graph, &graph->nodes[softmax]))
        return false;
    int product = only_producer(graph, uses, graph->nodes[softmax].inputs[0]);
    if (product < 0 || !read_scale(graph, &graph->nodes[product], scale))
        return false;
    inputs[Q] = graph->nodes[product].inputs[0];
    inputs[K] = graph->nodes[product].inputs[1];
    inputs[V] = node->inputs[1];
    for (int k = 0; k < INPUTS; k++)
        if (graph->values[inputs[k]].shape.rank < 2)
            return false;
    const struct shape *out = &graph->values[node->outputs[0]].shape;
    return out->dim[out->rank - 1] <= ATTENTION_VALUES_MAX;
}

/* The node that makes a value for one other node alone; -1: there is none. */
static int only_producer(const struct graph *graph, const struct rewrite_uses *uses, int value)
{
    return rewrite_only_reader(graph, uses, value) < 0 ? -1 : graph->values[value].producer;
}

/* A product with nothing behind it, or a constant factor or divisor. */
static bool read_scale(const struct graph *graph, const struct node *scores, float *scale)
{
    struct pointwise posts[FUSED_POSTS_MAX];
    *scale = 1;
    if (strcmp(fused_base_name(scores->op), "MatMul") != 0)
        return false;
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

static bool is_over_last(const struct graph *graph, const struct node *softmax)
{
    const struct shape *shape = &graph->values[softmax->inputs[0]].shape;
    int64_t outer, size, inner;
    softmax_span(softmax, shape, &outer, &size, &inner);
    return inner == 1 && size == shape->dim[shape->rank - 1];
}

static int replace(struct graph *graph, int index, const int inputs[INPUTS], float scale,
                   struct error *err)
{
    struct node *node = &graph->nodes[index];
    const struct attribute attribute = { .name = (char *)"scale", .kind = ATTRIBUTE_FLOAT, .f = scale };
    int *list = calloc(INPUTS, sizeof *list);
    if (!list)
        return cuda_no_memory(err);
    memcpy(list, inputs, INPUTS * sizeof *list);
    free(node->inputs);
    node->inputs = list;
    node->input_count = INPUTS;
    node->op = &attention_op;
    int rc = graph_add_attribute(graph, index, &attribute, err);
    return rc < 0 ? rc : 0;
}

/* ---- the step ---- */

static int make_attention(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct cuda_place *places[INPUTS + 1];
    int to = node->outputs[0], rc = 0;
    struct layout layout = layout_dense(cuda_product_type(build, to), &cuda_info(build, to)->shape);
    for (int k = 0; !rc && k < INPUTS; k++)
        rc = cuda_where(build, node->inputs[k], &places[k], err);
    if (!rc)
        rc = cuda_output(build, to, &layout, &places[INPUTS], err);
    if (rc)
        return rc;
    struct attention args = describe(node, places);
    uint64_t flop = 2u * (uint64_t)args.batch * (uint64_t)args.rows * (uint64_t)args.keys *
                    (uint64_t)(args.depth + args.columns);
    struct kernel_step step = kernel_begin(launch_attention, &args, sizeof args);
    kernel_read(&step, places[Q], offsetof(struct attention, q.data));
    kernel_read(&step, places[K], offsetof(struct attention, k.data));
    kernel_read(&step, places[V], offsetof(struct attention, v.data));
    kernel_write(&step, places[INPUTS], offsetof(struct attention, to.data));
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

static struct attention describe(const struct node *node, struct cuda_place *const places[INPUTS + 1])
{
    struct matmul_span span;
    struct shape batch = places[INPUTS]->layout.shape;
    int64_t to_step[2];
    bool goes = matmul_span(&places[Q]->layout.shape, &places[K]->layout.shape, &span);
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
    attention.q = split_view(places[Q], &batch, attention.q_step);
    attention.k = split_view(places[K], &batch, attention.k_step);
    attention.v = split_view(places[V], &batch, attention.v_step);
    attention.to = split_view(places[INPUTS], &batch, to_step);
    iterate_join((struct view *const[]){ &attention.to, &attention.q, &attention.k, &attention.v },
                 4);
    return attention;
}
