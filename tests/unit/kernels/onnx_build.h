/* onnx_build: ONNX models out of a few words, for tests of graphs within graphs and of functions. All memory is
 * taken from a list that build_free frees.
 *
 *     Onnx__GraphProto *g = build_graph("x:2,3", "y");
 *     build_node(g, "Add", "adder", "x w", "y");
 *
 * Names are separated by spaces; - is a name that is left out. What stands behind a name is the shape of a tensor of
 * floats, i64:… and bool:… of other types; ? is a free dimension, and no shape leaves the type out as well. */
#ifndef RUNESPOOR_TESTS_ONNX_BUILD_H
#define RUNESPOOR_TESTS_ONNX_BUILD_H

#include "onnx.pb-c.h"
#include "onnx/onnx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define BUILD_BLOCKS_MAX 20000
#define BUILD_LIST_MAX 80

static void *build_blocks[BUILD_BLOCKS_MAX];
static size_t build_block_count;

static inline void *build_take(size_t bytes)
{
    void *block = calloc(1, bytes);
    assert_non_null(block);
    assert_true(build_block_count < BUILD_BLOCKS_MAX);
    build_blocks[build_block_count++] = block;
    return block;
}

static inline void build_free(void)
{
    while (build_block_count > 0)
        free(build_blocks[--build_block_count]);
}

static inline char *build_text(const char *text, size_t length)
{
    char *copy = build_take(length + 1);
    memcpy(copy, text, length);
    return copy;
}

/* One more place at the end of a list of pointers. */
#define BUILD_APPEND(list, count, item)                           \
    do {                                                          \
        if ((count) == 0)                                         \
            (list) = build_take(BUILD_LIST_MAX * sizeof *(list)); \
        assert_true((count) < BUILD_LIST_MAX);                    \
        (list)[(count)++] = (item);                               \
    } while (0)

static inline void build_names(const char *words, char ***list, size_t *count)
{
    while (*words) {
        size_t length = strcspn(words, " ");
        bool none = length == 1 && *words == '-';
        BUILD_APPEND(*list, *count, build_text(words, none ? 0 : length));
        words += length + (words[length] == ' ');
    }
}

static inline Onnx__NodeProto *build_loose_node(const char *op, const char *name,
                                                const char *inputs, const char *outputs)
{
    Onnx__NodeProto *node = build_take(sizeof *node);
    onnx__node_proto__init(node);
    node->op_type = build_text(op, strlen(op));
    node->name = build_text(name, strlen(name));
    build_names(inputs, &node->input, &node->n_input);
    build_names(outputs, &node->output, &node->n_output);
    return node;
}

static inline Onnx__NodeProto *build_node(Onnx__GraphProto *graph, const char *op, const char *name,
                                          const char *inputs, const char *outputs)
{
    Onnx__NodeProto *node = build_loose_node(op, name, inputs, outputs);
    BUILD_APPEND(graph->node, graph->n_node, node);
    return node;
}

static inline Onnx__AttributeProto *build_attribute(Onnx__NodeProto *node, const char *name,
                                                    Onnx__AttributeProto__AttributeType type)
{
    Onnx__AttributeProto *attribute = build_take(sizeof *attribute);
    onnx__attribute_proto__init(attribute);
    attribute->name = build_text(name, strlen(name));
    attribute->has_type = 1;
    attribute->type = type;
    if (node)
        BUILD_APPEND(node->attribute, node->n_attribute, attribute);
    return attribute;
}

#define BUILD_TYPE(type) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##type

static inline Onnx__AttributeProto *build_int(Onnx__NodeProto *node, const char *name, int64_t i)
{
    Onnx__AttributeProto *attribute = build_attribute(node, name, BUILD_TYPE(INT));
    attribute->has_i = 1;
    attribute->i = i;
    return attribute;
}

static inline Onnx__AttributeProto *build_float(Onnx__NodeProto *node, const char *name, float f)
{
    Onnx__AttributeProto *attribute = build_attribute(node, name, BUILD_TYPE(FLOAT));
    attribute->has_f = 1;
    attribute->f = f;
    return attribute;
}

