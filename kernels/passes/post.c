/* post: elementwise nodes that follow a convolution, matrix product or addition are carried out on
 * its output while that is still in the cache, instead of being nodes of their own. */
#include "passes/fused.h"
#include "passes/pass.h"
#include "passes/rewrite.h"

static int fuse_chain(struct graph *graph, const struct rewrite_uses *uses, int base,
                      struct error *err);
static bool read_post(const struct graph *graph, int base, int reader, int value,
                      struct pointwise *post, int *operand);
static bool operand_fits(const struct graph *graph, int base, int operand, const struct shape *out);

int pass_fuse_post(struct graph *graph, struct error *err)
{
    struct rewrite_uses uses;
    int rc = rewrite_take_uses(&uses, graph, err);
    for (int i = 0; !rc && i < graph->node_count; i++)
        if (fused_find(graph->nodes[i].op->name))
            rc = fuse_chain(graph, &uses, i, err);
    rewrite_free_uses(&uses);
    return rc ? rc : rewrite_finish(graph, err);
}

/* Follows the only readers of base's output for as long as they are pointwise. */
static int fuse_chain(struct graph *graph, const struct rewrite_uses *uses, int base,
                      struct error *err)
{
    struct pointwise posts[FUSED_POSTS_MAX];
    int operands[FUSED_POSTS_MAX];
    size_t post_count = 0, operand_count = 0;
    int value = graph->nodes[base].outputs[0];
    /* A node that went into another chain makes nothing any more. */
    if (graph->values[value].type != TENSOR_F32 || graph->values[value].producer != base)
        return 0;
    while (post_count < FUSED_POSTS_MAX) {
        int reader = rewrite_only_reader(graph, uses, value), operand = -1;
        if (reader < 0 || !read_post(graph, base, reader, value, &posts[post_count], &operand))
            break;
        if (operand >= 0)
            operands[operand_count++] = operand;
        post_count++;
        graph->values[value].producer = -1;
        value = graph->nodes[reader].outputs[0];
    }
    if (post_count == 0)
        return 0;
    rewrite_set_output(graph, base, 0, value);
    return fused_make(graph, base, posts, post_count, operands, err);
}

static bool read_post(const struct graph *graph, int base, int reader, int value,
                      struct pointwise *post, int *operand)
{
    const struct node *node = &graph->nodes[reader];
    if (!pointwise_from_node(graph, node, post) || !pointwise_may_follow(post->kind))
        return false;
    const struct shape *shape = &graph->values[value].shape;
    if (!shape_equal(shape, &graph->values[node->outputs[0]].shape))
        return false;
    if (!pointwise_takes_operand(post->kind))
        return true;
    if (node->inputs[0] == value)
        *operand = node->inputs[1];
    else if (pointwise_commutes(post->kind))
        *operand = node->inputs[0];
    else
        return false;
    return operand_fits(graph, base, *operand, shape);
}

/* An operand must be there when base runs and must not widen the output. */
static bool operand_fits(const struct graph *graph, int base, int operand, const struct shape *out)
{
    const struct value *value = &graph->values[operand];
    struct shape sum;
    return value->type == TENSOR_F32 && value->producer < base &&
           shape_broadcast(out, &value->shape, &sum) && shape_equal(&sum, out);
}
