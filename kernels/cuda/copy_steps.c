/* copy_steps: chooses the kernel for a copy. */
#include "cuda/copy.h"
#include "cuda/iterate.h"
#include "cuda/kernel_step.h"
#include <assert.h>
#include <stddef.h>

static bool is_transpose(const struct copy *copy);
static void add_dim(struct copy *copy);

static bool goes_in_lumps(const struct copy *args);
static void *advance(const struct view *view, int64_t elements);

static void launch_flat(const void *args, void *stream)
{
    const struct copy *copy = args;
    copy_flat(copy, view_count(&copy->to), stream);
}

static void launch_each(const void *args, void *stream)
{
    const struct copy *copy = args;
    copy_each(copy, view_count(&copy->to), stream);
}

static void launch_tiles(const void *args, void *stream)
{
    copy_tiles(args, copy_tile_count(args), stream);
}

int cuda_copy(struct cuda_build *build, struct cuda_place *from, struct cuda_place *to,
              struct error *err)
{
    assert(shape_equal(&from->layout.shape, &to->layout.shape));
    struct view from_view = cuda_view(from), to_view = cuda_view(to);
    return cuda_copy_views(build, from, &from_view, 0, to, &to_view, err);
}

int cuda_copy_views(struct cuda_build *build, struct cuda_place *from, const struct view *from_view,
                    int64_t from_offset, struct cuda_place *to, const struct view *to_view,
                    struct error *err)
{
    size_t from_bytes = tensor_type_bytes((enum tensor_type)from_view->type);
    struct copy args = { .from = *from_view, .to = *to_view };
    if (from_view->type == to_view->type)
        args.element_bytes = (int32_t)from_bytes;
    iterate_join((struct view *const[]){ &args.to, &args.from }, 2);
    bool flat =
        args.to.rank == 0 || (args.to.rank == 1 && args.from.step[0] == 1 && args.to.step[0] == 1);
    if (args.to.rank == 2)
        add_dim(&args);
    bool tiles = is_transpose(&args);
    struct kernel_step step = kernel_begin(flat    ? launch_flat
                                           : tiles ? launch_tiles
                                                   : launch_each,
                                           &args, sizeof args);
    kernel_read_behind(&step, from, from_offset * (int64_t)from_bytes,
                       offsetof(struct copy, from.data));
    kernel_write(&step, to, offsetof(struct copy, to.data));
    return kernel_add(build, &step, flat ? "copy" : tiles ? "transpose" : "copy strided", err);
}

int64_t copy_tile_count(const struct copy *args)
{
    const int32_t *dim = args->from.dim;
    return (int64_t)dim[0] * ((dim[1] + COPY_TILE - 1) / COPY_TILE) *
           ((dim[2] + COPY_TILE - 1) / COPY_TILE);
}

void copy_flat(const struct copy *args, int64_t count, void *stream)
{
    struct copy rest = *args;
    int64_t done = 0;
    if (goes_in_lumps(args)) {
        int64_t together = args->element_bytes ? COPY_LUMP_BYTES / args->element_bytes : VECTOR;
        (args->element_bytes ? copy_lumps : copy_fours)(args, count / together, stream);
        done = count / together * together;
    }
    rest.from.data = advance(&args->from, done);
    rest.to.data = advance(&args->to, done);
    copy_ones(&rest, count - done, stream);
}

static bool goes_in_lumps(const struct copy *args)
{
    bool is_aligned = ((uintptr_t)args->from.data | (uintptr_t)args->to.data) % VECTOR_BYTES == 0;
    return is_aligned && (args->element_bytes || !element_is_whole(args->from.type));
}

static void *advance(const struct view *view, int64_t elements)
{
    return (char *)view->data + elements * (int64_t)tensor_type_bytes((enum tensor_type)view->type);
}

static bool is_transpose(const struct copy *copy)
{
    const struct view *from = &copy->from, *to = &copy->to;
    return to->rank == 3 && to->step[2] == 1 && from->step[1] == 1 && from->dim[1] > 1 &&
           from->dim[2] > 1;
}

/* A first dimension of one, for two that may be a transpose. */
static void add_dim(struct copy *copy)
{
    struct view *const views[] = { &copy->from, &copy->to };
    for (int v = 0; v < 2; v++) {
        struct view *view = views[v];
        for (int d = view->rank++; d > 0; d--) {
            view->dim[d] = view->dim[d - 1];
            view->step[d] = view->step[d - 1];
        }
        view->dim[0] = 1;
        view->step[0] = 0;
    }
}
