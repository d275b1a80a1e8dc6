/* map_steps: makes the program of pointwise nodes, chains, and what follows a product. */
#include "cuda/map.h"
#include "cuda/iterate.h"
#include "cuda/makers.h"
#include "cuda/tail.h"
#include "passes/fused.h"
#include <assert.h>
#include <stdlib.h>

_Static_assert(MAP_INPUTS_MAX == CHAIN_INPUTS_MAX && MAP_LINKS_MAX == CHAIN_LINKS_MAX,
               "a map takes every chain");

struct map_state {
    struct map map;
    int64_t count;
    bool flat;
};

static cuda_maker make_chain;
static int add_step(struct cuda_build *build, const struct chain *chain, struct cuda_place **places,
                    struct error *err);
static void set_program(struct map *map, const struct chain *chain);
static bool goes_in_fours(const struct map *map);
static int run_map(const struct cuda_step *step, struct gpu *gpu, struct error *err);

static const struct cuda_row rows[] = {
    { "chain", make_chain },
};
const struct cuda_family cuda_map_family = CUDA_FAMILY(rows);

static int make_chain(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct chain chain;
    chain_read(node, &chain);
    return cuda_map(build, &chain, node->inputs, node->outputs, err);
}

bool cuda_is_map(const struct cuda_build *build, const struct node *node)
{
    struct pointwise function;
    return node->op == &chain_op ||
           (fused_of(node->op) && pointwise_find(fused_base_name(node->op)) >= 0) ||
           pointwise_from_node(build->graph, node, &function);
}

int cuda_make_pointwise(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct pointwise function;
    if (!pointwise_from_node(build->graph, node, &function))
        return cuda_cannot(build, err, "kernel for it in this form");
    int inputs = pointwise_input_count(function.kind);
    struct chain chain = { .shape = cuda_info(build, node->outputs[0])->shape,
                           .input_count = inputs,
                           .output_count = 1 };
    const int registers[] = { 0, 1, 2 };
    chain.outputs[0] = chain_add_link(&chain, &function, registers);
    return cuda_map(build, &chain, node->inputs, node->outputs, err);
}

/* Add and the like with what follows. */
int cuda_make_binary(struct cuda_build *build, const struct node *node, struct error *err)
{
    int kind = pointwise_find(fused_base_name(node->op));
    if (kind < 0)
        return cuda_cannot(build, err, "kernel for it");
    struct pointwise function = { .kind = (enum pointwise_kind)kind, .operand = 1 };
    struct pointwise posts[FUSED_POSTS_MAX];
    size_t post_count = fused_get_posts(node, posts);
    struct chain chain = { .shape = cuda_info(build, node->outputs[0])->shape,
                           .input_count = node->input_count,
                           .output_count = 1 };
    const int registers[] = { 0, 1, -1 };
    int last = chain_add_link(&chain, &function, registers);
    for (size_t i = 0; i < post_count; i++)
        last = chain_add_link(&chain, &posts[i], (const int[]){ last, posts[i].operand, -1 });
    chain.outputs[0] = last;
    return cuda_map(build, &chain, node->inputs, node->outputs, err);
}

int cuda_map(struct cuda_build *build, const struct chain *chain, const int *inputs,
             const int *outputs, struct error *err)
{
    struct cuda_place *places[CHAIN_INPUTS_MAX + CHAIN_OUTPUTS_MAX];
    int rc = 0;
    if (cuda_tail_among(build, inputs, chain->input_count))
        return cuda_map_tail(build, chain, inputs, outputs, err);
    for (int k = 0; !rc && k < chain->input_count; k++)
        rc = cuda_where(build, inputs[k], &places[k], err);
    for (int k = 0; !rc && k < chain->output_count; k++) {
        struct layout layout = cuda_result_layout(build, outputs[k], inputs, chain->input_count);
        rc = cuda_output(build, outputs[k], &layout, &places[chain->input_count + k], err);
    }
    return rc ? rc : add_step(build, chain, places, err);
}

