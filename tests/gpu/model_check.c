/* model_check: whole networks on a device beside the reference kernels.
 *
 *     model_check write BUNDLE NAME...           makes data/NAME.out.N of data/NAME.in.N
 *     model_check check DEVICE BUNDLE NAME...    in each precision that the device has
 *
 * An output passes when the norm of the difference is within a bound of the norm of the reference; a
 * detector sees the same besides (model_scores.h). How much a network makes of small differences is its
 * own: where rounding nothing but its input and its weights to the precision's bits moves the reference
 * by more than the precision's bound, ROUNDING_SHARE times that is the bound instead; `write` measures it
 * and leaves it in data/NAME.rounding.0, a row for each width, a column for each output. The last lines
 * are cmocka's. */
#include "device.h"
#include "graph/reference.h"
#include "lab/compare.h"
#include "model_scores.h"
#include "onnx/onnx.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ROUNDING_SHARE 2 /* activations are rounded as well */

/* Bits of a number's fraction, with the first one, which is always set. */
static const int widths[] = { 11, 8 };
#define WIDTH_COUNT (sizeof widths / sizeof *widths)

/* Of f32 only what the order of sums changes is left. score_margin: see model_scores.h. */
static const struct {
    enum precision precision;
    double bound;
    int width; /* index; -1: numbers are not rounded */
    double score_margin;
} precisions[] = {
    { PRECISION_F32, 1e-4, -1, 0.001 },
    { PRECISION_TF32, 1e-3, 0, 0.02 },
    { PRECISION_F16, 1e-2, 0, 0.02 },
    { PRECISION_BF16, 1e-2, 1, 0.1 },
};
#define PRECISION_COUNT (sizeof precisions / sizeof *precisions)

/* A network with its inputs, and outputs where they are known. */
struct network {
    struct model_entry entry;
    struct graph *graph;
    struct tensor inputs[MODEL_INPUTS_MAX], outputs[MODEL_OUTPUTS_MAX];
    float rounding[WIDTH_COUNT][MODEL_OUTPUTS_MAX]; /* norm over norm */
};

struct totals {
    unsigned passed, failed, skipped;
};

static int write_all(const char *bundle, char **names);
static int check_all(const char *spec, const char *bundle, char **names);
static int network_open(struct network *network, const char *bundle, const char *name,
                        struct error *err);
static void network_close(struct network *network);
static int write_one(const char *bundle, const char *name, struct error *err);
static int measure_rounding(struct network *network, size_t width, struct error *err);
static void round_numbers(struct tensor *tensor, int bits);
static struct tensor rounding_tensor(const struct network *network);
static void check_one(struct device *device, const char *bundle, const char *name,
                      struct totals *totals);
static int read_expected(const char *bundle, struct network *network, struct error *err);
static int check_precision(struct device *device, const struct network *network, size_t index,
                           struct error *err);
static int compare_outputs(const struct plan *plan, const struct network *network, size_t index,
                           struct error *err);
static double find_bound(const struct network *network, size_t index, size_t output);

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "write") == 0)
        return write_all(argv[2], argv + 3);
    if (argc > 4 && strcmp(argv[1], "check") == 0)
        return check_all(argv[2], argv[3], argv + 4);
    fprintf(stderr, "usage: %s write BUNDLE NAME... | check DEVICE BUNDLE NAME...\n", argv[0]);
    return 2;
}

static int write_all(const char *bundle, char **names)
{
    struct error err;
    for (; *names; names++)
        if (write_one(bundle, *names, &err)) {
            fprintf(stderr, "model_check: %s: %s\n", *names, err.text);
            return 1;
        }
    return 0;
}

static int check_all(const char *spec, const char *bundle, char **names)
{
    struct device *device;
    struct error err;
    struct totals totals = { 0 };
    if (device_open(&device, spec, &err)) {
        printf("model_check: %s\n[  FAILED  ] 1 test(s).\n", err.text);
        return 1;
    }
    for (; *names; names++)
        check_one(device, bundle, *names, &totals);
    device_close(&device);
    printf("[  PASSED  ] %u test(s).\n", totals.passed);
    if (totals.skipped > 0)
        printf("[  SKIPPED ] %u test(s).\n", totals.skipped);
    if (totals.failed > 0)
        printf("[  FAILED  ] %u test(s).\n", totals.failed);
    return totals.failed > 0;
}

