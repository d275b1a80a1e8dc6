/* fold: chooses how rows are gone over. */
#include "cuda/fold.h"
#include "cuda/iterate.h"

/* So many threads fill the largest devices (an H200 takes 270,000 at a time). A lane should have some
 * elements for the trouble of merging, and more where each lane, and not each block, leaves a sum. */
#define THREADS_WANTED 262144
#define ALONG_ELEMENTS_MIN 8
#define ACROSS_ELEMENTS_MIN 32
#define PARTS_MAX 16384
#define ARRAYS_MAX 16

static void move_folded(struct fold_array *array, const bool *folded);
static int64_t innermost_step(const struct view *view);

void fold_split(struct fold *fold, const bool *folded, struct fold_array *const *arrays, int count)
{
    struct view *kept[ARRAYS_MAX], *away[ARRAYS_MAX];
    assert(count > 0 && count <= ARRAYS_MAX);
    for (int k = 0; k < count; k++) {
        move_folded(arrays[k], folded);
        kept[k] = &arrays[k]->kept;
        away[k] = &arrays[k]->folded;
    }
    *fold = (struct fold){ .rows = 1, .length = 1, .parts = 1 };
    for (int d = 0; d < kept[0]->rank; d++)
        fold->rows *= kept[0]->dim[d];
    for (int d = 0; d < away[0]->rank; d++)
        fold->length *= away[0]->dim[d];
    iterate_join(kept, count);
    iterate_join(away, count);
    fold->across = kept[0]->rank > 0 && innermost_step(kept[0]) < innermost_step(away[0]);
}

uint64_t fold_choose_parts(struct fold *fold)
{
    int64_t lanes = fold->across ? 1 : LAUNCH_THREADS;
    int64_t elements_min = lanes * (fold->across ? ACROSS_ELEMENTS_MIN : ALONG_ELEMENTS_MIN);
    fold->parts = 1;
    while (fold->parts < PARTS_MAX && fold->rows * fold->parts * lanes < THREADS_WANTED &&
           fold->length >= 2 * fold->parts * elements_min)
        fold->parts *= 2;
    if (fold->parts < launch_lanes(fold->rows, fold->parts))
        fold->parts = 1;
    return fold->parts == 1 ? 0 : (uint64_t)(fold->rows * fold->parts) * FOLD_SUM_BYTES;
}

int fold_cut(struct cuda_build *build, struct fold *fold, struct cuda_place **place, struct error *err)
{
    uint64_t bytes = fold_choose_parts(fold);
    *place = NULL;
    return bytes == 0 ? 0 : cuda_scratch(build, bytes, place, err);
}

struct view fold_result(const struct cuda_place *place, const struct shape *shape, const bool *folded)
{
    struct view view = { .type = place->layout.type, .rank = shape->rank };
    int64_t step = 1;
    for (int d = shape->rank - 1; d >= 0; d--) {
        view.dim[d] = (int32_t)shape->dim[d];
        view.step[d] = folded[d] ? 0 : step;
        step *= folded[d] ? 1 : shape->dim[d];
    }
    return view;
}

static void move_folded(struct fold_array *array, const bool *folded)
{
    struct view whole = array->kept;
    array->kept.rank = 0;
    array->folded = (struct view){ .type = whole.type };
    for (int d = 0; d < whole.rank; d++) {
        struct view *view = folded[d] ? &array->folded : &array->kept;
        view->dim[view->rank] = whole.dim[d];
        view->step[view->rank++] = whole.step[d];
    }
}

static int64_t innermost_step(const struct view *view)
{
    return view->rank > 0 ? view->step[view->rank - 1] : INT64_MAX;
}