int cuda_map_posts(struct cuda_build *build, const struct node *node, size_t first,
                   struct cuda_place *from, struct cuda_place *to, struct error *err)
{
    struct pointwise posts[FUSED_POSTS_MAX];
    size_t post_count = fused_get_posts(node, posts);
    struct cuda_place *places[CHAIN_INPUTS_MAX + CHAIN_OUTPUTS_MAX] = { from };
    struct chain chain = { .shape = to->layout.shape, .input_count = 1, .output_count = 1 };
    assert(post_count > first);
    for (size_t i = first; i < post_count; i++)
        if (posts[i].operand >= 0) {
            int rc =
                cuda_where(build, node->inputs[posts[i].operand], &places[chain.input_count++], err);
            if (rc)
                return rc;
        }
    int last = 0, next = 1;
    for (size_t i = first; i < post_count; i++) {
        int operand = posts[i].operand >= 0 ? next++ : -1;
        last = chain_add_link(&chain, &posts[i], (const int[]){ last, operand, -1 });
    }
    chain.outputs[0] = last;
    places[chain.input_count] = to;
    return add_step(build, &chain, places, err);
}

/* places: of the inputs, then of the outputs. */
static int add_step(struct cuda_build *build, const struct chain *chain, struct cuda_place **places,
                    struct error *err)
{
    struct view views[CHAIN_INPUTS_MAX + CHAIN_OUTPUTS_MAX];
    for (int k = 0; k < chain->input_count + chain->output_count; k++)
        views[k] = cuda_view_broadcast(places[k], &chain->shape);
    struct view order = views[chain->input_count];
    return cuda_map_views(build, "map strided", chain, places, views, &order, err);
}

int cuda_map_views(struct cuda_build *build, const char *implementation, const struct chain *chain,
                   struct cuda_place *const *places, struct view *views, struct view *order,
                   struct error *err)
{
    struct map_state *state = calloc(1, sizeof *state);
    if (!state)
        return cuda_no_memory(err);
    set_program(&state->map, chain);
    map_set_views(&state->map, views, order);
    state->count = shape_elements(&chain->shape);
    state->flat = map_is_flat(&state->map);
    return cuda_add_step(build, state->flat ? "map" : implementation, run_map, state, NULL, places,
                         chain->input_count, chain->input_count + chain->output_count, err);
}

void map_set_views(struct map *map, struct view *views, struct view *order)
{
    struct view *all[1 + MAP_INPUTS_MAX + MAP_OUTPUTS_MAX] = { order };
    int count = map->input_count + map->output_count;
    for (int k = 0; k < count; k++)
        all[1 + k] = &views[k];
    iterate_join(all, 1 + count);
    map->rank = order->rank;
    for (int d = 0; d < order->rank; d++)
        map->dim[d] = order->dim[d];
    for (int k = 0; k < count; k++) {
        map->operands[k].type = views[k].type;
        for (int d = 0; d < order->rank; d++)
            map->operands[k].step[d] = (int32_t)views[k].step[d];
    }
}

bool map_is_flat(const struct map *map)
{
    bool flat = map->rank <= 1;
    for (int k = 0; map->rank == 1 && k < map->input_count + map->output_count; k++)
        flat = flat && map->operands[k].step[0] == 1;
    return flat;
}

static void set_program(struct map *map, const struct chain *chain)
{
    map->input_count = chain->input_count;
    map->link_count = chain->link_count;
    map->output_count = chain->output_count;
    for (int k = 0; k < chain->output_count; k++)
        map->outputs[k] = chain->outputs[k];
    for (int k = 0; k < chain->link_count; k++) {
        const struct chain_link *link = &chain->links[k];
        map->links[k] = (struct map_link){ .kind = link->function.kind,
                                           .in = { link->in[0], link->in[1], link->in[2] },
                                           .alpha = link->function.alpha,
                                           .beta = link->function.beta };
    }
}

void map_flat(const struct map *args, int64_t count, void *stream)
{
    struct map rest = *args;
    int64_t fours = goes_in_fours(args) ? count / VECTOR : 0;
    map_fours(args, fours, stream);
    for (int k = 0; k < args->input_count + args->output_count; k++)
        rest.operands[k].data =
            (char *)args->operands[k].data +
            fours * VECTOR * (int64_t)tensor_type_bytes((enum tensor_type)args->operands[k].type);
    map_ones(&rest, count - fours * VECTOR, stream);
}

static bool goes_in_fours(const struct map *map)
{
    bool goes = map->input_count + map->link_count <= MAP_FOURS_MAX;
    for (int k = 0; k < map->input_count + map->output_count; k++)
        goes = goes && !element_is_whole(map->operands[k].type) &&
               (uintptr_t)map->operands[k].data % VECTOR_BYTES == 0;
    return goes;
}

static int run_map(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    const struct map_state *state = step->state;
    struct map map = state->map;
    (void)err;
    for (int k = 0; k < step->place_count; k++)
        map.operands[k].data = step->places[k]->data;
    (state->flat ? map_flat : map_each)(&map, state->count, gpu_stream(gpu));
    return 0;
}
