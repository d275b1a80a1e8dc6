/* each_steps: elementwise ops. What is a pointwise function, alone or with what follows, is a map's; the
 * rest is one step of each.cu. */
#include "cuda/each.h"
#include "cuda/copy.h"
#include "cuda/iterate.h"
#include "cuda/move.h"
#include "passes/fused.h"
#include "tensor/number.h"
#include <stdlib.h>
#include <string.h>

_Static_assert(EACH_INPUTS_MAX >= GRAPH_NODE_INPUTS_MAX, "every node fits");

/* name, kind, maker */
#define EACH_OPS(X)                                        \
    X("Floor", FLOOR, make_number)                         \
    X("Ceil", CEIL, make_number)                           \
    X("Round", ROUND, make_number)                         \
    X("Sin", SIN, make_number)                             \
    X("Cos", COS, make_number)                             \
    X("Neg", NEG, make_number)                             \
    X("Abs", ABS, make_number)                             \
    X("Not", NOT, make_number)                             \
    X("Add", ADD, make_number)                             \
    X("Sum", ADD, make_number)                             \
    X("Sub", SUB, make_number)                             \
    X("Mul", MUL, make_number)                             \
    X("Div", DIV, make_number)                             \
    X("Min", MIN, make_number)                             \
    X("Max", MAX, make_number)                             \
    X("And", AND, make_number)                             \
    X("Or", OR, make_number)                               \
    X("Equal", EQUAL, make_comparison)                     \
    X("Greater", GREATER, make_comparison)                 \
    X("Less", LESS, make_comparison)                       \
    X("GreaterOrEqual", GREATER_OR_EQUAL, make_comparison) \
    X("LessOrEqual", LESS_OR_EQUAL, make_comparison)       \
    X("Clip", CLIP, make_number)                           \
    X("clip_grad", CLIP_GRAD, make_number)                 \
    X("pow_grad_exponent", POW_GRAD_EXPONENT, make_number) \
    X("Where", WHERE, make_where)                          \
    X("Cast", CAST, make_cast)

typedef void each_launcher(const struct each *args, int64_t count, void *stream);

struct each_state {
    struct each each;
    int64_t count; /* elements of the result */
    each_launcher *launch;
};

static cuda_maker make_number, make_comparison, make_where, make_cast;
static enum each_kind find_kind(const struct node *node);
static int add_step(struct cuda_build *build, const struct node *node, int operands,
                    each_launcher *launch, struct error *err);
static struct view see_spread(const struct cuda_place *place, const struct shape *shape);
static void join(struct each *each);
static int run_each(const struct cuda_step *step, struct gpu *gpu, struct error *err);

#define ROW(name, kind, make) { name, make },
static const struct cuda_row rows[] = { EACH_OPS(ROW) };
const struct cuda_family cuda_each_family = CUDA_FAMILY(rows);

static int make_number(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct pointwise function;
    if (fused_of(node->op))
        return cuda_make_binary(build, node, err);
    if (pointwise_from_node(build->graph, node, &function))
        return cuda_make_pointwise(build, node, err);
    bool whole = tensor_type_is_whole(cuda_info(build, node->outputs[0])->type);
    return add_step(build, node, node->input_count, whole ? each_whole : each_float, err);
}

static int make_comparison(struct cuda_build *build, const struct node *node, struct error *err)
{
    return add_step(build, node, 2, each_compare, err);
}

static int make_where(struct cuda_build *build, const struct node *node, struct error *err)
{
    return add_step(build, node, 3, each_where, err);
}

/* To the same type it is a view. Copies convert to floats, but not from 64-bit numbers, which they round
 * otherwise or do not know. */
static int make_cast(struct cuda_build *build, const struct node *node, struct error *err)
{
    enum tensor_type from = cuda_info(build, node->inputs[0])->type;
    enum tensor_type to = cuda_info(build, node->outputs[0])->type;
    bool copies = !tensor_type_is_whole(to) && tensor_type_bytes(to) < sizeof(double) &&
                  tensor_type_bytes(from) < sizeof(double);
    struct cuda_place *in, *out;
    if (from != to && !copies)
        return add_step(build, node, 1, each_cast, err);
    int rc = cuda_where(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    if (from == to)
        return cuda_alias(build, node->outputs[0], in, 0, &in->layout, err);
    struct layout layout = cuda_result_layout(build, node->outputs[0], node->inputs, 1);
    rc = cuda_output(build, node->outputs[0], &layout, &out, err);
    return rc ? rc : cuda_copy(build, in, out, err);
}

static enum each_kind find_kind(const struct node *node)
{
#define KIND(name, kind, make) { name, EACH_##kind },
    static const struct {
        const char *op;
        enum each_kind kind;
    } kinds[] = { EACH_OPS(KIND) };
    size_t i = 0;
    while (strcmp(kinds[i].op, node->op->name) != 0)
        i++;
    return kinds[i].kind;
}

/* operands: the node's first inputs, some of which may be absent. */
static int add_step(struct cuda_build *build, const struct node *node, int operands,
                    each_launcher *launch, struct error *err)
{
    struct cuda_place *places[EACH_INPUTS_MAX + 1];
    int reads = 0, rc = 0;
    for (int k = 0; !rc && k < operands; k++)
        if (node->inputs[k] >= 0)
            rc = cuda_where(build, node->inputs[k], &places[reads++], err);
    if (rc)
        return rc;
    struct layout layout = cuda_result_layout(build, node->outputs[0], node->inputs, operands);
    rc = cuda_output(build, node->outputs[0], &layout, &places[reads], err);
    struct each_state *state = rc ? NULL : calloc(1, sizeof *state);
    if (!state)
        return rc ? rc : cuda_no_memory(err);
    struct each *each = &state->each;
    *each = (struct each){ .kind = find_kind(node), .count = operands };
    for (int k = 0, next = 0; k < operands; k++)
        if (node->inputs[k] >= 0)
            each->from[k] = see_spread(places[next++], &layout.shape);
    each->to = cuda_view(places[reads]);
    for (int k = 0; launch == each_where && k < operands; k++)
        each->from[k].type = move_type(each->from[k].type);
    if (launch == each_where)
        each->to.type = move_type(each->to.type);
    join(each);
    state->count = shape_elements(&layout.shape);
    state->launch = launch;
    return cuda_add_step(build, "each", run_each, state, NULL, places, reads, reads + 1, err);
}

/* A single number, such as a limit of Clip, may have more dimensions than what it goes with. */
static struct view see_spread(const struct cuda_place *place, const struct shape *shape)
{
    if (shape_elements(&place->layout.shape) != 1)
        return cuda_view_broadcast(place, shape);
    struct cuda_place number = { .layout = { .type = place->layout.type } };
    return cuda_view_broadcast(&number, shape);
}

static void join(struct each *each)
{
    struct view *views[EACH_INPUTS_MAX + 1] = { &each->to };
    int count = 1;
    for (int k = 0; k < each->count; k++)
        if (each->from[k].type != TENSOR_NONE)
            views[count++] = &each->from[k];
    iterate_join(views, count);
}

static int run_each(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    const struct each_state *state = step->state;
    struct each each = state->each;
    int next = 0;
    (void)err;
    for (int k = 0; k < each.count; k++)
        if (each.from[k].type != TENSOR_NONE)
            each.from[k].data = step->places[next++]->data;
    each.to.data = step->places[next]->data;
    state->launch(&each, state->count, gpu_stream(gpu));
    return 0;
}
