/* train: parameters become states, gradients come from the autodiff pass, and behind them stand the
 * optimiser's nodes, one for each parameter, so that each may work in place once nobody reads the
 * old weights any more. */
#include "train/train.h"
#include "ops/gradient.h"
#include "ops/resolve.h"
#include "passes/autodiff.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 512

struct making {
    struct graph *graph;
    const struct train_options *options;
    struct gradient g; /* for gradient_node and the like; no rule is behind it */
    int *parameters, *gradients;
    int parameter_count;
    int rate, step, scale; /* -1: none */
};

static int start(struct making *making);
static int add_parameters(struct making *making, int node);
static bool is_parameter(const struct node *node, int input);
static int make_state(struct making *making, int value);
static int use_batch_statistics(struct making *making);
static int use_batch(struct making *making, int node);
static int differentiate(struct making *making, int loss);
static int add_rate(struct making *making);
static int add_step(struct making *making);
static int add_clipping(struct making *making);
static int add_updates(struct making *making);
static int update(struct making *making, int parameter, int gradient);
static int keep_average(struct making *making, int parameter, int next);
static int add_state(struct making *making, int like, const char *suffix, bool filled);
static int copy_states(const struct plan *plan, struct graph *model, const char *prefix,
                       const char *suffix, struct error *err);

int train_make(struct graph *graph, int loss, const struct train_options *options,
               struct error *err)
{
    static const struct node nobody = { .name = (char *)"train" };
    struct making making = {
        .graph = graph,
        .options = options,
        .g = { .graph = graph, .node = &nobody, .err = err },
        .rate = -1,
        .step = -1,
        .scale = -1,
    };
    int rc = shape_elements(&graph->values[loss].shape) == 1 ? 0 : -ERROR_FORMAT;
    if (rc)
        return error_set(err, ERROR_FORMAT, "train", "the loss must be one number");
    rc = start(&making);
    if (!rc)
        rc = use_batch_statistics(&making);
    if (!rc)
        rc = differentiate(&making, loss);
    if (!rc)
        rc = add_rate(&making);
    if (!rc && options->optimiser != OPTIMISER_SGD)
        rc = add_step(&making);
    if (!rc && options->clip_norm > 0)
        rc = add_clipping(&making);
    if (!rc)
        rc = add_updates(&making);
    if (!rc)
        rc = graph_mark_output(graph, loss, err);
    free(making.parameters);
    free(making.gradients);
    if (rc < 0)
        return rc;
    rc = graph_sort(graph, err);
    return rc ? rc : graph_sweep(graph, err);
}

int train_store(struct plan *plan, struct graph *model, const char *prefix, bool averaged,
                struct error *err)
{
    int rc = plan_get_states(plan, err);
    if (rc)
        return rc;
    int plain = copy_states(plan, model, prefix, "", err);
    if (plain < 0 || !averaged)
        return plain;
    int averages = copy_states(plan, model, prefix, TRAIN_AVERAGE_SUFFIX, err);
    return averages < 0 ? averages : plain;
}

/* ---- what learns ---- */

static int start(struct making *making)
{
    size_t values = (size_t)making->graph->value_count + 1;
    making->parameters = calloc(values, sizeof *making->parameters);
    making->gradients = calloc(values, sizeof *making->gradients);
    if (!making->parameters || !making->gradients)
        return error_set(making->g.err, ERROR_MEMORY, "train", "no memory left");
    for (int i = 0; i < making->graph->node_count; i++) {
        int rc = add_parameters(making, i);
        if (rc)
            return rc;
    }
    return 0;
}

static int add_parameters(struct making *making, int index)
{
    const struct node *node = &making->graph->nodes[index];
    for (int k = 0; k < node->input_count; k++) {
        if (node->inputs[k] < 0 || !is_parameter(node, k))
            continue;
        const struct value *value = &making->graph->values[node->inputs[k]];
        if (!value->constant.data || value->type != TENSOR_F32 ||
            (making->options->learns && !making->options->learns(value->name, making->options->arg)))
            continue;
        making->parameters[making->parameter_count++] = node->inputs[k];
        int rc = make_state(making, node->inputs[k]);
        if (rc)
            return rc;
    }
    return 0;
}

static bool is_parameter(const struct node *node, int input)
{
    static const struct {
        const char *op;
        int first, last; /* inputs */
    } ops[] = {
        { "Conv", 1, 2 },
        { "ConvTranspose", 1, 2 },
        { "MatMul", 0, 1 },
        { "Gemm", 0, 2 },
        { "PRelu", 1, 1 },
        { "BatchNormalization", 1, 2 },
        { "InstanceNormalization", 1, 2 },
        { "LayerNormalization", 1, 2 },
    };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strcmp(node->op->name, ops[i].op) == 0)
            return input >= ops[i].first && input <= ops[i].last;
    return false;
}

static int make_state(struct making *making, int value)
{
    int rc = graph_mark_state(making->graph, value, making->g.err);
    return rc < 0 ? rc : 0;
}

/* ---- batch normalisation ---- */

