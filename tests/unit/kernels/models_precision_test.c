/* Proves how exact whole networks are: the default detector at its full size and models of the test
 * data, each on the device in f32 and in bf16x3, every output beside that of the interpreter in
 * doubles, norm of the difference over norm.
 * Measured on an AMD EPYC (Zen 4), bf16x3 and f32: street_det 3.4e-6 and 2.6e-7, yolox_nano, the worst,
 * 2.8e-5 and 1.5e-6. */
#include "cpu/plan.h"
#include "cpu_device.h"
#include "lab/double.h"
#include "model_picture.h"
#include "onnx/onnx.h"
#include <unistd.h>

#define BF16X3_BOUND 1e-4
#define F32_BOUND 5e-6
#define OUTPUTS_MAX 4

struct model {
    const char *file; /* in the repository if it has a folder, else in the test data */
    struct shape shape;
    double low, high; /* of the input's numbers */
    bool thin;        /* nothing in it is worth splitting: bf16x3 is f32 where there are no matrix units */
};

static const struct model models[] = {
    { "models/street_det/street_det.onnx", { 4, { 1, 3, 384, 512 } }, 0, 1, false },
    { "yolox_nano.onnx", { 4, { 1, 3, 416, 416 } }, 0, 255, false },
    { "fastestdet.onnx", { 4, { 1, 3, 352, 352 } }, 0, 1, true },
    { "twinlitenet.onnx", { 4, { 1, 3, 360, 640 } }, 0, 1, false },
    { "ultraface_rfb320.onnx", { 4, { 1, 3, 240, 320 } }, -127.0 / 128, 1, false },
    { "fsrcnn_x2.onnx", { 4, { 1, 96, 128, 1 } }, 0, 1, true },
    { "espcn_x3.onnx", { 4, { 1, 1, 224, 224 } }, 0, 1, false },
};
#define MODEL_COUNT (sizeof models / sizeof *models)

static void must(int rc, const struct error *err)
{
    if (rc < 0)
        fail_msg("%s", err->text);
}

static void run_wide(const struct graph *graph, const struct tensor *input, struct tensor *outputs)
{
    struct graph *wide = NULL;
    struct tensor wide_input;
    struct error err;
    must(graph_clone(&wide, graph, &err), &err);
    must(graph_to_double(wide, &err), &err);
    must(tensor_create(&wide_input, TENSOR_F64, &input->shape, &err), &err);
    for (int64_t i = 0, n = shape_elements(&input->shape); i < n; i++)
        ((double *)wide_input.data)[i] = (double)((const float *)input->data)[i];
    must(graph_run_reference(wide, (const struct tensor *[]){ &wide_input }, outputs, &err), &err);
    tensor_free(&wide_input);
    graph_free(&wide);
}

/* NaN if any number is. */
static double error_of(const struct tensor *got, const struct tensor *wide)
{
    double difference = 0, norm = 0;
    assert_int_equal(got->type, TENSOR_F32);
    assert_int_equal(wide->type, TENSOR_F64);
    assert_true(shape_equal(&got->shape, &wide->shape));
    for (int64_t i = 0, n = shape_elements(&wide->shape); i < n; i++) {
        double a = (double)((const float *)got->data)[i], b = ((const double *)wide->data)[i];
        difference += (a - b) * (a - b);
        norm += b * b;
    }
    return sqrt(difference / norm);
}

/* Steps that compute in parts, or split for one that does. */
static int count_splits(const struct plan *plan)
{
    const struct cpu_plan *cpu = (const struct cpu_plan *)plan;
    int count = 0;
    for (int i = 0; i < cpu->step_count; i++)
        count += strcmp(cpu->steps[i].implementation, "split") == 0 ||
                 strcmp(cpu->steps[i].implementation, "own:split_conv") == 0;
    return count;
}

static void compare(const struct model *model, const struct graph *graph, enum precision precision,
                    double bound, const struct tensor *input, const struct tensor *expected)
{
    struct plan *plan = NULL;
    struct error err;
    must(device_compile(device, graph, &(struct plan_options){ .precision = precision }, &plan, &err),
         &err);
    /* Else bf16x3 would be f32 by another name. */
    if (precision == PRECISION_F32)
        assert_int_equal(count_splits(plan), 0);
    else if (!model->thin)
        assert_true(count_splits(plan) > 0);
    memcpy(plan_input(plan, 0)->data, input->data, tensor_bytes(input));
    must(plan_run(plan, &err), &err);
    for (size_t i = 0; i < plan_output_count(plan); i++) {
        double error = error_of(plan_output(plan, i), &expected[i]);
        print_message("%s, %s in %s: %.2g off\n", model->file, plan_output_name(plan, i),
                      precision_word(precision), error);
        if (!(error <= bound))
            fail_msg("%s, %s in %s: %.3g off, bound %g", model->file, plan_output_name(plan, i),
                     precision_word(precision), error, bound);
    }
    plan_free(&plan);
}

static void find_model(const struct model *model, char *path, size_t path_bytes)
{
    const char *data = getenv("TEST_DATA");
    if (strchr(model->file, '/')) {
        snprintf(path, path_bytes, "%s", model->file);
        return;
    }
    snprintf(path, path_bytes, "%s/models/%s", data ? data : "../shared/data", model->file);
    if (access(path, R_OK)) {
        print_message("SKIP REASON: models_precision_test: no %s\n", path);
        skip();
    }
}

static void is_as_exact_as_promised(void **state)
{
    const struct model *model = *state;
    struct graph *graph = NULL;
    struct tensor input, expected[OUTPUTS_MAX] = { 0 };
    struct device_info info;
    struct error err;
    char path[512];
    find_model(model, path, sizeof path);
    must(onnx_read_file(&graph, path, &err), &err);
    must(graph_infer(graph, &model->shape, &err), &err);
    assert_true(graph->output_count <= OUTPUTS_MAX);
    must(tensor_create(&input, TENSOR_F32, &model->shape, &err), &err);
    model_picture_draw(&input, model->low, model->high);
    run_wide(graph, &input, expected);
    compare(model, graph, PRECISION_F32, F32_BOUND, &input, expected);
    device_get_info(device, &info);
    if (info.bf16)
        compare(model, graph, PRECISION_BF16X3, BF16X3_BOUND, &input, expected);
    else
        print_message("SKIP REASON: models_precision_test: no bf16 arithmetic\n");
    for (int i = 0; i < graph->output_count; i++)
        tensor_free(&expected[i]);
    tensor_free(&input);
    graph_free(&graph);
}

int main(void)
{
    struct CMUnitTest tests[MODEL_COUNT];
    for (size_t i = 0; i < MODEL_COUNT; i++)
        tests[i] = (struct CMUnitTest){ .name = models[i].file,
                                        .test_func = is_as_exact_as_promised,
                                        .initial_state = (void *)&models[i] };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
