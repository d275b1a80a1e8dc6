/* fuse_chain: elementwise nodes of one shape that hand each other values become one node, which reads
 * and writes memory once for all of them. Runs behind pass_fuse_post: what follows a convolution or a
 * product is better off inside it; what that pass has put behind an addition is taken apart again.
 *
 * Nodes may only be put together if no way leads from one to the other through what is outside, which
 * would have to run before and after. So nothing is joined across what lies between the forward and
 * the backward part. Other chains are outside as a whole: who comes to one of their nodes has come to
 * all of them. */
#include "passes/chain.h"
#include "passes/fused.h"
#include "passes/pass.h"
#include "passes/rewrite.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct work {
    struct graph *graph;
    int node_count; /* of the graph as it came */
    int *group;     /* of each node: one of its nodes stands for it; -1: is no part of a chain */
    int *next;      /* of each node: another one of its group, in a ring */
    int *links, *inputs; /* of each group, at the node that stands for it */
    int *visited;        /* nodes, with the number of the last search that came by */
    int *stack;
    int searches;
};

static void simplify_powers(struct graph *graph);
static int start(struct work *work, struct graph *graph, struct error *err);
static void finish(struct work *work);
static int count_links(const struct graph *graph, const struct node *node);
static void join_producers(struct work *work, int node);
static void join(struct work *work, int group, int other);
static bool can_join(struct work *work, int group, int other);
static bool leads_back(struct work *work, int group, int other);
static void visit(struct work *work, int node, int *depth);
static int make_chain(struct work *work, int first, struct error *err);
static bool reads_expanded(const struct graph *graph, const struct node *node);
static int write_chain(struct work *work, int first, int *registers, struct error *err);
static int add_inputs(struct graph *graph, struct chain *chain, const struct node *node,
                      int *inputs, int *registers, struct error *err);
static void add_links(const struct graph *graph, struct chain *chain, const struct node *node,
                      int *registers);
static int see_through(struct graph *graph, int value, struct error *err);
static int even_constant(struct graph *graph, int value, struct error *err);
static bool is_needed(const struct work *work, int value, int group);

int pass_fuse_chain(struct graph *graph, struct error *err)
{
    struct work work;
    simplify_powers(graph);
    int rc = start(&work, graph, err);
    for (int i = 0; !rc && i < work.node_count; i++) {
        int links = count_links(graph, &graph->nodes[i]);
        if (!links)
            continue;
        work.group[i] = work.next[i] = i;
        work.links[i] = links;
        work.inputs[i] = graph->nodes[i].input_count;
        join_producers(&work, i);
    }
    for (int i = 0; !rc && i < work.node_count; i++)
        if (work.group[i] == i)
            rc = make_chain(&work, i, err);
    finish(&work);
    return rc ? rc : rewrite_finish(graph, err);
}

/* Squares are what nearly all powers are, of layer normalisations. */
static void simplify_powers(struct graph *graph)
{
    for (int i = 0; i < graph->node_count; i++) {
        struct node *node = &graph->nodes[i];
        float exponent;
        if (!rewrite_is_op(graph, i, "Pow") || !rewrite_scalar(graph, node->inputs[1], &exponent) ||
            exponent != 2 || graph->values[node->inputs[0]].type != TENSOR_F32 ||
            !shape_equal(&graph->values[node->inputs[0]].shape,
                         &graph->values[node->outputs[0]].shape))
            continue;
        node->op = op_find("Mul", 0);
        node->inputs[1] = node->inputs[0];
    }
}

static int start(struct work *work, struct graph *graph, struct error *err)
{
    size_t nodes = (size_t)graph->node_count + 1;
    *work = (struct work){ .graph = graph,
                           .node_count = graph->node_count,
                           .group = calloc(nodes, sizeof *work->group),
                           .next = calloc(nodes, sizeof *work->next),
                           .links = calloc(nodes, sizeof *work->links),
                           .inputs = calloc(nodes, sizeof *work->inputs),
                           .visited = calloc(nodes, sizeof *work->visited),
                           .stack = calloc(nodes, sizeof *work->stack) };
    if (!work->group || !work->next || !work->links || !work->inputs || !work->visited || !work->stack)
        return error_set(err, ERROR_MEMORY, "pass", "no memory left");
    for (int i = 0; i < graph->node_count; i++)
        work->group[i] = -1;
    return 0;
}

static void finish(struct work *work)
{
    free(work->group);
    free(work->next);
    free(work->links);
    free(work->inputs);
    free(work->visited);
    free(work->stack);
}

