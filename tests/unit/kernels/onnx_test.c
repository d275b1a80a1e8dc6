/* The reader of ONNX files. A small good model is packed with protobuf-c; each bad one is that model
 * with one thing changed, and must be refused with words that say what and where. Then bytes that are
 * cut, flipped or nested without end, which must only not crash. */
#include "base/random.h"
#include "onnx.pb-c.h"
#include "onnx/onnx.h"
#include "ops/op.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define TEXT(literal) ((char *)(literal))

/* x [?, 2] + w [2] -> sum; Relu(sum) -> y. The second node comes first in the file. */
struct file {
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    Onnx__OperatorSetIdProto opsets[2], *opset_list[2];
    Onnx__NodeProto nodes[3], *node_list[3];
    char *add_inputs[2], *add_outputs[2], *relu_inputs[2], *relu_outputs[2], *spare_outputs[1];
    Onnx__AttributeProto attributes[2], *attribute_list[2];
    Onnx__TensorProto weights, *initializer_list[2];
    Onnx__TensorProto extra;
    int64_t weight_dims[10];
    float weight_data[2];
    Onnx__ValueInfoProto values[3], *input_list[2], *output_list[2];
    Onnx__TypeProto types[2];
    Onnx__TypeProto__Tensor tensors[2];
    Onnx__TensorShapeProto shapes[2];
    Onnx__TensorShapeProto__Dimension dims[2], *dim_list[9];
    Onnx__GraphProto subgraph;
    Onnx__FunctionProto function, *function_list[1];
    Onnx__SparseTensorProto sparse, *sparse_list[1];
    Onnx__StringStringEntryProto place, *place_list[1];
    Onnx__TensorProto__Segment segment;
};

static struct file f; /* the one at hand */
static struct error err;

static void init_graph(void)
{
    onnx__model_proto__init(&f.model);
    onnx__graph_proto__init(&f.graph);
    onnx__graph_proto__init(&f.subgraph);
    onnx__function_proto__init(&f.function);
    onnx__sparse_tensor_proto__init(&f.sparse);
    onnx__string_string_entry_proto__init(&f.place);
    onnx__tensor_proto__segment__init(&f.segment);
    f.function_list[0] = &f.function;
    f.sparse_list[0] = &f.sparse;
    f.place_list[0] = &f.place;
    f.model.graph = &f.graph;
    f.model.has_ir_version = 1;
    f.model.ir_version = 7;
    f.model.n_opset_import = 1;
    f.model.opset_import = f.opset_list;
    for (int i = 0; i < 2; i++) {
        onnx__operator_set_id_proto__init(&f.opsets[i]);
        f.opset_list[i] = &f.opsets[i];
        f.opsets[i].has_version = 1;
        f.opsets[i].version = 13;
        onnx__attribute_proto__init(&f.attributes[i]);
        f.attribute_list[i] = &f.attributes[i];
    }
}

static void init_nodes(void)
{
    for (int i = 0; i < 3; i++) {
        onnx__node_proto__init(&f.nodes[i]);
        f.node_list[i] = &f.nodes[i];
        f.nodes[i].attribute = f.attribute_list;
    }
    f.add_inputs[0] = TEXT("x");
    f.add_inputs[1] = TEXT("w");
    f.add_outputs[0] = f.relu_inputs[0] = TEXT("sum");
    f.add_outputs[1] = f.relu_inputs[1] = TEXT("other");
    f.relu_outputs[0] = TEXT("y");
    f.relu_outputs[1] = TEXT("y2");
    f.spare_outputs[0] = TEXT("spare");
    f.nodes[0].op_type = TEXT("Relu");
    f.nodes[0].n_input = f.nodes[0].n_output = 1;
    f.nodes[0].input = f.relu_inputs;
    f.nodes[0].output = f.relu_outputs;
    f.nodes[1].op_type = TEXT("Add");
    f.nodes[1].name = TEXT("adder");
    f.nodes[1].n_input = 2;
    f.nodes[1].n_output = 1;
    f.nodes[1].input = f.add_inputs;
    f.nodes[1].output = f.add_outputs;
    f.nodes[2].op_type = TEXT("Constant");
    f.nodes[2].n_output = 1;
    f.nodes[2].output = f.spare_outputs;
    f.nodes[2].n_attribute = 1;
    f.graph.n_node = 2;
    f.graph.node = f.node_list;
}

