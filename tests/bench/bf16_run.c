/* bf16_run: our side of make bench-bf16. Compiles a model in a precision and runs it on one frame after
 * the other: raw row-major inputs from stdin, raw outputs to stdout.
 *
 *     bf16_run MODEL f32|bf16 [DEVICE]
 *
 * Status 3: the device does not have the precision. */
#include "device.h"
#include "onnx/onnx.h"
#include <string.h>

#define STATUS_WITHOUT 3

static bool has_bf16(const struct device *device);
static int serve(struct plan *plan, struct error *err);

int main(int argc, char **argv)
{
    struct graph *graph = NULL;
    struct device *device = NULL;
    struct plan *plan = NULL;
    struct plan_options options = { 0 };
    struct error err = { 0 };
    if (argc < 3 || argc > 4 || (strcmp(argv[2], "f32") != 0 && strcmp(argv[2], "bf16") != 0)) {
        fprintf(stderr, "usage: %s MODEL f32|bf16 [DEVICE]\n", argv[0]);
        return 2;
    }
    options.precision = strcmp(argv[2], "bf16") == 0 ? PRECISION_BF16 : PRECISION_F32;
    int rc = device_open(&device, argc == 4 ? argv[3] : "cpu:threads=2", &err);
    if (!rc && options.precision == PRECISION_BF16 && !has_bf16(device)) {
        fprintf(stderr, "bf16_run: the processor has no bf16\n");
        device_close(&device);
        return STATUS_WITHOUT;
    }
    if (!rc)
        rc = onnx_read_file(&graph, argv[1], &err);
    if (!rc)
        rc = device_compile(device, graph, &options, &plan, &err);
    if (!rc)
        rc = serve(plan, &err);
    plan_free(&plan);
    device_close(&device);
    graph_free(&graph);
    if (rc)
        fprintf(stderr, "bf16_run: %s\n", err.text);
    return rc ? 1 : 0;
}

static bool has_bf16(const struct device *device)
{
    struct device_info info;
    device_get_info(device, &info);
    return info.bf16;
}

static int serve(struct plan *plan, struct error *err)
{
    for (;;) {
        for (size_t i = 0; i < plan_input_count(plan); i++) {
            const struct tensor *input = plan_input(plan, i);
            size_t got = fread(input->data, 1, tensor_bytes(input), stdin);
            if (got == 0 && i == 0)
                return 0;
            if (got != tensor_bytes(input))
                return error_set(err, ERROR_IO, "stdin", "ends inside a frame");
        }
        int rc = plan_run(plan, err);
        if (rc)
            return rc;
        for (size_t i = 0; i < plan_output_count(plan); i++) {
            const struct tensor *output = plan_output(plan, i);
            if (fwrite(output->data, 1, tensor_bytes(output), stdout) != tensor_bytes(output))
                return error_set(err, ERROR_IO, "stdout", "cannot be written");
        }
    }
}
