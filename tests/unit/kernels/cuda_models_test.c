/* Proves that the product's own networks run on the GPU back end: each, at a small size, on the emulated
 * device (cuda/emulate.c) in every precision, beside the plain reference. What cuDNN and cuBLASLt do on
 * a GPU is not in this: own kernels stand in their place. */
#include "cuda/cuda.h"
#include "cpu_check.h"
#include "model_picture.h"
#include "onnx/onnx.h"

#define OUTPUTS_MAX 4

static const struct {
    enum precision precision;
    double bound; /* norm of the difference over norm */
} precisions[] = {
    { PRECISION_F32, 1e-5 },
    { PRECISION_TF32, 1e-3 },
    { PRECISION_F16, 1e-2 },
    { PRECISION_BF16, 2e-2 }, /* oneDNN's bf16 is 1.5e-2 off on camvid_segment_tuned */
};
#define PRECISION_COUNT (sizeof precisions / sizeof *precisions)

struct model {
    const char *file;
    struct shape shape;
};

static const struct model models[] = {
    { "models/street_det/street_det.onnx", { 4, { 2, 3, 64, 96 } } },
    { "models/camvid_segment/camvid_segment.onnx", { 4, { 1, 3, 64, 96 } } },
    { "models/camvid_segment_tuned/camvid_segment_tuned.onnx", { 4, { 1, 3, 48, 80 } } },
    { "models/restore/generic_x1.onnx", { 4, { 1, 3, 24, 32 } } },
    { "models/restore/generic_x2.onnx", { 4, { 2, 3, 18, 22 } } },
    { "models/restore/generic_x3.onnx", { 4, { 1, 3, 17, 21 } } },
    { "models/restore/generic_x4.onnx", { 4, { 1, 3, 16, 20 } } },
};
#define MODEL_COUNT (sizeof models / sizeof *models)

static struct device *device;

static void must(int rc, const struct error *err)
{
    if (rc < 0)
        fail_msg("%s", err->text);
}

static int open_emulated(void **state)
{
    (void)state;
    struct error err;
    device_add_class(&cuda_class);
    return device_open(&device, "cuda", &err);
}

static int close_emulated(void **state)
{
    (void)state;
    device_close(&device);
    return 0;
}

/* Twice: the second run finds the first one's leftovers in its memory. */
static void compare(const struct model *model, const struct graph *graph, size_t index,
                    const struct tensor *input, const struct tensor *expected)
{
    struct plan *plan = NULL;
    struct plan_options options = { .precision = precisions[index].precision };
    struct error err;
    must(device_compile(device, graph, &options, &plan, &err), &err);
    for (int run = 0; run < 2; run++) {
        memcpy(plan_input(plan, 0)->data, input->data, tensor_bytes(input));
        must(plan_run(plan, &err), &err);
        for (size_t i = 0; i < plan_output_count(plan); i++) {
            double error = compare_tensors(plan_output(plan, i), &expected[i], COMPARE_NORM);
            if (!(error <= precisions[index].bound))
                fail_msg("%s, %s in %s, run %d: %.3g off, bound %g", model->file,
                         plan_output_name(plan, i), precision_word(options.precision), run, error,
                         precisions[index].bound);
        }
    }
    plan_free(&plan);
}

static void is_close_to_the_reference(void **state)
{
    const struct model *model = *state;
    struct graph *graph = NULL;
    struct tensor input, expected[OUTPUTS_MAX] = { 0 };
    struct error err;
    must(onnx_read_file(&graph, model->file, &err), &err);
    must(graph_infer(graph, &model->shape, &err), &err);
    assert_in_range(graph->output_count, 1, OUTPUTS_MAX);
    must(tensor_create(&input, TENSOR_F32, &model->shape, &err), &err);
    model_picture_draw(&input, 0, 1);
    must(graph_run_reference(graph, (const struct tensor *[]){ &input }, expected, &err), &err);
    for (size_t i = 0; i < PRECISION_COUNT; i++)
        compare(model, graph, i, &input, expected);
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
                                        .test_func = is_close_to_the_reference,
                                        .initial_state = (void *)&models[i] };
    return cmocka_run_group_tests(tests, open_emulated, close_emulated);
}
