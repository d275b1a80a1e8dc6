/* optimise_steps: optimisers, averages of weights, and the norm of gradients. A graph has a node for each
 * parameter; those of one kind with the same attributes and numbers become one step (combine.h says
 * when), so that hundreds of them are some few launches. Weights and moments are renewed in place
 * (cuda_renew), and gradients are read as they lie. */
#include "cuda/combine.h"
#include "cuda/iterate.h"
#include "cuda/makers.h"
#include "cuda/parts.h"
#include "ops/resolve.h"
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_BYTES_MAX 32764
_Static_assert(sizeof(struct optimise) <= ARGUMENTS_BYTES_MAX &&
                   sizeof(struct squares) <= ARGUMENTS_BYTES_MAX &&
                   sizeof(struct optimise_copies) <= ARGUMENTS_BYTES_MAX &&
                   sizeof(struct squares_totals) <= ARGUMENTS_BYTES_MAX,
               "tables fit into the arguments of a kernel");
_Static_assert(CLIP_SUMS_MAX == GRAPH_NODE_INPUTS_MAX, "a clip_factor takes all inputs of a node");

static cuda_maker make_sgd, make_adam, make_average, make_squares, make_clip_factor;

static const struct cuda_row rows[] = {
    { "sgd", make_sgd },
    { "adam", make_adam },
    { "moving_average", make_average },
    { "sum_squares", make_squares },
    { "clip_factor", make_clip_factor },
};
const struct cuda_family cuda_optimise_family = CUDA_FAMILY(rows);

/* ---- updates ---- */

/* Inputs of each kind of node; -1: it has none. */
struct form {
    enum optimise_kind kind;
    const char *how;
    int fresh, states[OPTIMISE_STATES_MAX], state_count;
    int step, rate, scale;
};

static const struct form sgd_form = { OPTIMISE_SGD, "sgd", 1, { 0, 2 }, 2, -1, 3, 4 };
static const struct form adam_form = { OPTIMISE_ADAM, "adam", 1, { 0, 2, 3 }, 3, 4, 5, 6 };
static const struct form average_form = { OPTIMISE_AVERAGE, "average", 1, { 0 }, 1, -1, -1, -1 };

struct update_state {
    const struct node *node; /* the first one */
    const struct form *form;
    struct optimise optimise; /* without parts and pointers */
    struct adam adam;
    struct cuda_place *step, *rate, *scale, *now; /* NULL: none */
    struct parts parts;
};

static int make_update(struct cuda_build *build, const struct node *node, const struct form *form,
                       struct error *err);
static int take_part(struct cuda_build *build, const struct node *node, const struct form *form,
                     struct part *part, struct error *err);
static int list_places(const struct form *form, const struct part *part, struct cuda_place **places,
                       int *read_count);
static bool takes_update(const struct cuda_step *step, const void *arg);
static bool same_attributes(const struct node *a, const struct node *b);
static int start_update(struct cuda_build *build, const struct node *node, const struct form *form,
                        const struct part *part, struct error *err);
static int take_number(struct cuda_build *build, const struct node *node, int input,
                       struct cuda_place **place, struct error *err);
static void read_attributes(const struct node *node, struct update_state *state);
static int run_update(const struct cuda_step *step, struct gpu *gpu, struct error *err);
static void free_update(void *state);

static int make_sgd(struct cuda_build *build, const struct node *node, struct error *err)
{
    return make_update(build, node, &sgd_form, err);
}

static int make_adam(struct cuda_build *build, const struct node *node, struct error *err)
{
    return make_update(build, node, &adam_form, err);
}

static int make_average(struct cuda_build *build, const struct node *node, struct error *err)
{
    return make_update(build, node, &average_form, err);
}

static int make_update(struct cuda_build *build, const struct node *node, const struct form *form,
                       struct error *err)
{
    struct cuda_place *places[1 + 2 * OPTIMISE_STATES_MAX];
    struct cuda_step *step;
    struct part part = { 0 };
    int rc = take_part(build, node, form, &part, err);
    if (rc)
        return rc;
    int read_count, count = list_places(form, &part, places, &read_count);
    rc = cuda_combine(build, run_update, takes_update, node, places, read_count, count, &step, err);
    if (rc)
        return rc;
    return step ? parts_add(&((struct update_state *)step->state)->parts, &part, err)
                : start_update(build, node, form, &part, err);
}