static void init_values(void)
{
    static char *names[] = { TEXT("x"), TEXT("y"), TEXT("w") };
    for (int i = 0; i < 3; i++) {
        onnx__value_info_proto__init(&f.values[i]);
        f.values[i].name = names[i];
    }
    for (int i = 0; i < 2; i++) {
        onnx__type_proto__init(&f.types[i]);
        onnx__type_proto__tensor__init(&f.tensors[i]);
        onnx__tensor_shape_proto__init(&f.shapes[i]);
        onnx__tensor_shape_proto__dimension__init(&f.dims[i]);
        f.types[i].value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
        f.types[i].tensor_type = &f.tensors[i];
        f.tensors[i].has_elem_type = 1;
        f.tensors[i].elem_type = 1;
        f.tensors[i].shape = &f.shapes[i];
    }
    f.dims[0].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
    f.dims[0].dim_param = TEXT("batch");
    f.dims[1].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    f.dims[1].dim_value = 2;
    for (int i = 0; i < 9; i++)
        f.dim_list[i] = &f.dims[i > 0];
    f.shapes[0].n_dim = 2;
    f.shapes[0].dim = f.dim_list;
    f.values[0].type = &f.types[0];
    f.input_list[0] = &f.values[0];
    f.input_list[1] = &f.values[2]; /* the initializer's, as old files list it */
    f.output_list[0] = f.output_list[1] = &f.values[1];
    f.graph.n_input = f.graph.n_output = 1;
    f.graph.input = f.input_list;
    f.graph.output = f.output_list;
}

static void init_weights(void)
{
    onnx__tensor_proto__init(&f.weights);
    onnx__tensor_proto__init(&f.extra);
    for (int i = 0; i < 10; i++)
        f.weight_dims[i] = 1;
    f.weight_dims[0] = 2;
    f.weight_data[0] = 10;
    f.weight_data[1] = 20;
    f.weights.name = TEXT("w");
    f.weights.n_dims = 1;
    f.weights.dims = f.weight_dims;
    f.weights.has_data_type = 1;
    f.weights.data_type = 1;
    f.weights.n_float_data = 2;
    f.weights.float_data = f.weight_data;
    f.initializer_list[0] = f.initializer_list[1] = &f.weights;
    f.graph.n_initializer = 1;
    f.graph.initializer = f.initializer_list;
}

static void init_file(void)
{
    f = (struct file){ 0 };
    init_graph();
    init_nodes();
    init_values();
    init_weights();
}

static uint8_t *pack(size_t *size)
{
    *size = onnx__model_proto__get_packed_size(&f.model);
    uint8_t *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    onnx__model_proto__pack(&f.model, bytes);
    return bytes;
}

static int read_file(struct graph **graph)
{
    size_t size;
    uint8_t *bytes = pack(&size);
    int rc = onnx_read_bytes(graph, bytes, size, "test.onnx", &err);
    free(bytes);
    return rc;
}

static struct graph *must_read(void)
{
    struct graph *graph = NULL;
    if (read_file(&graph))
        fail_msg("%s", err.text);
    return graph;
}

static void must_refuse(const char *words)
{
    struct graph *graph = NULL;
    int rc = read_file(&graph);
    assert_true(rc < 0);
    assert_null(graph);
    assert_int_equal(strncmp(err.text, "test.onnx: ", 11), 0);
    if (!strstr(err.text, words))
        fail_msg("message \"%s\" lacks \"%s\"", err.text, words);
}

