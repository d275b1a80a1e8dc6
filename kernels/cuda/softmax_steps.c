/* softmax_steps: Softmax and its relatives. */
#include "cuda/softmax.h"
#include "cuda/kernel_step.h"
#include "cuda/row_tile.h"
#include "ops/resolve.h"
#include <stddef.h>

static int make(struct cuda_build *build, const struct node *node, enum softmax_way way,
                struct error *err);
static void find_folded(const struct node *node, const struct shape *shape, bool *folded);

static void launch_forward(const void *args, void *stream)
{
    const struct softmax *softmax = args;
    softmax_forward(softmax, softmax->fold.rows, fold_lanes_length(&softmax->fold), stream);
}

static void launch_back(const void *args, void *stream)
{
    const struct softmax *softmax = args;
    softmax_back(softmax, softmax->fold.rows, fold_lanes_length(&softmax->fold), stream);
}

static void launch_tiles(const void *args, void *stream)
{
    const struct softmax *softmax = args;
    softmax_tiles(softmax, row_tile_blocks(&softmax->fold, softmax->tile_rows), stream);
}

int cuda_make_softmax(struct cuda_build *build, const struct node *node, struct error *err)
{
    return make(build, node, SOFTMAX, err);
}

int cuda_make_log_softmax(struct cuda_build *build, const struct node *node, struct error *err)
{
    return make(build, node, SOFTMAX_LOG, err);
}

int cuda_make_softmax_grad(struct cuda_build *build, const struct node *node, struct error *err)
{
    return make(build, node, SOFTMAX_BACK, err);
}

int cuda_make_log_softmax_grad(struct cuda_build *build, const struct node *node, struct error *err)
{
    return make(build, node, SOFTMAX_LOG_BACK, err);
}

static int make(struct cuda_build *build, const struct node *node, enum softmax_way way,
                struct error *err)
{
    bool back = way == SOFTMAX_BACK || way == SOFTMAX_LOG_BACK;
    bool folded[SHAPE_RANK_MAX] = { false };
    struct cuda_place *from, *y = NULL, *to;
    int rc = cuda_where(build, node->inputs[0], &from, err);
    if (!rc && back)
        rc = cuda_where(build, node->inputs[1], &y, err);
    struct layout layout = cuda_result_layout(build, node->outputs[0], node->inputs, 1 + back);
    if (!rc)
        rc = cuda_output(build, node->outputs[0], &layout, &to, err);
    if (rc)
        return rc;
    struct softmax args = {
        .from.kept = cuda_view(from),
        .to.kept = cuda_view(to),
        .y.kept = cuda_view(back ? y : from),
        .way = (int32_t)way,
    };
    struct fold_array *const arrays[] = { &args.from, &args.to, &args.y };
    find_folded(node, &from->layout.shape, folded);
    fold_split(&args.fold, folded, arrays, 3);
    args.tile_rows = row_tile_rows(&args.fold, 1 + back);
    bool tiles = row_tile_suits(&args.fold, (const struct fold_array *const *)arrays, 3);
    struct kernel_step step = kernel_begin(tiles  ? launch_tiles
                                           : back ? launch_back
                                                  : launch_forward,
                                           &args, sizeof args);
    kernel_read(&step, from, offsetof(struct softmax, from.kept.data));
    kernel_read(&step, y, offsetof(struct softmax, y.kept.data));
    kernel_write(&step, to, offsetof(struct softmax, to.kept.data));
    return kernel_add(build, &step, tiles ? "softmax by tiles" : "softmax by rows", err);
}

/* The dimensions whose sizes make up what softmax_span calls size. */
static void find_folded(const struct node *node, const struct shape *shape, bool *folded)
{
    int64_t outer, size, inner, before = 1, within = 1;
    softmax_span(node, shape, &outer, &size, &inner);
    for (int d = 0; d < shape->rank; d++) {
        folded[d] = before == outer && within != size;
        before *= folded[d] ? 1 : shape->dim[d];
        within *= folded[d] ? shape->dim[d] : 1;
    }
}
