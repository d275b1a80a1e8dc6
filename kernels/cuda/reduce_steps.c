/* reduce_steps: sums over dimensions. */
#include "cuda/reduce.h"
#include "cuda/iterate.h"
#include "cuda/makers.h"
#include <stdlib.h>

const struct cuda_family cuda_reduce_family = { 0 };

struct reduce_state {
    struct reduce reduce;
    int64_t rows;
};

static int run_sum(const struct cuda_step *step, struct gpu *gpu, struct error *err);

int cuda_sum(struct cuda_build *build, int from, int to, const bool *folded, struct error *err)
{
    struct cuda_place *source, *target;
    struct layout layout = layout_dense(TENSOR_F32, &cuda_info(build, to)->shape);
    int rc = cuda_where(build, from, &source, err);
    if (!rc)
        rc = cuda_output(build, to, &layout, &target, err);
    if (rc)
        return rc;
    struct reduce_state *state = calloc(1, sizeof *state);
    if (!state)
        return cuda_no_memory(err);
    struct view all = cuda_view(source);
    struct reduce *reduce = &state->reduce;
    *reduce = (struct reduce){ .kept = { .type = all.type }, .length = 1, .scale = 1 };
    state->rows = 1;
    reduce->to.type = TENSOR_F32;
    for (int d = 0; d < all.rank; d++) {
        struct view *view = folded[d] ? &reduce->folded : &reduce->kept;
        view->dim[view->rank] = all.dim[d];
        view->step[view->rank++] = all.step[d];
        *(folded[d] ? &reduce->length : &state->rows) *= all.dim[d];
    }
    /* What is kept lies row-major in the result. */
    reduce->to.rank = 1;
    reduce->to.dim[0] = (int32_t)state->rows;
    reduce->to.step[0] = 1;
    iterate_join((struct view *const[]){ &reduce->folded }, 1);
    struct cuda_place *places[] = { source, target };
    return cuda_add_step(build, "reduce", run_sum, state, NULL, places, 1, 2, err);
}

static int run_sum(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    const struct reduce_state *state = step->state;
    struct reduce reduce = state->reduce;
    (void)err;
    reduce.kept.data = step->places[0]->data;
    reduce.to.data = step->places[1]->data;
    reduce_sum(&reduce, state->rows, reduce.length, gpu_stream(gpu));
    return 0;
}
