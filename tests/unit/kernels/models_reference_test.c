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
#define PATH_BYTES 512

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
    double slack = expected_slack(expected->file, strcmp(what, "mean") == 0);
    if (!(fabs(got - wanted) <= fmax(TOLERANCE * fmax(1, fabs(wanted)), slack)))
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

static void run_model(const char *path, const char *file)
{
    struct error err = { 0 };
    struct graph *graph = NULL;
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
    for (int i = 0; i < graph->input_count; i++) {
        assert_int_equal(tensor_create(&inputs[i], TENSOR_F32, &shapes[i], &err), 0);
        if (i == 0)
            fill_expected_input(inputs[i].data, shape_elements(&shapes[i]));
    }
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

/* Skips the test where the file is missing. */
static void find_file(const char *file, char path[PATH_BYTES])
{
    const char *data_folder = getenv("TEST_DATA");
    snprintf(path, PATH_BYTES, "%s/%s", data_folder ? data_folder : "", file);
    FILE *there = data_folder ? fopen(path, "rb") : NULL;
    if (!there) {
        fprintf(stderr, "SKIP REASON: models_reference %s: not in TEST_DATA\n", file);
        skip();
    }
    fclose(there);
}

static void test_model(void **state)
{
    char path[PATH_BYTES];
    find_file(*state, path);
    run_model(path, *state);
}

#define MODEL(test, file)                                                \
    {                                                                    \
        .name = file, .test_func = test, .initial_state = (void *)(file) \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        MODEL(test_model, "own/street_det_512x384.onnx"),
        MODEL(test_model, "models/espcn_x3.onnx"),
        MODEL(test_model, "models/fastestdet.onnx"),
        MODEL(test_model, "models/fsrcnn_x2.onnx"),
        MODEL(test_model, "models/lstr_lane.onnx"),
        MODEL(test_model, "models/mobilenetv2_qdq.onnx"),
        MODEL(test_model, "models/twinlitenet.onnx"),
        MODEL(test_model, "models/ultraface_rfb320.onnx"),
        MODEL(test_model, "models/yolox_nano.onnx"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
