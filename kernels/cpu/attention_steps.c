/* attention_steps: which attention of a graph is worth a step of its own, and that step. */
#include "cpu/attention.h"
#include "cpu/build.h"
#include "cpu/parallel.h"
#include "passes/attention.h"
#include "passes/rewrite.h"
#include <stdlib.h>

/* Fewer scores are not worth leaving oneDNN's products of matrices. */
#define SCORES_MIN ((int64_t)1 << 20)

struct step_state {
    struct attention shape;
    int parts;
};

static attention_accepts accepts;
static bool describe(const struct graph *graph, const int inputs[ATTENTION_INPUTS], bool turned,
                     struct attention *shape);
static int run(const struct cpu_step *step, struct error *err);
static void run_part(const void *arg, int part, int parts);

/* ---- in graphs ---- */

int attention_find(struct graph *graph, struct error *err)
{
    return attention_fuse(graph, accepts, err);
}

static bool accepts(const struct graph *graph, const struct attention_found *found,
                    struct attribute *attribute)
{
    struct attention shape;
    *attribute =
        (struct attribute){ .name = (char *)"turned", .kind = ATTRIBUTE_INT, .i = found->turned };
    return rewrite_is_op(graph, found->product, "MatMul") &&
           describe(graph, found->inputs, found->turned, &shape) && attention_suits(&shape) &&
           shape.rows * shape.keys >= SCORES_MIN;
}

/* False unless all three are floats of as many dimensions, whose leading ones are the same. */
static bool describe(const struct graph *graph, const int inputs[ATTENTION_INPUTS], bool turned,
                     struct attention *shape)
{
    const struct value *q = &graph->values[inputs[ATTENTION_Q]];
    int rank = q->shape.rank;
    *shape = (struct attention){ .batch = 1 };
    for (int i = 0; i < ATTENTION_INPUTS; i++) {
        const struct value *value = &graph->values[inputs[i]];
        if (value->type != TENSOR_F32 || value->shape.rank != rank)
            return false;
        for (int d = 0; d < rank - 2; d++)
            if (value->shape.dim[d] != q->shape.dim[d])
                return false;
    }
    for (int d = 0; d < rank - 2; d++)
        shape->batch *= q->shape.dim[d];
    shape->rows = q->shape.dim[rank - 2];
    shape->depth = q->shape.dim[rank - 1];
    shape->keys = graph->values[inputs[ATTENTION_K]].shape.dim[rank - 1];
    shape->columns = graph->values[inputs[ATTENTION_V]].shape.dim[turned ? rank - 2 : rank - 1];
    return true;
}

/* ---- the step ---- */

/* Turned, v and the result have their columns in the last dimension but one: there they are innermost, so
 * that memory is the same in both cases. */
int build_attention(struct build *build, const struct node *node, struct error *err)
{
    const struct value *out = build_info(build, node->outputs[0]);
    const struct value *v = build_info(build, node->inputs[ATTENTION_V]);
    int last = out->shape.rank - 1;
    bool turned = node_int(node, "turned", 0);
    struct step_state state;
    describe(build->graph, node->inputs, turned, &state.shape);
    struct layout layout = layout_innermost(TENSOR_F32, &v->shape, turned ? last - 1 : last);
    struct cpu_place *places[ATTENTION_INPUTS + 2]; /* the result, scores */
    int rc = build_want_dense(build, node->inputs[ATTENTION_Q], &places[ATTENTION_Q], err);
    if (!rc)
        rc = build_want_dense(build, node->inputs[ATTENTION_K], &places[ATTENTION_K], err);
    if (!rc)
        rc = build_want(build, node->inputs[ATTENTION_V], &layout, &places[ATTENTION_V], err);
    layout = layout_innermost(TENSOR_F32, &out->shape, turned ? last - 1 : last);
    if (!rc)
        rc = build_output(build, node->outputs[0], &layout, &places[ATTENTION_INPUTS], err);
    state.parts = build->device->threads;
    struct shape room = { .rank = 2, .dim = { state.parts, ATTENTION_ROWS * state.shape.keys } };
    layout = layout_dense(TENSOR_F32, &room);
    if (!rc)
        rc = build_new_place(build, &layout, &places[ATTENTION_INPUTS + 1], err);
    struct step_state *kept = rc ? NULL : malloc(sizeof *kept);
    if (!rc && !kept)
        rc = error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    if (rc)
        return rc;
    *kept = state;
    rc = build_c_step(build, "attention", run, kept, places, ATTENTION_INPUTS + 2, err);
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
    float *scores = step->places[ATTENTION_INPUTS + 1]->data;
    attention_run(&state->shape, step->places[ATTENTION_Q]->data, step->places[ATTENTION_K]->data,
                  step->places[ATTENTION_V]->data,
                  scores + (int64_t)part * ATTENTION_ROWS * state->shape.keys, part, parts,
                  step->places[ATTENTION_INPUTS]->data);
}
