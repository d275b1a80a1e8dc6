/* Lists of tensors in files: what of them becomes nodes over tensors, and that the rest is refused by name. */
#include "graph/reference.h"
#include "onnx.pb-c.h"
#include "onnx/onnx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TEXT(literal) ((char *)(literal))
#define NODES_MAX 5
#define INPUTS_MAX 4

/* Of x and y, both lists of two numbers; "first" and "last" are the constants 0 and -1, "out" is the output. */
struct step {
    const char *op, *inputs[INPUTS_MAX], *output;
    int64_t axis, new_axis; /* of ConcatFromSequence */
};

static struct error err;

static Onnx__TensorProto number(const char *name, int64_t *data)
{
    Onnx__TensorProto proto = ONNX__TENSOR_PROTO__INIT;
    proto.name = TEXT(name);
    proto.has_data_type = 1;
    proto.data_type = ONNX__TENSOR_PROTO__DATA_TYPE__INT64;
    proto.n_int64_data = 1;
    proto.int64_data = data;
    return proto;
}

static int read_steps(const struct step *steps, struct graph **graph)
{
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    Onnx__OperatorSetIdProto import = ONNX__OPERATOR_SET_ID_PROTO__INIT, *imports[] = { &import };
    Onnx__GraphProto proto = ONNX__GRAPH_PROTO__INIT;
    Onnx__NodeProto nodes[NODES_MAX], *node_list[NODES_MAX];
    Onnx__AttributeProto attributes[2], *attribute_list[] = { &attributes[0], &attributes[1] };
    Onnx__ValueInfoProto infos[3], *info_list[] = { &infos[0], &infos[1], &infos[2] };
    Onnx__TypeProto type = ONNX__TYPE_PROTO__INIT;
    Onnx__TypeProto__Tensor tensor = ONNX__TYPE_PROTO__TENSOR__INIT;
    Onnx__TensorShapeProto shape = ONNX__TENSOR_SHAPE_PROTO__INIT;
    Onnx__TensorShapeProto__Dimension dim = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT;
    Onnx__TensorShapeProto__Dimension *dims[] = { &dim };
    int64_t first = 0, last = -1;
    Onnx__TensorProto numbers[] = { number("first", &first), number("last", &last) };
    Onnx__TensorProto *number_list[] = { &numbers[0], &numbers[1] };
    static const char *const names[] = { "x", "y", "out" };
    char *outputs[NODES_MAX];
    for (size_t i = 0; i < NODES_MAX && steps[i].op; i++, proto.n_node++) {
        onnx__node_proto__init(&nodes[i]);
        node_list[i] = &nodes[i];
        nodes[i].op_type = TEXT(steps[i].op);
        nodes[i].input = (char **)steps[i].inputs;
        while (nodes[i].n_input < INPUTS_MAX && steps[i].inputs[nodes[i].n_input])
            nodes[i].n_input++;
        outputs[i] = TEXT(steps[i].output);
        nodes[i].n_output = 1;
        nodes[i].output = &outputs[i];
        if (strcmp(steps[i].op, "ConcatFromSequence") != 0)
            continue;
        for (int a = 0; a < 2; a++) {
            onnx__attribute_proto__init(&attributes[a]);
            attributes[a].name = TEXT(a ? "new_axis" : "axis");
            attributes[a].has_type = attributes[a].has_i = 1;
            attributes[a].type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
            attributes[a].i = a ? steps[i].new_axis : steps[i].axis;
        }
        nodes[i].n_attribute = 2;
        nodes[i].attribute = attribute_list;
    }
    dim.value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    dim.dim_value = 2;
    shape.n_dim = 1;
    shape.dim = dims;
    tensor.has_elem_type = 1;
    tensor.elem_type = 1;
    tensor.shape = &shape;
    type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type.tensor_type = &tensor;
    for (int i = 0; i < 3; i++) {
        onnx__value_info_proto__init(&infos[i]);
        infos[i].name = TEXT(names[i]);
        infos[i].type = &type;
    }
    proto.node = node_list;
    proto.n_input = 2;
    proto.input = info_list;
    proto.n_output = 1;
    proto.output = &info_list[2];
    proto.n_initializer = 2;
    proto.initializer = number_list;
    import.has_version = 1;
    import.version = 13;
    model.has_ir_version = 1;
    model.ir_version = 7;
    model.n_opset_import = 1;
    model.opset_import = imports;
    model.graph = &proto;
    size_t size = onnx__model_proto__get_packed_size(&model);
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    onnx__model_proto__pack(&model, bytes);
    int rc = onnx_read_bytes(graph, bytes, size, "lists.onnx", &err);
    free(bytes);
    return rc;
}