/* The good file, one change, the words. */
#define REFUSED(words, ...) \
    do {                    \
        init_file();        \
        __VA_ARGS__;        \
        must_refuse(words); \
    } while (0)

static void test_reads(void **state)
{
    (void)state;
    init_file();
    f.graph.n_input = 2;
    struct graph *graph = must_read();
    assert_int_equal(graph->opset, 13);
    assert_int_equal(graph->input_count, 1); /* not the initializer */
    assert_int_equal(graph->output_count, 1);
    const struct value *x = &graph->values[graph->inputs[0]];
    assert_string_equal(x->name, "x");
    assert_int_equal(x->type, TENSOR_F32);
    assert_int_equal(x->shape.rank, 2);
    assert_int_equal(x->shape.dim[0], -1);
    assert_int_equal(x->shape.dim[1], 2);
    assert_int_equal(graph->node_count, 2);
    assert_string_equal(graph->nodes[0].op->name, "Add"); /* sorted */
    assert_string_equal(graph->nodes[0].name, "adder");
    assert_string_equal(graph->nodes[1].name, "y"); /* no name: that of its output */
    const struct value *w = &graph->values[graph->nodes[0].inputs[1]];
    assert_true(((const float *)w->constant.data)[1] == 20);
    assert_int_equal(graph_infer(graph, &(struct shape){ .rank = 2, .dim = { 3, 2 } }, &err), 0);
    assert_int_equal(graph->values[graph->outputs[0]].shape.dim[0], 3);
    graph_free(&graph);
}

static void test_versions(void **state)
{
    (void)state;
    REFUSED("ir_version: 0;", f.model.has_ir_version = 0, f.model.ir_version = 0);
    REFUSED("ir_version: 2; 3 to", f.model.ir_version = 2);
    REFUSED("ir_version: 99", f.model.ir_version = 99);
    REFUSED("opset: 0 of domain 'ai.onnx'", f.model.n_opset_import = 0);
    REFUSED("opset: 0 of domain", f.opsets[0].version = 0);
    REFUSED("opset: 22 of domain", f.opsets[0].version = 22);
    REFUSED("two of the same domain", f.model.n_opset_import = 2,
            f.opsets[1].domain = TEXT("ai.onnx"));
    REFUSED("not an ONNX model, or has no graph", f.model.graph = NULL);
}

static void test_ops(void **state)
{
    (void)state;
    REFUSED("Foo node 'adder': op: 'Foo' of domain 'ai.onnx', opset 13, is not implemented",
            f.nodes[1].op_type = TEXT("Foo"));
    REFUSED(
        "'HardSwish' of domain 'ai.onnx', opset 13, is not implemented (for other opsets it is)",
        f.nodes[0].op_type = TEXT("HardSwish"));
    REFUSED("'Relu' of domain 'com.acme', opset 0, is not implemented",
            f.nodes[0].domain = TEXT("com.acme"));
    REFUSED("'Relu' of domain 'com.acme', opset 5, is not implemented", f.model.n_opset_import = 2,
            f.nodes[0].domain = f.opsets[1].domain = TEXT("com.acme"), f.opsets[1].version = 5);
    REFUSED(" node 'adder': op: '' of domain", f.nodes[1].op_type = NULL);
    init_file();
    f.nodes[0].domain = TEXT("ai.onnx");
    f.model.n_opset_import = 2; /* of a domain that no node uses */
    static const char *const domains[] = { "ai.onnx.ml", "ai.onnx.preview.training", "com.acme" };
    static const int64_t versions[] = { 3, 10, 13 };
    for (int i = 0; i < 3; i++) {
        f.opsets[1].domain = TEXT(domains[i]);
        f.opsets[1].version = 99;
        f.model.ir_version = versions[i];
        struct graph *graph = must_read();
        graph_free(&graph);
    }
}