static int take_part(struct cuda_build *build, const struct node *node, const struct form *form,
                     struct part *part, struct error *err)
{
    int rc = cuda_where(build, node->inputs[form->fresh], &part->fresh, err);
    for (int k = 0; !rc && k < form->state_count; k++)
        rc = cuda_want_dense(build, node->inputs[form->states[k]], TENSOR_F32, &part->before[k], err);
    for (int k = 0; !rc && k < form->state_count && k < node->output_count; k++)
        if (node->outputs[k] >= 0)
            rc = cuda_renew(build, node->inputs[form->states[k]], node->outputs[k], &part->after[k],
                            err);
    if (rc)
        return rc;
    struct view states = cuda_view(part->before[0]);
    part->view = cuda_view(part->fresh);
    part->count = shape_elements(&part->fresh->layout.shape);
    iterate_join((struct view *const[]){ &states, &part->view }, 2);
    return 0;
}

static int list_places(const struct form *form, const struct part *part, struct cuda_place **places,
                       int *read_count)
{
    int count = 0;
    places[count++] = part->fresh;
    for (int k = 0; k < form->state_count; k++)
        places[count++] = part->before[k];
    *read_count = count;
    for (int k = 0; k < form->state_count; k++)
        if (part->after[k])
            places[count++] = part->after[k];
    return count;
}

/* Of the same op, with the same attributes and the same numbers. */
static bool takes_update(const struct cuda_step *step, const void *arg)
{
    const struct update_state *state = step->state;
    const struct node *node = arg;
    const int numbers[] = { state->form->step, state->form->rate, state->form->scale };
    if (state->node->op != node->op || state->node->input_count != node->input_count)
        return false;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] >= 0 && numbers[i] < node->input_count &&
            state->node->inputs[numbers[i]] != node->inputs[numbers[i]])
            return false;
    return same_attributes(state->node, node);
}

/* All of them are numbers. One that is left out is not the same as one that is there. */
static bool same_attributes(const struct node *a, const struct node *b)
{
    if (a->attribute_count != b->attribute_count)
        return false;
    for (size_t i = 0; i < a->attribute_count; i++) {
        const struct attribute *one = &a->attributes[i];
        const struct attribute *other = node_attribute(b, one->name);
        if (!other || other->kind != one->kind || other->f != one->f || other->i != one->i)
            return false;
    }
    return true;
}

static int start_update(struct cuda_build *build, const struct node *node, const struct form *form,
                        const struct part *part, struct error *err)
{
    struct cuda_place *places[4 + 1 + 2 * OPTIMISE_STATES_MAX];
    struct update_state *state = calloc(1, sizeof *state);
    if (!state)
        return cuda_no_memory(err);
    state->node = node;
    state->form = form;
    read_attributes(node, state);
    int rc = take_number(build, node, form->step, &state->step, err);
    if (!rc)
        rc = take_number(build, node, form->rate, &state->rate, err);
    if (!rc)
        rc = take_number(build, node, form->scale, &state->scale, err);
    if (!rc && form->kind == OPTIMISE_ADAM)
        rc = cuda_scratch(build, sizeof(struct optimise_now), &state->now, err);
    if (!rc)
        rc = parts_add(&state->parts, part, err);
    if (rc) {
        free_update(state);
        return rc;
    }
    struct cuda_place *const numbers[] = { state->step, state->rate, state->scale };
    int reads = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i])
            places[reads++] = numbers[i];
    int part_reads, count = reads + list_places(form, part, places + reads, &part_reads);
    if (state->now)
        places[count++] = state->now;
    return cuda_add_step(build, form->how, run_update, state, free_update, places,
                         reads + part_reads, count, err);
}

