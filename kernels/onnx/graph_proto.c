/* graph_proto: a graph of the file, the model's own or one that a node holds: its inputs, constants, nodes and
 * outputs. */
#include "onnx/reader.h"
#include "ops/resolve.h"

static int read_initializers(struct scope *scope, const Onnx__GraphProto *graph, struct error *err);
static int read_inputs(struct scope *scope, const Onnx__GraphProto *graph, struct error *err);
static int read_input(struct scope *scope, const Onnx__ValueInfoProto *proto, struct error *err);
static int read_value_info(const Onnx__ValueInfoProto *proto, enum tensor_type *type,
                           struct shape *shape, struct error *err);
static int read_outputs(struct scope *scope, const Onnx__GraphProto *graph, struct error *err);
static void keep_output_type(struct value *value, const Onnx__ValueInfoProto *proto);

/* A body's own inputs come first, so they are read before its constants, which are captured. */
int onnx_read_graph(struct scope *scope, const Onnx__GraphProto *proto, struct error *err)
{
    bool body = scope->draft->outer != NULL;
    int rc = body ? read_inputs(scope, proto, err) : 0;
    if (rc || (rc = read_initializers(scope, proto, err)) ||
        (!body && (rc = read_inputs(scope, proto, err))) ||
        (rc = onnx_read_nodes(scope, proto->node, proto->n_node, err)) ||
        (rc = read_outputs(scope, proto, err)) || (rc = graph_sort(scope->draft->graph, err)))
        return rc;
    return graph_sweep(scope->draft->graph, err);
}

static int read_initializers(struct scope *scope, const Onnx__GraphProto *graph, struct error *err)
{
    if (graph->n_sparse_initializer > 0)
        return error_set(err, ERROR_UNSUPPORTED, "sparse_initializer", "is not supported");
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const char *name = onnx_text(graph->initializer[i]->name);
        struct tensor tensor = { 0 };
        int rc = onnx_read_tensor(graph->initializer[i], &tensor, err);
        if (!rc) {
            rc = scope_add_constant(scope, name, &tensor, err);
            tensor_free(&tensor);
        }
        if (rc < 0) {
            if (err)
                error_wrap(err, "initializer '%.100s'", name);
            return rc;
        }
    }
    return 0;
}

/* Older files list initializers among the inputs; those are constants here. */
static int read_inputs(struct scope *scope, const Onnx__GraphProto *graph, struct error *err)
{
    for (size_t i = 0; i < graph->n_input; i++) {
        const char *name = onnx_text(graph->input[i]->name);
        int known = names_find(&scope->names, name);
        if (known >= 0 && scope->draft->graph->values[known].constant.data)
            continue;
        int rc = read_input(scope, graph->input[i], err);
        if (rc) {
            if (err)
                error_wrap(err, "input '%.100s'", name);
            return rc;
        }
    }
    return 0;
}

/* Of what a body reads, type and shape come from what it is given, and many exporters say neither. */
static int read_input(struct scope *scope, const Onnx__ValueInfoProto *proto, struct error *err)
{
    enum tensor_type type = TENSOR_NONE;
    struct shape shape = { .rank = -1 };
    int rc = scope->draft->outer && !proto->type ? 0 : read_value_info(proto, &type, &shape, err);
    if (rc)
        return rc;
    int value = scope_add_value(scope, onnx_text(proto->name), type, &shape, err);
    rc = value < 0 ? value : graph_mark_input(scope->draft->graph, value, err);
    return rc < 0 ? rc : 0;
}

/* Free dimensions (named, or of no positive size) are -1. */
static int read_value_info(const Onnx__ValueInfoProto *proto, enum tensor_type *type,
                           struct shape *shape, struct error *err)
{
    if (!proto->type || proto->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ||
        !proto->type->tensor_type)
        return error_set(err, ERROR_UNSUPPORTED, "type", "only tensors are supported");
    const Onnx__TypeProto__Tensor *tensor = proto->type->tensor_type;
    *type = type_of_onnx(tensor->has_elem_type ? tensor->elem_type : 0);
    if (*type == TENSOR_NONE)
        return error_set(err, ERROR_UNSUPPORTED, "type", "number %d is not supported",
                         tensor->elem_type);
    *shape = (struct shape){ .rank = -1 };
    if (!tensor->shape)
        return 0;
    if (tensor->shape->n_dim > SHAPE_RANK_MAX)
        return error_set(err, ERROR_LIMIT, "shape", "%zu dimensions; at most %d",
                         tensor->shape->n_dim, SHAPE_RANK_MAX);
    shape->rank = (int)tensor->shape->n_dim;
    for (int i = 0; i < shape->rank; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = tensor->shape->dim[i];
        bool known = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE &&
                     dim->dim_value > 0;
        shape->dim[i] = known ? dim->dim_value : -1;
    }
    return 0;
}

static int read_outputs(struct scope *scope, const Onnx__GraphProto *graph, struct error *err)
{
    struct graph *to = scope->draft->graph;
    bool body = scope->draft->outer != NULL;
    if (graph->n_output == 0 && !body)
        return error_set(err, ERROR_FORMAT, "graph", "has no output");
    for (size_t i = 0; i < graph->n_output; i++) {
        const char *name = onnx_text(graph->output[i]->name);
        int value;
        int rc = scope_find(scope, name, &value, err);
        if (rc)
            return rc;
        if (value < 0)
            return error_set(err, ERROR_FORMAT, "graph", "no node writes the output '%.100s'", name);
        if (to->values[value].is_output && !body)
            return error_set(err, ERROR_FORMAT, "graph", "the output '%.100s' is listed twice", name);
        rc = graph_mark_output(to, value, err);
        if (rc < 0)
            return rc;
        keep_output_type(&to->values[value], graph->output[i]);
    }
    return 0;
}

/* What the file says of an output counts until inference knows better (and when the graph is written
 * again before that), so it need not be right. */
static void keep_output_type(struct value *value, const Onnx__ValueInfoProto *proto)
{
    enum tensor_type type;
    struct shape shape;
    if (value->type != TENSOR_NONE || read_value_info(proto, &type, &shape, NULL))
        return;
    value->type = type;
    value->shape = shape;
}
