/* attention_steps: finds attention in a graph and makes its step. */
#include "cpu/attention.h"
#include "cpu/build.h"
#include "cpu/parallel.h"
#include "ops/resolve.h"
#include "passes/rewrite.h"
#include <stdlib.h>
#include <string.h>

/* Fewer scores are not worth leaving oneDNN's products of matrices. */
#define SCORES_MIN ((int64_t)1 << 20)

enum { Q, K, V, INPUTS };

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

struct step_state {
    struct attention shape;
    int parts;
};

static bool is_attention(const struct graph *graph, const struct rewrite_uses *uses, int node,
                         int inputs[INPUTS], bool *turned);
static int find_softmax(const struct graph *graph, const struct rewrite_uses *uses,
                        const struct node *node, bool *turned);
static int only_producer(const struct graph *graph, const struct rewrite_uses *uses, int value);
static bool turns_last(const struct node *transpose, int rank);
static bool is_over_last(const struct graph *graph, const struct node *softmax);
static bool describe(const struct graph *graph, const int inputs[INPUTS], bool turned,
                     struct attention *shape);
static int replace(struct graph *graph, int index, const int inputs[INPUTS], bool turned,
                   struct error *err);
static int run(const struct cpu_step *step, struct error *err);
static void run_part(const void *arg, int part, int parts);

/* ---- in graphs ---- */

int attention_find(struct graph *graph, struct error *err)
{
    struct rewrite_uses uses;
    int inputs[INPUTS];
    bool turned;
    int rc = rewrite_take_uses(&uses, graph, err);
    for (int i = 0; !rc && i < graph->node_count; i++)
        if (is_attention(graph, &uses, i, inputs, &turned))
            rc = replace(graph, i, inputs, turned, err);
    rewrite_free_uses(&uses);
    return rc ? rc : rewrite_finish(graph, err);
}

/* index: of the second product. */
static bool is_attention(const struct graph *graph, const struct rewrite_uses *uses, int index,
                         int inputs[INPUTS], bool *turned)
{
    struct attention shape;
    if (!rewrite_is_op(graph, index, "MatMul"))
        return false;
    const struct node *node = &graph->nodes[index];
    int softmax = find_softmax(graph, uses, node, turned);
    if (softmax < 0 || !is_over_last(graph, &graph->nodes[softmax]))
        return false;
    int product = only_producer(graph, uses, graph->nodes[softmax].inputs[0]);
    if (!rewrite_is_op(graph, product, "MatMul"))
        return false;
    inputs[Q] = graph->nodes[product].inputs[0];
    inputs[K] = graph->nodes[product].inputs[1];
    inputs[V] = node->inputs[*turned ? 0 : 1];
    return describe(graph, inputs, *turned, &shape) && attention_suits(&shape) &&
           shape.rows * shape.keys >= SCORES_MIN;
}

/* turned: the product is v times the turned Softmax. */
static int find_softmax(const struct graph *graph, const struct rewrite_uses *uses,
                        const struct node *node, bool *turned)
{
    int softmax = only_producer(graph, uses, node->inputs[0]);
    *turned = !rewrite_is_op(graph, softmax, "Softmax");
    if (!*turned)
        return softmax;
    int transpose = only_producer(graph, uses, node->inputs[1]);
    if (!rewrite_is_op(graph, transpose, "Transpose") ||
        !turns_last(&graph->nodes[transpose], graph->values[node->inputs[1]].shape.rank))
        return -1;
    softmax = only_producer(graph, uses, graph->nodes[transpose].inputs[0]);
    return rewrite_is_op(graph, softmax, "Softmax") ? softmax : -1;
}

/* The node that makes a value for one other node alone; -1: there is none. */
static int only_producer(const struct graph *graph, const struct rewrite_uses *uses, int value)
{
    return rewrite_only_reader(graph, uses, value) < 0 ? -1 : graph->values[value].producer;
}

static bool turns_last(const struct node *transpose, int rank)
{
    const int64_t *order;
    if (node_ints(transpose, "perm", &order) == 0)
        return rank == 2;
    for (int d = 0; d < rank; d++)
        if (order[d] != (d < rank - 2 ? d : 2 * rank - 3 - d))
            return false;
    return rank >= 2;
}

static bool is_over_last(const struct graph *graph, const struct node *softmax)
{
    const struct shape *shape = &graph->values[softmax->inputs[0]].shape;
    int64_t outer, size, inner;
    softmax_span(softmax, shape, &outer, &size, &inner);
    return inner == 1 && size == shape->dim[shape->rank - 1];
}

