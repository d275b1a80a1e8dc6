/* chain: a row like those of the op table. The program is in the node's attributes: "links" has four
 * numbers for each (kind and three registers), "parameters" two (alpha and beta), "outputs" the
 * registers that are written out, "shape" what the inputs broadcast to. */
#include "passes/chain.h"
#include <assert.h>
#include <limits.h>
#include <string.h>

#define NUMBERS (1 + POINTWISE_INPUTS_MAX) /* of a link */

static int chain_shape(const struct node *node, const struct op_values *values, struct error *err);
static int chain_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);
static void read_steps(const struct shape *operand, const struct shape *shape, int64_t *steps);

const struct op chain_op = {
    .name = "chain",
    .inputs_min = 1,
    .inputs_max = CHAIN_INPUTS_MAX,
    .outputs_min = 1,
    .outputs_max = CHAIN_OUTPUTS_MAX,
    .opset_max = INT_MAX,
    .shape = chain_shape,
    .reference = chain_reference,
};

int chain_add_link(struct chain *chain, const struct pointwise *function, const int *in)
{
    assert(chain->link_count < CHAIN_LINKS_MAX);
    struct chain_link *link = &chain->links[chain->link_count];
    link->function = *function;
    for (int i = 0; i < POINTWISE_INPUTS_MAX; i++)
        link->in[i] = i < pointwise_input_count(function->kind) ? in[i] : -1;
    return chain->input_count + chain->link_count++;
}

int chain_make(struct graph *graph, const char *name, const struct chain *chain, const int *inputs,
               const int *outputs, struct error *err)
{
    int64_t links[CHAIN_LINKS_MAX * NUMBERS], registers[CHAIN_OUTPUTS_MAX];
    float parameters[CHAIN_LINKS_MAX * 2];
    size_t count = (size_t)chain->link_count;
    for (size_t i = 0; i < count; i++) {
        const struct chain_link *link = &chain->links[i];
        links[i * NUMBERS] = link->function.kind;
        for (int k = 0; k < POINTWISE_INPUTS_MAX; k++)
            links[i * NUMBERS + 1 + (size_t)k] = link->in[k];
        parameters[i * 2] = link->function.alpha;
        parameters[i * 2 + 1] = link->function.beta;
    }
    for (int i = 0; i < chain->output_count; i++)
        registers[i] = chain->outputs[i];
    int node = graph_add_node(graph, &chain_op, name, inputs, chain->input_count, outputs,
                              chain->output_count, err);
    const struct attribute lists[] = {
        { .name = (char *)"links", .kind = ATTRIBUTE_INTS, .ints = links, .count = count * NUMBERS },
        { .name = (char *)"parameters",
          .kind = ATTRIBUTE_FLOATS,
          .floats = parameters,
          .count = count * 2 },
        { .name = (char *)"outputs",
          .kind = ATTRIBUTE_INTS,
          .ints = registers,
          .count = (size_t)chain->output_count },
        { .name = (char *)"shape",
          .kind = ATTRIBUTE_INTS,
          .ints = (int64_t *)chain->shape.dim,
          .count = (size_t)chain->shape.rank },
    };
    for (size_t i = 0; node >= 0 && i < sizeof lists / sizeof *lists; i++) {
        int rc = graph_add_attribute(graph, node, &lists[i], err);
        if (rc < 0)
            return rc;
    }
    return node;
}