static void gives(const struct step *steps, const struct shape *shape, const float *wanted)
{
    struct graph *graph = NULL;
    float x[] = { 1, 2 }, y[] = { 3, 4 };
    struct tensor a = { .type = TENSOR_F32, .shape = { .rank = 1, .dim = { 2 } }, .data = x }, b = a;
    struct tensor output = { 0 };
    b.data = y;
    if (read_steps(steps, &graph) || graph_infer(graph, NULL, &err) ||
        graph_run_reference(graph, (const struct tensor *const[]){ &a, &b }, &output, &err))
        fail_msg("%s", err.text);
    assert_true(shape_equal(&output.shape, shape));
    assert_memory_equal(output.data, wanted, tensor_bytes(&output));
    tensor_free(&output);
    graph_free(&graph);
}

#define STEPS(...) ((const struct step[NODES_MAX]){ __VA_ARGS__ })

static void test_joined(void **state)
{
    (void)state;
    const float both[] = { 1, 2, 3, 4 }, pairs[] = { 1, 3, 2, 4 };
    const struct shape four = { .rank = 1, .dim = { 4 } }, square = { .rank = 2, .dim = { 2, 2 } };
    gives(STEPS({ "SequenceConstruct", { "x", "y" }, .output = "list" },
                { "ConcatFromSequence", { "list" }, .output = "out" }),
          &four, both);
    gives(STEPS({ "SequenceConstruct", { "x", "y" }, .output = "list" },
                { "ConcatFromSequence", { "list" }, .output = "out", .axis = 0, .new_axis = 1 }),
          &square, both);
    gives(STEPS({ "SequenceConstruct", { "x", "y" }, .output = "list" },
                { "ConcatFromSequence", { "list" }, .output = "out", .axis = 1, .new_axis = 1 }),
          &square, pairs);
}

static void test_places(void **state)
{
    (void)state;
    const float x[] = { 1, 2 }, y[] = { 3, 4 };
    const struct shape two = { .rank = 1, .dim = { 2 } };
    gives(STEPS({ "SequenceConstruct", { "x", "y" }, .output = "list" },
                { "SequenceAt", { "list", "last" }, .output = "out" }),
          &two, y);
    gives(STEPS({ "SequenceEmpty", { 0 }, .output = "none" },
                { "SequenceInsert", { "none", "x" }, .output = "one" },
                { "SequenceInsert", { "one", "y", "first" }, .output = "list" },
                { "SequenceAt", { "list", "first" }, .output = "out" }),
          &two, y);
    gives(STEPS({ "SequenceConstruct", { "x", "y" }, .output = "list" },
                { "SequenceErase", { "list" }, .output = "one" },
                { "SequenceAt", { "one", "last" }, .output = "out" }),
          &two, x);
}

static void refuses(const struct step *steps, const char *words)
{
    struct graph *graph = NULL;
    assert_true(read_steps(steps, &graph) < 0);
    if (!strstr(err.text, words))
        fail_msg("\"%s\" lacks \"%s\"", err.text, words);
}

static void test_refusals(void **state)
{
    (void)state;
    refuses(STEPS({ "SequenceConstruct", { "x", "y" }, .output = "list" },
                  { "SequenceAt", { "list", "x" }, .output = "out" }),
            "op: 'SequenceConstruct' of domain 'ai.onnx', opset 13, is not implemented");
    refuses(STEPS({ "SequenceConstruct", { "x" }, .output = "list" },
                  { "SequenceErase", { "list", "last" }, .output = "none" },
                  { "SequenceAt", { "none", "first" }, .output = "out" }),
            "is not implemented");
    refuses(STEPS({ "SequenceConstruct", { "x", "y" }, .output = "out" }), "'SequenceConstruct'");
    refuses(STEPS({ "SequenceConstruct", { "x", "y" }, .output = "list" },
                  { "SequenceLength", { "list" }, .output = "out" }),
            "is not implemented");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joined),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("sequences", tests, NULL, NULL);
}
