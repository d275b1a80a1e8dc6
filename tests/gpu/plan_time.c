/* plan_time: a plan that stays and is timed whenever somebody asks, so that runs of ours and of a peer
 * stand beside each other.
 *
 *     plan_time DEVICE                            says what it is, and ends
 *     plan_time DEVICE PRECISION SHAPE[,SHAPE…] MODEL
 *
 * It says "ready", with times and memory, when the plan is made, and then answers each line of its
 * standard input with one, until that ends:
 *
 *     run N        whole_ms=… device_ms=…      medians of N runs: from memory of the host to memory of
 *                                              the host; on the device alone
 *     table N      plan_print's table after N runs of each step, then "end" */
#include "base/clock.h"
#include "device.h"
#include "model_list.h"
#include "onnx/onnx.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 64
#define RUNS_MAX 10000u

static int say_device(struct device *device);
static int serve(struct device *device, char **argv, struct error *err);
static int read_shapes(char *text, struct shape *shapes, int count, struct error *err);
static void fill_inputs(struct plan *plan);
static int answer(struct plan *plan, const char *line, struct error *err);
static int time_runs(struct plan *plan, uint32_t runs, struct error *err);
static double median(double *numbers, uint32_t count);
static int by_value(const void *a, const void *b);

int main(int argc, char **argv)
{
    struct device *device = NULL;
    struct error err;
    if (argc != 2 && argc != 5) {
        fprintf(stderr, "usage: %s DEVICE [PRECISION SHAPE[,SHAPE...] MODEL]\n", argv[0]);
        return 2;
    }
    int rc = device_open(&device, argv[1], &err);
    if (!rc)
        rc = argc == 2 ? say_device(device) : serve(device, argv, &err);
    device_close(&device);
    if (rc)
        fprintf(stderr, "plan_time: %s\n", err.text);
    return rc != 0;
}

static int say_device(struct device *device)
{
    struct device_info info;
    device_get_info(device, &info);
    printf("%s, %s, %u multiprocessors\n", info.kind, info.name, info.threads);
    return 0;
}

static int serve(struct device *device, char **argv, struct error *err)
{
    struct graph *graph = NULL;
    struct plan *plan = NULL;
    struct shape shapes[MODEL_INPUTS_MAX];
    struct plan_options options = { .input_shapes = shapes };
    char line[LINE_BYTES];
    uint64_t start_ns = clock_now_ns(), activation_bytes, weight_bytes;
    if (!precision_from_word(argv[2], &options.precision))
        return error_set(err, ERROR_CONFIG, "precision", "there is no '%s'", argv[2]);
    int rc = onnx_read_file(&graph, argv[4], err);
    if (!rc)
        rc = read_shapes(argv[3], shapes, graph->input_count, err);
    if (!rc)
        rc = device_compile(device, graph, &options, &plan, err);
    if (!rc) {
        fill_inputs(plan);
        rc = plan_run(plan, err);
    }
    if (!rc) {
        plan_memory(plan, &activation_bytes, &weight_bytes);
        printf("ready compile_ms=%.0f activation_bytes=%" PRIu64 " weight_bytes=%" PRIu64
               " flop=%" PRIu64 "\n",
               (double)(clock_now_ns() - start_ns) / 1e6, activation_bytes, weight_bytes,
               plan_flop(plan));
        fflush(stdout);
    }
    while (!rc && fgets(line, sizeof line, stdin)) {
        rc = answer(plan, line, err);
        fflush(stdout);
    }
    plan_free(&plan);
    graph_free(&graph);
    return rc;
}

static int read_shapes(char *text, struct shape *shapes, int count, struct error *err)
{
    char *rest;
    int rc = 0, given = 0;
    for (char *one = strtok_r(text, ",", &rest); !rc && one; one = strtok_r(NULL, ",", &rest)) {
        if (given == count || given == MODEL_INPUTS_MAX)
            return error_set(err, ERROR_CONFIG, "shape", "the model has %d inputs", count);
        rc = model_read_shape(one, &shapes[given++], err);
    }
    return rc || given == count
               ? rc
               : error_set(err, ERROR_CONFIG, "shape", "the model has %d inputs", count);
}

/* Numbers from 0 to 1 in no order, as in the models' text files. */
static void fill_inputs(struct plan *plan)
{
    for (size_t i = 0; i < plan_input_count(plan); i++) {
        const struct tensor *tensor = plan_input(plan, i);
        float *data = tensor->data;
        for (int64_t k = 0, n = shape_elements(&tensor->shape); tensor->type == TENSOR_F32 && k < n;
             k++)
            data[k] = (float)(((uint64_t)k * 1103515245u + 12345u) % 2147483648u / 2147483648.0);
    }
}

static int answer(struct plan *plan, const char *line, struct error *err)
{
    unsigned runs;
    if (sscanf(line, "run %u", &runs) == 1 && runs > 0 && runs <= RUNS_MAX)
        return time_runs(plan, runs, err);
    if (sscanf(line, "table %u", &runs) != 1)
        return error_set(err, ERROR_CONFIG, "plan_time", "what is '%.40s'?", line);
    int rc = plan_print(plan, runs, stdout, err);
    puts("end");
    return rc;
}

static int time_runs(struct plan *plan, uint32_t runs, struct error *err)
{
    double *whole_ns = calloc(runs, sizeof *whole_ns), *device_ns = calloc(runs, sizeof *device_ns);
    int rc = whole_ns && device_ns ? 0 : error_set(err, ERROR_MEMORY, "plan_time", "no memory left");
    for (uint32_t r = 0; !rc && r < runs; r++) {
        uint64_t start_ns = clock_now_ns();
        rc = plan_run(plan, err);
        whole_ns[r] = (double)(clock_now_ns() - start_ns);
    }
    for (uint32_t r = 0; !rc && r < runs; r++)
        rc = plan_run_timed(plan, &device_ns[r], err);
    if (!rc)
        printf("whole_ms=%.5f device_ms=%.5f\n", median(whole_ns, runs) / 1e6,
               median(device_ns, runs) / 1e6);
    free(whole_ns);
    free(device_ns);
    return rc;
}

static double median(double *numbers, uint32_t count)
{
    qsort(numbers, count, sizeof *numbers, by_value);
    return numbers[count / 2];
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}
