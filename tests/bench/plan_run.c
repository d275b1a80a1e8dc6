/* plan_run: compiles a model for a device, runs it on raw row-major inputs, writes raw outputs and
 * prints times. What ort_compare.py runs; also the way to look at a plan.
 *
 *     plan_run [-d cpu:threads=2] [-b] [-r RUNS] [-p] [-s 1x3x224x224]... [-o PREFIX] MODEL [INPUT...]
 *
 * -b is bf16, -p prints the table of steps, -s gives the shape of an input (in order), -o writes
 * PREFIX.0, PREFIX.1 and so on. Inputs that are not given are the numbers that the models' text files
 * use: ((i * 1103515245 + 12345) mod 2^31) / 2^31. */
#include "base/clock.h"
#include "device.h"
#include "onnx/onnx.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUTS_MAX 16
#define RUNS_MAX 100000u
#define STEPS_MEASURED 20u

struct request {
    const char *device, *model, *prefix;
    bool bf16, print;
    uint32_t runs;
    struct shape shapes[INPUTS_MAX];
    int shape_count;
    char **inputs;
    int input_count;
};

static int read_arguments(int argc, char **argv, struct request *request);
static int read_shape(const char *text, struct shape *shape);
static int run(const struct request *request, struct error *err);
static int fill_inputs(const struct request *request, struct plan *plan, struct error *err);
static int write_outputs(const struct request *request, struct plan *plan, struct error *err);
static int measure(const struct request *request, struct plan *plan, struct error *err);
static int by_value(const void *a, const void *b);

int main(int argc, char **argv)
{
    struct request request = { .device = "cpu" };
    struct error err = { 0 };
    if (read_arguments(argc, argv, &request)) {
        fprintf(stderr,
                "usage: %s [-d DEVICE] [-b] [-r RUNS] [-p] [-s SHAPE]... [-o PREFIX] "
                "MODEL [INPUT...]\n",
                argv[0]);
        return 2;
    }
    if (run(&request, &err)) {
        fprintf(stderr, "plan_run: %s\n", err.text);
        return 1;
    }
    return 0;
}

static int read_arguments(int argc, char **argv, struct request *request)
{
    int option;
    while ((option = getopt(argc, argv, "d:br:ps:o:")) != -1) {
        switch (option) {
        case 'd':
            request->device = optarg;
            break;
        case 'b':
            request->bf16 = true;
            break;
        case 'r':
            request->runs = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'p':
            request->print = true;
            break;
        case 's':
            if (request->shape_count == INPUTS_MAX ||
                read_shape(optarg, &request->shapes[request->shape_count++]))
                return -1;
            break;
        case 'o':
            request->prefix = optarg;
            break;
        default:
            return -1;
        }
    }
    if (optind == argc || request->runs > RUNS_MAX)
        return -1;
    request->model = argv[optind];
    request->inputs = argv + optind + 1;
    request->input_count = argc - optind - 1;
    return 0;
}

static int read_shape(const char *text, struct shape *shape)
{
    *shape = (struct shape){ 0 };
    while (*text && shape->rank < SHAPE_RANK_MAX) {
        char *end;
        shape->dim[shape->rank++] = strtol(text, &end, 10);
        if (end == text)
            return -1;
        text = *end == 'x' ? end + 1 : end;
    }
    return *text ? -1 : 0;
}

static int run(const struct request *request, struct error *err)
{
    struct graph *graph = NULL;
    struct device *device = NULL;
    struct plan *plan = NULL;
    struct plan_options options = { .precision = request->bf16 ? PRECISION_BF16 : PRECISION_F32 };
    int rc = onnx_read_file(&graph, request->model, err);
    if (rc)
        return rc;
    if (request->shape_count > 0 && request->shape_count != graph->input_count) {
        rc = error_set(err, ERROR_CONFIG, request->model, "it has %d inputs, not %d",
                       graph->input_count, request->shape_count);
        goto done;
    }
    if (request->shape_count > 0)
        options.input_shapes = request->shapes;
    if ((rc = device_open(&device, request->device, err)) ||
        (rc = device_compile(device, graph, &options, &plan, err)) ||
        (rc = fill_inputs(request, plan, err)) || (rc = plan_run(plan, err)) ||
        (rc = write_outputs(request, plan, err)))
        goto done;
    if (request->print)
        rc = plan_print(plan, request->runs ? STEPS_MEASURED : 0, stdout, err);
    if (!rc && request->runs > 0)
        rc = measure(request, plan, err);
done:
    plan_free(&plan);
    device_close(&device);
    graph_free(&graph);
    return rc;
}

static int fill_inputs(const struct request *request, struct plan *plan, struct error *err)
{
    for (size_t i = 0; i < plan_input_count(plan); i++) {
        const struct tensor *tensor = plan_input(plan, i);
        if (i < (size_t)request->input_count) {
            FILE *file = fopen(request->inputs[i], "rb");
            size_t got = file ? fread(tensor->data, 1, tensor_bytes(tensor), file) : 0;
            if (file)
                fclose(file);
            if (got != tensor_bytes(tensor))
                return error_set(err, ERROR_IO, request->inputs[i],
                                 "must have %" PRIu64 " bytes of raw numbers", tensor_bytes(tensor));
        } else if (tensor->type == TENSOR_F32) {
            float *data = tensor->data;
            for (int64_t k = 0, count = shape_elements(&tensor->shape); k < count; k++)
                data[k] = (float)(((uint64_t)k * 1103515245u + 12345u) % 2147483648u / 2147483648.0);
        }
    }
    return 0;
}

static int write_outputs(const struct request *request, struct plan *plan, struct error *err)
{
    for (size_t i = 0; request->prefix && i < plan_output_count(plan); i++) {
        const struct tensor *tensor = plan_output(plan, i);
        char path[4096];
        snprintf(path, sizeof path, "%s.%zu", request->prefix, i);
        FILE *file = fopen(path, "wb");
        size_t put = file ? fwrite(tensor->data, 1, tensor_bytes(tensor), file) : 0;
        if ((file && fclose(file)) || put != tensor_bytes(tensor))
            return error_set(err, ERROR_IO, path, "cannot be written");
    }
    return 0;
}

static int measure(const struct request *request, struct plan *plan, struct error *err)
{
    uint64_t *times_ns = calloc(request->runs, sizeof *times_ns);
    if (!times_ns)
        return error_set(err, ERROR_MEMORY, "plan_run", "no memory left");
    int rc = 0;
    for (uint32_t r = 0; !rc && r < request->runs; r++) {
        uint64_t start_ns = clock_now_ns();
        rc = plan_run(plan, err);
        times_ns[r] = clock_now_ns() - start_ns;
    }
    if (!rc) {
        qsort(times_ns, request->runs, sizeof *times_ns, by_value);
        uint64_t median_ns = times_ns[request->runs / 2];
        uint64_t p90_ns = times_ns[(uint64_t)request->runs * 9 / 10];
        printf("runs=%u min_ms=%.3f median_ms=%.3f p90_ms=%.3f\n", request->runs,
               (double)times_ns[0] / 1e6, (double)median_ns / 1e6, (double)p90_ns / 1e6);
    }
    free(times_ns);
    return rc;
}

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}