/* As how many links a node counts; 0: it cannot be one. */
static int count_links(const struct graph *graph, const struct node *node)
{
    struct pointwise base, posts[FUSED_POSTS_MAX];
    if (shape_elements(&graph->values[node->outputs[0]].shape) == 0)
        return 0;
    if (!fused_of(node->op)) /* Identity is no work, and must not become any */
        return pointwise_from_node(graph, node, &base) && base.kind != POINTWISE_IDENTITY ? 1 : 0;
    for (int i = 0; i < node->input_count; i++)
        if (node->inputs[i] < 0 || graph->values[node->inputs[i]].type != TENSOR_F32)
            return 0;
    return pointwise_find(fused_base_name(node->op)) < 0 ? 0 : 1 + (int)fused_get_posts(node, posts);
}

/* ---- what goes together ---- */

static void join_producers(struct work *work, int node)
{
    struct graph *graph = work->graph;
    const struct shape *shape = &graph->values[graph->nodes[node].outputs[0]].shape;
    for (int k = 0; k < graph->nodes[node].input_count; k++) {
        int input = graph->nodes[node].inputs[k];
        int producer = input < 0 ? -1 : graph->values[input].producer;
        if (producer < 0 || work->group[producer] < 0 || work->group[producer] == work->group[node] ||
            !shape_equal(&graph->values[input].shape, shape))
            continue;
        if (can_join(work, work->group[producer], work->group[node]))
            join(work, work->group[producer], work->group[node]);
    }
}

/* The one whose node comes first stands for both. */
static void join(struct work *work, int group, int other)
{
    int first = group < other ? group : other, second = group < other ? other : group;
    int member = second;
    do {
        work->group[member] = first;
        member = work->next[member];
    } while (member != second);
    int behind = work->next[first];
    work->next[first] = work->next[second];
    work->next[second] = behind;
    work->links[first] += work->links[second];
    work->inputs[first] += work->inputs[second] - 1;
}

/* Inputs are counted as if they were all different: there may be fewer, but not more. */
static bool can_join(struct work *work, int group, int other)
{
    return work->links[group] + work->links[other] <= CHAIN_LINKS_MAX &&
           work->inputs[group] + work->inputs[other] - 1 <= CHAIN_INPUTS_MAX &&
           !leads_back(work, group, other);
}

/* Goes back from the inputs of both groups through all that is outside of them. */
static bool leads_back(struct work *work, int group, int other)
{
    const struct graph *graph = work->graph;
    int depth = 0;
    work->searches++;
    visit(work, group, &depth);
    visit(work, other, &depth);
    while (depth > 0) {
        int node = work->stack[--depth];
        bool inside = work->group[node] == group || work->group[node] == other;
        for (int k = 0; k < graph->nodes[node].input_count; k++) {
            int input = graph->nodes[node].inputs[k];
            int producer = input < 0 ? -1 : graph->values[input].producer;
            if (producer < 0)
                continue;
            bool comes_back = work->group[producer] == group || work->group[producer] == other;
            if (comes_back && !inside)
                return true;
            visit(work, producer, &depth);
        }
    }
    return false;
}

/* Puts a node, with all of its group, on the stack of what is to be looked at. */
static void visit(struct work *work, int node, int *depth)
{
    int member = node;
    if (work->visited[node] == work->searches)
        return;
    do {
        work->visited[member] = work->searches;
        work->stack[(*depth)++] = member;
        member = work->group[member] < 0 ? node : work->next[member];
    } while (member != node);
}

/* ---- what becomes of it ---- */

/* In the place of all nodes of a group. One node alone stays what it is, but where it spares an Expand. */
static int make_chain(struct work *work, int first, struct error *err)
{
    const struct graph *graph = work->graph;
    if (work->next[first] == first && !reads_expanded(graph, &graph->nodes[first]))
        return 0;
    size_t values = (size_t)graph->value_count + 1;
    int *registers = malloc(values * sizeof *registers); /* of each value */
    if (!registers)
        return error_set(err, ERROR_MEMORY, "pass", "no memory left");
    for (size_t i = 0; i < values; i++)
        registers[i] = -1;
    int rc = write_chain(work, first, registers, err);
    free(registers);
    return rc;
}

