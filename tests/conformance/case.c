/* case: reading a case's files, running its model in both ways and comparing. */
#include "case.h"
#include "compare.h"
#include "device.h"
#include "files.h"
#include "graph/reference.h"
#include "onnx/onnx.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 4096
#define TENSORS_MAX GRAPH_NODE_INPUTS_MAX
#define DEVICE "cpu:threads=1"

const char *const verdict_words[VERDICT_COUNT] = { "passed", "refused", "wrong", "crashed" };

/* Inputs whose values shapes depend on become constants; how far that goes is tried in this order. */
enum binding { BIND_NOTHING, BIND_WHOLE, BIND_ALL, BIND_COUNT };

struct data_set {
    struct tensor inputs[TENSORS_MAX], outputs[TENSORS_MAX];
    int input_count, output_count;
};

static bool run_set(const char *folder, const struct graph *graph,
                    const struct tolerance *tolerance, int number, struct outcome *outcome);
static bool read_set(const char *folder, int number, struct data_set *set, struct error *err);
static int read_tensors(const char *folder, const char *role, struct tensor *tensors, int *count,
                        struct error *err);
static int bind(struct graph *graph, const struct data_set *set, enum binding binding,
                const struct tensor **inputs, struct shape *shapes, struct error *err);
static int infer_bound(struct graph **bound, const struct graph *graph, const struct data_set *set,
                       const struct tensor **inputs, struct error *err);
static bool run_interpreter(struct graph *graph, const struct tensor *const *inputs,
                            const struct data_set *set, const struct tolerance *tolerance,
                            struct outcome *outcome);
static bool run_compiled(const struct graph *graph, const struct tensor *const *inputs,
                         const struct data_set *set, const struct tolerance *tolerance,
                         struct outcome *outcome);
static bool judge(struct outcome *outcome, enum verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void case_run(const char *folder, struct outcome *outcome)
{
    struct error err = { 0 };
    struct graph *graph = NULL;
    struct tolerance tolerance;
    char path[PATH_BYTES];
    outcome->verdict = VERDICT_CRASHED;
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    file_read_op(path, outcome->op, sizeof outcome->op);
    file_read_tolerance(folder, &tolerance);
    if (onnx_read_file(&graph, path, &err)) {
        judge(outcome, VERDICT_REFUSED, "%s", err.text + strlen(path) + 2);
        return;
    }
    bool good = true;
    int number = 0;
    for (; good && file_is_there("%s/test_data_set_%d", folder, number); number++)
        good = run_set(folder, graph, &tolerance, number, outcome);
    graph_free(&graph);
    if (good && number == 0)
        judge(outcome, VERDICT_REFUSED, "no test_data_set_0");
    else if (good)
        outcome->verdict = VERDICT_PASSED;
}

static bool run_set(const char *folder, const struct graph *graph,
                    const struct tolerance *tolerance, int number, struct outcome *outcome)
{
    struct error err = { 0 };
    struct graph *bound = NULL;
    const struct tensor *inputs[TENSORS_MAX];
    struct data_set *set = calloc(1, sizeof *set);
    bool good = false;
    if (!set || !read_set(folder, number, set, &err))
        judge(outcome, VERDICT_REFUSED, "data set %d: %s", number, err.text);
    else if (graph->input_count != set->input_count || graph->output_count != set->output_count)
        judge(outcome, VERDICT_REFUSED,
              "data set %d: %d inputs and %d outputs for a model of %d and %d", number,
              set->input_count, set->output_count, graph->input_count, graph->output_count);
    else if (infer_bound(&bound, graph, set, inputs, &err))
        judge(outcome, VERDICT_REFUSED, "%s", err.text);
    else
        good = run_compiled(bound, inputs, set, tolerance, outcome) &&
               run_interpreter(bound, inputs, set, tolerance, outcome);
    graph_free(&bound);
    for (int i = 0; set && i < TENSORS_MAX; i++) {
        tensor_free(&set->inputs[i]);
        tensor_free(&set->outputs[i]);
    }
    free(set);
    return good;
}

static bool read_set(const char *folder, int number, struct data_set *set, struct error *err)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/test_data_set_%d", folder, number);
    return read_tensors(path, "input", set->inputs, &set->input_count, err) == 0 &&
           read_tensors(path, "output", set->outputs, &set->output_count, err) == 0;
}