void chain_read(const struct node *node, struct chain *chain)
{
    const struct attribute *links = node_attribute(node, "links");
    const struct attribute *parameters = node_attribute(node, "parameters");
    const struct attribute *outputs = node_attribute(node, "outputs");
    const struct attribute *shape = node_attribute(node, "shape");
    assert(links && parameters && outputs && shape && node->input_count <= CHAIN_INPUTS_MAX &&
           links->count <= (size_t)CHAIN_LINKS_MAX * NUMBERS && outputs->count <= CHAIN_OUTPUTS_MAX);
    *chain = (struct chain){ .input_count = node->input_count,
                             .output_count = (int)outputs->count,
                             .shape = { .rank = (int)shape->count } };
    for (size_t i = 0; i < shape->count; i++)
        chain->shape.dim[i] = shape->ints[i];
    for (size_t i = 0; i < outputs->count; i++)
        chain->outputs[i] = (int)outputs->ints[i];
    for (size_t i = 0; i * NUMBERS < links->count; i++) {
        struct pointwise function = { .kind = (enum pointwise_kind)links->ints[i * NUMBERS],
                                      .alpha = parameters->floats[i * 2],
                                      .beta = parameters->floats[i * 2 + 1],
                                      .operand = -1 };
        int in[POINTWISE_INPUTS_MAX];
        for (int k = 0; k < POINTWISE_INPUTS_MAX; k++)
            in[k] = (int)links->ints[i * NUMBERS + 1 + (size_t)k];
        chain_add_link(chain, &function, in);
    }
}

static int chain_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct chain chain;
    chain_read(node, &chain);
    for (int i = 0; i < node->input_count; i++) {
        struct shape sum;
        if (values->in[i]->type != TENSOR_F32 ||
            !shape_broadcast(&chain.shape, &values->in[i]->shape, &sum) ||
            !shape_equal(&sum, &chain.shape))
            return error_set(err, ERROR_FORMAT, node->op->name,
                             "node '%s': input %d does not broadcast to its shape", node->name, i);
    }
    for (int i = 0; i < node->output_count; i++) {
        values->out[i]->type = TENSOR_F32;
        values->out[i]->shape = chain.shape;
    }
    return 0;
}

/* One element after the other, with an index for each dimension. */
static int chain_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    (void)err;
    struct chain chain;
    int64_t steps[CHAIN_INPUTS_MAX][SHAPE_RANK_MAX], at[CHAIN_INPUTS_MAX] = { 0 };
    int64_t index[SHAPE_RANK_MAX] = { 0 };
    float registers[CHAIN_REGISTERS_MAX];
    chain_read(node, &chain);
    for (int k = 0; k < chain.input_count; k++)
        read_steps(&in[k]->shape, &chain.shape, steps[k]);
    for (int64_t i = 0, count = shape_elements(&chain.shape); i < count; i++) {
        for (int k = 0; k < chain.input_count; k++)
            registers[k] = ((const float *)in[k]->data)[at[k]];
        for (int k = 0; k < chain.link_count; k++) {
            const struct chain_link *link = &chain.links[k];
            float arguments[POINTWISE_INPUTS_MAX] = { 0 };
            for (int a = 0; a < POINTWISE_INPUTS_MAX && link->in[a] >= 0; a++)
                arguments[a] = registers[link->in[a]];
            registers[chain.input_count + k] = pointwise_compute(&link->function, arguments);
        }
        for (int k = 0; k < chain.output_count; k++)
            ((float *)out[k]->data)[i] = registers[chain.outputs[k]];
        bool carried = true;
        for (int d = chain.shape.rank - 1; d >= 0 && carried; d--) {
            carried = ++index[d] == chain.shape.dim[d];
            for (int k = 0; k < chain.input_count; k++)
                at[k] += carried ? -steps[k][d] * (index[d] - 1) : steps[k][d];
            index[d] = carried ? 0 : index[d];
        }
    }
    return 0;
}

/* A dimension that the operand lacks or has as 1 does not move in it. */
static void read_steps(const struct shape *operand, const struct shape *shape, int64_t *steps)
{
    int64_t step = 1;
    for (int d = shape->rank - 1, o = operand->rank - 1; d >= 0; d--, o--) {
        steps[d] = o < 0 || operand->dim[o] == 1 ? 0 : step;
        step *= o < 0 ? 1 : operand->dim[o];
    }
}
