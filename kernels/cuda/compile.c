/* compile: makes a plan of a graph. The graph is copied, inferred and rewritten by the passes; then each
 * node in turn is given to the maker for its op. */
#include "cuda/attention.h"
#include "cuda/conv_parts.h"
#include "cuda/copy.h"
#include "cuda/forms.h"
#include "cuda/makers.h"
#include "cuda/tail.h"
#include "passes/fused.h"
#include "passes/pass.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const struct cuda_family *const families[] = {
    &cuda_conv_family,      &cuda_matmul_family, &cuda_map_family,       &cuda_each_family,
    &cuda_move_family,      &cuda_pool_family,   &cuda_resize_family,    &cuda_reduce_family,
    &cuda_normalise_family, &cuda_loss_family,   &cuda_optimise_family,  &cuda_picture_family,
    &cuda_labels_family,    &cuda_boxes_family,  &cuda_attention_family,
};

static int choose_arithmetic(struct cuda_build *build, enum precision precision, struct error *err);
static int prepare_graph(struct cuda_build *build, const struct graph *graph,
                         const struct plan_options *options, struct error *err);
static int start_values(struct cuda_build *build, struct error *err);
static int start_input(struct cuda_build *build, size_t index, struct error *err);
static void mark_leaving(struct cuda_build *build);
static bool multiplies(const struct node *node);
static int make_node(struct cuda_build *build, const struct node *node, struct error *err);
static cuda_maker *find_maker(const struct node *node);
static int finish_output(struct cuda_build *build, size_t index, struct error *err);
static int finish_state(struct cuda_build *build, int state, struct error *err);

int cuda_compile(struct device *device, const struct graph *graph,
                 const struct plan_options *options, struct plan **plan, struct error *err)
{
    struct cuda_build build = { .device = (struct cuda_device *)device };
    int rc = choose_arithmetic(&build, options->precision, err);
    if (rc)
        return rc;
    build.plan = calloc(1, sizeof *build.plan);
    if (!build.plan)
        return cuda_no_memory(err);
    build.plan->plan.device = device;
    build.plan->gpu = build.device->gpu;
    build.plan->precision = options->precision;
    rc = prepare_graph(&build, graph, options, err);
    if (!rc)
        rc = plan_describe(&build.plan->plan, build.graph, err);
    if (!rc)
        rc = start_values(&build, err);
    for (int i = 0; !rc && i < build.graph->node_count; i++)
        rc = make_node(&build, &build.graph->nodes[i], err);
    for (size_t i = 0; !rc && i < (size_t)build.graph->output_count; i++)
        rc = finish_output(&build, i, err);
    for (int i = 0; !rc && i < build.graph->state_count; i++)
        rc = finish_state(&build, build.graph->states[i], err);
    if (!rc)
        rc = cuda_plan_finish(build.plan, err);
    for (int v = 0; build.values && v < build.graph->value_count; v++)
        free(build.values[v].versions);
    free(build.values);
    if (rc) {
        cuda_plan_free(&build.plan->plan);
        return rc;
    }
    *plan = &build.plan->plan;
    return 0;
}

static int choose_arithmetic(struct cuda_build *build, enum precision precision, struct error *err)
{
    const struct gpu_facts *facts = &build->device->facts;
    build->precision = precision;
    build->arithmetic = TENSOR_F32;
    switch (precision) {
    case PRECISION_F32:
        return 0;
    case PRECISION_TF32:
        return facts->tf32 ? 0
                           : error_set(err, ERROR_UNSUPPORTED, "cuda",
                                       "%s (compute capability %d.%d) has no tf32 arithmetic; use "
                                       "f32 or f16",
                                       facts->name, facts->major, facts->minor);
    case PRECISION_F16:
        build->arithmetic = TENSOR_F16;
        return 0;
    case PRECISION_BF16:
        build->arithmetic = TENSOR_BF16;
        return facts->bf16 ? 0
                           : error_set(err, ERROR_UNSUPPORTED, "cuda",
                                       "%s (compute capability %d.%d) has no bf16 arithmetic; use "
                                       "f16",
                                       facts->name, facts->major, facts->minor);
    default:
        return error_set(err, ERROR_UNSUPPORTED, "cuda", "there is no %s on a GPU; use tf32",
                         precision_word(precision));
    }
}

