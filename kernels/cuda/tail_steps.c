/* tail_steps: a map whose operands are seen in blocks (cuda/blocks.h). */
#include "cuda/tail.h"
#include "cuda/blocks.h"
#include <string.h>

static bool is_needed_besides(const struct cuda_build *build, int value);
static bool has_other(const struct cuda_build *build, const struct node *reader, int value);

const struct node *cuda_tail_reader(const struct cuda_build *build, const struct node *node)
{
    const struct graph *graph = build->graph;
    const struct node *reader = NULL;
    int value = node->outputs[0];
    if (strcmp(node->op->name, "DepthToSpace") != 0 ||
        cuda_info(build, value)->type != TENSOR_F32 || is_needed_besides(build, value))
        return NULL;
    for (int i = 0; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i].input_count; k++) {
            if (graph->nodes[i].inputs[k] != value)
                continue;
            if (reader && reader != &graph->nodes[i])
                return NULL;
            reader = &graph->nodes[i];
        }
    if (!reader || has_other(build, reader, value) ||
        !shape_equal(&cuda_info(build, value)->shape, &cuda_info(build, reader->outputs[0])->shape))
        return NULL;
    return reader;
}

static bool is_needed_besides(const struct cuda_build *build, int value)
{
    const struct graph *graph = build->graph;
    for (int i = 0; i < graph->state_count; i++)
        if (graph->values[graph->states[i]].next == value)
            return true;
    return cuda_info(build, value)->is_output;
}

/* A reader takes one; another could have blocks of another size. */
static bool has_other(const struct cuda_build *build, const struct node *reader, int value)
{
    for (int k = 0; k < reader->input_count; k++)
        if (reader->inputs[k] >= 0 && reader->inputs[k] != value &&
            build->values[reader->inputs[k]].later)
            return true;
    return false;
}

/* What it would read has one read more to come until then. */
int cuda_make_tail_later(struct cuda_build *build, const struct node *node, struct error *err)
{
    (void)err;
    build->values[node->outputs[0]].later = node;
    build->values[node->inputs[0]].reads_left++;
    return 0;
}

const struct node *cuda_tail_among(const struct cuda_build *build, const int *inputs, int count)
{
    for (int k = 0; k < count; k++)
        if (build->values[inputs[k]].later)
            return build->values[inputs[k]].later;
    return NULL;
}

int cuda_map_tail(struct cuda_build *build, const struct chain *chain, const int *inputs,
                  const int *outputs, struct error *err)
{
    struct cuda_place *places[CHAIN_INPUTS_MAX + CHAIN_OUTPUTS_MAX];
    struct view views[CHAIN_INPUTS_MAX + CHAIN_OUTPUTS_MAX], view;
    const struct node *node = cuda_tail_among(build, inputs, chain->input_count);
    const struct shape *shape = &chain->shape;
    struct blocks blocks = blocks_of(node, shape->dim[1]);
    int read[CHAIN_INPUTS_MAX], rc = 0;
    for (int k = 0; !rc && k < chain->input_count; k++) {
        bool deep = inputs[k] == node->outputs[0];
        read[k] = deep ? node->inputs[0] : inputs[k];
        rc = cuda_where(build, read[k], &places[k], err);
        if (rc)
            return rc;
        view = deep ? cuda_view(places[k]) : cuda_view_broadcast(places[k], shape);
        views[k] = deep ? blocks_see_deep(&view, &blocks) : blocks_see_wide(&view, &blocks);
    }
    for (int k = 0, o = chain->input_count; k < chain->output_count; k++, o++) {
        enum tensor_type type = cuda_result_type(build, outputs[k], read, chain->input_count);
        struct layout layout = cuda_leaves(build, outputs[k]) ? layout_dense(type, shape)
                                                              : layout_channels_last(type, shape);
        rc = cuda_output(build, outputs[k], &layout, &places[o], err);
        if (rc)
            return rc;
        view = cuda_view(places[o]);
        views[o] = blocks_see_wide(&view, &blocks);
    }
    build->values[node->inputs[0]].reads_left--;
    struct view order = views[chain->input_count];
    if (layout_is_dense(&places[chain->input_count]->layout))
        order = blocks_row_by_row(&order);
    return cuda_map_views(build, "tail", chain, places, views, &order, err);
}