static void test_names(void **state)
{
    (void)state;
    REFUSED("Add node 'adder': inputs: 'z' is written by no node", f.add_inputs[0] = TEXT("z"));
    REFUSED("two values have the name 'w'", f.add_outputs[0] = TEXT("w"));
    REFUSED("Add node 'adder': graph: two values have the name 'y'", f.add_outputs[0] = TEXT("y"));
    REFUSED("is on a cycle", f.add_inputs[0] = TEXT("y"));
    REFUSED("no node writes the output 'z'", f.values[1].name = TEXT("z"));
    REFUSED("the output 'y' is listed twice", f.graph.n_output = 2);
    REFUSED("graph: has no output", f.graph.n_output = 0);
    REFUSED("Add node 'adder': inputs: 'x' is written by no node", f.graph.n_input = 0);
    REFUSED("input 'x': graph: two values have the name 'x'", f.graph.n_input = 2,
            f.input_list[1] = &f.values[0]);
    REFUSED("input '': graph: a value has no name", f.values[0].name = NULL);
    REFUSED("initializer 'w': graph: two values have the name 'w'", f.graph.n_initializer = 2);
}

static void test_inputs(void **state)
{
    (void)state;
    REFUSED("input 'x': type: only tensors", f.values[0].type = NULL);
    REFUSED("input 'x': type: only tensors", f.types[0].value_case = 0);
    REFUSED("input 'x': type: number 8 is not supported", f.tensors[0].elem_type = 8);
    REFUSED("input 'x': shape: 9 dimensions", f.shapes[0].n_dim = 9);
    init_file();
    f.tensors[0].shape = NULL;
    struct graph *graph = must_read();
    assert_int_equal(graph->values[graph->inputs[0]].shape.rank, -1);
    assert_int_equal(graph_infer(graph, NULL, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "x: the input has no shape"));
    graph_free(&graph);
}

static void test_initializers(void **state)
{
    (void)state;
    REFUSED("initializer 'w': tensor: 1 numbers of data for 2 of f32, which needs 2",
            f.weights.n_float_data = 1);
    REFUSED("initializer 'w': tensor: 2 numbers of data for 1 of f32, which needs 1",
            f.weight_dims[0] = 1);
    REFUSED("initializer 'w': tensor: 12 bytes of data for 2 of f32, which needs 8",
            f.weights.n_float_data = 0, f.weights.has_raw_data = 1, f.weights.raw_data.len = 12,
            f.weights.raw_data.data = (uint8_t *)"weights of 12");
    REFUSED("0 numbers of data for 4294967296 of f32", f.weight_dims[0] = (int64_t)1 << 32,
            f.weights.n_float_data = 0); /* refused before anything is allocated */
    REFUSED("tensor: larger than", f.weights.n_dims = 2, f.weight_dims[0] = (int64_t)1 << 62,
            f.weight_dims[1] = 4);
    REFUSED("tensor: larger than", f.weights.n_dims = 3, f.weight_dims[0] = INT64_MAX,
            f.weight_dims[1] = INT64_MAX, f.weight_dims[2] = 0);
    REFUSED("dimension 0 is -2", f.weight_dims[0] = -2);
    REFUSED("tensor: 9 dimensions", f.weights.n_dims = 9);
    REFUSED("data type number 8 ", f.weights.data_type = 8);
    REFUSED("data type number 0 ", f.weights.has_data_type = 0, f.weights.data_type = 0);
    REFUSED("data type number -5 ", f.weights.data_type = -5);
    REFUSED("7 bytes of data for 2 of f32, which needs 8", f.weights.n_float_data = 0,
            f.weights.has_raw_data = 1, f.weights.raw_data.len = 7,
            f.weights.raw_data.data = (uint8_t *)f.weight_data);
    REFUSED("its data lies outside the file; save the model as one file",
            f.weights.n_external_data = 1, f.weights.external_data = f.place_list);
    REFUSED("its data lies outside the file", f.weights.has_data_location = 1,
            f.weights.data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL);
    REFUSED("is cut into segments", f.weights.segment = &f.segment);
    REFUSED("tensor: 300 is no u8", f.weights.data_type = 2, f.weights.n_int32_data = 2,
            f.weights.int32_data = ((int32_t[]){ 0, 300 }));
    REFUSED("sparse_initializer: is not supported", f.graph.n_sparse_initializer = 1,
            f.graph.sparse_initializer = f.sparse_list);
    REFUSED("a value has no name", f.weights.name = NULL);
}

