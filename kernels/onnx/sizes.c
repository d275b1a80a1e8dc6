/* sizes: what a file calls the sizes that it leaves open. */
#include "onnx/reader.h"
#include <string.h>

static int name_value(struct graph *graph, int value, const Onnx__ValueInfoProto *proto,
                      struct error *err);

/* The graph's inputs are the file's in the same order, without those that are constants. */
int onnx_name_sizes(struct graph *graph, const Onnx__GraphProto *proto, struct error *err)
{
    int rc = 0, at = 0;
    for (size_t i = 0; !rc && i < proto->n_input && at < graph->input_count; i++)
        if (strcmp(onnx_text(proto->input[i]->name), graph->values[graph->inputs[at]].name) == 0)
            rc = name_value(graph, graph->inputs[at++], proto->input[i], err);
    for (int i = 0; !rc && i < graph->output_count; i++)
        if (!graph->values[graph->outputs[i]].is_input)
            rc = name_value(graph, graph->outputs[i], proto->output[i], err);
    return rc;
}

static int name_value(struct graph *graph, int value, const Onnx__ValueInfoProto *proto,
                      struct error *err)
{
    const char *names[SHAPE_RANK_MAX] = { NULL };
    const struct shape *shape = &graph->values[value].shape;
    bool any = false;
    if (!proto->type || proto->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ||
        !proto->type->tensor_type || !proto->type->tensor_type->shape ||
        proto->type->tensor_type->shape->n_dim != (size_t)shape->rank)
        return 0;
    for (int i = 0; i < shape->rank; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = proto->type->tensor_type->shape->dim[i];
        if (dim->value_case != ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM)
            continue;
        names[i] = dim->dim_param;
        any = true;
    }
    return any ? graph_name_sizes(graph, value, names, err) : 0;
}
