/* Reading and writing by indices, by numbers worked out by hand: the standard's own examples in small, negative and
 * wrong indices, indices that come twice, and all reductions. */
#include "op_types.h"

#define MATRIX F32(SHAPE(3, 2), 1, 2, 3, 4, 5, 6)

/* Not when it is inferred, but when it runs. */
static void check_run_refused(const struct op_case *c, const char *words)
{
    struct error err = { 0 };
    struct graph *graph = case_graph(c, false);
    const struct tensor *inputs[] = { &c->in[0], &c->in[1], &c->in[2] };
    struct tensor output = { 0 };
    assert_int_equal(graph_infer(graph, NULL, &err), 0);
    assert_true(graph_run_reference(graph, inputs, &output, &err) < 0);
    graph_free(&graph);
    if (!strstr(err.text, words))
        fail_msg("%s: message \"%s\" lacks \"%s\"", c->op, err.text, words);
}
#define RUN_REFUSED(words, ...) check_run_refused(&(struct op_case){ __VA_ARGS__ }, words)

static void test_gather_elements(void **state)
{
    (void)state;
    CHECK(.op = "GatherElements", .in = { MATRIX, I64(SHAPE(2, 2), 2, 0, -3, -1) },
          .out = { F32(SHAPE(2, 2), 5, 2, 1, 6) });
    CHECK(.op = "GatherElements", .in = { MATRIX, I32(SHAPE(2, 3), 1, 0, 0, 0, 0, 1) },
          .attributes = { INT("axis", -1) }, .out = { F32(SHAPE(2, 3), 2, 1, 1, 3, 3, 4) });
    CHECK(.op = "GatherElements", .in = { U8(SHAPE(3), 7, 8, 9), I64(SHAPE(1), 2) },
          .out = { U8(SHAPE(1), 9) });
    REFUSED("dimension 1 is 3, of data 2", .op = "GatherElements",
            .in = { MATRIX, I64(SHAPE(1, 3), 0, 0, 0) });
    REFUSED("indices: shape 2", .op = "GatherElements", .in = { MATRIX, I64(SHAPE(2), 0, 0) });
    RUN_REFUSED("index 3 of 3", .op = "GatherElements", .in = { MATRIX, I64(SHAPE(1, 1), 3) });
}

static void test_gather_nd(void **state)
{
    (void)state;
    struct tensor cube = I32(SHAPE(2, 2, 2), 0, 1, 2, 3, 4, 5, 6, 7);
    CHECK(.op = "GatherND", .in = { cube, I64(SHAPE(2, 1), 1, 0) },
          .out = { I32(SHAPE(2, 2, 2), 4, 5, 6, 7, 0, 1, 2, 3) });
    CHECK(.op = "GatherND", .in = { cube, I64(SHAPE(2, 2), 0, 1, -1, 0) },
          .out = { I32(SHAPE(2, 2), 2, 3, 4, 5) });
    CHECK(.op = "GatherND", .in = { cube, I64(SHAPE(3), 1, 1, 0) }, .out = { I32(SCALAR, 6) });
    CHECK(.op = "GatherND", .in = { cube, I64(SHAPE(2, 1), 1, 0) },
          .attributes = { INT("batch_dims", 1) }, .out = { I32(SHAPE(2, 2), 2, 3, 4, 5) });
    REFUSED("outside [1, 3]", .op = "GatherND", .in = { cube, I64(SHAPE(1, 4), 0, 0, 0, 0) });
    REFUSED("batch_dims: 2 is outside", .op = "GatherND", .in = { cube, I64(SHAPE(2, 1), 0, 0) },
            .attributes = { INT("batch_dims", 2) });
    REFUSED("dimension 0 is 3, of data 2", .op = "GatherND",
            .in = { cube, I64(SHAPE(3, 1), 0, 0, 0) }, .attributes = { INT("batch_dims", 1) });
    RUN_REFUSED("index 2 of 2", .op = "GatherND", .in = { cube, I64(SHAPE(1), 2) });
}

