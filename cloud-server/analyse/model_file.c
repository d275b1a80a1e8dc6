/* model_file: reads, sizes, compiles; then shows, runs or times. The graph is let go of before anything runs, so
 * that the process has what a plan needs and no more. */
#include "analyse/model_file.h"
#include "analyse/bench_report.h"
#include "base/clock.h"
#include "base/file.h"
#include "onnx/onnx.h"
#include "tensor/npy.h"
#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARM_UP_RUNS 3u
#define FOLDER_MODE 0755

struct model_file {
    const struct model_file_request *request;
    struct graph *graph;
    struct model_inputs inputs;
    struct plan *plan;
    bool quantised; /* much of it computes in int8 then, whatever the precision of the rest */
};

static int file_read(struct model_file *file, struct error *err);
static bool is_quantised(const struct graph *graph);
static void free_batch(struct graph *graph, uint32_t batch);
static int file_compile(struct model_file *file, struct error *err);
static int infer(struct model_file *file, struct graph **inferred, struct error *err);
static int widen(struct graph *graph, uint32_t batch, struct error *err);
static void fill_plan(const struct model_file *file);
static int first_open_input(const struct graph *graph, const struct model_inputs *inputs);
static int size_is_missing(const struct model_file *file, int input, struct error *err);
static void print_open(const struct model_file *file);
static void print_tensor(const char *role, const char *name, const struct tensor *tensor);
static int write_outputs(const struct model_file *file, struct error *err);
static void name_file(char *name, size_t name_bytes, const char *output, size_t index);
static int measure(struct model_file *file, uint64_t *times_ns, struct error *err);
static void file_close(struct model_file *file);

int model_file_show(const struct model_file_request *request, struct error *err)
{
    struct model_file file = { .request = request };
    int result = file_read(&file, err);
    if (result == 0 && first_open_input(file.graph, &file.inputs) >= 0) {
        print_open(&file);
        file_close(&file);
        return 0;
    }
    if (result == 0)
        result = file_compile(&file, err);
    for (size_t i = 0; result == 0 && i < plan_input_count(file.plan); i++)
        print_tensor("input", plan_input_name(file.plan, i), plan_input(file.plan, i));
    for (size_t i = 0; result == 0 && i < plan_output_count(file.plan); i++)
        print_tensor("output", plan_output_name(file.plan, i), plan_output(file.plan, i));
    if (result == 0) {
        printf("\n");
        result = plan_print(file.plan, request->runs, stdout, err);
    }
    file_close(&file);
    return result;
}

int model_file_run(const struct model_file_request *request, struct error *err)
{
    struct model_file file = { .request = request };
    int result = file_read(&file, err);
    int missing = result == 0 ? model_inputs_missing(&file.inputs) : -1;
    if (missing >= 0) {
        const struct value *input = &file.graph->values[file.graph->inputs[missing]];
        char shape[512];
        value_format_shape(input, shape, sizeof shape);
        result = error_set(err, ERROR_CONFIG, request->path,
                           "input %.100s (%s, %.200s) is missing: give %.100s=FILE.npy",
                           input->name, tensor_type_word(input->type), shape, input->name);
    }
    if (result == 0)
        result = file_compile(&file, err);
    if (result == 0)
        result = plan_run(file.plan, err);
    if (result == 0)
        result = write_outputs(&file, err);
    file_close(&file);
    return result;
}

int model_file_bench(const struct model_file_request *request, struct error *err)
{
    struct model_file file = { .request = request };
    int result = file_read(&file, err);
    int open = result == 0 ? first_open_input(file.graph, &file.inputs) : -1;
    if (open >= 0)
        result = size_is_missing(&file, open, err);
    if (result == 0)
        result = file_compile(&file, err);
    uint64_t *times_ns = result == 0 ? calloc(request->runs, sizeof *times_ns) : NULL;
    if (result == 0 && !times_ns)
        result = error_set(err, ERROR_MEMORY, "bench", "no room for %u times", request->runs);
    if (result == 0)
        result = measure(&file, times_ns, err);
    struct bench_report report = { .model = request->path,
                                   .precision =
                                       request->int8 ? "int8" : precision_word(request->precision),
                                   .device = request->device,
                                   .plan = file.plan,
                                   .times_ns = times_ns,
                                   .runs = request->runs,
                                   .pictures = request->batch };
    if (result == 0 && !file.quantised)
        result = device_measure_peak(request->device, request->precision, &report.peak_gflops, err);
    if (result == 0)
        result = bench_report_print(&report, request->json, err);
    free(times_ns);
    file_close(&file);
    return result;
}

