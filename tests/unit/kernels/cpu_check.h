/* cpu_check: small graphs with random content, and the comparison of a cpu plan with the reference
 * kernels. Shared by the tests of passes and of the cpu device. */
#ifndef RUNESPOOR_TESTS_CPU_CHECK_H
#define RUNESPOOR_TESTS_CPU_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "device.h"
#include "graph/reference.h"
#include "lab/compare.h"
#include "ops/op.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_OPSET 13
#define CHECK_INPUTS_MAX 4

struct net {
    struct graph *graph;
    struct random_state random;
    struct error err;
};

#define SHAPE(...)                                                                         \
    (&(struct shape){ .rank = (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), \
                      .dim = { __VA_ARGS__ } })

static inline void net_must(struct net *net, int rc)
{
    if (rc < 0)
        print_error("%s\n", net->err.text);
    assert_true(rc >= 0);
}

static inline void net_begin(struct net *net, uint64_t seed)
{
    *net = (struct net){ 0 };
    random_seed(&net->random, seed);
    net_must(net, graph_create(&net->graph, &net->err));
    net->graph->opset = CHECK_OPSET;
}

static inline void net_fill(struct net *net, struct tensor *tensor, double low, double high)
{
    float *data = tensor->data;
    for (int64_t i = 0, count = shape_elements(&tensor->shape); i < count; i++)
        data[i] = (float)(low + (high - low) * random_next_unit(&net->random));
}

static inline int net_input(struct net *net, const struct shape *shape)
{
    int value = graph_add_value(net->graph, "input", TENSOR_F32, shape, &net->err);
    net_must(net, value);
    net_must(net, graph_mark_input(net->graph, value, &net->err));
    return value;
}

static inline int net_constant(struct net *net, const struct shape *shape, double low, double high)
{
    struct tensor tensor;
    net_must(net, tensor_create(&tensor, TENSOR_F32, shape, &net->err));
    net_fill(net, &tensor, low, high);
    int value = graph_add_constant(net->graph, "constant", &tensor, &net->err);
    net_must(net, value);
    return value;
}

static inline int net_ints(struct net *net, int count, const int64_t *ints)
{
    struct tensor tensor;
    struct shape shape = { .rank = 1, .dim = { count } };
    net_must(net, tensor_create(&tensor, TENSOR_I64, &shape, &net->err));
    memcpy(tensor.data, ints, (size_t)count * sizeof *ints);
    int value = graph_add_constant(net->graph, "ints", &tensor, &net->err);
    net_must(net, value);
    return value;
}

#define INTS(net, ...)                                                         \
    net_ints(net, (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), \
             (const int64_t[]){ __VA_ARGS__ })

/* Adds a node with one output; inputs end with -2 (-1 is an absent one). Gives the output. */
static inline int net_node(struct net *net, const char *op_name, ...)
{
    int inputs[8], count = 0;
    va_list list;
    va_start(list, op_name);
    for (int input = va_arg(list, int); input != -2; input = va_arg(list, int))
        inputs[count++] = input;
    va_end(list);
    const struct op *op = op_find(op_name, net->graph->opset);
    if (!op)
        op = op_find(op_name, OPSET_OWN);
    if (!op)
        print_error("no op %s\n", op_name);
    assert_non_null(op);
    int output = graph_add_value(net->graph, op_name, TENSOR_F32, NULL, &net->err);
    net_must(net, output);
    net_must(net, graph_add_node(net->graph, op, op_name, inputs, count, &output, 1, &net->err));
    return output;
}

static inline void net_attribute(struct net *net, const struct attribute *attribute)
{
    net_must(net, graph_add_attribute(net->graph, net->graph->node_count - 1, attribute, &net->err));
}
static inline void net_int(struct net *net, const char *name, int64_t i)
{
    net_attribute(net, &(struct attribute){ .name = (char *)name, .kind = ATTRIBUTE_INT, .i = i });
}
static inline void net_float(struct net *net, const char *name, float f)
{
    net_attribute(net, &(struct attribute){ .name = (char *)name, .kind = ATTRIBUTE_FLOAT, .f = f });
}
static inline void net_string(struct net *net, const char *name, const char *s)
{
    net_attribute(
        net, &(struct attribute){ .name = (char *)name, .kind = ATTRIBUTE_STRING, .s = (char *)s });
}
static inline void net_list(struct net *net, const char *name, size_t count, const int64_t *ints)
{
    net_attribute(net, &(struct attribute){ .name = (char *)name,
                                            .kind = ATTRIBUTE_INTS,
                                            .ints = (int64_t *)ints,
                                            .count = count });
}
#define LIST(net, name, ...)                                                  \
    net_list(net, name, sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), \
             (const int64_t[]){ __VA_ARGS__ })

static inline void net_output(struct net *net, int value)
{
    net_must(net, graph_mark_output(net->graph, value, &net->err));
}

static inline void net_infer(struct net *net)
{
    net_must(net, graph_sort(net->graph, &net->err));
    net_must(net, graph_infer(net->graph, NULL, &net->err));
}

static inline void net_end(struct net *net)
{
    graph_free(&net->graph);
}

/* Random content for each input of an inferred graph. */
static inline void net_make_inputs(struct net *net, struct tensor inputs[CHECK_INPUTS_MAX])
{
    assert_true(net->graph->input_count <= CHECK_INPUTS_MAX);
    for (int i = 0; i < net->graph->input_count; i++) {
        const struct value *value = &net->graph->values[net->graph->inputs[i]];
        net_must(net, tensor_create(&inputs[i], TENSOR_F32, &value->shape, &net->err));
        net_fill(net, &inputs[i], -1, 1);
    }
}

static inline double relative_error(const struct tensor *got, const struct tensor *expected)
{
    return compare_tensors(got, expected, COMPARE_NORM);
}

/* Runs the reference and a plan on the same inputs; the error of every output is below bound. The
 * plan runs twice: the second time has other content in the memory that it reuses. */
static inline void net_check(struct net *net, struct device *device, enum precision precision,
                             double bound, const char *what)
{
    net_infer(net);
    struct tensor inputs[CHECK_INPUTS_MAX] = { 0 };
    const struct tensor *list[CHECK_INPUTS_MAX];
    net_make_inputs(net, inputs);
    for (int i = 0; i < CHECK_INPUTS_MAX; i++)
        list[i] = &inputs[i];
    struct tensor *expected = calloc((size_t)net->graph->output_count, sizeof *expected);
    net_must(net, graph_run_reference(net->graph, list, expected, &net->err));

    struct plan *plan = NULL;
    struct plan_options options = { .precision = precision };
    net_must(net, device_compile(device, net->graph, &options, &plan, &net->err));
    for (int run = 0; run < 2; run++) {
        for (int i = 0; i < net->graph->input_count; i++)
            memcpy(plan_input(plan, (size_t)i)->data, inputs[i].data, tensor_bytes(&inputs[i]));
        net_must(net, plan_run(plan, &net->err));
        for (int i = 0; i < net->graph->output_count; i++) {
            double error = relative_error(plan_output(plan, (size_t)i), &expected[i]);
            if (!(error < bound)) {
                print_error("%s: output %d, run %d: error %g is not below %g\n", what, i, run,
                            error, bound);
                plan_print(plan, 0, stderr, &net->err);
            }
            assert_true(error < bound);
        }
    }
    plan_free(&plan);
    for (int i = 0; i < net->graph->output_count; i++)
        tensor_free(&expected[i]);
    free(expected);
    for (int i = 0; i < CHECK_INPUTS_MAX; i++)
        tensor_free(&inputs[i]);
}

#endif
