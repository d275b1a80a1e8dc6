/* conv_pair_steps: a convolution that only one other reads is left to that one, which then makes both: in one
 * pass (conv_pair.h), or behind each other where that is faster on this device. */
#include "cuda/conv_pair.h"
#include "cuda/conv_parts.h"
#include <stdlib.h>
#include <string.h>

enum { FIRST, SECOND, BOTH };

/* A step: places are those read (x; each one's w, bias and operands), then the result. */
struct pair_state {
    struct conv_pair pair;
    int multiprocessors;
    struct {
        int w, bias, first_operand; /* places; -1: none */
    } at[BOTH];
};

static const struct node *find_reader(const struct cuda_build *build, const struct node *node);
static bool keeps_posts(const struct cuda_build *build, const struct conv_making *making);
static int make_each(struct cuda_build *build, const struct node *before,
                     struct conv_making making[BOTH], struct error *err);
static int choose(struct cuda_build *build, const struct conv_making making[BOTH], bool *in_one,
                  struct error *err);
static int add_pair(struct cuda_build *build, const struct conv_making making[BOTH],
                    struct cuda_place *out, struct error *err);
static int run_pair(const struct cuda_step *step, struct gpu *gpu, struct error *err);
static void run_both(const void *arg, struct gpu *gpu, const struct conv *first,
                     void *const *first_operands, const struct conv *second,
                     void *const *second_operands);

bool conv_is_left(struct cuda_build *build, const struct node *node)
{
    struct conv_making making[BOTH];
    struct error err;
    const struct node *reader = find_reader(build, node);
    return reader && conv_begin(build, node, &making[FIRST], &err) == 0 &&
           conv_begin(build, reader, &making[SECOND], &err) == 0 &&
           conv_pair_suits(&making[FIRST].conv, &making[SECOND].conv, build->device->facts.major,
                           build->device->facts.minor) &&
           keeps_posts(build, &making[FIRST]);
}

/* The convolution that alone reads what this one makes, and nothing of what another has left. */
static const struct node *find_reader(const struct cuda_build *build, const struct node *node)
{
    const struct graph *graph = build->graph;
    const struct node *reader = NULL;
    if (strcmp(fused_base_name(node->op), "Conv") != 0 ||
        build->values[node->outputs[0]].reads_left != 1 || build->values[node->inputs[0]].later)
        return NULL;
    for (int i = 0; !reader && i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i].input_count; k++)
            if (graph->nodes[i].inputs[k] == node->outputs[0])
                reader = &graph->nodes[i];
    if (!reader || strcmp(fused_base_name(reader->op), "Conv") != 0 ||
        reader->inputs[0] != node->outputs[0])
        return NULL;
    return reader;
}

/* All that follows the first one has to be done on its sums. */
static bool keeps_posts(const struct cuda_build *build, const struct conv_making *making)
{
    struct pointwise posts[FUSED_POSTS_MAX];
    size_t count = fused_get_posts(making->posts, posts);
    bool keeps = count <= CONV_TILE_POSTS_MAX;
    for (size_t i = 0; keeps && i < count; i++)
        if (posts[i].operand >= 0)
            keeps = conv_is_picture_like(
                &cuda_info(build, making->posts->inputs[posts[i].operand])->shape,
                &cuda_info(build, making->to)->shape);
    return keeps;
}

/* What it would read has one read more to come until then. */
int conv_make_later(struct cuda_build *build, const struct node *node, struct error *err)
{
    (void)err;
    build->values[node->outputs[0]].later = node;
    for (int k = 0; k < node->input_count; k++)
        if (node->inputs[k] >= 0)
            build->values[node->inputs[k]].reads_left++;
    return 0;
}

int conv_make_pair(struct cuda_build *build, const struct node *before, struct conv_making *second,
                   struct error *err)
{
    struct conv_making making[BOTH];
    struct cuda_place *out;
    bool in_one = true;
    making[SECOND] = *second;
    int rc = conv_begin(build, before, &making[FIRST], err);
    if (!rc)
        rc = cuda_want_last(build, making[FIRST].from[0], build->arithmetic,
                            &making[FIRST].places[0], err);
    for (int i = FIRST; !rc && i < BOTH; i++)
        rc = conv_gather(build, &making[i], err);
    if (!rc && making[SECOND].fused_count > CONV_TILE_POSTS_MAX)
        making[SECOND].fused_count = CONV_TILE_POSTS_MAX;
    if (!rc && build->device->libraries)
        rc = choose(build, making, &in_one, err);
    for (int k = 0; k < before->input_count; k++)
        if (before->inputs[k] >= 0)
            build->values[before->inputs[k]].reads_left--;
    if (!rc && !in_one)
        return make_each(build, before, making, err);
    if (!rc)
        rc = conv_place_result(build, &making[SECOND], &out, err);
    if (!rc)
        rc = add_pair(build, making, out, err);
    return rc ? rc : conv_map_rest(build, &making[SECOND], out, err);
}