static int file_read(struct model_file *file, struct error *err)
{
    const struct model_file_request *request = file->request;
    int result = onnx_read_file(&file->graph, request->path, err);
    file->quantised = result == 0 && is_quantised(file->graph);
    if (result == 0 && request->int8 && !file->quantised)
        result =
            error_set(err, ERROR_CONFIG, request->path,
                      "--precision int8 is for models that are quantised, and this one is not: it "
                      "has no QuantizeLinear; take f32, bf16 or bf16x3");
    if (result == 0)
        result = model_inputs_size(file->graph, &request->words, err);
    if (result == 0 && request->batch > 1 && request->words.file_count > 0)
        result =
            error_set(err, ERROR_CONFIG, "--batch",
                      "is for inputs that are made up; files say themselves how many they hold");
    if (result == 0) {
        free_batch(file->graph, request->batch);
        result = model_inputs_read(&file->inputs, file->graph, &request->words, err);
    }
    return result;
}

static bool is_quantised(const struct graph *graph)
{
    static const char *const ops[] = { "QuantizeLinear",        "DequantizeLinear",
                                       "DynamicQuantizeLinear", "QLinearConv",
                                       "QLinearMatMul",         "ConvInteger",
                                       "MatMulInteger" };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (graph_count_op(graph, ops[i]) > 0)
            return true;
    return false;
}

/* A first size that the file leaves open is that of the batch. */
static void free_batch(struct graph *graph, uint32_t batch)
{
    for (int i = 0; batch > 0 && i < graph->input_count; i++) {
        struct shape *shape = &graph->values[graph->inputs[i]].shape;
        if (shape->rank > 1 && shape->dim[0] < 0)
            shape->dim[0] = batch;
    }
}

static int file_compile(struct model_file *file, struct error *err)
{
    const struct plan_options options = { .precision = file->request->precision };
    struct graph *inferred = NULL;
    int result = infer(file, &inferred, err);
    if (result == 0) {
        graph_free(&file->graph);
        result = device_compile(file->request->device, inferred, &options, &file->plan, err);
        if (result < 0 && err)
            error_wrap(err, "%.200s", file->request->path);
    }
    graph_free(&inferred);
    if (result == 0)
        fill_plan(file);
    return result;
}

static int infer(struct model_file *file, struct graph **inferred, struct error *err)
{
    bool made_up = model_inputs_missing(&file->inputs) >= 0;
    int result = model_inputs_make_up(&file->inputs, file->graph, err);
    if (result < 0)
        return result;
    result = graph_infer_for(inferred, file->graph, file->inputs.list, file->inputs.bound, err);
    for (int i = 0; result < 0 && made_up && i < file->inputs.count; i++)
        if (file->inputs.bound[i]) {
            const char *name = file->graph->values[file->graph->inputs[i]].name;
            error_wrap(err, "shapes depend on the values of input %.100s: give %.100s=FILE.npy",
                       name, name);
            break;
        }
    if (result == 0)
        result = widen(*inferred, file->request->batch, err);
    if (result < 0 && err)
        error_wrap(err, "%.200s", file->request->path);
    return result;
}

/* Where the file is for one picture. */
static int widen(struct graph *graph, uint32_t batch, struct error *err)
{
    bool all = graph->input_count > 0, one = graph->input_count > 0;
    for (int i = 0; i < graph->input_count; i++) {
        const struct shape *shape = &graph->values[graph->inputs[i]].shape;
        all = all && shape->rank > 0 && shape->dim[0] == batch;
        one = one && shape->rank > 0 && shape->dim[0] == 1;
    }
    if (all || batch <= 1)
        return 0;
    if (!one)
        return error_set(err, ERROR_UNSUPPORTED, "--batch",
                         "the model's inputs do not all begin with 1: give shapes with --shape");
    return graph_set_batch(graph, batch, err);
}

/* The plan's inputs are those that were not bound. What was made up for one picture is there for each. */
static void fill_plan(const struct model_file *file)
{
    size_t at = 0;
    for (int i = 0; i < file->inputs.count; i++) {
        const struct tensor *from = &file->inputs.tensors[i];
        if (file->inputs.bound[i])
            continue;
        const struct tensor *to = plan_input(file->plan, at++);
        uint64_t bytes = tensor_bytes(from), room = tensor_bytes(to);
        assert(bytes == 0 ? room == 0 : room % bytes == 0);
        for (uint64_t offset = 0; offset < room; offset += bytes)
            memcpy((char *)to->data + offset, from->data, bytes);
    }
}

