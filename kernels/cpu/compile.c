/* compile: makes a plan of a graph. The graph is copied, inferred and rewritten by the passes; then
 * each node in turn is given to the maker for its op, or to the reference kernel where there is no
 * maker or the maker declines. */
#include "cpu/attention.h"
#include "cpu/build.h"
#include "passes/fused.h"
#include "passes/pass.h"
#include <assert.h>
#include <float.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define DROP_BYTES_MIN 4096 /* of fewer, looking costs more than it saves */

static const struct {
    const char *op; /* base name for fused ones */
    build_fn *make;
} makers[] = {
    { "Conv", build_convolution },
    { "ConvTranspose", build_convolution },
    { "conv_grad_input", build_conv_grad_input },
    { "conv_grad_weights", build_conv_grad_weights },
    { "MatMul", build_matmul },
    { "Gemm", build_gemm },
    { "PRelu", build_prelu },
    { "MaxPool", build_pool },
    { "AveragePool", build_pool },
    { "GlobalAveragePool", build_global_pool },
    { "GlobalMaxPool", build_global_pool },
    { "DepthToSpace", build_depth_to_space },
    { "SpaceToDepth", build_depth_to_space },
    { "space_to_depth", build_depth_to_space },
    { "max_pool_grad", build_max_pool_grad },
    { "average_pool_grad", build_average_pool_grad },
    { "Resize", build_resize },
    { "Upsample", build_resize },
    { "resize_grad", build_resize_grad },
    { "Softmax", build_softmax },
    { "Where", build_where },
    { "attention", build_attention },
    { "chain", build_chain },
    { "Expand", build_expand },
    { "sum_to", build_sum_to },
    { "ReduceSum", build_reduce },
    { "ReduceMean", build_reduce },
    { "Reshape", build_reshape },
    { "Squeeze", build_reshape },
    { "Unsqueeze", build_reshape },
    { "Flatten", build_reshape },
    { "Identity", build_reshape },
    { "Dropout", build_reshape },
    { "Transpose", build_transpose },
    { "Slice", build_slice },
    { "Split", build_split },
    { "Gather", build_gather },
    { "Concat", build_concat },
    { "Pad", build_pad },
    { "QuantizeLinear", build_quantise },
    { "DequantizeLinear", build_dequantise },
    { "QLinearConv", build_conv_int8 },
    { "conv_int8", build_conv_int8 },
    { "QLinearMatMul", build_matmul_int8 },
    { "matmul_int8", build_matmul_int8 },
    { "add_int8", build_binary_int8 },
    { "mul_int8", build_binary_int8 },
    { "average_int8", build_average_int8 },
    { "table_int8", build_table_int8 },
    { "slice_grad", build_slice_grad },
    { "gather_grad", build_gather_grad },
    { "pad_grad", build_pad_grad },
    { "sgd", build_sgd },
    { "adam", build_adam },
    { "moving_average", build_moving_average },
    { "sum_squares", build_sum_squares },
    { "batch_norm_train", build_batch_norm_train },
    { "batch_norm_grad", build_batch_norm_grad },
    { "SoftmaxCrossEntropyLoss", build_cross_entropy },
    { "softmax_cross_entropy_grad", build_cross_entropy_grad },
    { "LogSoftmax", build_log_softmax },
    { "softmax_grad", build_softmax_grad },
    { "log_softmax_grad", build_log_softmax_grad },
    { "InstanceNormalization", build_instance_norm },
    { "LayerNormalization", build_layer_norm },
    { "instance_norm_grad", build_instance_norm_grad },
    { "layer_norm_grad", build_layer_norm_grad },
};

static int prepare_graph(struct build *build, const struct graph *graph,
                         const struct plan_options *options, struct error *err);
static int start_values(struct build *build, struct error *err);
static void mark_leaving(struct build *build);
static bool multiplies(const struct graph *graph, const struct node *node);
static int make_node(struct build *build, const struct node *node, struct error *err);
static bool has_tiny_weights(const struct graph *graph);
static void drop_read_constant(struct build *build, int value);
static build_fn *find_maker(const struct graph *graph, const struct node *node);
static int finish_outputs(struct build *build, struct error *err);
static int finish_output(struct build *build, size_t index, struct error *err);
static int finish_states(struct build *build, struct error *err);
static int finish_state(struct build *build, int state, struct error *err);
static void drop_unused_constants(struct build *build);

