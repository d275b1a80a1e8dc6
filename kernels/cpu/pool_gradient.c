/* pool_gradient: gradients of pooling. That of an average is a weighted sum of rows and columns
 * (cpu/taps.h). That of a maximum looks for the largest elements once more, a few channels side by
 * side, and adds to where they are: oneDNN would want their places kept from the forward pass. */
#include "cpu/bfloat.h"
#include "cpu/parallel.h"
#include "cpu/taps.h"
#include "ops/window.h"
#include <stdlib.h>
#include <string.h>

#define LANES 64     /* channels at a time; */
#define LANES_MIN 16 /* fewer where threads would have nothing to do otherwise: a cache line */
#define LEAST 16384  /* elements of dx for a thread, below which it is not woken */

struct max_state {
    struct window window;
    struct window_reach *rows, *columns; /* of each output position */
    int64_t planes, inner;               /* pictures of so many channels side by side, */
    int64_t lanes, groups;               /* which are worked on in so many groups */
    enum tensor_type x_type, type;       /* of dy and dx */
    int parts;
};

struct max_run {
    const struct max_state *state;
    const char *dy, *x;
    char *dx;
    float *sums; /* a group of dx for each part, where that is not stored in floats */
};

static int add_taps(struct taps *taps, const struct window *window, int i, bool count_padding,
                    struct error *err);
static int open_max(struct max_state **state, const struct window *window, struct error *err);
static int run_max(const struct cpu_step *step, struct error *err);
static void max_part(const void *arg, int part, int parts);
static void max_group(const struct max_run *run, int64_t plane, int64_t first, int64_t count,
                      float *sums, int64_t step);
static void find_largest(const struct max_run *run, int64_t x, const struct window_reach *rows,
                         const struct window_reach *columns, int64_t count, int32_t *places);
static const float *load(const char *from, enum tensor_type type, int64_t at, int64_t count,
                         float *room);

int build_average_pool_grad(struct build *build, const struct node *node, struct error *err)
{
    const struct value *dx = build_info(build, node->outputs[0]);
    struct window window;
    if (dx->type != TENSOR_F32 || dx->shape.rank != 4)
        return BUILD_DECLINED;
    int rc = window_of_pool(node, &dx->shape, &window, err);
    if (rc)
        return rc;
    bool count_padding = node_int(node, "count_include_pad", 0) != 0;
    struct taps rows = { .to_count = window.in[ROWS], .from_count = window.out[ROWS] };
    struct taps columns = { .to_count = window.in[COLUMNS], .from_count = window.out[COLUMNS] };
    rc = add_taps(&rows, &window, ROWS, count_padding, err);
    if (!rc)
        rc = add_taps(&columns, &window, COLUMNS, count_padding, err);
    if (!rc)
        rc = taps_add_step(build, node, "taps", &rows, &columns, err);
    taps_free(&rows);
    taps_free(&columns);
    return rc;
}

/* An output gives each element of its window the same share. */
static int add_taps(struct taps *taps, const struct window *window, int i, bool count_padding,
                    struct error *err)
{
    int rc = 0;
    for (int64_t at = 0; !rc && at < window->out[i]; at++) {
        struct window_reach reach = window_reach_at(window, i, at);
        double share = 1 / (double)window_reach_count(&reach, count_padding);
        for (int64_t k = reach.first; !rc && k < reach.end; k++)
            rc = taps_add(taps, reach.start + k * window->dilation[i], at, share, err);
    }
    return rc;
}

/* ---- of maxima ---- */

int build_max_pool_grad(struct build *build, const struct node *node, struct error *err)
{
    const struct value *info = build_info(build, node->inputs[1]);
    struct cpu_place *dy, *x, *dx, *sums;
    struct window window;
    if (info->type != TENSOR_F32 || info->shape.rank != 4)
        return BUILD_DECLINED;
    int rc = window_of_pool(node, &info->shape, &window, err);
    if (rc || (rc = build_place_any(build, node->inputs[1], &x, err)) ||
        (rc = build_place_any(build, node->inputs[0], &dy, err)))
        return rc;
    struct layout x_layout = layout_channels_like(x->layout.type, &info->shape, &x->layout);
    struct layout dy_layout = layout_channels_like(dy->layout.type, &dy->layout.shape, &x_layout);
    struct layout dx_layout = layout_channels_like(dy->layout.type, &info->shape, &x_layout);
    if ((rc = build_want(build, node->inputs[1], &x_layout, &x, err)) ||
        (rc = build_want(build, node->inputs[0], &dy_layout, &dy, err)) ||
        (rc = build_output(build, node->outputs[0], &dx_layout, &dx, err)))
        return rc;
    struct max_state *state;
    if ((rc = open_max(&state, &window, err)))
        return rc;
    int64_t pixels = window.in[ROWS] * window.in[COLUMNS];
    state->inner = x_layout.blocked ? LAYOUT_BLOCK : window.in_channels;
    state->planes = window.batch * window.in_channels / state->inner;
    state->x_type = x_layout.type;
    state->type = dx_layout.type;
    int threads = build->device->threads;
    bool enough = state->planes * ((state->inner + LANES - 1) / LANES) >= threads;
    state->lanes = enough ? LANES : LANES_MIN;
    state->groups = (state->inner + state->lanes - 1) / state->lanes;
    state->parts = parallel_parts(threads, state->planes * pixels * state->inner, LEAST);
    int64_t room = state->type == TENSOR_F32 ? 1 : pixels * state->lanes;
    struct shape floats = { .rank = 1, .dim = { state->parts * room } };
    struct layout beside = layout_dense(TENSOR_F32, &floats);
    if ((rc = build_new_place(build, &beside, &sums, err))) {
        free(state);
        return rc;
    }
    struct cpu_place *places[] = { dy, x, dx, sums };
    return build_c_step(build, "max_pool_grad", run_max, state, places, 4, err);
}