static int first_open_input(const struct graph *graph, const struct model_inputs *inputs)
{
    for (int i = 0; i < graph->input_count; i++)
        if (!inputs->tensors[i].data && !model_input_is_known(&graph->values[graph->inputs[i]]))
            return i;
    return -1;
}

static int size_is_missing(const struct model_file *file, int input, struct error *err)
{
    const struct value *value = &file->graph->values[file->graph->inputs[input]];
    char shape[512], name[64] = "";
    value_format_shape(value, shape, sizeof shape);
    for (int i = 0; i < value->shape.rank && !*name; i++)
        value_size_name(value, i, name, sizeof name);
    if (*name)
        return error_set(
            err, ERROR_CONFIG, file->request->path,
            "input %.100s is %.200s: give the sizes, as in --size %s=8, or the shape, as "
            "in --shape %.100s=1x3x224x224",
            value->name, shape, name, value->name);
    return error_set(err, ERROR_CONFIG, file->request->path,
                     "input %.100s is %s: give its size, as in --shape %.100s=1x3x224x224",
                     value->name, shape, value->name);
}

/* What a file says by itself. */
static void print_open(const struct model_file *file)
{
    const struct graph *graph = file->graph;
    struct error hint = { 0 };
    char shape[512];
    for (int i = 0; i < graph->input_count + graph->output_count; i++) {
        bool in = i < graph->input_count;
        const struct value *value =
            &graph->values[in ? graph->inputs[i] : graph->outputs[i - graph->input_count]];
        value_format_shape(value, shape, sizeof shape);
        printf("%s %s %s %s\n", in ? "input" : "output", value->name, tensor_type_word(value->type),
               shape);
    }
    size_is_missing(file, first_open_input(graph, &file->inputs), &hint);
    printf("\n%d nodes of opset %d, and no plan yet: %s\n", graph->node_count, graph->opset,
           hint.text);
}

static void print_tensor(const char *role, const char *name, const struct tensor *tensor)
{
    char shape[128];
    shape_format(&tensor->shape, shape, sizeof shape);
    printf("%s %s %s %s\n", role, name, tensor_type_word(tensor->type), shape);
}

static int write_outputs(const struct model_file *file, struct error *err)
{
    const char *folder = file->request->output ? file->request->output : ".";
    int result = file_make_folder(folder, FOLDER_MODE, err);
    for (size_t i = 0; result == 0 && i < plan_output_count(file->plan); i++) {
        char name[128], path[PATH_MAX];
        name_file(name, sizeof name, plan_output_name(file->plan, i), i);
        if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
            return error_set(err, ERROR_CONFIG, "--output", "the path is longer than %d bytes",
                             PATH_MAX);
        result = npy_write_file(plan_output(file->plan, i), path, err);
        if (result == 0)
            print_tensor(path, plan_output_name(file->plan, i), plan_output(file->plan, i));
    }
    return result;
}

/* Names of outputs come from the file, and may be no names of files: "/head/scores" is _head_scores.0.npy. */
static void name_file(char *name, size_t name_bytes, const char *output, size_t index)
{
    bool plain = true;
    snprintf(name, name_bytes, "%.80s", *output ? output : "output");
    for (char *c = name; *c; c++) {
        bool same = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                    (*c >= '0' && *c <= '9') || *c == '_' || *c == '-' || (*c == '.' && c != name);
        if (!same)
            *c = '_';
        plain = plain && same;
    }
    size_t used = strlen(name);
    if (plain && used == strlen(output))
        snprintf(name + used, name_bytes - used, ".npy");
    else
        snprintf(name + used, name_bytes - used, ".%zu.npy", index);
}

static int measure(struct model_file *file, uint64_t *times_ns, struct error *err)
{
    int result = 0;
    for (uint32_t i = 0; i < WARM_UP_RUNS && result == 0; i++)
        result = plan_run(file->plan, err);
    for (uint32_t i = 0; i < file->request->runs && result == 0; i++) {
        uint64_t start_ns = clock_now_ns();
        result = plan_run(file->plan, err);
        times_ns[i] = clock_now_ns() - start_ns;
    }
    return result;
}

static void file_close(struct model_file *file)
{
    plan_free(&file->plan);
    model_inputs_free(&file->inputs);
    graph_free(&file->graph);
}
