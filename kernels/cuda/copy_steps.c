/* copy_steps: chooses the kernel for a copy. */
#include "cuda/copy.h"
#include "cuda/iterate.h"
#include <assert.h>
#include <stdlib.h>

struct copy_state {
    struct copy copy;
    int64_t from_offset, to_offset; /* elements */
    int64_t count;
    void (*launch)(const struct copy *args, int64_t count, void *stream);
};

static void choose(struct copy_state *state);
static int run_copy(const struct cuda_step *step, struct gpu *gpu, struct error *err);

int cuda_copy(struct cuda_build *build, struct cuda_place *from, struct cuda_place *to,
              struct error *err)
{
    assert(shape_equal(&from->layout.shape, &to->layout.shape));
    struct view from_view = cuda_view(from), to_view = cuda_view(to);
    return cuda_copy_views(build, from, &from_view, 0, to, &to_view, 0, err);
}

int cuda_copy_views(struct cuda_build *build, struct cuda_place *from, const struct view *from_view,
                    int64_t from_offset, struct cuda_place *to, const struct view *to_view,
                    int64_t to_offset, struct error *err)
{
    struct copy_state *state = calloc(1, sizeof *state);
    if (!state)
        return cuda_no_memory(err);
    *state = (struct copy_state){
        .copy = { .from = *from_view, .to = *to_view },
        .from_offset = from_offset,
        .to_offset = to_offset,
    };
    if (from_view->type == to_view->type)
        state->copy.element_bytes = (int32_t)tensor_type_bytes((enum tensor_type)from_view->type);
    choose(state);
    const char *how = state->launch == copy_flat    ? "copy"
                      : state->launch == copy_tiles ? "transpose"
                                                    : "copy strided";
    struct cuda_place *places[] = { from, to };
    return cuda_add_step(build, how, run_copy, state, NULL, places, 1, 2, err);
}

int64_t copy_tile_count(const struct copy *args)
{
    const int32_t *dim = args->from.dim;
    return (int64_t)dim[0] * ((dim[1] + COPY_TILE - 1) / COPY_TILE) *
           ((dim[2] + COPY_TILE - 1) / COPY_TILE);
}

static void choose(struct copy_state *state)
{
    struct view *from = &state->copy.from, *to = &state->copy.to;
    state->count = 1;
    for (int d = 0; d < from->rank; d++)
        state->count *= from->dim[d];
    iterate_join((struct view *const[]){ to, from }, 2);
    state->launch = copy_each;
    if (to->rank == 0 || (to->rank == 1 && from->step[0] == 1 && to->step[0] == 1))
        state->launch = copy_flat;
    if (to->rank == 2) { /* a first dimension of one */
        for (int d = 2; d > 0; d--) {
            from->dim[d] = to->dim[d] = from->dim[d - 1];
            from->step[d] = from->step[d - 1];
            to->step[d] = to->step[d - 1];
        }
        from->dim[0] = to->dim[0] = 1;
        from->step[0] = to->step[0] = 0;
        from->rank = to->rank = 3;
    }
    if (to->rank == 3 && to->step[2] == 1 && from->step[1] == 1 && from->dim[1] > 1 &&
        from->dim[2] > 1) {
        state->launch = copy_tiles;
        state->count = copy_tile_count(&state->copy);
    }
}

static int run_copy(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    const struct copy_state *state = step->state;
    struct copy copy = state->copy;
    (void)err;
    copy.from.data =
        (char *)step->places[0]->data +
        state->from_offset * (int64_t)tensor_type_bytes((enum tensor_type)copy.from.type);
    copy.to.data = (char *)step->places[1]->data +
                   state->to_offset * (int64_t)tensor_type_bytes((enum tensor_type)copy.to.type);
    state->launch(&copy, state->count, gpu_stream(gpu));
    return 0;
}