static int use_batch_statistics(struct making *making)
{
    for (int i = 0; i < making->graph->node_count; i++) {
        const struct node *node = &making->graph->nodes[i];
        if (strcmp(node->op->name, "BatchNormalization") != 0 || !batch_norm_is_plain(node) ||
            !making->graph->values[node->inputs[1]].state.data)
            continue;
        int rc = use_batch(making, i);
        if (rc)
            return rc;
    }
    return 0;
}

/* The node becomes a batch_norm_train in its place. */
static int use_batch(struct making *making, int index)
{
    enum { X, SCALE, BIAS, MEAN, VARIANCE, NEXT_MEAN = 3, NEXT_VARIANCE, OUTPUTS };
    struct graph *graph = making->graph;
    struct node *node = &graph->nodes[index];
    int statistics[] = { node->inputs[MEAN], node->inputs[VARIANCE] };
    for (size_t i = 0; i < 2; i++) {
        if (!graph->values[statistics[i]].constant.data)
            return error_set(making->g.err, ERROR_UNSUPPORTED, node->op->name,
                             "node '%s': its statistics must be constants of its own", node->name);
        int rc = make_state(making, statistics[i]);
        if (rc)
            return rc;
    }
    int *outputs = calloc(OUTPUTS, sizeof *outputs);
    if (!outputs)
        return error_set(making->g.err, ERROR_MEMORY, "train", "no memory left");
    outputs[0] = node->outputs[0];
    free(node->outputs);
    node->outputs = outputs;
    node->output_count = OUTPUTS;
    node->op = op_find("batch_norm_train", 0);
    for (int k = 1; k < OUTPUTS; k++) {
        outputs[k] = graph_add_value(graph, "", TENSOR_NONE, NULL, making->g.err);
        if (outputs[k] < 0)
            return outputs[k];
        graph->values[outputs[k]].producer = index;
    }
    int rc = graph_infer_node(graph, index, making->g.err);
    if (rc)
        return rc;
    graph_set_next(graph, statistics[0], outputs[NEXT_MEAN]);
    graph_set_next(graph, statistics[1], outputs[NEXT_VARIANCE]);
    return 0;
}

/* ---- gradients ---- */

/* Keeps the parameters that the loss depends on. */
static int differentiate(struct making *making, int loss)
{
    struct autodiff autodiff = {
        .of = &loss,
        .of_count = 1,
        .with = making->parameters,
        .with_count = making->parameter_count,
        .recompute = making->options->recompute,
        .kept = making->options->kept,
        .kept_count = making->options->kept_count,
    };
    int rc = pass_autodiff(making->graph, &autodiff, making->gradients, making->g.err);
    if (rc)
        return rc;
    int kept = 0;
    for (int i = 0; i < making->parameter_count; i++) {
        if (making->gradients[i] < 0)
            continue;
        making->parameters[kept] = making->parameters[i];
        making->gradients[kept++] = making->gradients[i];
    }
    making->parameter_count = kept;
    return kept > 0 ? 0
                    : error_set(making->g.err, ERROR_CONFIG, "train",
                                "nothing learns: the loss depends on no parameter that is not frozen");
}

/* ---- the step ---- */

static int add_rate(struct making *making)
{
    const struct shape scalar = { .rank = 0 };
    making->rate = graph_add_value(making->graph, TRAIN_RATE_INPUT, TENSOR_F32, &scalar, making->g.err);
    if (making->rate < 0)
        return making->rate;
    int rc = graph_mark_input(making->graph, making->rate, making->g.err);
    return rc < 0 ? rc : 0;
}

/* The number of the step, from 1 on. */
static int add_step(struct making *making)
{
    int before = gradient_scalar(&making->g, 0), one = gradient_scalar(&making->g, 1);
    if (making->g.rc)
        return making->g.rc;
    int rc = make_state(making, before);
    if (rc)
        return rc;
    making->step = gradient_op(&making->g, "Add", before, one);
    if (making->g.rc)
        return making->g.rc;
    graph_set_next(making->graph, before, making->step);
    return 0;
}

/* Squares are summed in groups, as a node has so many inputs at most. */
static int add_clipping(struct making *making)
{
    int sums[GRAPH_NODE_INPUTS_MAX], count = 0;
    for (int from = 0; from < making->parameter_count; from += GRAPH_NODE_INPUTS_MAX) {
        int left = making->parameter_count - from;
        if (count == GRAPH_NODE_INPUTS_MAX)
            return error_set(making->g.err, ERROR_LIMIT, "train", "more than %d parameters to clip",
                             GRAPH_NODE_INPUTS_MAX * GRAPH_NODE_INPUTS_MAX);
        sums[count++] = gradient_node(&making->g, "sum_squares", making->gradients + from,
                                      left < GRAPH_NODE_INPUTS_MAX ? left : GRAPH_NODE_INPUTS_MAX,
                                      NULL, NULL, 1);
    }
    making->scale = gradient_node(
        &making->g, "clip_factor", sums, count,
        (struct attribute[]){ GRADIENT_FLOAT("max_norm", making->options->clip_norm), { 0 } }, NULL,
        1);
    return making->g.rc;
}

