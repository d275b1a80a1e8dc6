/* All models of the test data through the reference interpreter: every op row in real use, against
 * numbers that another runtime gave. Slow on purpose (plain C, double sums): five seconds. */
#include "graph/reference.h"
#include "onnx/onnx.h"
#include "models_expected.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TOLERANCE 1e-4
/* The quantised model is chaotic on noise: a sum that rounds to the other 8-bit step early on has
 * moved half of all steps by the end. The runtime's own two ways of computing it (QDQ as written,
 * fused to integers) differ by 7 steps of the output (0.136 each), as ours does from either. */
#define TOLERANCE_QUANTISED 1.1

/* Shapes for models whose file leaves dimensions open. */
static void close_shape(const char *file, struct shape *shape)
{
    if (strstr(file, "fsrcnn")) {
        shape->dim[1] = 48;
        shape->dim[2] = 64;
    }
    for (int i = 0; i < shape->rank; i++)
        if (shape->dim[i] < 0)
            shape->dim[i] = 1;
}

static void assert_close(const char *what, const struct expected_output *expected, double got,
                         double wanted)
{
    double tolerance =
        strstr(expected->file, "qdq") ? TOLERANCE_QUANTISED : TOLERANCE * fmax(1, fabs(wanted));
    if (!(fabs(got - wanted) <= tolerance))
        fail_msg("%s %s %s: %.9g, expected %.9g", expected->file, expected->output, what, got,
                 wanted);
}

static void check_output(const struct expected_output *expected, const struct tensor *tensor)
{
    assert_int_equal(tensor->type, TENSOR_F32);
    assert_true(shape_equal(&tensor->shape, &expected->shape));
    const float *data = tensor->data;
    int64_t count = shape_elements(&tensor->shape);
    double sum = 0, min = INFINITY, max = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        sum += (double)data[i];
        min = fmin(min, (double)data[i]);
        max = fmax(max, (double)data[i]);
    }
    assert_close("mean", expected, sum / (double)count, expected->mean);
    assert_close("min", expected, min, expected->min);
    assert_close("max", expected, max, expected->max);
    for (int i = 0; i < 4; i++)
        assert_close("first", expected, (double)data[i], expected->first[i]);
    for (int i = 0; i < 3; i++)
        assert_close("middle", expected, (double)data[expected->middle + i], expected->at_middle[i]);
}

static int find_output(const struct graph *graph, const char *name)
{
    for (int i = 0; i < graph->output_count; i++)
        if (strcmp(graph->values[graph->outputs[i]].name, name) == 0)
            return i;
    fail_msg("the graph has no output %s", name);
    return -1;
}

static void run_model(const char *data_folder, const char *file)
{
    struct error err = { 0 };
    struct graph *graph = NULL;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", data_folder, file);
    if (onnx_read_file(&graph, path, &err))
        fail_msg("%s", err.text);
    struct shape shapes[2];
    struct tensor inputs[2] = { { 0 } }, outputs[8] = { { 0 } };
    const struct tensor *input_list[2] = { &inputs[0], &inputs[1] };
    assert_in_range(graph->input_count, 1, 2);
    assert_in_range(graph->output_count, 1, 8);
    for (int i = 0; i < graph->input_count; i++) {
        shapes[i] = graph->values[graph->inputs[i]].shape;
        close_shape(file, &shapes[i]);
    }
    if (graph_infer(graph, shapes, &err))
        fail_msg("%s: %s", file, err.text);
    for (int i = 0; i < graph->input_count; i++)
        assert_int_equal(tensor_create(&inputs[i], TENSOR_F32, &shapes[i], &err), 0);
    fill_expected_input(inputs[0].data, shape_elements(&inputs[0].shape));
    if (graph_run_reference(graph, input_list, outputs, &err))
        fail_msg("%s: %s", file, err.text);

    for (size_t i = 0; i < sizeof expected_outputs / sizeof *expected_outputs; i++)
        if (strcmp(expected_outputs[i].file, file) == 0)
            check_output(&expected_outputs[i],
                         &outputs[find_output(graph, expected_outputs[i].output)]);
    for (int i = 0; i < graph->output_count; i++)
        tensor_free(&outputs[i]);
    for (int i = 0; i < graph->input_count; i++)
        tensor_free(&inputs[i]);
    graph_free(&graph);
}

static void test_model(void **state)
{
    const char *file = *state, *data_folder = getenv("TEST_DATA");
    char path[512];
    snprintf(path, sizeof path, "%s/%s", data_folder ? data_folder : "", file);
    FILE *there = data_folder ? fopen(path, "rb") : NULL;
    if (!there) {
        fprintf(stderr, "SKIP REASON: models_reference %s: not in TEST_DATA\n", file);
        skip();
    }
    fclose(there);
    run_model(data_folder, file);
}

#define MODEL(name, file)                            \
    {                                                \
        name, test_model, NULL, NULL, (void *)(file) \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        MODEL("street_det", "own/street_det_512x384.onnx"),
        MODEL("espcn_x3", "models/espcn_x3.onnx"),
        MODEL("fastestdet", "models/fastestdet.onnx"),
        MODEL("fsrcnn_x2", "models/fsrcnn_x2.onnx"),
        MODEL("lstr_lane", "models/lstr_lane.onnx"),
        MODEL("mobilenetv2_qdq", "models/mobilenetv2_qdq.onnx"),
        MODEL("twinlitenet", "models/twinlitenet.onnx"),
        MODEL("ultraface_rfb320", "models/ultraface_rfb320.onnx"),
        MODEL("yolox_nano", "models/yolox_nano.onnx"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