int cpu_compile(struct device *device, const struct graph *graph,
                const struct plan_options *options, struct plan **plan, struct error *err)
{
    struct cpu_device *cpu = (struct cpu_device *)device;
    if (options->precision == PRECISION_TF32 || options->precision == PRECISION_F16)
        return error_set(err, ERROR_UNSUPPORTED, "cpu", "there is no %s on a processor; use %s",
                         precision_word(options->precision), cpu->bf16 ? "bf16 or f32" : "f32");
    if (options->precision != PRECISION_F32 && !cpu->bf16)
        return error_set(err, ERROR_UNSUPPORTED, "cpu",
                         "this processor has no bf16 arithmetic; use f32");
    omp_set_num_threads(cpu->threads); /* oneDNN divides the work when it makes a primitive */
    struct build build = {
        .device = cpu,
        .arithmetic = options->precision == PRECISION_BF16 ? TENSOR_BF16 : TENSOR_F32,
        .splits = options->precision == PRECISION_BF16X3,
    };
    build.plan = calloc(1, sizeof *build.plan);
    if (!build.plan)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    build.plan->plan.device = device;
    int rc = prepare_graph(&build, graph, options, err);
    if (!rc)
        rc = plan_describe(&build.plan->plan, build.graph, err);
    if (!rc)
        rc = start_values(&build, err);
    for (int i = 0; !rc && i < build.graph->node_count; i++)
        rc = make_node(&build, &build.graph->nodes[i], err);
    if (!rc)
        rc = finish_outputs(&build, err);
    if (!rc)
        rc = finish_states(&build, err);
    if (!rc)
        rc = cpu_plan_finish(build.plan, err);
    if (!rc)
        drop_unused_constants(&build);

    for (int v = 0; build.values && v < build.graph->value_count; v++) {
        free(build.values[v].versions);
        free(build.values[v].splits);
    }
    free(build.values);
    if (rc) {
        cpu_plan_free(&build.plan->plan);
        return rc;
    }
    *plan = &build.plan->plan;
    return 0;
}

static int prepare_graph(struct build *build, const struct graph *graph,
                         const struct plan_options *options, struct error *err)
{
    int rc = graph_clone(&build->plan->graph, graph, err);
    if (rc)
        return rc;
    build->graph = build->plan->graph;
    rc = graph_infer(build->graph, options->input_shapes, err);
    if (!rc && build->device->bytes)
        rc = pass_quantise(build->graph, err);
    if (!rc)
        rc = pass_run_all(build->graph, err);
    build->plan->drops_tiny = !rc && has_tiny_weights(build->graph);
    return rc ? rc : attention_find(build->graph, err);
}

/* Weights that are next to nothing beside any other number, of convolutions and products: sums of them are
 * below the smallest normal number, for which Intel's processors take a hundred times as long. twinlitenet
 * is full of them: 914 ms a picture, 175 with its smallest weights 0, and 76 with whatever becomes so small
 * 0 as well. */
static bool has_tiny_weights(const struct graph *graph)
{
    for (int i = 0; i < graph->node_count; i++) {
        const struct node *node = &graph->nodes[i];
        int weights = node->input_count > 1 && multiplies(graph, node) ? node->inputs[1] : -1;
        const struct tensor *held = weights < 0 ? NULL : &graph->values[weights].constant;
        if (!held || !held->data || held->type != TENSOR_F32)
            continue;
        const float *data = held->data;
        for (int64_t k = 0, count = shape_elements(&held->shape); k < count; k++)
            if (data[k] != 0 && fabsf(data[k]) < FLT_MIN)
                return true;
    }
    return false;
}

