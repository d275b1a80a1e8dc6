/* Files of opsets 1 to 6: one node in the way of its day, and what the standard of that day says it gives. */
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
#define INPUTS_MAX 2
#define ATTRIBUTES_MAX 3

/* An input of f32 and a constant, or another input of unknown shape. */
struct old_case {
    int opset;
    const char *op;
    int64_t dims[4], constant_dims[4]; /* end with 0 */
    bool unknown; /* the second operand is an input whose rank the file does not say */
    float input[12], constant[12];
    Onnx__AttributeProto attributes[ATTRIBUTES_MAX]; /* end with one without a name */
    int64_t out_dims[4]; /* ends with 0 */
    float output[12];
};

static struct error err;

#define ATTRIBUTE(key, kind, ...)                                                               \
    {                                                                                           \
        .base = PROTOBUF_C_MESSAGE_INIT(&onnx__attribute_proto__descriptor), .name = TEXT(key), \
        .has_type = 1, .type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##kind, __VA_ARGS__       \
    }
#define INT(key, number) ATTRIBUTE(key, INT, .has_i = 1, .i = (number))
#define FLOAT(key, number) ATTRIBUTE(key, FLOAT, .has_f = 1, .f = (number))
#define WORD(key, word) \
    ATTRIBUTE(key, STRING, .has_s = 1, .s = { sizeof(word) - 1, (uint8_t *)TEXT(word) })
#define INTS(key, ...)                                                                   \
    ATTRIBUTE(key, INTS, .n_ints = sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), \
              .ints = (int64_t[]){ __VA_ARGS__ })

static size_t rank_of(const int64_t *dims)
{
    size_t rank = 0;
    while (dims[rank])
        rank++;
    return rank;
}