/* False unless all three are floats of as many dimensions, whose leading ones are the same. */
static bool describe(const struct graph *graph, const int inputs[INPUTS], bool turned,
                     struct attention *shape)
{
    const struct value *q = &graph->values[inputs[Q]];
    int rank = q->shape.rank;
    *shape = (struct attention){ .batch = 1 };
    for (int i = 0; i < INPUTS; i++) {
        const struct value *value = &graph->values[inputs[i]];
        if (value->type != TENSOR_F32 || value->shape.rank != rank || rank < 2)
            return false;
        for (int d = 0; d < rank - 2; d++)
            if (value->shape.dim[d] != q->shape.dim[d])
                return false;
    }
    for (int d = 0; d < rank - 2; d++)
        shape->batch *= q->shape.dim[d];
    shape->rows = q->shape.dim[rank - 2];
    shape->depth = q->shape.dim[rank - 1];
    shape->keys = graph->values[inputs[K]].shape.dim[rank - 1];
    shape->columns = graph->values[inputs[V]].shape.dim[turned ? rank - 2 : rank - 1];
    return true;
}

static int replace(struct graph *graph, int index, const int inputs[INPUTS], bool turned,
                   struct error *err)
{
    struct node *node = &graph->nodes[index];
    const struct attribute attribute = { .name = (char *)"turned", .kind = ATTRIBUTE_INT, .i = turned };
    int *list = calloc(INPUTS, sizeof *list);
    if (!list)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    memcpy(list, inputs, INPUTS * sizeof *list);
    free(node->inputs);
    node->inputs = list;
    node->input_count = INPUTS;
    node->op = &attention_op;
    int rc = graph_add_attribute(graph, index, &attribute, err);
    return rc < 0 ? rc : 0;
}

/* ---- the step ---- */

/* Turned, v and the result have their columns in the last dimension but one: there they are innermost, so
 * that memory is the same in both cases. */
int build_attention(struct build *build, const struct node *node, struct error *err)
{
    const struct value *out = build_info(build, node->outputs[0]);
    const struct value *v = build_info(build, node->inputs[V]);
    int last = out->shape.rank - 1;
    bool turned = node_int(node, "turned", 0);
    struct step_state state;
    describe(build->graph, node->inputs, turned, &state.shape);
    struct layout layout = layout_innermost(TENSOR_F32, &v->shape, turned ? last - 1 : last);
    struct cpu_place *places[INPUTS + 2]; /* the result, scores */
    int rc = build_want_dense(build, node->inputs[Q], &places[Q], err);
    if (!rc)
        rc = build_want_dense(build, node->inputs[K], &places[K], err);
    if (!rc)
        rc = build_want(build, node->inputs[V], &layout, &places[V], err);
    layout = layout_innermost(TENSOR_F32, &out->shape, turned ? last - 1 : last);
    if (!rc)
        rc = build_output(build, node->outputs[0], &layout, &places[INPUTS], err);
    state.parts = build->device->threads;
    struct shape room = { .rank = 2, .dim = { state.parts, ATTENTION_ROWS * state.shape.keys } };
    layout = layout_dense(TENSOR_F32, &room);
    if (!rc)
        rc = build_new_place(build, &layout, &places[INPUTS + 1], err);
    struct step_state *kept = rc ? NULL : malloc(sizeof *kept);
    if (!rc && !kept)
        rc = error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    if (rc)
        return rc;
    *kept = state;
    rc = build_c_step(build, "attention", run, kept, places, INPUTS + 2, err);
    if (!rc)
        build_set_flop(build, 2 * (uint64_t)(state.shape.batch * state.shape.rows * state.shape.keys *
                                             (state.shape.depth + state.shape.columns)));
    return rc;
}

static int run(const struct cpu_step *step, struct error *err)
{
    (void)err;
    parallel_run(((const struct step_state *)step->state)->parts, run_part, step);
    return 0;
}

static void run_part(const void *arg, int part, int parts)
{
    const struct cpu_step *step = arg;
    const struct step_state *state = step->state;
    float *scores = step->places[INPUTS + 1]->data;
    attention_run(&state->shape, step->places[Q]->data, step->places[K]->data, step->places[V]->data,
                  scores + (int64_t)part * ATTENTION_ROWS * state->shape.keys, part, parts,
                  step->places[INPUTS]->data);
}
