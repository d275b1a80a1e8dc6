/* node: production's own step for a node of a graph, so that a ladder can run it on memory of its
 * choice. The node is compiled as any other graph is; the step is found by the name that plans print. */
#ifndef RUNESPOOR_LAB_NODE_H
#define RUNESPOOR_LAB_NODE_H

#include "cpu/plan.h"
#include "lab.h"
#include "ops/op.h"

#define LAB_OPSET 13
#define LAB_PLACES_MAX 6

struct lab_node {
    struct graph *graph;
    struct device *device;
    struct plan *plan;
    const struct cpu_step *step; /* of the plan; NULL where oneDNN does the node by itself */
};

static inline int lab_must(int rc, const struct error *err)
{
    if (rc >= 0)
        return rc;
    fprintf(stderr, "lab: %s\n", err->text);
    exit(1);
}

/* Begins a graph; the ladder adds inputs and constants, then calls lab_node_compile. */
static inline void lab_node_begin(struct lab_node *node)
{
    struct error err;
    *node = (struct lab_node){ 0 };
    lab_must(graph_create(&node->graph, &err), &err);
    node->graph->opset = LAB_OPSET;
}

static inline int lab_node_input(struct lab_node *node, const struct shape *shape)
{
    struct error err;
    int value = lab_must(graph_add_value(node->graph, "input", TENSOR_F32, shape, &err), &err);
    lab_must(graph_mark_input(node->graph, value, &err), &err);
    return value;
}

static inline int lab_node_constant(struct lab_node *node, enum tensor_type type,
                                    const struct shape *shape, const void *data)
{
    struct error err;
    struct tensor tensor;
    lab_must(tensor_create(&tensor, type, shape, &err), &err);
    memcpy(tensor.data, data, tensor_bytes(&tensor));
    return lab_must(graph_add_constant(node->graph, "constant", &tensor, &err), &err);
}

/* Adds a node; attributes end with { 0 }, NULL: none. Its output. */
static inline int lab_node_add(struct lab_node *node, const char *op_name, const int *inputs,
                               int input_count, const struct attribute *attributes)
{
    struct error err;
    const struct op *op = op_find(op_name, LAB_OPSET);
    op = op ? op : op_find(op_name, 0); /* our own ops */
    assert(op);
    int output = lab_must(graph_add_value(node->graph, "output", TENSOR_F32, NULL, &err), &err);
    int added = lab_must(
        graph_add_node(node->graph, op, op_name, inputs, input_count, &output, 1, &err), &err);
    for (; attributes && attributes->name; attributes++)
        lab_must(graph_add_attribute(node->graph, added, attributes, &err), &err);
    return output;
}

/* Compiles what gives the output; the step is the one of this implementation. */
static inline void lab_node_finish(struct lab_node *node, int output, const char *implementation)
{
    struct error err;
    struct plan_options options = { .precision = PRECISION_F32 };
    lab_must(graph_mark_output(node->graph, output, &err), &err);
    lab_must(device_open(&node->device, "cpu:threads=1", &err), &err);
    lab_must(device_compile(node->device, node->graph, &options, &node->plan, &err), &err);
    const struct cpu_plan *plan = (const struct cpu_plan *)node->plan;
    for (int i = 0; i < plan->step_count; i++)
        if (plan->steps[i].implementation &&
            strcmp(plan->steps[i].implementation, implementation) == 0)
            node->step = &plan->steps[i];
    assert(!node->step || (node->step->run && node->step->place_count <= LAB_PLACES_MAX));
}

/* Both, of a node without attributes. */
static inline void lab_node_compile(struct lab_node *node, const char *op_name, const int *inputs,
                                    int input_count, const char *implementation)
{
    lab_node_finish(node, lab_node_add(node, op_name, inputs, input_count, NULL), implementation);
}

/* Runs the step with other memory in its places, in their order. */
static inline void lab_node_run(const struct lab_node *node, void *const *data, int count)
{
    struct error err;
    struct cpu_place places[LAB_PLACES_MAX], *list[LAB_PLACES_MAX];
    struct cpu_step step = *node->step;
    assert(count == step.place_count);
    for (int i = 0; i < count; i++) {
        places[i] = *step.places[i];
        places[i].data = data[i];
        list[i] = &places[i];
    }
    step.places = list;
    lab_must(step.run(&step, &err), &err);
}

static inline void lab_node_end(struct lab_node *node)
{
    plan_free(&node->plan);
    device_close(&node->device);
    graph_free(&node->graph);
}

#endif