static int prepare_graph(struct cuda_build *build, const struct graph *graph,
                         const struct plan_options *options, struct error *err)
{
    int rc = graph_clone(&build->plan->graph, graph, err);
    if (rc)
        return rc;
    build->graph = build->plan->graph;
    rc = graph_infer(build->graph, options->input_shapes, err);
    if (!rc)
        rc = pass_run_all(build->graph, err);
    return rc ? rc : cuda_find_attention(build->graph, err);
}

/* Counts readers, and gives inputs and states their places. */
static int start_values(struct cuda_build *build, struct error *err)
{
    struct graph *graph = build->graph;
    build->values = calloc((size_t)graph->value_count + 1, sizeof *build->values);
    if (!build->values)
        return cuda_no_memory(err);
    for (int i = 0; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i].input_count; k++)
            if (graph->nodes[i].inputs[k] >= 0)
                build->values[graph->nodes[i].inputs[k]].reads_left++;
    for (int i = 0; i < graph->output_count; i++)
        build->values[graph->outputs[i]].reads_left++;
    for (int i = 0; i < graph->state_count; i++) {
        int next = graph->values[graph->states[i]].next;
        if (next >= 0)
            build->values[next].reads_left++;
    }
    mark_leaving(build);
    int rc = 0;
    struct cuda_place *place;
    for (size_t i = 0; !rc && i < (size_t)graph->input_count; i++)
        rc = start_input(build, i, err);
    for (int i = 0; !rc && i < graph->state_count; i++)
        rc = cuda_where(build, graph->states[i], &place, err);
    return rc;
}

static int start_input(struct cuda_build *build, size_t index, struct error *err)
{
    int value = build->graph->inputs[index];
    const struct value *info = cuda_info(build, value);
    struct layout layout = layout_dense(info->type, &info->shape);
    struct cuda_place *place;
    int rc = cuda_output(build, value, &layout, &place, err);
    if (rc)
        return rc;
    build->plan->buffers[place->buffer].kind = CUDA_BUFFER_INPUT;
    build->plan->buffers[place->buffer].external = index;
    return 0;
}

/* From the outputs back: a value leaves if all that it goes into does. */
static void mark_leaving(struct cuda_build *build)
{
    const struct graph *graph = build->graph;
    for (int v = 0; v < graph->value_count; v++)
        build->values[v].leaves = true;
    for (int i = graph->node_count - 1; i >= 0; i--) {
        const struct node *node = &graph->nodes[i];
        bool leave = !multiplies(node);
        for (int k = 0; leave && k < node->output_count; k++)
            leave = node->outputs[k] < 0 || cuda_leaves(build, node->outputs[k]);
        for (int k = 0; !leave && k < node->input_count; k++)
            if (node->inputs[k] >= 0 && !cuda_info(build, node->inputs[k])->is_output)
                build->values[node->inputs[k]].leaves = false;
    }
}

/* True of what computes in build->arithmetic. */
static bool multiplies(const struct node *node)
{
    static const struct cuda_family *const products[] = { &cuda_conv_family, &cuda_matmul_family,
                                                          &cuda_attention_family };
    const char *name = fused_base_name(node->op);
    for (size_t f = 0; f < sizeof products / sizeof *products; f++)
        for (size_t i = 0; i < products[f]->count; i++)
            if (strcmp(products[f]->rows[i].op, name) == 0)
                return true;
    return false;
}

/* bf16 and the like in a graph are what a file says: what a plan stores narrow of its own accord is still
 * f32 here. */
static int check_type(struct cuda_build *build, int value, struct error *err)
{
    static const unsigned known = 1u << TENSOR_F32 | 1u << TENSOR_I64 | 1u << TENSOR_I32 |
                                  1u << TENSOR_I8 | 1u << TENSOR_U8 | 1u << TENSOR_BOOL;
    if (value < 0 || known & 1u << cuda_info(build, value)->type)
        return 0;
    return error_set(err, ERROR_UNSUPPORTED, "cuda", "%s of '%s' computes with %s, which a GPU does not here",
                     build->op, build->name, tensor_type_word(cuda_info(build, value)->type));
}