static void test_scatter_elements(void **state)
{
    (void)state;
    struct tensor zeros = F32(SHAPE(3, 3), 0, 0, 0, 0, 0, 0, 0, 0, 0);
    struct tensor indices = I64(SHAPE(2, 3), 1, 0, 2, 0, 2, -2);
    struct tensor updates = F32(SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
    struct tensor scattered = F32(SHAPE(3, 3), 4, 2, 0, 1, 0, 6, 0, 5, 3);
    CHECK(.op = "ScatterElements", .in = { zeros, indices, updates }, .out = { scattered });
    CHECK(.op = "Scatter", .opset = 10, .in = { zeros, indices, updates }, .out = { scattered });
    struct tensor row = I8(SHAPE(1, 4), 1, 2, 3, 4), twice = I32(SHAPE(1, 3), 1, 1, -1);
    struct tensor more = I8(SHAPE(1, 3), 5, 6, -7);
    CHECK(.op = "ScatterElements", .in = { row, twice, more }, .attributes = { INT("axis", 1) },
          .out = { I8(SHAPE(1, 4), 1, 6, 3, -7) });
    CHECK(.op = "ScatterElements", .opset = 18, .in = { row, twice, more },
          .attributes = { INT("axis", 1), STRING("reduction", "add") },
          .out = { I8(SHAPE(1, 4), 1, 13, 3, -3) });
    CHECK(.op = "ScatterElements", .opset = 18, .in = { row, twice, more },
          .attributes = { INT("axis", 1), STRING("reduction", "mul") },
          .out = { I8(SHAPE(1, 4), 1, 60, 3, -28) });
    CHECK(.op = "ScatterElements", .opset = 18, .in = { row, twice, more },
          .attributes = { INT("axis", 1), STRING("reduction", "max") },
          .out = { I8(SHAPE(1, 4), 1, 6, 3, 4) });
    CHECK(.op = "ScatterElements", .opset = 18, .in = { row, twice, more },
          .attributes = { INT("axis", 1), STRING("reduction", "min") },
          .out = { I8(SHAPE(1, 4), 1, 2, 3, -7) });
    CHECK(.op = "ScatterElements", .opset = 18,
          .in = { U64(SHAPE(1), 5), I64(SHAPE(1), 0), U64(SHAPE(1), UINT64_MAX) },
          .attributes = { STRING("reduction", "max") }, .out = { U64(SHAPE(1), UINT64_MAX) });
    CHECK(.op = "ScatterElements", .opset = 16,
          .in = { F16(SHAPE(1), 0x3c00), I64(SHAPE(1), 0), F16(SHAPE(1), 0x4000) },
          .attributes = { STRING("reduction", "add") }, .out = { F16(SHAPE(1), 0x4200) });
    REFUSED("has not the shape of the indices", .op = "ScatterElements",
            .in = { zeros, indices, F32(SHAPE(2, 2), 1, 2, 3, 4) });
    REFUSED("updates: type i64", .op = "ScatterElements", .in = { zeros, indices, indices });
    REFUSED("unknown word 'mean'", .op = "ScatterElements", .opset = 18,
            .in = { zeros, indices, updates }, .attributes = { STRING("reduction", "mean") });
    REFUSED("data: type bool", .op = "ScatterElements", .opset = 18,
            .in = { BOOLS(SHAPE(1), 0), I64(SHAPE(1), 0), BOOLS(SHAPE(1), 1) },
            .attributes = { STRING("reduction", "add") });
    RUN_REFUSED("index -4 of 3", .op = "ScatterElements",
                .in = { zeros, I64(SHAPE(1, 1), -4), F32(SHAPE(1, 1), 1) });
}

static void test_scatter_nd(void **state)
{
    (void)state;
    struct tensor line = F32(SHAPE(8), 1, 2, 3, 4, 5, 6, 7, 8);
    CHECK(.op = "ScatterND",
          .in = { line, I64(SHAPE(4, 1), 4, 3, 1, -1), F32(SHAPE(4), 9, 10, 11, 12) },
          .out = { F32(SHAPE(8), 1, 11, 3, 10, 9, 6, 7, 12) });
    struct tensor matrix = F32(SHAPE(2, 2), 1, 2, 3, 4), rows = I64(SHAPE(2, 1), 0, 0);
    struct tensor updates = F32(SHAPE(2, 2), 5, -6, 7, 8);
    CHECK(.op = "ScatterND", .in = { matrix, rows, updates },
          .out = { F32(SHAPE(2, 2), 7, 8, 3, 4) });
    CHECK(.op = "ScatterND", .opset = 16, .in = { matrix, rows, updates },
          .attributes = { STRING("reduction", "add") }, .out = { F32(SHAPE(2, 2), 13, 4, 3, 4) });
    CHECK(.op = "ScatterND", .opset = 16, .in = { matrix, rows, updates },
          .attributes = { STRING("reduction", "mul") }, .out = { F32(SHAPE(2, 2), 35, -96, 3, 4) });
    CHECK(.op = "ScatterND", .opset = 18, .in = { matrix, rows, updates },
          .attributes = { STRING("reduction", "min") }, .out = { F32(SHAPE(2, 2), 1, -6, 3, 4) });
    CHECK(.op = "ScatterND", .opset = 18, .in = { matrix, rows, updates },
          .attributes = { STRING("reduction", "max") }, .out = { F32(SHAPE(2, 2), 7, 8, 3, 4) });
    CHECK(.op = "ScatterND", .in = { matrix, I64(SHAPE(1, 2), 1, 0), F32(SHAPE(1), 9) },
          .out = { F32(SHAPE(2, 2), 1, 2, 9, 4) });
    REFUSED("updates: shape 2x2 expected", .op = "ScatterND",
            .in = { matrix, rows, F32(SHAPE(2), 1, 2) });
    REFUSED("outside [1, 2]", .op = "ScatterND",
            .in = { matrix, I64(SHAPE(1, 3), 0, 0, 0), F32(SHAPE(1), 9) });
    RUN_REFUSED("index 2 of 2", .op = "ScatterND",
                .in = { matrix, I64(SHAPE(1, 2), 0, 2), F32(SHAPE(1), 9) });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gather_elements),
        cmocka_unit_test(test_gather_nd),
        cmocka_unit_test(test_scatter_elements),
        cmocka_unit_test(test_scatter_nd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