static inline void build_ints(Onnx__NodeProto *node, const char *name, int64_t a, int64_t b,
                              size_t count)
{
    Onnx__AttributeProto *attribute = build_attribute(node, name, BUILD_TYPE(INTS));
    attribute->ints = build_take(2 * sizeof *attribute->ints);
    attribute->ints[0] = a;
    attribute->ints[1] = b;
    attribute->n_ints = count;
}

static inline void build_body(Onnx__NodeProto *node, const char *name, Onnx__GraphProto *graph)
{
    build_attribute(node, name, BUILD_TYPE(GRAPH))->g = graph;
}

/* An attribute of the function around the node. */
static inline void build_reference(Onnx__NodeProto *node, const char *name,
                                   Onnx__AttributeProto__AttributeType type, const char *of)
{
    build_attribute(node, name, type)->ref_attr_name = build_text(of, strlen(of));
}

static inline Onnx__TypeProto *build_type(const char *words)
{
    Onnx__TypeProto *type = build_take(sizeof *type);
    Onnx__TypeProto__Tensor *tensor = build_take(sizeof *tensor);
    Onnx__TensorShapeProto *shape = build_take(sizeof *shape);
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(tensor);
    onnx__tensor_shape_proto__init(shape);
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    tensor->has_elem_type = 1;
    tensor->elem_type = strncmp(words, "i64:", 4) == 0    ? 7
                        : strncmp(words, "bool:", 5) == 0 ? 9
                                                          : 1;
    tensor->shape = shape;
    const char *colon = strchr(words, ':');
    for (const char *at = colon ? colon + 1 : words; *at;) {
        Onnx__TensorShapeProto__Dimension *dim = build_take(sizeof *dim);
        onnx__tensor_shape_proto__dimension__init(dim);
        size_t length = strcspn(at, ",");
        if (*at != '?') {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim->dim_value = strtoll(at, NULL, 10);
        }
        BUILD_APPEND(shape->dim, shape->n_dim, dim);
        at += length + (at[length] == ',');
    }
    return type;
}

static inline void build_infos(const char *words, Onnx__ValueInfoProto ***list, size_t *count)
{
    while (*words) {
        size_t length = strcspn(words, " "), name = strcspn(words, ": ");
        Onnx__ValueInfoProto *info = build_take(sizeof *info);
        onnx__value_info_proto__init(info);
        info->name = build_text(words, name);
        if (name < length)
            info->type = build_type(build_text(words + name + 1, length - name - 1));
        BUILD_APPEND(*list, *count, info);
        words += length + (words[length] == ' ');
    }
}

static inline Onnx__GraphProto *build_graph(const char *inputs, const char *outputs)
{
    Onnx__GraphProto *graph = build_take(sizeof *graph);
    onnx__graph_proto__init(graph);
    build_infos(inputs, &graph->input, &graph->n_input);
    build_infos(outputs, &graph->output, &graph->n_output);
    return graph;
}

/* An initializer of one dimension, or a scalar when count is -1. */
static inline Onnx__TensorProto *build_floats(Onnx__GraphProto *graph, const char *name,
                                              const float *numbers, int64_t count)
{
    Onnx__TensorProto *tensor = build_take(sizeof *tensor);
    onnx__tensor_proto__init(tensor);
    tensor->name = build_text(name, strlen(name));
    tensor->has_data_type = 1;
    tensor->data_type = 1;
    tensor->n_dims = count >= 0;
    tensor->dims = build_take(sizeof *tensor->dims);
    tensor->dims[0] = count;
    tensor->n_float_data = count < 0 ? 1 : (size_t)count;
    tensor->float_data = build_take(tensor->n_float_data * sizeof *numbers + 1);
    memcpy(tensor->float_data, numbers, tensor->n_float_data * sizeof *numbers);
    if (graph)
        BUILD_APPEND(graph->initializer, graph->n_initializer, tensor);
    return tensor;
}

