/* expand: nodes that hold graphs are replaced by what these do, while the graph around them is inferred. Then
 * the shapes that they read are known, and mostly so are conditions and trip counts, which exporters compute
 * from shapes. Of an If with a known condition the one branch remains; of any other both are computed and Where
 * takes the results of one, so both must give the same shapes. Loops are unrolled (unroll.c). */
#include "graph/expand.h"
#include "ops/op.h"
#include "tensor/number.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_BYTES 256
#define VALUE_BYTES 256 /* about what a value or a node of a copy takes */

static int expand_if(struct expansion *e, struct error *err);
static int choose(struct expansion *e, int condition, const int *then, const int *otherwise,
                  struct error *err);
static int make_scalar(struct expansion *e, int value, struct error *err);
static int check_alike(const struct expansion *e, int output, int then, int otherwise,
                       struct error *err);
static int pay(struct expansion *e, const struct graph *body, struct error *err);
static int own_inputs(const struct node *node);

int graph_expand_node(struct graph *graph, int node, struct inference *inference, struct error *err)
{
    const struct node copy = graph->nodes[node];
    struct expansion e = {
        .graph = graph,
        .inference = inference,
        .name = copy.name,
        .node = &copy,
        .own_inputs = own_inputs(&copy),
    };
    int rc;
    if (e.own_inputs < copy.op->inputs_min)
        rc = error_set(err, ERROR_FORMAT, "inputs", "%d given; at least %d expected", e.own_inputs,
                       copy.op->inputs_min);
    else if (strcmp(copy.op->name, "If") == 0)
        rc = expand_if(&e, err);
    else if (strcmp(copy.op->name, "Loop") == 0)
        rc = expand_loop(&e, err);
    else
        rc = expand_scan(&e, err);
    graph->nodes[node].output_count = 0; /* others write them now */
    return rc;
}

int expand_body(const struct expansion *e, const char *name, int own, int outputs,
                struct body *body, struct error *err)
{
    int captured = e->own_inputs;
    for (size_t i = 0; i < e->node->attribute_count; i++) {
        const struct attribute *attribute = &e->node->attributes[i];
        if (attribute->kind != ATTRIBUTE_GRAPH)
            continue;
        if (strcmp(attribute->name, name) != 0) {
            captured += (int)attribute->count;
            continue;
        }
        *body = (struct body){
            .graph = attribute->graph,
            .captured = e->node->inputs + captured,
            .captured_count = (int)attribute->count,
            .own_inputs = attribute->graph->input_count - (int)attribute->count,
        };
        if (own >= 0 && body->own_inputs != own)
            return error_set(err, ERROR_FORMAT, name, "has %d inputs; %d expected",
                             body->own_inputs, own);
        if (body->graph->output_count < outputs)
            return error_set(err, ERROR_FORMAT, name, "has %d outputs; at least %d expected",
                             body->graph->output_count, outputs);
        return 0;
    }
    return error_set(err, ERROR_FORMAT, name, "the graph is missing");
}

int expand_copy(struct expansion *e, const struct body *body, int trip, const int *inputs,
                int *outputs, struct error *err)
{
    char prefix[PREFIX_BYTES];
    int first = e->graph->node_count;
    int *all = calloc((size_t)body->graph->input_count + 1, sizeof *all);
    if (!all)
        return error_set(err, ERROR_MEMORY, "graph", "no memory left");
    for (int i = 0; i < body->own_inputs; i++)
        all[i] = inputs[i];
    for (int i = 0; i < body->captured_count; i++)
        all[body->own_inputs + i] = body->captured[i];
    if (trip < 0)
        snprintf(prefix, sizeof prefix, "%.200s/", e->name);
    else
        snprintf(prefix, sizeof prefix, "%.200s/%d/", e->name, trip);
    int rc = pay(e, body->graph, err);
    if (!rc)
        rc = graph_embed(e->graph, body->graph, prefix, all, outputs, err);
    free(all);
    return rc ? rc : graph_infer_from(e->graph, first, e->inference, err);
}

int expand_op(struct expansion *e, const char *op, const int *inputs, int input_count,
              const struct attribute *attribute, int output, struct error *err)
{
    const struct op *row = op_find(op, e->graph->opset);
    int first = e->graph->node_count;
    if (output < 0)
        output = graph_add_value(e->graph, e->name, TENSOR_NONE, NULL, err);
    if (output < 0)
        return output;
    int node = graph_add_node(e->graph, row ? row : op_find(op, 0), e->name, inputs, input_count,
                              &output, 1, err);
    if (node < 0)
        return node;
    int rc = attribute ? graph_add_attribute(e->graph, node, attribute, err) : 0;
    if (rc >= 0)
        rc = graph_infer_from(e->graph, first, e->inference, err);
    return rc < 0 ? rc : output;
}

int expand_output(struct expansion *e, int output, int value, struct error *err)
{
    if (output >= e->node->output_count || e->node->outputs[output] < 0)
        return 0;
    int rc = expand_op(e, "Identity", &value, 1, NULL, e->node->outputs[output], err);
    return rc < 0 ? rc : 0;
}

int expand_number(struct expansion *e, enum tensor_type type, int64_t number, struct error *err)
{
    struct tensor tensor = { 0 };
    int rc = tensor_create(&tensor, type, &(const struct shape){ .rank = 0 }, err);
    if (rc)
        return rc;
    number_store_whole(&tensor, 0, number);
    rc = graph_add_constant(e->graph, e->name, &tensor, err);
    tensor_free(&tensor); /* blank after success */
    return rc;
}

