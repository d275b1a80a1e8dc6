/* taps_steps: from lists of taps to tables, and from dimensions to steps. */
#include "cuda/taps.h"
#include "cuda/iterate.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Taps of an element along two dimensions, up to which both are summed along at once: what lies in
 * between would be written and read once, and sixteen neighbours come from caches. */
#define TOGETHER_MAX 16

struct taps_state {
    struct taps taps;
    size_t list_offset_bytes[TAPS_AXES_MAX]; /* of each table */
    int64_t count;
};

static int make_steps(struct cuda_build *build, struct cuda_place *from, struct cuda_place *to,
                      const struct cuda_taps *axes, struct error *err);
static int choose_dims(const struct cuda_taps *axes, int rank, int dims[TAPS_AXES_MAX]);
static double mean(const struct cuda_taps *axis);
static int add_step(struct cuda_build *build, struct cuda_place *from, struct cuda_place *to,
                    const struct cuda_taps *axes, const int *dims, int dim_count, struct error *err);
static int add_table(struct cuda_build *build, const struct cuda_taps *axis,
                     struct cuda_place **place, struct error *err);
static size_t list_offset_bytes(int64_t to_count);
static void set_steps(struct taps *taps, const struct cuda_place *from, const struct cuda_place *to,
                      const int *dims, int dim_count);
static int run_taps(const struct cuda_step *step, struct gpu *gpu, struct error *err);

int cuda_taps_start(struct cuda_taps *axis, int64_t to_count, int64_t from_count, int64_t most,
                    struct error *err)
{
    assert(to_count > 0 && to_count <= INT32_MAX && from_count > 0 && from_count <= INT32_MAX);
    *axis = (struct cuda_taps){ .to_count = (int32_t)to_count,
                                .from_count = (int32_t)from_count,
                                .room = most };
    if (most > INT32_MAX)
        return error_set(err, ERROR_UNSUPPORTED, "cuda", "%lld weights along a dimension",
                         (long long)most);
    axis->list = calloc((size_t)most + 1, sizeof *axis->list);
    return axis->list ? 0 : cuda_no_memory(err);
}

void cuda_taps_add(struct cuda_taps *axis, int64_t to, int64_t from, double weight)
{
    assert(axis->count < axis->room && to >= 0 && to < axis->to_count && from >= 0 &&
           from < axis->from_count);
    axis->list[axis->count++] =
        (struct cuda_tap){ .to = (int32_t)to, .from = (int32_t)from, .weight = (float)weight };
}

void cuda_taps_free(struct cuda_taps axes[SHAPE_RANK_MAX])
{
    for (int d = 0; d < SHAPE_RANK_MAX; d++)
        free(axes[d].list);
}

int cuda_taps_make(struct cuda_build *build, int from, int to,
                   const struct cuda_taps axes[SHAPE_RANK_MAX], struct error *err)
{
    struct cuda_place *source, *target;
    int rc = cuda_where(build, from, &source, err);
    if (rc)
        return rc;
    enum tensor_type type = cuda_leaves(build, to) ? TENSOR_F32 : source->layout.type;
    struct layout layout = layout_packed_like(type, &cuda_info(build, to)->shape, &source->layout);
    rc = cuda_output(build, to, &layout, &target, err);
    return rc ? rc : make_steps(build, source, target, axes, err);
}

static int make_steps(struct cuda_build *build, struct cuda_place *from, struct cuda_place *to,
                      const struct cuda_taps *axes, struct error *err)
{
    struct cuda_taps open[SHAPE_RANK_MAX]; /* those that are done lose their lists here */
    int rank = to->layout.shape.rank, left = 0;
    memcpy(open, axes, sizeof open);
    for (int d = 0; d < rank; d++)
        left += axes[d].list != NULL;
    do {
        int dims[TAPS_AXES_MAX], count = choose_dims(open, rank, dims), rc = 0;
        struct shape shape = from->layout.shape;
        for (int k = 0; k < count; k++) {
            open[dims[k]].list = NULL;
            shape.dim[dims[k]] = axes[dims[k]].to_count;
        }
        struct layout layout = layout_packed_like(TENSOR_F32, &shape, &to->layout);
        struct cuda_place *next = to;
        left -= count;
        if (left > 0)
            rc = cuda_new_place(build, &layout, &next, err);
        if (!rc)
            rc = add_step(build, from, next, axes, dims, count, err);
        if (rc)
            return rc;
        from = next;
    } while (left > 0);
    return 0;
}

/* The dimension that shrinks most, so that little is left for the others, and the next one where both
 * are done at once. Gives how many. */
static int choose_dims(const struct cuda_taps *axes, int rank, int dims[TAPS_AXES_MAX])
{
    int count = 0;
    for (; count < TAPS_AXES_MAX; count++) {
        int best = -1;
        for (int d = 0; d < rank; d++) {
            if (!axes[d].list || (count > 0 && d == dims[0]))
                continue;
            if (best < 0 || (int64_t)axes[d].to_count * axes[best].from_count <
                                (int64_t)axes[best].to_count * axes[d].from_count)
                best = d;
        }
        if (best < 0 || (count > 0 && mean(&axes[dims[0]]) * mean(&axes[best]) > TOGETHER_MAX))
            break;
        dims[count] = best;
    }
    return count;
}