static int take_number(struct cuda_build *build, const struct node *node, int input,
                       struct cuda_place **place, struct error *err)
{
    if (input < 0 || input >= node->input_count || node->inputs[input] < 0)
        return 0;
    return cuda_want_dense(build, node->inputs[input], TENSOR_F32, place, err);
}

static void read_attributes(const struct node *node, struct update_state *state)
{
    struct optimise *optimise = &state->optimise;
    struct sgd sgd;
    double decay = (double)node_float(node, "decay", 0);
    sgd_resolve(node, &sgd);
    adam_resolve(node, &state->adam);
    optimise->kind = state->form->kind;
    optimise->momentum = (float)sgd.momentum;
    optimise->weight_decay = (float)sgd.weight_decay;
    optimise->nesterov = sgd.nesterov;
    optimise->beta1 = (float)state->adam.beta1;
    optimise->beta2 = (float)state->adam.beta2;
    optimise->fresh1 = (float)(1 - state->adam.beta1);
    optimise->fresh2 = (float)(1 - state->adam.beta2);
    optimise->epsilon = (float)state->adam.epsilon;
    optimise->keep = (float)decay;
    optimise->fresh = (float)(1 - decay);
}

static int run_update(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    const struct update_state *state = step->state;
    struct optimise optimise = state->optimise;
    (void)err;
    optimise.rate = parts_data(state->rate);
    optimise.scale = parts_data(state->scale);
    if (state->now) {
        struct adam_prepare prepare = { state->adam, parts_data(state->step), optimise.rate,
                                        state->now->data };
        optimise.now = prepare.now;
        adam_prepare_each(&prepare, 1, gpu_stream(gpu));
    }
    for (int first = 0; first < state->parts.count; first += OPTIMISE_PARTS_MAX) {
        int64_t blocks = parts_fill(&state->parts, first, &optimise.parts);
        optimise_all(&optimise, blocks, gpu_stream(gpu));
    }
    return 0;
}

static void free_update(void *state)
{
    struct update_state *update = state;
    free(update->parts.part);
    free(update);
}

/* ---- sums of squares ---- */

struct total {
    struct cuda_place *to;
    int64_t first, count; /* chunks */
};

struct squares_state {
    struct parts parts; /* of all nodes, one after the other */
    struct total *totals;
    int total_count;
    int64_t chunk_count, longest;
    struct cuda_place *sums; /* a double for each chunk */
};

static int add_total(struct cuda_build *build, struct squares_state *state,
                     const struct parts *parts, struct cuda_place *to, struct error *err);
static bool takes_squares(const struct cuda_step *step, const void *arg);
static int run_squares(const struct cuda_step *step, struct gpu *gpu, struct error *err);
static void free_squares(void *state);

static int start_squares(struct cuda_build *build, struct cuda_place **places, int read_count,
                         struct squares_state **state, struct error *err)
{
    struct cuda_place *all[GRAPH_NODE_INPUTS_MAX + 2];
    *state = calloc(1, sizeof **state);
    if (!*state)
        return cuda_no_memory(err);
    int rc = cuda_scratch(build, 0, &(*state)->sums, err);
    if (rc) {
        free(*state);
        return rc;
    }
    memcpy(all, places, ((size_t)read_count + 1) * sizeof *places);
    all[read_count + 1] = (*state)->sums;
    return cuda_add_step(build, "squares", run_squares, *state, free_squares, all, read_count,
                         read_count + 2, err);
}

static int make_squares(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct layout scalar = layout_dense(TENSOR_F32, &(struct shape){ .rank = 0 });
    struct cuda_place *places[GRAPH_NODE_INPUTS_MAX + 1];
    struct part list[GRAPH_NODE_INPUTS_MAX];
    struct parts parts = { list, node->input_count };
    int rc = 0, count = node->input_count;
    for (int k = 0; !rc && k < count; k++) {
        rc = cuda_where(build, node->inputs[k], &places[k], err);
        if (rc)
            return rc;
        list[k] = (struct part){ .view = cuda_view(places[k]),
                                 .count = shape_elements(&places[k]->layout.shape),
                                 .fresh = places[k] };
        iterate_join((struct view *const[]){ &list[k].view }, 1);
    }
    rc = cuda_output(build, node->outputs[0], &scalar, &places[count], err);
    struct cuda_step *step = NULL;
    struct squares_state *state = NULL;
    if (!rc)
        rc = cuda_combine(build, run_squares, takes_squares, NULL, places, count, count + 1, &step,
                          err);
    if (!rc && step)
        state = step->state;
    else if (!rc)
        rc = start_squares(build, places, count, &state, err);
    return rc ? rc : add_total(build, state, &parts, places[count], err);
}