static int read_tensors(const char *folder, const char *role, struct tensor *tensors, int *count,
                        struct error *err)
{
    for (*count = 0; file_is_there("%s/%s_%d.pb", folder, role, *count); ++*count) {
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "%s/%s_%d.pb", folder, role, *count);
        if (*count == TENSORS_MAX)
            return error_set(err, ERROR_LIMIT, role, "more than %d", TENSORS_MAX);
        int rc = file_read_tensor(path, &tensors[*count], err);
        if (rc)
            return error_wrap(err, "%s_%d", role, *count);
    }
    return 0;
}

static int infer_bound(struct graph **bound, const struct graph *graph, const struct data_set *set,
                       const struct tensor **inputs, struct error *err)
{
    struct shape shapes[TENSORS_MAX];
    int rc = -1;
    for (enum binding binding = BIND_NOTHING; rc && binding < BIND_COUNT; binding++) {
        graph_free(bound);
        rc = graph_clone(bound, graph, err);
        if (!rc)
            rc = bind(*bound, set, binding, inputs, shapes, err);
        if (!rc)
            rc = graph_infer(*bound, shapes, err);
    }
    return rc;
}

static int bind(struct graph *graph, const struct data_set *set, enum binding binding,
                const struct tensor **inputs, struct shape *shapes, struct error *err)
{
    int left = 0;
    for (int i = 0; i < graph->input_count; i++) {
        struct value *value = &graph->values[graph->inputs[i]];
        const struct tensor *tensor = &set->inputs[i];
        bool whole = tensor->type == TENSOR_I64 || tensor->type == TENSOR_I32;
        if (binding == BIND_NOTHING || (binding == BIND_WHOLE && !whole)) {
            shapes[left] = tensor->shape;
            inputs[left] = tensor;
            graph->inputs[left++] = graph->inputs[i];
            continue;
        }
        if (tensor->type != value->type)
            return error_set(err, ERROR_FORMAT, value->name, "has another type than its data");
        value->is_input = false;
        value->shape = tensor->shape;
        int rc = tensor_create(&value->constant, tensor->type, &tensor->shape, err);
        if (rc)
            return rc;
        memcpy(value->constant.data, tensor->data, tensor_bytes(tensor));
    }
    graph->input_count = left;
    return 0;
}

static bool run_interpreter(struct graph *graph, const struct tensor *const *inputs,
                            const struct data_set *set, const struct tolerance *tolerance,
                            struct outcome *outcome)
{
    struct error err = { 0 };
    struct tensor outputs[TENSORS_MAX] = { { 0 } };
    if (graph_run_reference(graph, inputs, outputs, &err))
        return judge(outcome, VERDICT_WRONG, "interpreter: %s", err.text);
    bool good = true;
    for (int i = 0; good && i < graph->output_count; i++)
        if (!tensor_close(&outputs[i], &set->outputs[i], tolerance, &err))
            good = judge(outcome, VERDICT_WRONG, "interpreter: output %d: %s", i, err.text);
    for (int i = 0; i < graph->output_count; i++)
        tensor_free(&outputs[i]);
    return good;
}

static bool run_compiled(const struct graph *graph, const struct tensor *const *inputs,
                         const struct data_set *set, const struct tolerance *tolerance,
                         struct outcome *outcome)
{
    struct error err = { 0 };
    struct device *device = NULL;
    struct plan *plan = NULL;
    const struct plan_options options = { .precision = PRECISION_F32 };
    bool good = true;
    if (device_open(&device, DEVICE, &err) || device_compile(device, graph, &options, &plan, &err))
        good = judge(outcome, VERDICT_REFUSED, "compiled: %s", err.text);
    for (size_t i = 0; good && i < plan_input_count(plan); i++) {
        const struct tensor *to = plan_input(plan, i);
        if (to->type != inputs[i]->type || !shape_equal(&to->shape, &inputs[i]->shape))
            good = judge(outcome, VERDICT_WRONG, "compiled: input %zu has become another", i);
        else
            memcpy(to->data, inputs[i]->data, tensor_bytes(to));
    }
    if (good && plan_run(plan, &err))
        good = judge(outcome, VERDICT_WRONG, "compiled: %s", err.text);
    for (size_t i = 0; good && i < plan_output_count(plan); i++)
        if (!tensor_close(plan_output(plan, i), &set->outputs[i], tolerance, &err))
            good = judge(outcome, VERDICT_WRONG, "compiled: output %zu: %s", i, err.text);
    plan_free(&plan);
    device_close(&device);
    return good;
}

static bool judge(struct outcome *outcome, enum verdict verdict, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(outcome->reason, sizeof outcome->reason, format, arguments);
    va_end(arguments);
    outcome->verdict = verdict;
    return false;
}
