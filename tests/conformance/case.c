/* case: reading a case's files, running its model in both ways and comparing. */
#include "case.h"
#include "compare.h"
#include "files.h"
#include "graph/reference.h"
#include "onnx/onnx.h"
#include "planner.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 4096
#define TENSORS_MAX GRAPH_NODE_INPUTS_MAX
#define DEVICE "cpu:threads=1"

const char *const verdict_words[VERDICT_COUNT] = { "passed", "refused", "wrong", "crashed" };

struct data_set {
    struct tensor inputs[TENSORS_MAX], outputs[TENSORS_MAX];
    int input_count, output_count;
};

static bool run_set(const char *folder, const struct graph *graph,
                    const struct tolerance *tolerance, int number, struct outcome *outcome);
static int read_set(const char *folder, int number, const struct graph *graph, struct data_set *set,
                    struct error *err);
static int read_tensors(const char *folder, const char *role, struct tensor *tensors, int *count,
                        struct error *err);
static void read_as_declared(const struct value *value, struct tensor *tensor);
static bool run_interpreter(const struct graph *graph, const struct data_set *set,
                            const struct tolerance *tolerance, struct outcome *outcome);
static bool run_compiled(const struct graph *graph, const struct data_set *set,
                         const struct tolerance *tolerance, struct outcome *outcome);
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
    bool good = false;
    struct data_set *set = calloc(1, sizeof *set);
    if (!set)
        return judge(outcome, VERDICT_REFUSED, "no memory left");
    if (read_set(folder, number, graph, set, &err))
        judge(outcome, VERDICT_REFUSED, "data set %d: %s", number, err.text);
    else
        good = run_compiled(graph, set, tolerance, outcome) &&
               run_interpreter(graph, set, tolerance, outcome);
    for (int i = 0; i < TENSORS_MAX; i++) {
        tensor_free(&set->inputs[i]);
        tensor_free(&set->outputs[i]);
    }
    free(set);
    return good;
}

static int read_set(const char *folder, int number, const struct graph *graph, struct data_set *set,
                    struct error *err)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/test_data_set_%d", folder, number);
    int rc = read_tensors(path, "input", set->inputs, &set->input_count, err);
    if (!rc)
        rc = read_tensors(path, "output", set->outputs, &set->output_count, err);
    if (rc)
        return rc;
    if (graph->input_count != set->input_count || graph->output_count != set->output_count)
        return error_set(err, ERROR_FORMAT, "model", "has %d inputs and %d outputs, not %d and %d",
                         graph->input_count, graph->output_count, set->input_count,
                         set->output_count);
    for (int i = 0; i < set->input_count; i++)
        read_as_declared(&graph->values[graph->inputs[i]], &set->inputs[i]);
    for (int i = 0; i < set->output_count; i++)
        read_as_declared(&graph->values[graph->outputs[i]], &set->outputs[i]);
    return 0;
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

/* NumPy has no bf16: the data of such a case says u16, and means the bits. */
static void read_as_declared(const struct value *value, struct tensor *tensor)
{
    if (tensor->type == TENSOR_U16 && value->type == TENSOR_BF16)
        tensor->type = TENSOR_BF16;
}

static bool run_interpreter(const struct graph *graph, const struct data_set *set,
                            const struct tolerance *tolerance, struct outcome *outcome)
{
    struct error err = { 0 };
    struct graph *inferred = NULL;
    bool bound[TENSORS_MAX] = { false }, good = true;
    const struct tensor *inputs[TENSORS_MAX];
    struct tensor outputs[TENSORS_MAX] = { { 0 } };
    for (int i = 0; i < set->input_count; i++)
        inputs[i] = &set->inputs[i];
    if (graph_infer_for(&inferred, graph, inputs, bound, &err))
        return judge(outcome, VERDICT_REFUSED, "%s", err.text);
    int left = 0;
    for (int i = 0; i < set->input_count; i++)
        if (!bound[i])
            inputs[left++] = &set->inputs[i];
    if (graph_run_reference(inferred, inputs, outputs, &err))
        good = judge(outcome, VERDICT_WRONG, "interpreter: %s", err.text);
    for (int i = 0; good && i < graph->output_count; i++)
        if (!tensor_close(&outputs[i], &set->outputs[i], tolerance, &err))
            good = judge(outcome, VERDICT_WRONG, "interpreter: output %d: %s", i, err.text);
    for (int i = 0; i < graph->output_count; i++)
        tensor_free(&outputs[i]);
    graph_free(&inferred);
    return good;
}

static bool run_compiled(const struct graph *graph, const struct data_set *set,
                         const struct tolerance *tolerance, struct outcome *outcome)
{
    struct error err = { 0 };
    struct device *device = NULL;
    struct planner *planner = NULL;
    struct plan *plan = NULL;
    const struct planner_options options = { .precision = PRECISION_F32 };
    const struct tensor *inputs[TENSORS_MAX];
    bool good = true;
    for (int i = 0; i < set->input_count; i++)
        inputs[i] = &set->inputs[i];
    if (device_open(&device, DEVICE, &err) || planner_open(&planner, device, graph, &options, &err) ||
        planner_plan(planner, inputs, &plan, &err))
        good = judge(outcome, VERDICT_REFUSED, "%s", err.text);
    else if (plan_run(plan, &err))
        good = judge(outcome, VERDICT_WRONG, "compiled: %s", err.text);
    for (size_t i = 0; good && i < plan_output_count(plan); i++)
        if (!tensor_close(plan_output(plan, i), &set->outputs[i], tolerance, &err))
            good = judge(outcome, VERDICT_WRONG, "compiled: output %zu: %s", i, err.text);
    planner_close(&planner);
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
