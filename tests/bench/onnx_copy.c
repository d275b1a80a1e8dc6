/* onnx_copy: reads a model and writes it again, for onnx_ort.py and engine.py.
 *
 *     onnx_copy [-p | -n PICTURES | -t STEPS] [-s 1x3x224x224]... FROM TO
 *
 * -s gives the shape of an input (in order). -p infers the graph and runs the passes that leave ops of
 * ONNX, or what it can spell. -n infers it and makes it one for several pictures. -t trains the model on random input for some steps, towards outputs of
 * zero, which makes sense to nobody but changes all weights, and stores them in the graph as it was
 * read. */
#include "base/random.h"
#include "onnx/onnx.h"
#include "onnx/write.h"
#include "ops/op.h"
#include "passes/pass.h"
#include "train/loss.h"
#include "train/train.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUTS_MAX 16
#define RATE 1e-3f

struct request {
    bool passes;
    int pictures, steps;
    struct shape shapes[INPUTS_MAX];
    int shape_count;
    const char *from, *to;
};

static int read_arguments(int argc, char **argv, struct request *request);
static int read_shape(const char *text, struct shape *shape);
static int copy(const struct request *request, struct graph **graph, struct error *err);
static int rewrite(const struct request *request, struct graph *graph, struct error *err);
static int widen(const struct request *request, struct graph *graph, struct error *err);
static int train(const struct request *request, struct graph *model, struct error *err);
static int add_loss(struct graph *graph, struct error *err);
static int run_steps(const struct graph *graph, int steps, struct graph *model, struct error *err);

int main(int argc, char **argv)
{
    struct request request = { 0 };
    struct graph *graph = NULL;
    struct error err = { 0 };
    if (read_arguments(argc, argv, &request)) {
        fprintf(stderr, "usage: %s [-p | -n PICTURES | -t STEPS] [-s SHAPE]... FROM TO\n", argv[0]);
        return 2;
    }
    int rc = copy(&request, &graph, &err);
    if (rc)
        fprintf(stderr, "onnx_copy: %s\n", err.text);
    graph_free(&graph);
    return rc ? 1 : 0;
}

static int read_arguments(int argc, char **argv, struct request *request)
{
    int option;
    while ((option = getopt(argc, argv, "pn:t:s:")) != -1) {
        if (option == 'p')
            request->passes = true;
        else if (option == 'n')
            request->pictures = atoi(optarg);
        else if (option == 't')
            request->steps = atoi(optarg);
        else if (option != 's' || request->shape_count == INPUTS_MAX ||
                 read_shape(optarg, &request->shapes[request->shape_count++]))
            return -1;
    }
    if (argc - optind != 2)
        return -1;
    request->from = argv[optind];
    request->to = argv[optind + 1];
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

static int copy(const struct request *request, struct graph **graph, struct error *err)
{
    int rc = onnx_read_file(graph, request->from, err);
    if (rc)
        return rc;
    if (request->shape_count > 0 && request->shape_count != (*graph)->input_count)
        return error_set(err, ERROR_CONFIG, request->from, "it has %d inputs, not %d",
                         (*graph)->input_count, request->shape_count);
    if (request->passes)
        rc = rewrite(request, *graph, err);
    else if (request->pictures > 0)
        rc = widen(request, *graph, err);
    else if (request->steps > 0)
        rc = train(request, *graph, err);
    return rc ? rc : onnx_write_file(*graph, request->to, err);
}

static int rewrite(const struct request *request, struct graph *graph, struct error *err)
{
    int rc = graph_infer(graph, request->shape_count > 0 ? request->shapes : NULL, err);
    if (!rc)
        rc = pass_drop_noop(graph, err);
    if (!rc)
        rc = pass_fuse_activation(graph, err);
    return rc ? rc : pass_fold_affine(graph, err);
}

static int widen(const struct request *request, struct graph *graph, struct error *err)
{
    int rc = graph_infer(graph, request->shape_count > 0 ? request->shapes : NULL, err);
    return rc ? rc : graph_set_batch(graph, request->pictures, err);
}

static int train(const struct request *request, struct graph *model, struct error *err)
{
    struct train_options options = TRAIN_OPTIONS_DEFAULT;
    struct graph *graph = NULL;
    int rc = graph_clone(&graph, model, err);
    if (rc)
        return rc;
    rc = graph_infer(graph, request->shape_count > 0 ? request->shapes : NULL, err);
    int loss = rc ? rc : add_loss(graph, err);
    if (!rc)
        rc = loss < 0 ? loss : train_make(graph, loss, &options, err);
    if (!rc)
        rc = run_steps(graph, request->steps, model, err);
    graph_free(&graph);
    return rc;
}

/* The mean of the squares of all outputs. */
static int add_loss(struct graph *graph, struct error *err)
{
    int sum = -1;
    for (int i = 0; i < graph->output_count; i++) {
        int output = graph->outputs[i];
        struct tensor zeros;
        int rc = tensor_create(&zeros, TENSOR_F32, &graph->values[output].shape, err);
        if (rc)
            return rc;
        int target = graph_add_constant(graph, "target", &zeros, err);
        int loss = target < 0 ? target : loss_l2(graph, output, target, err);
        if (loss < 0 || sum < 0) {
            sum = loss;
        } else {
            int both[] = { sum, loss };
            sum = graph_add_value(graph, "loss", TENSOR_F32, &graph->values[loss].shape, err);
            int node = sum < 0 ? sum
                               : graph_add_node(graph, op_find("Add", graph->opset), "loss", both,
                                                2, &sum, 1, err);
            sum = node < 0 ? node : sum;
        }
        if (sum < 0)
            return sum;
    }
    return sum;
}

static int run_steps(const struct graph *graph, int steps, struct graph *model, struct error *err)
{
    struct device *device = NULL;
    struct plan *plan = NULL;
    struct plan_options options = { .precision = PRECISION_F32 };
    struct random_state random;
    random_seed(&random, 1);
    int rc = device_open(&device, "cpu", err);
    if (!rc)
        rc = device_compile(device, graph, &options, &plan, err);
    for (int step = 0; !rc && step < steps; step++) {
        for (size_t i = 0; i + 1 < plan_input_count(plan); i++) {
            bool mask = strstr(plan_input_name(plan, i), "mask");
            float *data = plan_input(plan, i)->data;
            for (int64_t k = 0, n = shape_elements(&plan_input(plan, i)->shape); k < n; k++)
                data[k] = mask ? 0 : (float)random_next_unit(&random);
        }
        *(float *)plan_input(plan, plan_input_count(plan) - 1)->data = RATE;
        rc = plan_run(plan, err);
    }
    if (!rc && (rc = train_store(plan, model, "", false, err)) > 0)
        rc = 0;
    plan_free(&plan);
    device_close(&device);
    return rc;
}