/* The file is read, and inference refuses it. */
static void must_not_infer(const char *words)
{
    struct graph *graph = must_read();
    int rc = graph_infer(graph, NULL, &err);
    if (rc >= 0 || !strstr(err.text, words))
        fail_msg("message \"%s\" lacks \"%s\"", rc < 0 ? err.text : "", words);
    graph_free(&graph);
}

/* Products that overflow, in inputs and in what a node makes of a small one. */
static void test_absurd_shapes(void **state)
{
    (void)state;
    const int64_t sizes[] = { (int64_t)1 << 32, (int64_t)1 << 62, INT64_MAX };
    for (int i = 0; i < 3; i++) {
        init_file();
        f.dims[0] = f.dims[1];
        f.dims[0].dim_value = f.dims[1].dim_value = sizes[i];
        must_not_infer("x: the input is too large");
        int64_t shape[] = { sizes[i], sizes[i], 2 };
        init_file();
        f.dims[0] = f.dims[1];
        f.dims[0].dim_value = 1;
        f.nodes[1].op_type = TEXT("Expand");
        f.weights.data_type = 7;
        f.weight_dims[0] = 3;
        f.weights.n_float_data = 0;
        f.weights.n_int64_data = 3;
        f.weights.int64_data = shape;
        must_not_infer("Expand node 'adder': ");
        assert_int_equal(err.code, ERROR_LIMIT);
    }
}

/* The unused initializer `extra`, seen through a second output. */
static struct graph *read_extra(void)
{
    f.extra.name = TEXT("extra");
    f.extra.has_data_type = 1;
    f.initializer_list[1] = &f.extra;
    f.graph.n_initializer = 2;
    f.values[2].name = TEXT("extra");
    f.output_list[1] = &f.values[2];
    f.graph.n_output = 2;
    return must_read();
}

static void check_extra(int type, const void *list, size_t count, const void *expected,
                        enum tensor_type expected_type)
{
    for (int raw = 0; raw < 2; raw++) {
        init_file();
        f.extra.data_type = type;
        int64_t dims[] = { (int64_t)count };
        f.extra.n_dims = 1;
        f.extra.dims = dims;
        if (raw) {
            f.extra.has_raw_data = 1;
            f.extra.raw_data.data = (uint8_t *)expected;
            f.extra.raw_data.len = count * tensor_type_bytes(expected_type);
        } else if (type == 1) {
            f.extra.n_float_data = count;
            f.extra.float_data = (float *)list;
        } else if (type == 11) {
            f.extra.n_double_data = count;
            f.extra.double_data = (double *)list;
        } else if (type == 7) {
            f.extra.n_int64_data = count;
            f.extra.int64_data = (int64_t *)list;
        } else {
            f.extra.n_int32_data = count;
            f.extra.int32_data = (int32_t *)list;
        }
        struct graph *graph = read_extra();
        const struct value *value = &graph->values[graph->outputs[1]];
        assert_int_equal(value->type, expected_type);
        assert_int_equal(value->shape.dim[0], count);
        assert_memory_equal(value->constant.data, expected, count * tensor_type_bytes(expected_type));
        graph_free(&graph);
    }
}