static int write_chain(struct work *work, int first, int *registers, struct error *err)
{
    struct graph *graph = work->graph;
    int inputs[CHAIN_INPUTS_MAX], outputs[CHAIN_OUTPUTS_MAX], last = first;
    struct chain chain = { .shape = graph->values[graph->nodes[first].outputs[0]].shape };
    for (int i = first; i < work->node_count; i++)
        if (work->group[i] == first)
            registers[graph->nodes[i].outputs[0]] = CHAIN_REGISTERS_MAX; /* comes from inside */
    for (int i = first; i < work->node_count; i++) {
        if (work->group[i] != first)
            continue;
        int rc = add_inputs(graph, &chain, &graph->nodes[i], inputs, registers, err);
        if (rc)
            return rc;
    }
    for (int i = first; i < work->node_count; i++) {
        if (work->group[i] != first)
            continue;
        int value = graph->nodes[i].outputs[0];
        add_links(graph, &chain, &graph->nodes[i], registers);
        if (is_needed(work, value, first)) {
            outputs[chain.output_count] = value;
            chain.outputs[chain.output_count++] = registers[value];
        }
        last = i;
    }
    if (chain.output_count == 0)
        return 0; /* nothing reads what these nodes make */
    int node = chain_make(graph, graph->nodes[last].name, &chain, inputs, outputs, err);
    return node < 0 ? node : 0;
}

static bool reads_expanded(const struct graph *graph, const struct node *node)
{
    for (int k = 0; k < node->input_count; k++)
        if (node->inputs[k] >= 0 &&
            rewrite_is_op(graph, graph->values[node->inputs[k]].producer, "Expand"))
            return true;
    return false;
}

/* Registers for what the node reads from outside of the chain. */
static int add_inputs(struct graph *graph, struct chain *chain, const struct node *node,
                      int *inputs, int *registers, struct error *err)
{
    struct pointwise function;
    int count = node->input_count;
    if (!fused_of(node->op) && pointwise_from_node(graph, node, &function))
        count = pointwise_input_count(function.kind);
    for (int k = 0; k < count; k++) {
        int value = node->inputs[k], at = 0;
        if (registers[value] >= 0)
            continue;
        int seen = see_through(graph, value, err);
        if (seen < 0)
            return seen;
        while (at < chain->input_count && inputs[at] != seen)
            at++;
        if (at == chain->input_count) {
            assert(at < CHAIN_INPUTS_MAX);
            inputs[chain->input_count++] = seen;
        }
        registers[value] = at;
    }
    return 0;
}

static void add_links(const struct graph *graph, struct chain *chain, const struct node *node,
                      int *registers)
{
    struct pointwise function = { .operand = -1 }, posts[FUSED_POSTS_MAX];
    int in[POINTWISE_INPUTS_MAX];
    if (fused_of(node->op))
        function.kind = (enum pointwise_kind)pointwise_find(fused_base_name(node->op));
    else
        pointwise_from_node(graph, node, &function);
    for (int k = 0; k < pointwise_input_count(function.kind); k++)
        in[k] = registers[node->inputs[k]];
    int result = chain_add_link(chain, &function, in);
    for (size_t i = 0, count = fused_get_posts(node, posts); i < count; i++) {
        in[0] = result;
        if (posts[i].operand >= 0)
            in[1] = registers[node->inputs[posts[i].operand]];
        result = chain_add_link(chain, &posts[i], in);
    }
    registers[node->outputs[0]] = result;
}

/* A chain repeats its inputs by itself: it need not read what Expand has written, nor a constant that
 * is one number over and over. */
static int see_through(struct graph *graph, int value, struct error *err)
{
    int producer = graph->values[value].producer;
    if (rewrite_is_op(graph, producer, "Expand"))
        return graph->nodes[producer].inputs[0];
    return rewrite_constant(graph, value) ? even_constant(graph, value, err) : value;
}

static int even_constant(struct graph *graph, int value, struct error *err)
{
    const struct shape scalar = { .rank = 0 };
    const float *data = rewrite_constant(graph, value);
    int64_t count = shape_elements(&graph->values[value].shape);
    for (int64_t i = 1; i < count; i++)
        if (data[i] != data[0])
            return value;
    if (count <= 1)
        return value;
    float number = data[0], *memory;
    int made = rewrite_add_constant(graph, graph->values[value].name, &scalar, &memory, err);
    if (made >= 0)
        *memory = number;
    return made;
}

/* By a node outside, as an output or as what a state takes on. */
static bool is_needed(const struct work *work, int value, int group)
{
    const struct graph *graph = work->graph;
    if (graph->values[value].is_output)
        return true;
    for (int i = 0; i < graph->state_count; i++)
        if (graph->values[graph->states[i]].next == value)
            return true;
    for (int i = 0; i < work->node_count; i++)
        for (int k = 0; k < graph->nodes[i].input_count; k++)
            if (graph->nodes[i].inputs[k] == value && work->group[i] != group)
                return true;
    return false;
}