int expand_list(struct expansion *e, const int64_t *numbers, int64_t count, struct error *err)
{
    struct tensor tensor = { 0 };
    const struct shape shape = { .rank = 1, .dim = { count } };
    int rc = tensor_create(&tensor, TENSOR_I64, &shape, err);
    if (rc)
        return rc;
    if (count > 0)
        memcpy(tensor.data, numbers, (size_t)count * sizeof *numbers);
    rc = graph_add_constant(e->graph, e->name, &tensor, err);
    tensor_free(&tensor);
    return rc;
}

int expand_known(const struct expansion *e, int value, const char *what, enum tensor_type type,
                 bool *known, int64_t *number, struct error *err)
{
    const struct value *held = &e->graph->values[value];
    char shape[128];
    shape_format(&held->shape, shape, sizeof shape);
    if (held->type != type || shape_elements(&held->shape) != 1)
        return error_set(err, ERROR_FORMAT, what, "is %s of %s; one %s expected", shape,
                         tensor_type_word(held->type), tensor_type_word(type));
    *known = held->constant.data != NULL;
    e->graph->values[value].asked = !*known; /* which matters only if this, or what follows, fails */
    *number = *known ? number_load_whole(&held->constant, 0) : 0;
    return 0;
}

static int expand_if(struct expansion *e, struct error *err)
{
    static const char *const names[] = { "else_branch", "then_branch" };
    int values[2][GRAPH_NODE_INPUTS_MAX], condition = e->node->inputs[0];
    bool known = false;
    int64_t taken = 0;
    if (condition < 0)
        return error_set(err, ERROR_FORMAT, "cond", "the input is missing");
    int rc = expand_known(e, condition, "cond", TENSOR_BOOL, &known, &taken, err);
    for (int way = 0; !rc && way < 2; way++) {
        struct body body;
        rc = expand_body(e, names[way], 0, e->node->output_count, &body, err);
        if (!rc && body.graph->output_count > GRAPH_NODE_INPUTS_MAX)
            rc = error_set(err, ERROR_LIMIT, names[way], "%d outputs; at most %d",
                           body.graph->output_count, GRAPH_NODE_INPUTS_MAX);
        if (rc || (known && way != (taken != 0)))
            continue;
        rc = expand_copy(e, &body, -1, NULL, values[way], err);
        if (rc && err)
            error_wrap(err, "%s", names[way]);
    }
    for (int k = 0; !rc && known && k < e->node->output_count; k++)
        rc = expand_output(e, k, values[taken != 0][k], err);
    return rc || known ? rc : choose(e, condition, values[1], values[0], err);
}

static int choose(struct expansion *e, int condition, const int *then, const int *otherwise,
                  struct error *err)
{
    int inputs[3] = { make_scalar(e, condition, err) };
    int rc = inputs[0] < 0 ? inputs[0] : 0;
    for (int k = 0; !rc && k < e->node->output_count; k++) {
        int output = e->node->outputs[k];
        if (output < 0)
            continue;
        inputs[1] = then[k];
        inputs[2] = otherwise[k];
        if (!(rc = check_alike(e, k, then[k], otherwise[k], err)) &&
            (output = expand_op(e, "Where", inputs, 3, NULL, output, err)) < 0)
            rc = output;
    }
    return rc;
}

/* One of another rank would give its rank to what Where chooses. */
static int make_scalar(struct expansion *e, int value, struct error *err)
{
    if (e->graph->values[value].shape.rank == 0)
        return value;
    int shape = expand_list(e, NULL, 0, err);
    return shape < 0 ? shape
                     : expand_op(e, "Reshape", (const int[]){ value, shape }, 2, NULL, -1, err);
}

static int check_alike(const struct expansion *e, int output, int then, int otherwise,
                       struct error *err)
{
    const struct value *a = &e->graph->values[then], *b = &e->graph->values[otherwise];
    char shapes[2][128];
    if (a->type == b->type && shape_equal(&a->shape, &b->shape))
        return 0;
    shape_format(&a->shape, shapes[0], sizeof shapes[0]);
    shape_format(&b->shape, shapes[1], sizeof shapes[1]);
    return error_set(err, ERROR_UNSUPPORTED, "cond",
                     "is known only in the run, and output %d is %s of %s or %s of %s", output,
                     shapes[0], tensor_type_word(a->type), shapes[1], tensor_type_word(b->type));
}

/* For one copy of the body. */
static int pay(struct expansion *e, const struct graph *body, struct error *err)
{
    uint64_t items =
        (uint64_t)body->value_count + (uint64_t)body->output_count + (uint64_t)body->node_count + 1;
    uint64_t bytes = items * VALUE_BYTES;
    for (int i = 0; i < body->node_count; i++)
        for (size_t a = 0; a < body->nodes[i].attribute_count; a++)
            bytes += attribute_bytes(&body->nodes[i].attributes[a]);
    if (bytes > e->inference->bodies_bytes)
        return error_set(err, ERROR_LIMIT, "graph", "unrolled, it is too large");
    e->inference->bodies_bytes -= bytes;
    return 0;
}

/* Bodies read the others. */
static int own_inputs(const struct node *node)
{
    size_t captured = 0;
    for (size_t i = 0; i < node->attribute_count; i++)
        if (node->attributes[i].kind == ATTRIBUTE_GRAPH)
            captured += node->attributes[i].count;
    return node->input_count - (int)captured;
}