/* The case as a file. */
static int read_case(const struct old_case *c, struct graph **graph)
{
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    Onnx__OperatorSetIdProto import = ONNX__OPERATOR_SET_ID_PROTO__INIT, *imports[] = { &import };
    Onnx__GraphProto proto = ONNX__GRAPH_PROTO__INIT;
    Onnx__NodeProto node = ONNX__NODE_PROTO__INIT, *nodes[] = { &node };
    Onnx__ValueInfoProto infos[3] = { ONNX__VALUE_INFO_PROTO__INIT, ONNX__VALUE_INFO_PROTO__INIT,
                                      ONNX__VALUE_INFO_PROTO__INIT };
    Onnx__ValueInfoProto *inputs[] = { &infos[0], &infos[1] }, *outputs[] = { &infos[2] };
    Onnx__TypeProto type = ONNX__TYPE_PROTO__INIT, bare = ONNX__TYPE_PROTO__INIT;
    Onnx__TypeProto__Tensor tensor = ONNX__TYPE_PROTO__TENSOR__INIT, plain = tensor;
    Onnx__TensorShapeProto shape = ONNX__TENSOR_SHAPE_PROTO__INIT;
    Onnx__TensorShapeProto__Dimension dims[3], *dim_list[3];
    Onnx__TensorProto constant = ONNX__TENSOR_PROTO__INIT, *constants[] = { &constant };
    Onnx__AttributeProto *attributes[ATTRIBUTES_MAX];
    char *names[] = { TEXT("x"), TEXT("c") }, *results[] = { TEXT("y") };
    bool two = c->constant_dims[0] || c->unknown;
    size_t constant_rank = rank_of(c->constant_dims), count = 1;
    for (size_t i = 0; i < rank_of(c->dims); i++) {
        onnx__tensor_shape_proto__dimension__init(&dims[i]);
        dims[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dims[i].dim_value = c->dims[i];
        dim_list[i] = &dims[i];
    }
    shape.n_dim = rank_of(c->dims);
    shape.dim = dim_list;
    tensor.has_elem_type = plain.has_elem_type = 1;
    tensor.elem_type = plain.elem_type = 1;
    tensor.shape = &shape;
    type.value_case = bare.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type.tensor_type = &tensor;
    bare.tensor_type = &plain;
    infos[0].name = TEXT("x");
    infos[1].name = TEXT("c");
    infos[2].name = TEXT("y");
    infos[0].type = &type;
    infos[1].type = infos[2].type = &bare;
    constant.name = TEXT("c");
    constant.has_data_type = 1;
    constant.data_type = 1;
    constant.n_dims = constant_rank;
    constant.dims = (int64_t *)c->constant_dims;
    for (size_t i = 0; i < constant_rank; i++)
        count *= (size_t)c->constant_dims[i];
    constant.n_float_data = count;
    constant.float_data = (float *)c->constant;
    node.op_type = TEXT(c->op);
    node.n_input = two ? 2 : 1;
    node.input = names;
    node.n_output = 1;
    node.output = results;
    while (node.n_attribute < ATTRIBUTES_MAX && c->attributes[node.n_attribute].name) {
        attributes[node.n_attribute] = (Onnx__AttributeProto *)&c->attributes[node.n_attribute];
        node.n_attribute++;
    }
    node.attribute = attributes;
    proto.n_node = proto.n_output = 1;
    proto.node = nodes;
    proto.n_input = two ? 2 : 1; /* old files list their initializers, too */
    proto.input = inputs;
    proto.output = outputs;
    proto.n_initializer = constant_rank > 0;
    proto.initializer = constants;
    import.has_version = 1;
    import.version = c->opset;
    model.has_ir_version = 1;
    model.ir_version = 3;
    model.n_opset_import = 1;
    model.opset_import = imports;
    model.graph = &proto;
    size_t size = onnx__model_proto__get_packed_size(&model);
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    onnx__model_proto__pack(&model, bytes);
    int rc = onnx_read_bytes(graph, bytes, size, "old.onnx", &err);
    free(bytes);
    return rc;
}

static void gives(const struct old_case *c)
{
    struct graph *graph = NULL;
    struct tensor output = { 0 };
    if (read_case(c, &graph) || graph_infer(graph, NULL, &err))
        fail_msg("%s: %s", c->op, err.text);
    const struct tensor input = { .type = TENSOR_F32,
                                  .shape = graph->values[graph->inputs[0]].shape,
                                  .data = (void *)c->input };
    if (graph_run_reference(graph, (const struct tensor *const[]){ &input }, &output, &err))
        fail_msg("%s: %s", c->op, err.text);
    struct shape wanted = { .rank = (int)rank_of(c->out_dims) };
    memcpy(wanted.dim, c->out_dims, sizeof c->out_dims);
    assert_true(shape_equal(&output.shape, &wanted));
    for (int64_t i = 0, count = shape_elements(&wanted); i < count; i++) {
        float got = output.type == TENSOR_I32 ? (float)((int32_t *)output.data)[i]
                                              : ((float *)output.data)[i];
        if (got != c->output[i])
            fail_msg("%s: element %d is %g, expected %g", c->op, (int)i, (double)got,
                     (double)c->output[i]);
    }
    tensor_free(&output);
    graph_free(&graph);
}

#define GIVES(...) gives(&(struct old_case){ __VA_ARGS__ })

static void refuses(const struct old_case *c, const char *words)
{
    struct graph *graph = NULL;
    assert_true(read_case(c, &graph) < 0);
    assert_null(graph);
    if (!strstr(err.text, words))
        fail_msg("%s: \"%s\" lacks \"%s\"", c->op, err.text, words);
}

#define REFUSED(words, ...) refuses(&(struct old_case){ __VA_ARGS__ }, words)

static void test_broadcasting(void **state)
{
    (void)state;
    /* Along the middle axis, from the front and from the end; then the last one, which needs nothing. */
    GIVES(.opset = 6, .op = "Add", .dims = { 1, 2, 2 }, .input = { 1, 2, 3, 4 },
          .constant_dims = { 2 }, .constant = { 10, 20 },
          .attributes = { INT("broadcast", 1), INT("axis", 1) }, .out_dims = { 1, 2, 2 },
          .output = { 11, 12, 23, 24 });
    GIVES(.opset = 1, .op = "Sub", .dims = { 1, 2, 2 }, .input = { 1, 2, 3, 4 },
          .constant_dims = { 2 }, .constant = { 1, 2 },
          .attributes = { INT("broadcast", 1), INT("axis", -2), INTS("consumed_inputs", 0, 0) },
          .out_dims = { 1, 2, 2 }, .output = { 0, 1, 1, 2 });
    GIVES(.opset = 6, .op = "Mul", .dims = { 1, 2, 2 }, .input = { 1, 2, 3, 4 },
          .constant_dims = { 2 }, .constant = { 10, 20 },
          .attributes = { INT("broadcast", 1), INT("axis", 2) }, .out_dims = { 1, 2, 2 },
          .output = { 10, 40, 30, 80 });
    GIVES(.opset = 6, .op = "Add", .dims = { 1, 2, 2 }, .input = { 1, 2, 3, 4 },
          .constant_dims = { 2 }, .constant = { 10, 20 }, .attributes = { INT("broadcast", 1) },
          .out_dims = { 1, 2, 2 }, .output = { 11, 22, 13, 24 });
    GIVES(.opset = 6, .op = "PRelu", .dims = { 1, 2, 2 }, .input = { -1, 2, -3, -4 },
          .constant_dims = { 2 }, .constant = { 0.5f, 2 }, .out_dims = { 1, 2, 2 },
          .output = { -0.5f, 2, -6, -8 });
    REFUSED("Add node '' of opset 6: axis: the file does not say how many dimensions 'c' has",
            .opset = 6, .op = "Add", .dims = { 2, 2 }, .unknown = true,
            .attributes = { INT("broadcast", 1), INT("axis", 0) });
    REFUSED("axis: 1000 for an operand of 1 dimensions", .opset = 6, .op = "Add", .dims = { 2, 2 },
            .constant_dims = { 2 }, .attributes = { INT("broadcast", 1), INT("axis", 1000) });
}

static void test_attributes(void **state)
{
    (void)state;
    GIVES(.opset = 1, .op = "Reshape", .dims = { 2, 2 }, .input = { 1, 2, 3, 4 },
          .attributes = { INTS("shape", -1, 1) }, .out_dims = { 4, 1 }, .output = { 1, 2, 3, 4 });
    GIVES(.opset = 1, .op = "Cast", .dims = { 3 }, .input = { 1.5f, -2.5f, 3 },
          .attributes = { WORD("to", "INT32") }, .out_dims = { 3 }, .output = { 1, -2, 3 });
    GIVES(.opset = 1, .op = "Concat", .dims = { 1, 2 }, .input = { 1, 2 },
          .constant_dims = { 1, 1 }, .constant = { 3 }, .out_dims = { 1, 3 }, .output = { 1, 2, 3 });
    GIVES(.opset = 1, .op = "Pad", .dims = { 2 }, .input = { 1, 2 },
          .attributes = { INTS("paddings", 1, 0), FLOAT("value", 5) }, .out_dims = { 3 },
          .output = { 5, 1, 2 });
    GIVES(.opset = 6, .op = "Dropout", .dims = { 2 }, .input = { 1, 2 },
          .attributes = { INT("is_test", 1), FLOAT("ratio", 0.5f) }, .out_dims = { 2 },
          .output = { 1, 2 });
    REFUSED("Dropout node '' of opset 6: is_test: is 0: the node is for training", .opset = 6,
            .op = "Dropout", .dims = { 2 });
    REFUSED("shape: the attribute is missing", .opset = 1, .op = "Reshape", .dims = { 2 });
    REFUSED("to: 'REAL' is no type", .opset = 5, .op = "Cast", .dims = { 2 },
            .attributes = { WORD("to", "REAL") });
    REFUSED("scales: width_scale or height_scale is missing", .opset = 1, .op = "Upsample",
            .dims = { 2 });
    /* Of the newer way nothing is taken. */
    REFUSED("attribute 'broadcast': name: this op has no such attribute", .opset = 7, .op = "Add",
            .dims = { 2 }, .constant_dims = { 2 }, .attributes = { INT("broadcast", 1) });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broadcasting),
        cmocka_unit_test(test_attributes),
    };
    return cmocka_run_group_tests_name("old_opsets", tests, NULL, NULL);
}
