/* plan_run: compiles a model for a device, runs it on raw row-major inputs, writes raw outputs and
 * prints times. What engine.py and onnx_ort.py run; also the way to look at a plan.
 *
 *     plan_run [-d cpu:threads=2] [-a PRECISION] [-r RUNS] [-p] [-i] [-s 1x3x224x224]... [-o PREFIX]
 *              MODEL [INPUT...]
 *
 * -a is f32, bf16 or bf16x3, or f64: the reference kernels in doubles, which -o then writes. -p prints the
 * table of steps, -s gives the shape of an input (in order), -o writes PREFIX.0, PREFIX.1 and so on. -i
 * says by how much the process has grown at most from before it read the model to behind the first run,
 * and then takes orders from standard input: a number of runs each, answered by their times. Inputs that
 * are not given are the numbers that the models' text files use: ((i * 1103515245 + 12345) mod 2^31) / 2^31. */
#include "base/clock.h"
#include "device.h"
#include "graph/reference.h"
#include "lab/double.h"
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
    enum precision precision;
    bool wide, print, serve; /* wide: in doubles */
    uint32_t runs;
    struct shape shapes[INPUTS_MAX];
    int shape_count;
    char **inputs;
    int input_count;
};

static int read_arguments(int argc, char **argv, struct request *request);
static int read_shape(const char *text, struct shape *shape);
static int run(const struct request *request, struct error *err);
static int run_plan(const struct request *request, struct device *device, struct error *err);
static int run_wide(const struct request *request, struct error *err);
static int read_graph(const struct request *request, struct graph **graph, struct error *err);
static int fill_input(const struct request *request, size_t index, const struct tensor *tensor,
                      struct error *err);
static int write_output(const struct request *request, size_t index, const struct tensor *tensor,
                        struct error *err);
static int measure(uint32_t runs, struct plan *plan, struct error *err);
static int serve(struct plan *plan, uint64_t before_bytes, struct error *err);
static uint64_t memory_line(const char *key);
static int by_value(const void *a, const void *b);

