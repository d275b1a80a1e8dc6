/* What has a gradient: every op that a file can name but for those listed here, and so every model of the test
 * data that has no other reason to be refused, and the detector that comes with the daemons. Each is differentiated
 * with respect to its input and to all numbers that it holds; that the rules are right is for other
 * tests (kernels/lab/ops.h). */
#include "graph/graph.h"
#include "lab/double.h"
#include "onnx/onnx.h"
#include "ops/op.h"
#include "passes/autodiff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define PATH_BYTES 512
#define OUTPUTS_MAX 16

/* For inference alone: asking for their gradient is an error that names them. */
static const char *const without[] = {
    "Tan",
    "Asin",
    "Acos",
    "Atan",
    "Sinh",
    "Cosh",
    "Asinh",
    "Acosh",
    "Atanh",
    "Selu",
    "Celu",
    "Mish",
    "Gelu",
    "Mean",
    "Mod",
    "ThresholdedRelu",
    "Shrink",
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "TopK",
    "GatherElements",
    "GatherND",
    "Scatter",
    "ScatterElements",
    "ScatterND",
    "Trilu",
    "ReverseSequence",
    "OneHot",
    "Compress",
    "Unique",
    "Einsum",
    "Det",
    "RNN",
    "GRU",
    "LSTM",
    "LpPool",        "GlobalLpPool",       "MaxUnpool",
    "MaxRoiPool",    "RoiAlign",           "GridSample",
    "AffineGrid",    "NonMaxSuppression",  "Col2Im",
    "CenterCropPad", "DeformConv",         "MeanVarianceNormalization",
    "LRN",           "GroupNormalization", "LpNormalization",
    "DFT",           "STFT",               "HannWindow",
    "HammingWindow", "BlackmanWindow",     "MelWeightMatrix",
};

static bool is_without(const char *name)
{
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        if (strcmp(without[i], name) == 0)
            return true;
    return false;
}

static void test_rows(void **state)
{
    size_t row_count;
    (void)state;
    const struct op *const *rows = op_all(&row_count);
    for (size_t i = 0; i < row_count; i++)
        /* nodes with bodies are gone before gradients are asked for */
        if (rows[i]->opset_min != OPSET_OWN && !rows[i]->has_bodies &&
            !rows[i]->gradient != is_without(rows[i]->name))
            fail_msg("%s %s a gradient rule", rows[i]->name, rows[i]->gradient ? "has" : "has not");
}

/* 1 for dimensions that the file leaves open, and a small picture. */
static void close_shapes(struct graph *graph)
{
    for (int i = 0; i < graph->input_count; i++) {
        struct shape *shape = &graph->values[graph->inputs[i]].shape;
        for (int d = 0; d < shape->rank; d++)
            if (shape->dim[d] < 1)
                shape->dim[d] = d == 0 || shape->rank < 3 ? 1 : 48;
    }
}

static void must(int rc, const char *path, const struct error *err)
{
    if (rc)
        fail_msg("%s: %s", path, err->text);
}

static void test_model(void **state)
{
    const char *path = *state;
    char full[PATH_BYTES];
    struct graph *graph = NULL;
    struct error err;
    int of[OUTPUTS_MAX], of_count = 0, with_count = 0;
    const char *data = getenv("TEST_DATA");
    snprintf(full, sizeof full, "%s", path);
    if (strncmp(path, "models/street_det", 17) != 0)
        snprintf(full, sizeof full, "%s/%s", data ? data : "", path);
    if (access(full, R_OK) != 0) {
        print_message("SKIP REASON: gradient_coverage_test: no file %s\n", path);
        skip();
    }
    must(onnx_read_file(&graph, full, &err), path, &err);
    close_shapes(graph);
    must(graph_infer(graph, NULL, &err), path, &err);

    assert_true(graph->output_count <= OUTPUTS_MAX);
    for (int i = 0; i < graph->output_count; i++)
        if (graph->values[graph->outputs[i]].type == TENSOR_F32)
            of[of_count++] = graph->outputs[i];
    int *with = calloc((size_t)graph->value_count, sizeof *with);
    int *gradients = calloc((size_t)graph->value_count, sizeof *gradients);
    if (!with || !gradients)
        abort();
    assert_true(of_count > 0);
    with[with_count++] = graph->inputs[0];
    for (int i = 0; i < graph->value_count; i++)
        if (graph->values[i].constant.data && graph->values[i].type == TENSOR_F32)
            with[with_count++] = i;
    struct autodiff autodiff = {
        .of = of, .of_count = of_count, .with = with, .with_count = with_count
    };
    must(pass_autodiff(graph, &autodiff, gradients, &err), path, &err);
    assert_true(gradients[0] >= 0);
    int learning = 0;
    for (int i = 1; i < with_count; i++)
        learning += gradients[i] >= 0;
    assert_true(learning > 0);
    /* All of it has a double form, to be compared with differences. */
    must(graph_to_double(graph, &err), path, &err);
    free(with);
    free(gradients);
    graph_free(&graph);
}

#define MODEL(file)                                                            \
    {                                                                          \
        .name = file, .test_func = test_model, .initial_state = (void *)(file) \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        MODEL("models/yolox_nano.onnx"),
        MODEL("models/fastestdet.onnx"),
        MODEL("models/twinlitenet.onnx"),
        MODEL("models/fsrcnn_x2.onnx"),
        MODEL("models/espcn_x3.onnx"),
        MODEL("models/ultraface_rfb320.onnx"),
        MODEL("models/lstr_lane.onnx"),
        MODEL("models/street_det/street_det.onnx"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