static bool takes_squares(const struct cuda_step *step, const void *arg)
{
    (void)step, (void)arg;
    return true;
}

/* The sums of chunks take more memory with it: how much a buffer has is counted until all steps are
 * there. */
static int add_total(struct cuda_build *build, struct squares_state *state,
                     const struct parts *parts, struct cuda_place *to, struct error *err)
{
    struct total *more = realloc(state->totals, ((size_t)state->total_count + 1) * sizeof *more);
    if (!more)
        return cuda_no_memory(err);
    state->totals = more;
    struct total total = { .to = to, .first = state->chunk_count };
    for (int k = 0; k < parts->count; k++) {
        int rc = parts_add(&state->parts, &parts->part[k], err);
        if (rc)
            return rc;
        total.count += parts_chunks(parts->part[k].count);
    }
    more[state->total_count++] = total;
    state->chunk_count += total.count;
    state->longest = total.count > state->longest ? total.count : state->longest;
    build->plan->buffers[state->sums->buffer].bytes = (uint64_t)state->chunk_count * sizeof(double);
    return 0;
}

static int run_squares(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    const struct squares_state *state = step->state;
    struct squares squares = { .sums = state->sums->data };
    (void)err;
    for (int first = 0; first < state->parts.count; first += OPTIMISE_PARTS_MAX) {
        int64_t blocks = parts_fill(&state->parts, first, &squares.parts);
        squares_chunks(&squares, blocks, gpu_stream(gpu));
        squares.sums += blocks;
    }
    struct squares_totals totals = { .sums = state->sums->data };
    for (int first = 0; first < state->total_count; first += SQUARES_TOTALS_MAX) {
        int count = state->total_count - first;
        count = count < SQUARES_TOTALS_MAX ? count : SQUARES_TOTALS_MAX;
        for (int i = 0; i < count; i++) {
            const struct total *total = &state->totals[first + i];
            totals.total[i] = (struct squares_total){ total->to->data, total->first, total->count };
        }
        squares_totals_rows(&totals, count, state->longest, gpu_stream(gpu));
    }
    return 0;
}

static void free_squares(void *state)
{
    struct squares_state *squares = state;
    free(squares->parts.part);
    free(squares->totals);
    free(squares);
}

/* ---- clipping ---- */

static int run_clip_factor(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    struct clip clip = *(const struct clip *)step->state;
    (void)err;
    for (int k = 0; k < clip.count; k++)
        clip.sums[k] = step->places[k]->data;
    clip.to = step->places[clip.count]->data;
    clip_factor_each(&clip, 1, gpu_stream(gpu));
    return 0;
}

static int make_clip_factor(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct layout scalar = layout_dense(TENSOR_F32, &(struct shape){ .rank = 0 });
    struct cuda_place *places[GRAPH_NODE_INPUTS_MAX + 1];
    int rc = 0, count = node->input_count;
    for (int k = 0; !rc && k < count; k++)
        rc = cuda_want_dense(build, node->inputs[k], TENSOR_F32, &places[k], err);
    if (!rc)
        rc = cuda_output(build, node->outputs[0], &scalar, &places[count], err);
    if (rc)
        return rc;
    struct clip *state = calloc(1, sizeof *state);
    if (!state)
        return cuda_no_memory(err);
    state->count = count;
    state->max_norm = node_float(node, "max_norm", 1);
    return cuda_add_step(build, "clip", run_clip_factor, state, NULL, places, count, count + 1, err);
}