static void test_tensor_types(void **state)
{
    (void)state;
    const float f32[] = { 1.5f, -2 };
    const double f64[] = { 1.5, -2 };
    const int64_t i64[] = { INT64_MIN, 5 };
    const int32_t i32[] = { INT32_MIN, 5 }, small[] = { -128, 127 }, bytes[] = { 0, 255 };
    const int32_t bits[] = { 0x3c00, 0xffff }, flags[] = { 0, 1 };
    check_extra(1, f32, 2, f32, TENSOR_F32);
    check_extra(11, f64, 2, f64, TENSOR_F64);
    check_extra(7, i64, 2, i64, TENSOR_I64);
    check_extra(6, i32, 2, i32, TENSOR_I32);
    check_extra(3, small, 2, (const int8_t[]){ -128, 127 }, TENSOR_I8);
    check_extra(2, bytes, 2, (const uint8_t[]){ 0, 255 }, TENSOR_U8);
    check_extra(9, flags, 2, (const uint8_t[]){ 0, 1 }, TENSOR_BOOL);
    check_extra(10, bits, 2, (const uint16_t[]){ 0x3c00, 0xffff }, TENSOR_F16);
    check_extra(16, bits, 2, (const uint16_t[]){ 0x3c00, 0xffff }, TENSOR_BF16);
    /* any byte but 0 is true */
    init_file();
    f.extra.data_type = 9;
    f.extra.has_raw_data = 1;
    f.extra.raw_data = (ProtobufCBinaryData){ .len = 1, .data = (uint8_t[]){ 7 } };
    struct graph *graph = read_extra();
    assert_int_equal(*(uint8_t *)graph->values[graph->outputs[1]].constant.data, 1);
    assert_int_equal(graph->values[graph->outputs[1]].shape.rank, 0);
    graph_free(&graph);
}

/* Reads the Constant node `spare` as second output of the graph. */
static struct graph *read_constant(const char *attribute)
{
    f.attributes[0].name = TEXT(attribute);
    f.graph.n_node = 3;
    f.values[2].name = TEXT("spare");
    f.output_list[1] = &f.values[2];
    f.graph.n_output = 2;
    return must_read();
}

static void test_constants(void **state)
{
    (void)state;
    init_file();
    f.attributes[0].t = &f.weights;
    struct graph *graph = read_constant("value");
    assert_true(((float *)graph->values[graph->outputs[1]].constant.data)[1] == 20);
    assert_int_equal(graph->node_count, 2);
    graph_free(&graph);

    init_file();
    f.attributes[0].has_f = 1;
    f.attributes[0].f = 2.5f;
    graph = read_constant("value_float");
    assert_true(*(float *)graph->values[graph->outputs[1]].constant.data == 2.5f);
    assert_int_equal(graph->values[graph->outputs[1]].shape.rank, 0);
    graph_free(&graph);

    init_file();
    f.attributes[0].n_ints = 2;
    f.attributes[0].ints = (int64_t[]){ 4, -5 };
    graph = read_constant("value_ints");
    assert_int_equal(((int64_t *)graph->values[graph->outputs[1]].constant.data)[1], -5);
    assert_int_equal(graph->values[graph->outputs[1]].shape.dim[0], 2);
    graph_free(&graph);

    REFUSED("Constant node 'spare': attribute: 'value_string' is not supported", f.graph.n_node = 3,
            f.attributes[0].name = TEXT("value_string"));
    REFUSED("Constant node 'spare': attribute: 'value' is not supported or has no value",
            f.graph.n_node = 3, f.attributes[0].name = TEXT("value"));
    REFUSED("one output and one attribute", f.graph.n_node = 3, f.nodes[2].n_attribute = 0);
    REFUSED("Constant node 'spare': tensor: 1 numbers", f.graph.n_node = 3,
            f.weights.n_float_data = 1, f.attributes[0].name = TEXT("value"),
            f.attributes[0].t = &f.weights, f.graph.n_initializer = 0);
}

/* LeakyRelu with an alpha of 0.5. */
static void set_alpha(void)
{
    f.nodes[0].op_type = TEXT("LeakyRelu");
    f.nodes[0].n_attribute = 1;
    f.attributes[0].name = TEXT("alpha");
    f.attributes[0].has_type = 1;
    f.attributes[0].type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
    f.attributes[0].has_f = 1;
    f.attributes[0].f = 0.5f;
}

