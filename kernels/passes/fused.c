/* fused: rows like those of the op table. A fused node carries the base op's attributes, so shape and
 * reference hand over to the base row and go on from there. */
#include "passes/fused.h"
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define OPSET_ANY INT_MAX

static int fused_shape(const struct node *node, const struct op_values *values, struct error *err);
static int fused_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);
static struct node base_node(const struct node *node);
static void apply_post(const struct pointwise *post, const struct tensor *operand,
                       struct tensor *out);

#define ROW(fused_name, base_name, inputs)           \
    {                                                \
        .op = { .name = fused_name,                  \
                .inputs_min = 2,                     \
                .inputs_max = GRAPH_NODE_INPUTS_MAX, \
                .outputs_min = 1,                    \
                .outputs_max = 1,                    \
                .opset_max = OPSET_ANY,              \
                .shape = fused_shape,                \
                .reference = fused_reference },      \
        .base = base_name, .base_inputs = inputs     \
    }

static const struct fused_op rows[] = {
    ROW("conv_fused", "Conv", 3),     ROW("conv_transpose_fused", "ConvTranspose", 3),
    ROW("matmul_fused", "MatMul", 2), ROW("gemm_fused", "Gemm", 3),
    ROW("add_fused", "Add", 2),       ROW("sub_fused", "Sub", 2),
    ROW("mul_fused", "Mul", 2),       ROW("div_fused", "Div", 2),
};

const struct fused_op *fused_find(const char *base)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].base, base) == 0)
            return &rows[i];
    return NULL;
}

const struct fused_op *fused_of(const struct op *op)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (&rows[i].op == op)
            return &rows[i];
    return NULL;
}

const char *fused_base_name(const struct op *op)
{
    const struct fused_op *fused = fused_of(op);
    return fused ? fused->base : op->name;
}

size_t fused_get_posts(const struct node *node, struct pointwise posts[FUSED_POSTS_MAX])
{
    if (!fused_of(node->op))
        return 0;
    const struct attribute *kinds = node_attribute(node, "post_kinds");
    const struct attribute *operands = node_attribute(node, "post_operands");
    const struct attribute *alpha = node_attribute(node, "post_alpha");
    const struct attribute *beta = node_attribute(node, "post_beta");
    assert(kinds && operands && alpha && beta && kinds->count <= FUSED_POSTS_MAX);
    for (size_t i = 0; i < kinds->count; i++)
        posts[i] = (struct pointwise){ .kind = (enum pointwise_kind)kinds->ints[i],
                                       .operand = (int)operands->ints[i],
                                       .alpha = alpha->floats[i],
                                       .beta = beta->floats[i] };
    return kinds->count;
}

int fused_make(struct graph *graph, int index, struct pointwise *posts, size_t post_count,
               const int *operands, struct error *err)
{
    struct node *node = &graph->nodes[index];
    const struct fused_op *fused = fused_find(node->op->name);
    assert(fused && post_count <= FUSED_POSTS_MAX && node->input_count <= fused->base_inputs);

    int *inputs = calloc((size_t)fused->base_inputs + post_count, sizeof *inputs);
    if (!inputs)
        return error_set(err, ERROR_MEMORY, "pass", "no memory left");
    int input_count = 0;
    while (input_count < fused->base_inputs) {
        inputs[input_count] = input_count < node->input_count ? node->inputs[input_count] : -1;
        input_count++;
    }
    int64_t kind_list[FUSED_POSTS_MAX], operand_list[FUSED_POSTS_MAX];
    float alpha_list[FUSED_POSTS_MAX], beta_list[FUSED_POSTS_MAX];
    for (size_t i = 0; i < post_count; i++) {
        posts[i].operand = -1;
        if (pointwise_takes_operand(posts[i].kind)) {
            posts[i].operand = input_count;
            inputs[input_count++] = *operands++;
        }
        kind_list[i] = posts[i].kind;
        operand_list[i] = posts[i].operand;
        alpha_list[i] = posts[i].alpha;
        beta_list[i] = posts[i].beta;
    }
    free(node->inputs);
    node->inputs = inputs;
    node->input_count = input_count;
    node->op = &fused->op;

    struct attribute lists[] = {
        { .name = "post_kinds", .kind = ATTRIBUTE_INTS, .ints = kind_list },
        { .name = "post_operands", .kind = ATTRIBUTE_INTS, .ints = operand_list },
        { .name = "post_alpha", .kind = ATTRIBUTE_FLOATS, .floats = alpha_list },
        { .name = "post_beta", .kind = ATTRIBUTE_FLOATS, .floats = beta_list },
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        lists[i].count = post_count;
        int rc = graph_add_attribute(graph, index, &lists[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int fused_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct node base = base_node(node);
    struct op_values base_values = *values;
    int first_operand = fused_of(node->op)->base_inputs;
    for (int i = first_operand; i < node->input_count; i++)
        base_values.in[i] = NULL;
    int rc = base.op->shape(&base, &base_values, err);
    if (rc)
        return rc;
    for (int i = first_operand; i < node->input_count; i++) {
        struct shape sum;
        if (!shape_broadcast(&values->out[0]->shape, &values->in[i]->shape, &sum) ||
            !shape_equal(&sum, &values->out[0]->shape))
            return error_set(err, ERROR_FORMAT, node->op->name,
                             "node '%s': operand %d does not fit the output", node->name, i);
    }
    return 0;
}

static int fused_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    struct node base = base_node(node);
    int rc = base.op->reference(&base, in, out, err);
    if (rc)
        return rc;
    struct pointwise posts[FUSED_POSTS_MAX];
    size_t count = fused_get_posts(node, posts);
    for (size_t i = 0; i < count; i++)
        apply_post(&posts[i], posts[i].operand < 0 ? NULL : in[posts[i].operand], out[0]);
    return 0;
}

/* The node as its base op knows it; borrows everything. */
static struct node base_node(const struct node *node)
{
    const struct fused_op *fused = fused_of(node->op);
    assert(fused && node->input_count >= fused->base_inputs);
    struct node base = *node;
    base.op = op_find(fused->base, 0);
    base.input_count = fused->base_inputs;
    while (base.input_count > base.op->inputs_min && base.inputs[base.input_count - 1] < 0)
        base.input_count--;
    return base;
}

/* Walks the output in order with an index per dimension; a dimension that the operand lacks or has
 * as 1 does not move in it. */
static void apply_post(const struct pointwise *post, const struct tensor *operand, struct tensor *out)
{
    float *data = out->data;
    const float *other = operand ? operand->data : NULL;
    int rank = out->shape.rank;
    int64_t step[SHAPE_RANK_MAX] = { 0 }, index[SHAPE_RANK_MAX] = { 0 };
    if (operand) {
        int64_t stride = 1;
        for (int d = rank - 1, o = operand->shape.rank - 1; o >= 0; d--, o--) {
            step[d] = operand->shape.dim[o] == 1 ? 0 : stride;
            stride *= operand->shape.dim[o];
        }
    }
    int64_t at = 0;
    for (int64_t i = 0, count = shape_elements(&out->shape); i < count; i++) {
        data[i] = pointwise_apply(post, data[i], other ? other[at] : 0);
        for (int d = rank - 1; d >= 0; d--) {
            at += step[d];
            if (++index[d] < out->shape.dim[d])
                break;
            at -= step[d] * index[d];
            index[d] = 0;
        }
    }
}