static int network_open(struct network *network, const char *bundle, const char *name,
                        struct error *err)
{
    *network = (struct network){ 0 };
    int rc = model_find(bundle, name, &network->entry, err);
    if (!rc)
        rc = onnx_read_file(&network->graph, network->entry.file, err);
    if (!rc && network->graph->input_count != network->entry.input_count)
        rc = error_set(err, ERROR_FORMAT, name, "has %d inputs", network->graph->input_count);
    if (!rc && network->graph->output_count != network->entry.output_count)
        rc = error_set(err, ERROR_FORMAT, name, "has %d outputs", network->graph->output_count);
    if (!rc)
        rc = graph_infer(network->graph, network->entry.shapes, err);
    for (size_t i = 0; !rc && i < (size_t)network->entry.input_count; i++) {
        rc = tensor_create(&network->inputs[i], TENSOR_F32, &network->entry.shapes[i], err);
        if (!rc)
            rc = model_read(bundle, &network->entry, "in", i, &network->inputs[i], err);
    }
    return rc;
}

static void network_close(struct network *network)
{
    for (int i = 0; i < MODEL_INPUTS_MAX; i++)
        tensor_free(&network->inputs[i]);
    for (int i = 0; i < MODEL_OUTPUTS_MAX; i++)
        tensor_free(&network->outputs[i]);
    graph_free(&network->graph);
}

static int write_one(const char *bundle, const char *name, struct error *err)
{
    struct network network;
    const struct tensor *inputs[MODEL_INPUTS_MAX];
    const struct model_scores *scores = &network.entry.scores;
    int rc = network_open(&network, bundle, name, err);
    for (int i = 0; i < MODEL_INPUTS_MAX; i++)
        inputs[i] = &network.inputs[i];
    if (!rc)
        rc = graph_run_reference(network.graph, inputs, network.outputs, err);
    for (size_t i = 0; !rc && i < (size_t)network.entry.output_count; i++)
        rc = model_write(bundle, &network.entry, "out", i, &network.outputs[i], err);
    for (size_t w = 0; !rc && w < WIDTH_COUNT; w++)
        rc = measure_rounding(&network, w, err);
    if (!rc) {
        struct tensor rounding = rounding_tensor(&network);
        rc = model_write(bundle, &network.entry, "rounding", 0, &rounding, err);
    }
    if (!rc && scores->output >= 0) {
        int found = model_count_found(scores, &network.outputs[scores->output], err);
        printf("%s: %d cells above %.2f\n", name, found, scores->threshold);
        rc = found > 0 ? 0
                       : error_set(err, ERROR_FORMAT, name, "sees nothing in its picture: no check");
    }
    network_close(&network);
    return rc;
}

/* Rounds what the network holds: widths get smaller from call to call. */
static int measure_rounding(struct network *network, size_t width, struct error *err)
{
    const struct tensor *inputs[MODEL_INPUTS_MAX];
    struct tensor outputs[MODEL_OUTPUTS_MAX] = { 0 };
    for (int i = 0; i < MODEL_INPUTS_MAX; i++) {
        inputs[i] = &network->inputs[i];
        round_numbers(&network->inputs[i], widths[width]);
    }
    for (int v = 0; v < network->graph->value_count; v++)
        if (network->graph->values[v].constant.shape.rank > 1)
            round_numbers(&network->graph->values[v].constant, widths[width]);
    int rc = graph_run_reference(network->graph, inputs, outputs, err);
    for (int i = 0; !rc && i < network->entry.output_count; i++)
        network->rounding[width][i] =
            (float)compare_tensors(&outputs[i], &network->outputs[i], COMPARE_NORM);
    for (int i = 0; i < MODEL_OUTPUTS_MAX; i++)
        tensor_free(&outputs[i]);
    return rc;
}