static void test_attributes(void **state)
{
    (void)state;
    init_file();
    set_alpha();
    struct graph *graph = must_read();
    assert_true(node_float(&graph->nodes[1], "alpha", 0) == 0.5f);
    graph_free(&graph);
    REFUSED("LeakyRelu node 'y': attribute 'beta': name: this op has no such attribute",
            set_alpha(), f.attributes[0].name = TEXT("beta"));
    REFUSED("attribute 'alpha': name: this op has no such attribute", set_alpha(),
            f.nodes[0].op_type = TEXT("Relu"));
    REFUSED("attribute 'alpha': type: 2 is not what this op takes", set_alpha(),
            f.attributes[0].type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    REFUSED("attribute 'alpha': type: 0 is not", set_alpha(), f.attributes[0].has_type = 0);
    REFUSED("attribute 'alpha': name: is given twice", set_alpha(), f.nodes[0].n_attribute = 2,
            f.attribute_list[1] = &f.attributes[0]);
    REFUSED("attribute 'alpha': type: 5 is not", set_alpha(), f.attributes[0].g = &f.subgraph,
            f.attributes[0].type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH);
    REFUSED("attribute 'alpha': reference: to 'a' outside of a function", set_alpha(),
            f.attributes[0].ref_attr_name = TEXT("a"));
    REFUSED("attribute '': name: this op has no such", set_alpha(), f.attributes[0].name = NULL);
    REFUSED("attribute 'value': value: is missing", set_alpha(),
            f.nodes[0].op_type = TEXT("ConstantOfShape"), f.attributes[0].name = TEXT("value"),
            f.attributes[0].type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR);
}

static void test_counts(void **state)
{
    (void)state;
    char *many[GRAPH_NODE_INPUTS_MAX + 1];
    for (int i = 0; i <= GRAPH_NODE_INPUTS_MAX; i++)
        many[i] = TEXT("x");
    REFUSED("Concat node 'adder': inputs: 65; at most 64", f.nodes[1].op_type = TEXT("Concat"),
            f.nodes[1].input = many, f.nodes[1].n_input = GRAPH_NODE_INPUTS_MAX + 1);
    /* an optional input that is left out by an empty name */
    init_file();
    f.nodes[1].op_type = TEXT("Clip");
    char *inputs[] = { TEXT("x"), TEXT(""), TEXT("w") };
    f.nodes[1].input = inputs;
    f.nodes[1].n_input = 3;
    struct graph *graph = must_read();
    assert_int_equal(graph->nodes[0].inputs[1], -1);
    graph_free(&graph);
}

/* A message of `depth` TypeProtos in one another, or `count` empty nodes. */
static void test_hostile_encodings(void **state)
{
    (void)state;
    struct graph *graph = NULL;
    enum { DEPTH = 30000, NODES = 1500000 };
    uint8_t *bytes = calloc(2, (size_t)DEPTH * 8 + NODES * 2);
    assert_non_null(bytes);
    /* written from the inside out, at the end of the room: sequence (4) of element (1) of … */
    size_t room = (size_t)DEPTH * 16, at = room;
    for (int i = 0; i < DEPTH; i++) {
        static const uint8_t tags[] = { 1 << 3 | 2, 4 << 3 | 2 };
        for (int k = 0; k < 2; k++) {
            size_t length = room - at;
            uint8_t varint[8];
            size_t n = 0;
            do {
                varint[n++] = (uint8_t)((length & 0x7f) | (length > 0x7f ? 0x80 : 0));
                length >>= 7;
            } while (length);
            at -= n;
            memcpy(bytes + at, varint, n);
            bytes[--at] = tags[k];
        }
    }
    /* type (2) of a value info, input (11) of the graph (7) of the model */
    static const uint8_t outer[] = { 2 << 3 | 2, 11 << 3 | 2, 7 << 3 | 2 };
    for (int k = 0; k < 3; k++) {
        size_t length = room - at;
        at -= 4;
        for (int n = 0; n < 4; n++, length >>= 7)
            bytes[at + (size_t)n] = (uint8_t)((length & 0x7f) | (n < 3 ? 0x80 : 0));
        bytes[--at] = outer[k];
    }
    assert_int_equal(onnx_read_bytes(&graph, bytes + at, room - at, "deep", &err), -ERROR_LIMIT);
    assert_string_equal(err.text, "deep: file: messages nest deeper than 32");

    /* a graph of nothing but empty nodes, two bytes each */
    uint8_t *wide = bytes;
    size_t length = (size_t)NODES * 2;
    wide[0] = 7 << 3 | 2;
    for (int n = 0; n < 4; n++)
        wide[1 + n] = (uint8_t)((length >> (7 * n) & 0x7f) | (n < 3 ? 0x80 : 0));
    for (size_t i = 0; i < NODES; i++) {
        wide[5 + 2 * i] = 1 << 3 | 2;
        wide[6 + 2 * i] = 0;
    }
    assert_true(onnx_read_bytes(&graph, wide, 5 + length, "wide", &err) < 0);
    assert_null(graph);
    free(bytes);
}

static void try_bytes(const uint8_t *bytes, size_t size)
{
    struct graph *graph = NULL;
    int rc = onnx_read_bytes(&graph, bytes, size, "bytes", &err);
    assert_true((rc == 0) == (graph != NULL));
    if (graph) {
        struct shape shapes[4] = { { .rank = 2, .dim = { 1, 2 } } };
        if (graph->input_count <= 4)
            (void)graph_infer(graph, graph->input_count == 1 ? shapes : NULL, &err);
        graph_free(&graph);
    }
}

static void test_damaged_bytes(void **state)
{
    (void)state;
    init_file();
    set_alpha();
    size_t size;
    uint8_t *bytes = pack(&size);
    uint8_t *copy = malloc(size);
    assert_non_null(copy);
    for (size_t cut = 0; cut < size; cut++) {
        memcpy(copy, bytes, cut);
        try_bytes(copy, cut);
    }
    struct random_state random;
    random_seed(&random, 7);
    for (int round = 0; round < 20000; round++) {
        memcpy(copy, bytes, size);
        for (uint64_t flips = 1 + random_next_u64(&random) % 3; flips > 0; flips--)
            copy[random_next_u64(&random) % size] = (uint8_t)random_next_u64(&random);
        try_bytes(copy, size);
    }
    free(copy);
    free(bytes);
    struct graph *graph = NULL;
    assert_int_equal(onnx_read_bytes(&graph, "", 0, "none", &err), -ERROR_FORMAT);
    assert_string_equal(err.text, "none: file: is empty");
    assert_int_equal(onnx_read_bytes(&graph, "plain text", 10, "text", &err), -ERROR_FORMAT);
}

static void test_files(void **state)
{
    (void)state;
    struct graph *graph = NULL;
    assert_int_equal(onnx_read_file(&graph, "/nowhere/model.onnx", &err), -ERROR_IO);
    assert_non_null(strstr(err.text, "/nowhere/model.onnx: cannot open"));
    assert_int_equal(onnx_read_file(&graph, "/", &err), -ERROR_IO);
    assert_non_null(strstr(err.text, "is not a file"));

    char path[] = "/tmp/onnx_test_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(onnx_read_file(&graph, path, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "is empty"));
    init_file();
    size_t size;
    uint8_t *bytes = pack(&size);
    assert_int_equal(write(fd, bytes, size), size);
    assert_int_equal(onnx_read_file(&graph, path, &err), 0);
    assert_int_equal(graph->node_count, 2);
    graph_free(&graph);
    free(bytes);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_ops),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_initializers),
        cmocka_unit_test(test_absurd_shapes),
        cmocka_unit_test(test_tensor_types),
        cmocka_unit_test(test_constants),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_hostile_encodings),
        cmocka_unit_test(test_damaged_bytes),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