static int check_types(struct cuda_build *build, const struct node *node, struct error *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < node->input_count; i++)
        rc = check_type(build, node->inputs[i], err);
    for (int i = 0; !rc && i < node->output_count; i++)
        rc = check_type(build, node->outputs[i], err);
    return rc;
}

static int make_node(struct cuda_build *build, const struct node *node, struct error *err)
{
    int output = -1;
    for (int k = 0; k < node->output_count && output < 0; k++)
        output = node->outputs[k];
    build->op = node->op->name;
    build->name = node->name;
    build->shape = output < 0 ? (struct shape){ 0 } : cuda_info(build, output)->shape;
    int rc = check_types(build, node, err);
    if (!rc)
        rc = cuda_check_form(build, node, err);
    if (rc)
        return rc;
    const struct node *reader = cuda_tail_reader(build, node);
    cuda_maker *make = reader && cuda_is_map(build, reader) ? cuda_make_tail_later
                       : conv_is_left(build, node)          ? conv_make_later
                                                            : find_maker(node);
    rc = make(build, node, err);
    for (int k = 0; k < node->input_count; k++)
        if (node->inputs[k] >= 0)
            build->values[node->inputs[k]].reads_left--;
    return rc;
}

static cuda_maker *find_maker(const struct node *node)
{
    const char *name = fused_base_name(node->op);
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        for (size_t i = 0; i < families[f]->count; i++)
            if (strcmp(families[f]->rows[i].op, name) == 0)
                return families[f]->rows[i].make;
    return fused_of(node->op) ? cuda_make_binary /* the other bases are additions and the like */
                              : cuda_make_pointwise;
}

/* Outputs are row-major in memory of their own. What a step left in such a form is simply made the
 * output's memory, everything else is copied. */
static int finish_output(struct cuda_build *build, size_t index, struct error *err)
{
    int value = build->graph->outputs[index];
    const struct value *info = cuda_info(build, value);
    struct layout dense = layout_dense(info->type, &info->shape);
    build->op = "output";
    build->name = info->name;
    build->shape = info->shape;
    struct cuda_place *place;
    int rc = cuda_want(build, value, &dense, &place, err);
    if (rc)
        return rc;
    struct cuda_buffer *buffer = &build->plan->buffers[place->buffer];
    if (buffer->kind == CUDA_BUFFER_ARENA && place->offset_bytes == 0 &&
        buffer->bytes == layout_bytes(&dense)) {
        buffer->kind = CUDA_BUFFER_OUTPUT;
        buffer->external = index;
        return 0;
    }
    struct cuda_place *output;
    rc = cuda_new_place(build, &dense, &output, err);
    if (!rc)
        rc = cuda_copy(build, place, output, err);
    if (rc)
        return rc;
    build->plan->buffers[output->buffer].kind = CUDA_BUFFER_OUTPUT;
    build->plan->buffers[output->buffer].external = index;
    return 0;
}

/* What a state takes on is copied into it when all steps have been, unless the step that made it has
 * written it there (cuda_renew). */
static int finish_state(struct cuda_build *build, int state, struct error *err)
{
    const struct value *info = cuda_info(build, state);
    struct cuda_place *from, *to;
    if (info->next < 0)
        return 0;
    build->op = "state";
    build->name = info->name;
    build->shape = info->shape;
    int rc = cuda_where(build, state, &to, err);
    if (!rc)
        rc = cuda_where(build, info->next, &from, err);
    if (rc || from == to)
        return rc;
    if (build->plan->buffers[from->buffer].kind == CUDA_BUFFER_STATE)
        return error_set(err, ERROR_UNSUPPORTED, "state", "'%s' would take on another state",
                         info->name);
    rc = cuda_want_dense(build, info->next, info->type, &from, err);
    return rc ? rc : cuda_copy(build, from, to, err);
}