static inline Onnx__TensorProto *build_whole(Onnx__GraphProto *graph, const char *name, int64_t number)
{
    Onnx__TensorProto *tensor = build_floats(graph, name, &(const float){ 0 }, -1);
    tensor->data_type = 7;
    tensor->n_float_data = 0;
    tensor->n_int64_data = 1;
    tensor->int64_data = build_take(sizeof *tensor->int64_data);
    tensor->int64_data[0] = number;
    return tensor;
}

static inline void build_bool(Onnx__GraphProto *graph, const char *name, bool value)
{
    Onnx__TensorProto *tensor = build_floats(graph, name, &(const float){ 0 }, -1);
    tensor->data_type = 9;
    tensor->n_float_data = 0;
    tensor->n_int32_data = 1;
    tensor->int32_data = build_take(sizeof *tensor->int32_data);
    tensor->int32_data[0] = value;
}

static inline Onnx__OperatorSetIdProto *build_opset(const char *domain, int64_t version)
{
    Onnx__OperatorSetIdProto *opset = build_take(sizeof *opset);
    onnx__operator_set_id_proto__init(opset);
    opset->domain = build_text(domain, strlen(domain));
    opset->has_version = 1;
    opset->version = version;
    return opset;
}

static inline Onnx__ModelProto *build_model(Onnx__GraphProto *graph, int64_t opset)
{
    Onnx__ModelProto *model = build_take(sizeof *model);
    onnx__model_proto__init(model);
    model->has_ir_version = 1;
    model->ir_version = 8;
    model->graph = graph;
    BUILD_APPEND(model->opset_import, model->n_opset_import, build_opset("", opset));
    return model;
}

/* Of the domain "own". opset 0: it imports nothing. */
static inline Onnx__FunctionProto *build_function(Onnx__ModelProto *model, const char *name,
                                                  const char *inputs, const char *outputs,
                                                  int64_t opset)
{
    Onnx__FunctionProto *function = build_take(sizeof *function);
    onnx__function_proto__init(function);
    function->name = build_text(name, strlen(name));
    function->domain = build_text("own", 3);
    build_names(inputs, &function->input, &function->n_input);
    build_names(outputs, &function->output, &function->n_output);
    if (opset)
        BUILD_APPEND(function->opset_import, function->n_opset_import, build_opset("", opset));
    BUILD_APPEND(model->functions, model->n_functions, function);
    return function;
}

static inline Onnx__NodeProto *build_function_node(Onnx__FunctionProto *function, const char *op,
                                                   const char *name, const char *inputs,
                                                   const char *outputs)
{
    Onnx__NodeProto *node = build_loose_node(op, name, inputs, outputs);
    BUILD_APPEND(function->node, function->n_node, node);
    return node;
}

static inline Onnx__NodeProto *build_own(Onnx__NodeProto *node)
{
    node->domain = build_text("own", 3);
    return node;
}

/* A field that our description of the format does not know. */
static inline void build_unknown(ProtobufCMessage *message, uint32_t tag, const uint8_t *content,
                                 size_t length)
{
    assert_true(length < 0x4000 && message->n_unknown_fields == 0);
    uint8_t *data = build_take(length + 2);
    ProtobufCMessageUnknownField *field = build_take(sizeof *field);
    data[0] = (uint8_t)((length & 0x7f) | 0x80);
    data[1] = (uint8_t)(length >> 7);
    memcpy(data + 2, content, length);
    *field = (ProtobufCMessageUnknownField){
        .tag = tag, .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, .len = length + 2, .data = data
    };
    message->unknown_fields = field;
    message->n_unknown_fields = 1;
}

/* Packs the model and reads it. */
static inline int build_read(const Onnx__ModelProto *model, struct graph **graph, struct error *err)
{
    size_t size = onnx__model_proto__get_packed_size(model);
    uint8_t *bytes = malloc(size + 1);
    assert_non_null(bytes);
    onnx__model_proto__pack(model, bytes);
    *graph = NULL;
    int rc = onnx_read_bytes(graph, bytes, size, "test.onnx", err);
    free(bytes);
    return rc;
}

#endif
