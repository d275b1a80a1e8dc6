/* All models of the test data as plans of the cpu device, with one thread and with two, against the
 * numbers that another runtime gave. Every model runs twice in one plan and must give the same bits;
 * where the processor has bf16, the street detector must stay close in that too. */
#include "device.h"
#include "models_expected.h"
#include "onnx/onnx.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define INPUTS_MAX 4
#define TOLERANCE 1e-4
/* Eight bits of each factor and result: the raw output lies within a few per cent of its range. */
#define TOLERANCE_BF16 5e-2

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

static void assert_close(const struct expected_output *expected, const char *what, double got,
                         double wanted, double tolerance)
{
    double slack = expected_slack(expected->file, strcmp(what, "mean") == 0);
    if (!(fabs(got - wanted) <= fmax(tolerance * fmax(1, fabs(wanted)), slack)))
        fail_msg("%s %s %s: %.9g, expected %.9g", expected->file, expected->output, what, got,
                 wanted);
}

static void check_output(const struct expected_output *expected, const struct tensor *tensor,
                         double tolerance)
{
    const float *data = tensor->data;
    int64_t count = shape_elements(&tensor->shape);
    double sum = 0, min = INFINITY, max = -INFINITY;
    assert_int_equal(tensor->type, TENSOR_F32);
    assert_true(shape_equal(&tensor->shape, &expected->shape));
    for (int64_t i = 0; i < count; i++) {
        sum += (double)data[i];
        min = fmin(min, (double)data[i]);
        max = fmax(max, (double)data[i]);
    }
    assert_close(expected, "mean", sum / (double)count, expected->mean, tolerance);
    assert_close(expected, "min", min, expected->min, tolerance);
    assert_close(expected, "max", max, expected->max, tolerance);
    for (int i = 0; i < 4; i++)
        assert_close(expected, "first", (double)data[i], expected->first[i], tolerance);
    for (int i = 0; i < 3; i++)
        assert_close(expected, "middle", (double)data[expected->middle + i], expected->at_middle[i],
                     tolerance);
}

static void check_outputs(const char *file, const struct plan *plan, double tolerance)
{
    for (size_t e = 0; e < sizeof expected_outputs / sizeof *expected_outputs; e++) {
        if (strcmp(expected_outputs[e].file, file) != 0)
            continue;
        size_t output = 0;
        while (output < plan_output_count(plan) &&
               strcmp(plan_output_name(plan, output), expected_outputs[e].output) != 0)
            output++;
        assert_true(output < plan_output_count(plan));
        check_output(&expected_outputs[e], plan_output(plan, output), tolerance);
    }
}

static uint64_t digest_outputs(const struct plan *plan)
{
    uint64_t digest = 14695981039346656037u;
    for (size_t o = 0; o < plan_output_count(plan); o++) {
        const unsigned char *bytes = plan_output(plan, o)->data;
        for (uint64_t i = 0, count = tensor_bytes(plan_output(plan, o)); i < count; i++)
            digest = (digest ^ bytes[i]) * 1099511628211u;
    }
    return digest;
}

static void run_model(const char *folder, const char *file, const char *spec,
                      enum precision precision, double tolerance)
{
    struct error err = { 0 };
    struct graph *graph = NULL;
    struct device *device = NULL;
    struct plan *plan = NULL;
    struct shape shapes[INPUTS_MAX];
    struct plan_options options = { .precision = precision, .input_shapes = shapes };
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    if (onnx_read_file(&graph, path, &err) || device_open(&device, spec, &err))
        fail_msg("%s", err.text);
    assert_true(graph->input_count <= INPUTS_MAX);
    for (int i = 0; i < graph->input_count; i++) {
        shapes[i] = graph->values[graph->inputs[i]].shape;
        close_shape(file, &shapes[i]);
    }
    if (device_compile(device, graph, &options, &plan, &err))
        fail_msg("%s", err.text);
    graph_free(&graph);

    const struct tensor *input = plan_input(plan, 0);
    fill_expected_input(input->data, shape_elements(&input->shape));
    uint64_t digest = 0;
    for (int run = 0; run < 2; run++) {
        if (plan_run(plan, &err))
            fail_msg("%s", err.text);
        check_outputs(file, plan, tolerance);
        if (run > 0)
            assert_true(digest_outputs(plan) == digest);
        digest = digest_outputs(plan);
    }
    plan_free(&plan);
    device_close(&device);
}

/* The folder with the file, or NULL after saying why the test is skipped. */
static const char *data_folder(const char *test, const char *file)
{
    const char *folder = getenv("TEST_DATA");
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder ? folder : "", file);
    FILE *found = folder ? fopen(path, "rb") : NULL;
    if (found) {
        fclose(found);
        return folder;
    }
    fprintf(stderr, "SKIP REASON: %s: no file %s (TEST_DATA)\n", test, file);
    return NULL;
}

static void test_model(void **state)
{
    const char *file = *state, *folder = data_folder("models_cpu", file);
    if (!folder)
        skip();
    run_model(folder, file, "cpu:threads=1", PRECISION_F32, TOLERANCE);
    run_model(folder, file, "cpu:threads=2", PRECISION_F32, TOLERANCE);
}

static void test_bf16(void **state)
{
    const char *file = *state, *folder = data_folder("models_cpu bf16", file);
    struct device *device;
    struct device_info info;
    struct error err;
    if (!folder)
        skip();
    assert_int_equal(device_open(&device, "cpu", &err), 0);
    device_get_info(device, &info);
    device_close(&device);
    if (!info.bf16) {
        fprintf(stderr, "SKIP REASON: models_cpu bf16: this processor has no bf16 arithmetic\n");
        skip();
    }
    run_model(folder, file, "cpu:threads=2", PRECISION_BF16, TOLERANCE_BF16);
}

#define MODEL(test, file)                                                \
    {                                                                    \
        .name = file, .test_func = test, .initial_state = (void *)(file) \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        MODEL(test_model, "own/street_det_512x384.onnx"),
        MODEL(test_model, "models/yolox_nano.onnx"),
        MODEL(test_model, "models/fastestdet.onnx"),
        MODEL(test_model, "models/twinlitenet.onnx"),
        MODEL(test_model, "models/ultraface_rfb320.onnx"),
        MODEL(test_model, "models/lstr_lane.onnx"),
        MODEL(test_model, "models/espcn_x3.onnx"),
        MODEL(test_model, "models/fsrcnn_x2.onnx"),
        MODEL(test_model, "models/mobilenetv2_qdq.onnx"),
        MODEL(test_bf16, "own/street_det_512x384.onnx"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