static int add_updates(struct making *making)
{
    for (int i = 0; i < making->parameter_count; i++) {
        int rc = update(making, making->parameters[i], making->gradients[i]);
        if (rc)
            return rc;
    }
    return 0;
}

static int update(struct making *making, int parameter, int gradient)
{
    const struct train_options *options = making->options;
    struct gradient *g = &making->g;
    int moments = options->optimiser == OPTIMISER_SGD ? 1 : 2;
    int first = add_state(making, parameter, ".moment", false);
    int second = moments == 2 ? add_state(making, parameter, ".moment2", false) : -1;
    int outputs[3] = { 0 };
    if (g->rc)
        return g->rc;
    if (moments == 1) {
        int inputs[] = { parameter, gradient, first, making->rate, making->scale };
        const struct attribute attributes[] = {
            GRADIENT_FLOAT("momentum", options->momentum),
            GRADIENT_FLOAT("weight_decay", options->weight_decay),
            { 0 },
        };
        gradient_node(g, "sgd", inputs, making->scale < 0 ? 4 : 5, attributes, outputs, 2);
    } else {
        int inputs[] = { parameter,    gradient,     first,        second,
                         making->step, making->rate, making->scale };
        const struct attribute attributes[] = {
            GRADIENT_FLOAT("beta1", options->beta1),
            GRADIENT_FLOAT("beta2", options->beta2),
            GRADIENT_FLOAT("epsilon", options->epsilon),
            GRADIENT_FLOAT("weight_decay", options->weight_decay),
            GRADIENT_INT("decoupled", options->optimiser == OPTIMISER_ADAMW),
            { 0 },
        };
        gradient_node(g, "adam", inputs, making->scale < 0 ? 6 : 7, attributes, outputs, 3);
    }
    if (g->rc)
        return g->rc;
    graph_set_next(making->graph, parameter, outputs[0]);
    graph_set_next(making->graph, first, outputs[1]);
    if (moments == 2)
        graph_set_next(making->graph, second, outputs[2]);
    return options->average_decay > 0 ? keep_average(making, parameter, outputs[0]) : 0;
}

static int keep_average(struct making *making, int parameter, int next)
{
    int average = add_state(making, parameter, TRAIN_AVERAGE_SUFFIX, true);
    int renewed = gradient_node(
        &making->g, "moving_average", (int[]){ average, next }, 2,
        (struct attribute[]){ GRADIENT_FLOAT("decay", making->options->average_decay), { 0 } }, NULL,
        1);
    if (!making->g.rc)
        graph_set_next(making->graph, average, renewed);
    return making->g.rc;
}

/* Of the shape of `like` and named after it; with its content, or zeros. */
static int add_state(struct making *making, int like, const char *suffix, bool filled)
{
    struct gradient *g = &making->g;
    const struct value *model = &making->graph->values[like];
    char name[NAME_BYTES];
    struct tensor tensor = { 0 };
    if (g->rc)
        return -1;
    snprintf(name, sizeof name, "%s%s", model->name, suffix);
    g->rc = tensor_create(&tensor, TENSOR_F32, &model->shape, g->err);
    if (g->rc)
        return -1;
    if (filled)
        memcpy(tensor.data, model->state.data, tensor_bytes(&tensor));
    int value = graph_add_constant(making->graph, name, &tensor, g->err);
    tensor_free(&tensor); /* blank after success */
    g->rc = value < 0 ? value : make_state(making, value);
    return g->rc ? -1 : value;
}

/* ---- back into the model ---- */

static int find_constant(const struct graph *model, const char *name, size_t name_bytes)
{
    for (int v = 0; name_bytes > 0 && v < model->value_count; v++)
        if (model->values[v].constant.data && strlen(model->values[v].name) == name_bytes &&
            memcmp(model->values[v].name, name, name_bytes) == 0)
            return v;
    return -1;
}

/* States named prefix + NAME + suffix go to constant NAME. */
static int copy_states(const struct plan *plan, struct graph *model, const char *prefix,
                       const char *suffix, struct error *err)
{
    size_t before = strlen(prefix), behind = strlen(suffix);
    int copied = 0;
    for (size_t i = 0; i < plan_state_count(plan); i++) {
        const char *name = plan_state_name(plan, i);
        size_t bytes = strlen(name);
        if (bytes < before + behind || memcmp(name, prefix, before) != 0 ||
            strcmp(name + bytes - behind, suffix) != 0)
            continue;
        int constant = find_constant(model, name + before, bytes - before - behind);
        if (constant < 0)
            continue;
        const struct tensor *state = plan_state(plan, i);
        struct tensor *to = &model->values[constant].constant;
        if (state->type != to->type || !shape_equal(&state->shape, &to->shape))
            return error_set(err, ERROR_FORMAT, name, "the model's constant has another shape");
        memcpy(to->data, state->data, tensor_bytes(to));
        copied++;
    }
    return copied;
}