/* One behind the other. */
static int make_each(struct cuda_build *build, const struct node *before,
                     struct conv_making making[BOTH], struct error *err)
{
    const char *op = build->op, *name = build->name;
    struct shape shape = build->shape;
    build->op = before->op->name;
    build->name = before->name;
    build->shape = cuda_info(build, before->outputs[0])->shape;
    int rc = conv_finish(build, &making[FIRST], err);
    build->op = op;
    build->name = name;
    build->shape = shape;
    if (!rc)
        rc = cuda_want_last(build, making[SECOND].from[0], build->arithmetic,
                            &making[SECOND].places[0], err);
    return rc ? rc : conv_finish(build, &making[SECOND], err);
}

static struct pair_state describe(const struct cuda_build *build,
                                  const struct conv_making making[BOTH])
{
    const struct conv_tiles first = conv_describe_tiles(build, &making[FIRST]);
    const struct conv_tiles second = conv_describe_tiles(build, &making[SECOND]);
    struct pair_state state = { .pair = { .first = first.tile, .second = second.tile },
                                .multiprocessors = first.multiprocessors };
    state.pair.first.conv = making[FIRST].conv;
    state.pair.second.conv = making[SECOND].conv;
    return state;
}

static int choose(struct cuda_build *build, const struct conv_making making[BOTH], bool *in_one,
                  struct error *err)
{
    const struct pair_state state = describe(build, making);
    const struct conv_tiles first = conv_describe_tiles(build, &making[FIRST]);
    const struct conv_tiles second = conv_describe_tiles(build, &making[SECOND]);
    const struct lib_pair pair = {
        .spec = { conv_describe(build, &making[FIRST]), conv_describe(build, &making[SECOND]) },
        .alone = { conv_rival_of(&first), conv_rival_of(&second) },
        .run = run_both,
        .arg = &state,
    };
    return lib_conv_race_pair(build->device->libraries, &pair, in_one, err);
}

static int add_pair(struct cuda_build *build, const struct conv_making making[BOTH],
                    struct cuda_place *out, struct error *err)
{
    struct cuda_place *places[2 + BOTH * (2 + CONV_TILE_POSTS_MAX)];
    struct pair_state *state = malloc(sizeof *state);
    if (!state)
        return cuda_no_memory(err);
    *state = describe(build, making);
    int count = 0;
    places[count++] = making[FIRST].places[0];
    for (int i = FIRST; i < BOTH; i++) {
        const struct conv_making *one = &making[i];
        state->at[i].w = count;
        places[count++] = one->places[1];
        state->at[i].bias = one->bias < 0 ? -1 : count;
        if (one->bias >= 0)
            places[count++] = one->places[2];
        state->at[i].first_operand = count;
        for (size_t k = 0; k < one->fused_count; k++)
            if (one->fused[k].function.operand >= 0)
                places[count++] = one->places[3 + k];
    }
    places[count] = out;
    int rc = cuda_add_step(build, "conv pair", run_pair, state, NULL, places, count, count + 1, err);
    if (!rc)
        cuda_set_flop(build,
                      conv_count_flop(&making[FIRST].conv) + conv_count_flop(&making[SECOND].conv));
    return rc;
}

static int run_pair(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    const struct pair_state *state = step->state;
    struct conv convs[BOTH] = { state->pair.first.conv, state->pair.second.conv };
    void *operands[BOTH][CONV_TILE_POSTS_MAX];
    (void)err;
    convs[FIRST].x = step->places[0]->data;
    convs[SECOND].y = step->places[step->read_count]->data;
    for (int i = FIRST; i < BOTH; i++) {
        int bias = state->at[i].bias, first = state->at[i].first_operand;
        int behind = i == FIRST ? state->at[SECOND].w : step->read_count;
        convs[i].w = step->places[state->at[i].w]->data;
        convs[i].bias = bias < 0 ? NULL : step->places[bias]->data;
        for (int k = first; k < behind; k++)
            operands[i][k - first] = step->places[k]->data;
    }
    run_both(state, gpu, &convs[FIRST], operands[FIRST], &convs[SECOND], operands[SECOND]);
    return 0;
}

static void run_both(const void *arg, struct gpu *gpu, const struct conv *first,
                     void *const *first_operands, const struct conv *second,
                     void *const *second_operands)
{
    const struct pair_state *state = arg;
    struct conv_pair pair = state->pair;
    pair.first.conv = *first;
    pair.second.conv = *second;
    conv_set_operands(&pair.first, first_operands);
    conv_set_operands(&pair.second, second_operands);
    conv_pair_run(&pair, state->multiprocessors, gpu_stream(gpu));
}