int main(int argc, char **argv)
{
    struct request request = { .device = "cpu" };
    struct error err = { 0 };
    if (read_arguments(argc, argv, &request)) {
        fprintf(
            stderr,
            "usage: %s [-d DEVICE] [-a PRECISION] [-r RUNS] [-p] [-i] [-s SHAPE]... [-o PREFIX] "
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
    while ((option = getopt(argc, argv, "d:a:r:pis:o:")) != -1) {
        switch (option) {
        case 'd':
            request->device = optarg;
            break;
        case 'a':
            request->wide = strcmp(optarg, "f64") == 0;
            if (!request->wide && !precision_from_word(optarg, &request->precision))
                return -1;
            break;
        case 'r':
            request->runs = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'p':
            request->print = true;
            break;
        case 'i':
            request->serve = true;
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
    struct device *device = NULL;
    if (request->wide)
        return run_wide(request, err);
    int rc = device_open(&device, request->device, err);
    if (!rc)
        rc = run_plan(request, device, err);
    device_close(&device);
    return rc;
}

static int run_plan(const struct request *request, struct device *device, struct error *err)
{
    struct graph *graph = NULL;
    struct plan *plan = NULL;
    struct plan_options options = {
        .precision = request->precision,
        .input_shapes = request->shape_count > 0 ? request->shapes : NULL,
    };
    uint64_t before_bytes = memory_line("VmRSS:");
    int rc = read_graph(request, &graph, err);
    if (!rc)
        rc = device_compile(device, graph, &options, &plan, err);
    graph_free(&graph);
    for (size_t i = 0; !rc && i < plan_input_count(plan); i++)
        rc = fill_input(request, i, plan_input(plan, i), err);
    if (!rc)
        rc = plan_run(plan, err);
    for (size_t i = 0; !rc && i < plan_output_count(plan); i++)
        rc = write_output(request, i, plan_output(plan, i), err);
    if (!rc && request->print)
        rc = plan_print(plan, request->runs ? STEPS_MEASURED : 0, stdout, err);
    if (!rc && request->runs > 0)
        rc = measure(request->runs, plan, err);
    if (!rc && request->serve)
        rc = serve(plan, before_bytes, err);
    plan_free(&plan);
    return rc;
}

static int run_wide(const struct request *request, struct error *err)
{
    struct graph *graph = NULL;
    struct tensor narrow[INPUTS_MAX] = { 0 }, inputs[INPUTS_MAX] = { 0 }, *outputs = NULL;
    const struct tensor *given[INPUTS_MAX];
    int rc = read_graph(request, &graph, err);
    if (!rc)
        rc = graph_infer(graph, request->shape_count > 0 ? request->shapes : NULL, err);
    if (!rc && graph->input_count > INPUTS_MAX)
        rc = error_set(err, ERROR_UNSUPPORTED, request->model, "it has too many inputs");
    for (int i = 0; !rc && i < graph->input_count; i++) {
        const struct value *value = &graph->values[graph->inputs[i]];
        rc = tensor_create(&narrow[i], value->type, &value->shape, err);
        if (!rc)
            rc = fill_input(request, (size_t)i, &narrow[i], err);
        if (!rc)
            rc = tensor_create(&inputs[i], TENSOR_F64, &value->shape, err);
        for (int64_t k = 0, n = rc ? 0 : shape_elements(&value->shape); k < n; k++)
            ((double *)inputs[i].data)[k] = (double)((const float *)narrow[i].data)[k];
        given[i] = &inputs[i];
    }
    if (!rc)
        rc = graph_to_double(graph, err);
    if (!rc && !(outputs = calloc((size_t)graph->output_count, sizeof *outputs)))
        rc = error_set(err, ERROR_MEMORY, "plan_run", "no memory left");
    if (!rc)
        rc = graph_run_reference(graph, given, outputs, err);
    for (int i = 0; !rc && i < graph->output_count; i++)
        rc = write_output(request, (size_t)i, &outputs[i], err);
    for (int i = 0; outputs && i < graph->output_count; i++)
        tensor_free(&outputs[i]);
    for (int i = 0; i < INPUTS_MAX; i++) {
        tensor_free(&narrow[i]);
        tensor_free(&inputs[i]);
    }
    free(outputs);
    graph_free(&graph);
    return rc;
}

static int read_graph(const struct request *request, struct graph **graph, struct error *err)
{
    int rc = onnx_read_file(graph, request->model, err);
    if (!rc && request->shape_count > 0 && request->shape_count != (*graph)->input_count)
        rc = error_set(err, ERROR_CONFIG, request->model, "it has %d inputs, not %d",
                       (*graph)->input_count, request->shape_count);
    return rc;
}

static int fill_input(const struct request *request, size_t index, const struct tensor *tensor,
                      struct error *err)
{
    if (index < (size_t)request->input_count) {
        FILE *file = fopen(request->inputs[index], "rb");
        size_t got = file ? fread(tensor->data, 1, tensor_bytes(tensor), file) : 0;
        if (file)
            fclose(file);
        if (got != tensor_bytes(tensor))
            return error_set(err, ERROR_IO, request->inputs[index],
                             "must have %" PRIu64 " bytes of raw numbers", tensor_bytes(tensor));
    } else if (tensor->type == TENSOR_F32) {
        float *data = tensor->data;
        for (int64_t k = 0, count = shape_elements(&tensor->shape); k < count; k++)
            data[k] = (float)(((uint64_t)k * 1103515245u + 12345u) % 2147483648u / 2147483648.0);
    }
    return 0;
}

static int write_output(const struct request *request, size_t index, const struct tensor *tensor,
                        struct error *err)
{
    char path[4096];
    if (!request->prefix)
        return 0;
    snprintf(path, sizeof path, "%s.%zu", request->prefix, index);
    FILE *file = fopen(path, "wb");
    size_t put = file ? fwrite(tensor->data, 1, tensor_bytes(tensor), file) : 0;
    if ((file && fclose(file)) || put != tensor_bytes(tensor))
        return error_set(err, ERROR_IO, path, "cannot be written");
    return 0;
}

static int measure(uint32_t runs, struct plan *plan, struct error *err)
{
    uint64_t *times_ns = calloc(runs, sizeof *times_ns);
    if (!times_ns)
        return error_set(err, ERROR_MEMORY, "plan_run", "no memory left");
    int rc = 0;
    for (uint32_t r = 0; !rc && r < runs; r++) {
        uint64_t start_ns = clock_now_ns();
        rc = plan_run(plan, err);
        times_ns[r] = clock_now_ns() - start_ns;
    }
    if (!rc) {
        qsort(times_ns, runs, sizeof *times_ns, by_value);
        uint64_t median_ns = times_ns[runs / 2];
        uint64_t p90_ns = times_ns[(uint64_t)runs * 9 / 10];
        printf("runs=%u min_ms=%.4f median_ms=%.4f p90_ms=%.4f\n", runs, (double)times_ns[0] / 1e6,
               (double)median_ns / 1e6, (double)p90_ns / 1e6);
    }
    free(times_ns);
    return rc;
}

static int serve(struct plan *plan, uint64_t before_bytes, struct error *err)
{
    char line[32];
    printf("grown_bytes=%" PRIu64 "\n", memory_line("VmHWM:") - before_bytes);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        unsigned long runs = strtoul(line, NULL, 10);
        if (runs == 0 || runs > RUNS_MAX)
            return error_set(err, ERROR_CONFIG, "plan_run", "an order is a number of runs");
        int rc = measure((uint32_t)runs, plan, err);
        if (rc)
            return rc;
        fflush(stdout);
    }
    return 0;
}

static uint64_t memory_line(const char *key)
{
    char line[256];
    uint64_t kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0)
            kib = strtoull(line + strlen(key), NULL, 10);
    if (file)
        fclose(file);
    return kib << 10;
}

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}