/* Counts readers and gives the inputs of the graph their places. */
static int start_values(struct build *build, struct error *err)
{
    struct graph *graph = build->graph;
    build->values = calloc((size_t)graph->value_count + 1, sizeof *build->values);
    if (!build->values)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
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
    for (int i = 0; i < graph->input_count; i++) {
        const struct value *value = &graph->values[graph->inputs[i]];
        struct layout layout = layout_dense(value->type, &value->shape);
        int rc = build_external(build, graph->inputs[i], (size_t)i, &layout, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* From the outputs back: a value leaves if all that it goes into does. */
static void mark_leaving(struct build *build)
{
    const struct graph *graph = build->graph;
    for (int v = 0; v < graph->value_count; v++)
        build->values[v].leaves = true;
    for (int i = graph->node_count - 1; i >= 0; i--) {
        const struct node *node = &graph->nodes[i];
        bool leave = !multiplies(graph, node);
        for (int k = 0; leave && k < node->output_count; k++)
            leave = node->outputs[k] < 0 || build_leaves(build, node->outputs[k]);
        for (int k = 0; !leave && k < node->input_count; k++)
            if (node->inputs[k] >= 0 && !build_info(build, node->inputs[k])->is_output)
                build->values[node->inputs[k]].leaves = false;
    }
}

/* True of what computes in build->arithmetic. */
static bool multiplies(const struct graph *graph, const struct node *node)
{
    build_fn *make = find_maker(graph, node);
    return make == build_convolution || make == build_conv_grad_input ||
           make == build_conv_grad_weights || make == build_matmul || make == build_gemm;
}

static int make_node(struct build *build, const struct node *node, struct error *err)
{
    build->op = node->op->name;
    build->name = node->name;
    build->shape =
        node->outputs[0] < 0 ? (struct shape){ 0 } : build_info(build, node->outputs[0])->shape;
    build_fn *make = find_maker(build->graph, node);
    int rc = make ? make(build, node, err) : BUILD_DECLINED;
    if (rc == BUILD_DECLINED)
        rc = build_reference(build, node, err);
    for (int k = 0; k < node->input_count; k++)
        if (node->inputs[k] >= 0 && --build->values[node->inputs[k]].reads_left == 0 && !rc)
            drop_read_constant(build, node->inputs[k]);
    return rc;
}

/* Weights that no step reads in the form of the file need no memory any more: rearranged ones of all layers
 * beside those of the file would be twice as much at the end. */
static void drop_read_constant(struct build *build, int value)
{
    const struct build_value *state = &build->values[value];
    struct tensor *constant = &build->graph->values[value].constant;
    struct cpu_plan *plan = build->plan;
    if (!constant->data || state->version_count == 0 || tensor_bytes(constant) < DROP_BYTES_MIN)
        return;
    int root = cpu_root(plan, state->versions[0]->buffer, NULL);
    if (plan->buffers[root].kind != CPU_BUFFER_CONSTANT ||
        plan->buffers[root].data != constant->data || build_reads(build, state->versions[0]) > 0)
        return;
    for (int s = 0; s < plan->step_count; s++)
        for (int p = 0; p < plan->steps[s].place_count; p++)
            if (cpu_root(plan, plan->steps[s].places[p]->buffer, NULL) == root)
                return;
    tensor_free(constant);
    plan->buffers[root].data = NULL;
}

/* Types that no maker knows. (bf16 and the like in a graph are what a file says: what a plan stores
 * narrow of its own accord is still f32 here.) */
static bool rare_type(const struct graph *graph, int value)
{
    static const unsigned known = 1u << TENSOR_F32 | 1u << TENSOR_I64 | 1u << TENSOR_I32 |
                                  1u << TENSOR_I8 | 1u << TENSOR_U8 | 1u << TENSOR_BOOL;
    return value >= 0 && !(known & 1u << graph->values[value].type);
}

static bool has_rare_type(const struct graph *graph, const struct node *node)
{
    for (int i = 0; i < node->input_count; i++)
        if (rare_type(graph, node->inputs[i]))
            return true;
    for (int i = 0; i < node->output_count; i++)
        if (rare_type(graph, node->outputs[i]))
            return true;
    return false;
}

/* NULL when only the reference kernel will do, as for tensors without elements. */
static build_fn *find_maker(const struct graph *graph, const struct node *node)
{
    if (has_rare_type(graph, node))
        return NULL;
    if (node->outputs[0] < 0 || shape_elements(&graph->values[node->outputs[0]].shape) == 0 ||
        (node->input_count > 0 && node->inputs[0] >= 0 &&
         shape_elements(&graph->values[node->inputs[0]].shape) == 0))
        return NULL;
    const char *name = fused_base_name(node->op);
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++)
        if (strcmp(makers[i].op, name) == 0)
            return makers[i].make;
    struct pointwise pointwise;
    if (fused_of(node->op))
        return build_binary; /* the other bases are additions and the like */
    if (!pointwise_from_node(graph, node, &pointwise))
        return NULL;
    if (!pointwise_may_follow(pointwise.kind))
        return build_pointwise;
    return pointwise_takes_operand(pointwise.kind) ? build_binary : build_unary;
}

/* Outputs are row-major in memory of their own. What a step left in such a form is simply made the
 * output's memory, everything else is copied. */
static int finish_outputs(struct build *build, struct error *err)
{
    for (size_t i = 0; i < (size_t)build->graph->output_count; i++) {
        int rc = finish_output(build, i, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int finish_output(struct build *build, size_t index, struct error *err)
{
    int value = build->graph->outputs[index];
    const struct value *info = build_info(build, value);
    struct layout dense = layout_dense(info->type, &info->shape);
    build->op = "output";
    build->name = info->name;
    build->shape = info->shape;
    struct cpu_place *place;
    int rc = build_want(build, value, &dense, &place, err);
    if (rc)
        return rc;
    uint64_t offset;
    int root = cpu_root(build->plan, place->buffer, &offset);
    struct cpu_buffer *buffer = &build->plan->buffers[root];
    if (buffer->kind == CPU_BUFFER_ARENA && offset + place->offset_bytes == 0 &&
        buffer->bytes == layout_bytes(&dense)) {
        buffer->kind = CPU_BUFFER_OUTPUT;
        buffer->external = index;
        return 0;
    }
    struct cpu_place *output;
    rc = build_new_place(build, &dense, &output, err);
    if (!rc)
        rc = build_copy(build, place, output, err);
    if (rc)
        return rc;
    build->plan->buffers[output->buffer].kind = CPU_BUFFER_OUTPUT;
    build->plan->buffers[output->buffer].external = index;
    return 0;
}

/* What a state takes on is copied into it when all steps have been, unless the step that made it has
 * written it there (build_renew). */
static int finish_states(struct build *build, struct error *err)
{
    for (int i = 0; i < build->graph->state_count; i++) {
        int rc = finish_state(build, build->graph->states[i], err);
        if (rc)
            return rc;
    }
    return 0;
}

static int finish_state(struct build *build, int state, struct error *err)
{
    const struct value *info = build_info(build, state);
    struct cpu_place *from, *to;
    if (info->next < 0)
        return 0;
    build->op = "state";
    build->name = info->name;
    build->shape = info->shape;
    int rc = build_place(build, state, &to, err);
    if (!rc)
        rc = build_place(build, info->next, &from, err);
    if (rc || from == to)
        return rc;
    rc = build_want_dense(build, info->next, &from, err);
    if (rc)
        return rc;
    if (build->plan->buffers[cpu_root(build->plan, from->buffer, NULL)].kind == CPU_BUFFER_STATE)
        return error_set(err, ERROR_UNSUPPORTED, "state", "'%s' would take on another state",
                         info->name);
    return build_copy(build, from, to, err);
}

/* Weights that no step reads in the form of the file, mostly because they were rearranged. */
static void drop_unused_constants(struct build *build)
{
    struct cpu_plan *plan = build->plan;
    for (int v = 0; v < build->graph->value_count; v++)
        if (build->values[v].version_count == 0)
            tensor_free(&build->graph->values[v].constant);
    for (int i = 0; i < plan->buffer_count; i++) {
        struct cpu_buffer *buffer = &plan->buffers[i];
        if (buffer->kind != CPU_BUFFER_CONSTANT || buffer->first_step >= 0)
            continue;
        if (buffer->owned)
            free(buffer->data);
        else if (buffer->data)
            tensor_free(&build->graph->values[buffer->external].constant);
        buffer->data = NULL;
        plan->plan.weight_bytes -= buffer->bytes;
    }
}
