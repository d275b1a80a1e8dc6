/* taps_steps: from lists of taps to tables, and from dimensions to steps. */
#include "cuda/taps.h"
#include "cuda/iterate.h"
#include "cuda/kernel_step.h"
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Taps of an element along two dimensions, up to which both are summed along at once: what lies in
 * between would be written and read once, and sixteen neighbours come from caches. */
#define TOGETHER_MAX 16

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

static void launch_taps(const void *args, void *stream)
{
    const struct taps *taps = args;
    int64_t count = 1;
    for (int d = 0; d < taps->rank; d++)
        count *= taps->dim[d];
    taps_each(taps, count, stream);
}

int cuda_taps_start(struct cuda_taps *axis, int64_t to_count, int64_t from_count, int64_t most,
                    struct error *err)
{
    assert(to_count >= 0 && to_count <= INT32_MAX && from_count >= 0 && from_count <= INT32_MAX);
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
    struct cuda_place *tables[TAPS_AXES_MAX] = { NULL };
    int order[TAPS_AXES_MAX] = { 0 };
    for (int k = 0; k < dim_count; k++)
        order[k] = dims[k];
    if (dim_count > 1 && from->layout.stride[order[1]] < from->layout.stride[order[0]]) {
        order[0] = dims[1]; /* neighbours in memory one after the other */
        order[1] = dims[0];
    }
    for (int k = 0; k < dim_count; k++) {
        int rc = add_table(build, &axes[order[k]], &tables[k], err);
        if (rc)
            return rc;
    }
    struct taps args;
    set_steps(&args, from, to, order, dim_count);
    struct kernel_step step = kernel_begin(launch_taps, &args, sizeof args);
    kernel_read(&step, from, offsetof(struct taps, from));
    for (int k = 0; k < dim_count; k++) {
        size_t axis = offsetof(struct taps, axes) + (size_t)k * sizeof *args.axes;
        args.axes[k].step = from->layout.stride[order[k]];
        kernel_read(&step, tables[k], axis + offsetof(struct taps_axis, first));
        kernel_read_behind(&step, tables[k], (int64_t)list_offset_bytes(axes[order[k]].to_count),
                           axis + offsetof(struct taps_axis, list));
    }
    kernel_write(&step, to, offsetof(struct taps, to));
    return kernel_add(build, &step, "taps", err);
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