static double mean(const struct cuda_taps *axis)
{
    return (double)axis->count / axis->to_count;
}

static int add_step(struct cuda_build *build, struct cuda_place *from, struct cuda_place *to,
                    const struct cuda_taps *axes, const int *dims, int dim_count, struct error *err)
{
    struct cuda_place *places[TAPS_AXES_MAX + 2] = { from };
    int order[TAPS_AXES_MAX] = { 0 };
    for (int k = 0; k < dim_count; k++)
        order[k] = dims[k];
    if (dim_count > 1 && from->layout.stride[order[1]] < from->layout.stride[order[0]]) {
        order[0] = dims[1]; /* neighbours in memory one after the other */
        order[1] = dims[0];
    }
    for (int k = 0; k < dim_count; k++) {
        int rc = add_table(build, &axes[order[k]], &places[1 + k], err);
        if (rc)
            return rc;
    }
    struct taps_state *state = calloc(1, sizeof *state);
    if (!state)
        return cuda_no_memory(err);
    places[1 + dim_count] = to;
    set_steps(&state->taps, from, to, order, dim_count);
    for (int k = 0; k < dim_count; k++) {
        state->taps.axes[k].step = from->layout.stride[order[k]];
        state->list_offset_bytes[k] = list_offset_bytes(axes[order[k]].to_count);
    }
    state->count = shape_elements(&to->layout.shape);
    return cuda_add_step(build, "taps", run_taps, state, NULL, places, 1 + dim_count, 2 + dim_count,
                         err);
}

/* A table is the first of each position's taps, then all taps. */
static int add_table(struct cuda_build *build, const struct cuda_taps *axis,
                     struct cuda_place **place, struct error *err)
{
    assert(axis->list);
    size_t offset_bytes = list_offset_bytes(axis->to_count);
    size_t bytes = offset_bytes + (size_t)axis->count * sizeof(struct tap);
    char *data = calloc(1, bytes);
    if (!data)
        return cuda_no_memory(err);
    int32_t *first = (int32_t *)(void *)data;
    struct tap *list = (struct tap *)(void *)(data + offset_bytes);
    for (int64_t k = 0; k < axis->count; k++)
        first[axis->list[k].to + 1]++;
    for (int32_t p = 0; p < axis->to_count; p++)
        first[p + 1] += first[p];
    for (int64_t k = 0; k < axis->count; k++) { /* moves each first to the next one's, */
        const struct cuda_tap *tap = &axis->list[k];
        list[first[tap->to]++] = (struct tap){ .from = tap->from, .weight = tap->weight };
    }
    for (int32_t p = axis->to_count; p > 0; p--) /* and back */
        first[p] = first[p - 1];
    first[0] = 0;
    struct tensor content = { .type = TENSOR_U8,
                              .shape = { .rank = 1, .dim = { (int64_t)bytes } },
                              .data = data };
    return cuda_take_constant(build, &content, place, err);
}

static size_t list_offset_bytes(int64_t to_count)
{
    size_t bytes = ((size_t)to_count + 1) * sizeof(int32_t);
    return (bytes + sizeof(struct tap) - 1) / sizeof(struct tap) * sizeof(struct tap);
}

static void set_steps(struct taps *taps, const struct cuda_place *from, const struct cuda_place *to,
                      const int *dims, int dim_count)
{
    struct view views[TAPS_STEPS], *order[TAPS_STEPS];
    for (int k = 0; k < TAPS_STEPS; k++) {
        views[k] = cuda_view(to);
        order[k] = &views[k];
    }
    for (int d = 0; d < views[TAPS_TO].rank; d++) {
        views[TAPS_FROM].step[d] = from->layout.stride[d];
        for (int k = 0; k < TAPS_AXES_MAX; k++)
            views[TAPS_POSITIONS + k].step[d] = 0;
    }
    for (int k = 0; k < dim_count; k++) {
        views[TAPS_FROM].step[dims[k]] = 0;
        views[TAPS_POSITIONS + k].step[dims[k]] = 1;
    }
    iterate_join(order, TAPS_STEPS);
    *taps = (struct taps){ .from_type = from->layout.type,
                           .to_type = to->layout.type,
                           .rank = views[TAPS_TO].rank,
                           .axis_count = dim_count };
    for (int d = 0; d < taps->rank; d++) {
        taps->dim[d] = views[TAPS_TO].dim[d];
        for (int k = 0; k < TAPS_STEPS; k++)
            taps->step[d][k] = views[k].step[d];
    }
}

static int run_taps(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    const struct taps_state *state = step->state;
    struct taps taps = state->taps;
    (void)err;
    taps.from = step->places[0]->data;
    for (int k = 0; k < taps.axis_count; k++) {
        const char *table = step->places[1 + k]->data;
        taps.axes[k].first = (const int32_t *)(const void *)table;
        taps.axes[k].list = (const struct tap *)(const void *)(table + state->list_offset_bytes[k]);
    }
    taps.to = step->places[1 + taps.axis_count]->data;
    taps_each(&taps, state->count, gpu_stream(gpu));
    return 0;
}