static int open_max(struct max_state **state, const struct window *window, struct error *err)
{
    size_t reaches = (size_t)(window->out[ROWS] + window->out[COLUMNS]);
    *state = calloc(1, sizeof **state + reaches * sizeof *(*state)->rows);
    if (!*state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    (*state)->window = *window;
    (*state)->rows = (struct window_reach *)(void *)(*state + 1);
    (*state)->columns = (*state)->rows + window->out[ROWS];
    for (int64_t y = 0; y < window->out[ROWS]; y++)
        (*state)->rows[y] = window_reach_at(window, ROWS, y);
    for (int64_t x = 0; x < window->out[COLUMNS]; x++)
        (*state)->columns[x] = window_reach_at(window, COLUMNS, x);
    return 0;
}

static int run_max(const struct cpu_step *step, struct error *err)
{
    (void)err;
    struct max_run run = { .state = step->state,
                           .dy = step->places[0]->data,
                           .x = step->places[1]->data,
                           .dx = step->places[2]->data,
                           .sums = step->places[3]->data };
    parallel_run(run.state->parts, max_part, &run);
    return 0;
}

static void max_part(const void *arg, int part, int parts)
{
    const struct max_run *run = arg;
    const struct max_state *state = run->state;
    int64_t pixels = state->window.in[ROWS] * state->window.in[COLUMNS], first, end;
    parallel_share(state->planes * state->groups, 1, part, parts, &first, &end);
    for (int64_t i = first; i < end; i++) {
        int64_t plane = i / state->groups, lane = i % state->groups * state->lanes;
        int64_t left = state->inner - lane, count = left < state->lanes ? left : state->lanes;
        int64_t start = plane * pixels * state->inner + lane;
        if (state->type == TENSOR_F32) {
            max_group(run, plane, lane, count, (float *)(void *)run->dx + start, state->inner);
            continue;
        }
        float *sums = run->sums + part * pixels * state->lanes;
        uint16_t *to = (uint16_t *)(void *)run->dx + start;
        max_group(run, plane, lane, count, sums, count);
        for (int64_t p = 0; p < pixels; p++)
            for (int64_t c = 0; c < count; c++)
                to[p * state->inner + c] = bfloat_narrow(sums[p * count + c]);
    }
}

/* All of a picture, `count` channels from the given one on. Pixels of sums are `step` apart. */
static void max_group(const struct max_run *run, int64_t plane, int64_t first, int64_t count,
                      float *sums, int64_t step)
{
    const struct max_state *state = run->state;
    const struct window *window = &state->window;
    int64_t pixels = window->in[ROWS] * window->in[COLUMNS];
    int64_t dy_at = plane * window->out[ROWS] * window->out[COLUMNS] * state->inner + first;
    float room[LANES];
    int32_t places[LANES];
    for (int64_t p = 0; p < pixels; p++)
        memset(sums + p * step, 0, (size_t)count * sizeof *sums);
    for (int64_t y = 0; y < window->out[ROWS]; y++)
        for (int64_t x = 0; x < window->out[COLUMNS]; x++, dy_at += state->inner) {
            const float *dy = load(run->dy, state->type, dy_at, count, room);
            find_largest(run, plane * pixels * state->inner + first, &state->rows[y],
                         &state->columns[x], count, places);
            for (int64_t c = 0; c < count; c++)
                if (places[c] >= 0)
                    sums[places[c] * step + c] += dy[c];
        }
}

/* The pixel of each channel's first maximum, or last NaN, in a window; -1 where there is none. */
static void find_largest(const struct max_run *run, int64_t x, const struct window_reach *rows,
                         const struct window_reach *columns, int64_t count, int32_t *places)
{
    const struct max_state *state = run->state;
    const struct window *window = &state->window;
    float room[LANES], largest[LANES];
    bool begun = false;
    for (int64_t c = 0; c < count; c++)
        places[c] = -1;
    for (int64_t ky = rows->first; ky < rows->end; ky++)
        for (int64_t kx = columns->first; kx < columns->end; kx++) {
            int64_t row = rows->start + ky * window->dilation[ROWS];
            int64_t column = columns->start + kx * window->dilation[COLUMNS];
            int32_t place = (int32_t)(row * window->in[COLUMNS] + column);
            const float *here = load(run->x, state->x_type, x + place * state->inner, count, room);
            for (int64_t c = 0; c < count && !begun; c++) {
                largest[c] = here[c];
                places[c] = place;
            }
            for (int64_t c = 0; c < count && begun; c++) {
                bool larger = here[c] > largest[c] || here[c] != here[c];
                largest[c] = larger ? here[c] : largest[c];
                places[c] = larger ? place : places[c];
            }
            begun = true;
        }
}

static const float *load(const char *from, enum tensor_type type, int64_t at, int64_t count,
                         float *room)
{
    if (type == TENSOR_F32)
        return (const float *)(const void *)from + at;
    const uint16_t *narrow = (const uint16_t *)(const void *)from + at;
    for (int64_t c = 0; c < count; c++)
        room[c] = bfloat_widen(narrow[c]);
    return room;
}
