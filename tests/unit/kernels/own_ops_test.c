/* The op table by name and opset, and our own ops in it: code finds them, and no file does, whatever
 * opset and domain it claims; so none of them has to expect what a file may hold. */
#include "onnx.pb-c.h"
#include "onnx/onnx.h"
#include "ops/op.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static bool is_own(const struct op *op)
{
    return op->opset_min == OPSET_OWN;
}

/* One node "name" of x, the graph's input, whose output y is the graph's. */
static int read_file(const char *name, const char *domain, int64_t opset, struct error *err)
{
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    Onnx__GraphProto content = ONNX__GRAPH_PROTO__INIT;
    Onnx__OperatorSetIdProto set = ONNX__OPERATOR_SET_ID_PROTO__INIT, *sets[] = { &set };
    Onnx__NodeProto node = ONNX__NODE_PROTO__INIT, *nodes[] = { &node };
    Onnx__ValueInfoProto input = ONNX__VALUE_INFO_PROTO__INIT, *inputs[] = { &input };
    Onnx__ValueInfoProto output = ONNX__VALUE_INFO_PROTO__INIT, *outputs[] = { &output };
    Onnx__TypeProto type = ONNX__TYPE_PROTO__INIT;
    Onnx__TypeProto__Tensor tensor = ONNX__TYPE_PROTO__TENSOR__INIT;
    char *x[] = { (char *)"x" }, *y[] = { (char *)"y" };
    struct graph *graph = NULL;
    uint8_t bytes[512];
    model.has_ir_version = set.has_version = 1;
    model.ir_version = 8;
    set.version = opset;
    model.n_opset_import = 1;
    model.opset_import = sets;
    model.graph = &content;
    content.n_node = content.n_input = content.n_output = 1;
    content.node = nodes;
    content.input = inputs;
    content.output = outputs;
    input.name = x[0];
    output.name = y[0];
    input.type = output.type = &type;
    type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type.tensor_type = &tensor;
    tensor.has_elem_type = 1;
    tensor.elem_type = 1; /* f32 */
    node.op_type = (char *)name;
    node.domain = (char *)domain;
    node.n_input = node.n_output = 1;
    node.input = x;
    node.output = y;
    assert_true(onnx__model_proto__get_packed_size(&model) <= sizeof bytes);
    size_t size = onnx__model_proto__pack(&model, bytes);
    int rc = onnx_read_bytes(&graph, bytes, size, "test.onnx", err);
    graph_free(&graph);
    return rc;
}

static void test_no_file_names_them(void **state)
{
    static const int64_t opsets[] = { OPSET_MIN, 13, OPSET_MAX, OPSET_OWN };
    static const char *const domains[] = { "", "ai.onnx" };
    size_t row_count, own = 0;
    struct error err;
    (void)state;
    const struct op *const *rows = op_all(&row_count);
    for (size_t i = 0; i < row_count; i++)
        for (size_t k = 0; is_own(rows[i]) && k < sizeof opsets / sizeof *opsets; k++)
            for (size_t d = 0; d < sizeof domains / sizeof *domains; d++, own++) {
                int rc = read_file(rows[i]->name, domains[d], opsets[k], &err);
                if (rc != -ERROR_UNSUPPORTED)
                    fail_msg("%s in opset %lld: %s", rows[i]->name, (long long)opsets[k],
                             rc ? err.text : "is read");
                const char *words = opsets[k] == OPSET_OWN ? "are supported" : rows[i]->name;
                assert_non_null(strstr(err.text, words));
            }
    assert_true(own > 0);
    assert_int_equal(read_file("Relu", "", 13, &err), 0); /* but for the name the file is good */
    assert_int_equal(read_file("adam", "", 13, &err), -ERROR_UNSUPPORTED);
    assert_int_equal(read_file("conv_grad_input", "", 13, &err), -ERROR_UNSUPPORTED);
}

/* Own names begin with a small letter, which no name of ONNX does. */
static void test_names(void **state)
{
    size_t row_count;
    (void)state;
    const struct op *const *rows = op_all(&row_count);
    for (size_t i = 0; i < row_count; i++) {
        assert_int_equal(islower((unsigned char)rows[i]->name[0]) != 0, is_own(rows[i]));
        assert_int_equal(rows[i]->opset_max == OPSET_OWN, is_own(rows[i]));
    }
}

/* No two rows of one name stand for the same opset. */
static void test_rows_do_not_overlap(void **state)
{
    size_t row_count;
    (void)state;
    const struct op *const *rows = op_all(&row_count);
    for (size_t i = 0; i < row_count; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(rows[i]->name, rows[k]->name) == 0 &&
                rows[i]->opset_min <= rows[k]->opset_max && rows[k]->opset_min <= rows[i]->opset_max)
                fail_msg("two rows of %s", rows[i]->name);
}

static void test_find(void **state)
{
    (void)state;
    assert_int_equal(op_find("Split", 12)->opset_max, 12);
    assert_int_equal(op_find("Split", 13)->opset_min, 13);
    assert_int_equal(op_find("Split", 21)->opset_min, 18);
    assert_null(op_find("Split", OPSET_MIN - 1));
    assert_null(op_find("Split", OPSET_MAX + 1));
    /* 0: the newest, also where that is old, and where files cannot reach. */
    assert_int_equal(op_find("Split", 0)->opset_min, 18);
    assert_int_equal(op_find("Softmax", 0)->opset_min, 13);
    assert_int_equal(op_find("Upsample", 0)->opset_max, 9);
    assert_null(op_find("Upsample", 10));
    assert_int_equal(op_find("sum_to", 0)->opset_min, OPSET_OWN);
    assert_null(op_find("sum_to", OPSET_MAX));
    assert_null(op_find("split", 0));
    assert_null(op_find("", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_file_names_them),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_rows_do_not_overlap),
        cmocka_unit_test(test_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