static void round_numbers(struct tensor *tensor, int bits)
{
    float *data = tensor->data;
    for (int64_t i = 0; data && tensor->type == TENSOR_F32 && i < shape_elements(&tensor->shape);
         i++) {
        int exponent;
        float fraction = frexpf(data[i], &exponent);
        data[i] = ldexpf(nearbyintf(ldexpf(fraction, bits)), exponent - bits);
    }
}

static struct tensor rounding_tensor(const struct network *network)
{
    return (struct tensor){ .type = TENSOR_F32,
                            .shape = { .rank = 2, .dim = { WIDTH_COUNT, MODEL_OUTPUTS_MAX } },
                            .data = (void *)network->rounding };
}

static void check_one(struct device *device, const char *bundle, const char *name,
                      struct totals *totals)
{
    struct network network;
    struct error err;
    int rc = network_open(&network, bundle, name, &err);
    if (!rc)
        rc = read_expected(bundle, &network, &err);
    if (rc) {
        printf("%s: %s\n", name, err.text);
        totals->failed++;
    }
    for (size_t i = 0; !rc && i < PRECISION_COUNT; i++) {
        const char *word = precision_word(precisions[i].precision);
        if (!device_has(device, precisions[i].precision)) {
            printf("SKIP REASON: %s: this device has no %s\n", name, word);
            totals->skipped++;
        } else if (check_precision(device, &network, i, &err)) {
            printf("FAIL %s in %s: %s\n", name, word, err.text);
            totals->failed++;
        } else {
            totals->passed++;
        }
    }
    network_close(&network);
}

static int read_expected(const char *bundle, struct network *network, struct error *err)
{
    struct tensor rounding = rounding_tensor(network);
    int rc = model_read(bundle, &network->entry, "rounding", 0, &rounding, err);
    for (size_t i = 0; !rc && i < (size_t)network->entry.output_count; i++) {
        const struct value *value = &network->graph->values[network->graph->outputs[i]];
        rc = tensor_create(&network->outputs[i], value->type, &value->shape, err);
        if (!rc)
            rc = model_read(bundle, &network->entry, "out", i, &network->outputs[i], err);
    }
    return rc;
}

static int check_precision(struct device *device, const struct network *network, size_t index,
                           struct error *err)
{
    struct plan *plan = NULL;
    struct plan_options options = { .precision = precisions[index].precision,
                                    .input_shapes = network->entry.shapes };
    int rc = device_compile(device, network->graph, &options, &plan, err);
    for (size_t i = 0; !rc && i < plan_input_count(plan); i++)
        memcpy(plan_input(plan, i)->data, network->inputs[i].data, tensor_bytes(&network->inputs[i]));
    for (int run = 0; !rc && run < 2; run++) { /* the second finds the first one's leftovers */
        rc = plan_run(plan, err);
        if (!rc)
            rc = compare_outputs(plan, network, index, err);
    }
    plan_free(&plan);
    return rc;
}

static int compare_outputs(const struct plan *plan, const struct network *network, size_t index,
                           struct error *err)
{
    const struct model_scores *scores = &network->entry.scores;
    for (size_t i = 0; i < plan_output_count(plan); i++) {
        double error = compare_tensors(plan_output(plan, i), &network->outputs[i], COMPARE_NORM);
        double bound = find_bound(network, index, i);
        printf("%s %s %s: %.2g off, bound %.2g\n", network->entry.name,
               precision_word(precisions[index].precision), plan_output_name(plan, i), error, bound);
        if (!(error <= bound))
            return error_set(err, ERROR_FORMAT, plan_output_name(plan, i), "%.3g off, bound %.3g",
                             error, bound);
    }
    if (scores->output < 0)
        return 0;
    return model_compare_scores(scores, plan_output(plan, (size_t)scores->output),
                                &network->outputs[scores->output], precisions[index].score_margin,
                                err);
}

static double find_bound(const struct network *network, size_t index, size_t output)
{
    int width = precisions[index].width;
    double own = width < 0 ? 0 : ROUNDING_SHARE * (double)network->rounding[width][output];
    return fmax(precisions[index].bound, own);
}
