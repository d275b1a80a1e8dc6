/* cuda_tail: how networks that enlarge end: the convolution's output moved to a larger picture
 * (DepthToSpace), the enlarged input added, the sum clipped; the result leaves as f32, row-major.
 *
 *   separate    a step each: moved, added, clipped
 *   one kernel  a map that reads where DepthToSpace would have taken it from, in the order of the result
 *   by rows     the same with all channels of a row of blocks behind each other: production */
#include "cuda/blocks.h"
#include "cuda/copy.h"
#include "cuda/map.h"
#include "lab/cuda_lab.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum { DEEP, RESIDUAL }; /* inputs */

/* The deep picture's rows and columns, the wide one's channels. */
struct shape_of {
    int32_t batch, rows, columns, channels, block;
    bool outer;
    enum tensor_type type;
};

static void run_separate(const struct cuda_problem *problem, void *stream);
static void run_one(const struct cuda_problem *problem, void *stream);
static void run_rows(const struct cuda_problem *problem, void *stream);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);
static float expect(const struct shape_of *s, const struct cuda_content *content, int64_t i);

static const struct cuda_lab_step steps[] = {
    { "separate", run_separate, 1e-6, NULL },
    { "one kernel", run_one, 1e-6, NULL },
    { "by rows", run_rows, 1e-6, NULL },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("2x5x7x3, blocks of 2, f16", 2, 5, 7, 3, 2, true, TENSOR_F16),
    CUDA_PROBLEM("1x9x4x3, blocks of 3, CRD, f32", 1, 9, 4, 3, 3, false, TENSOR_F32),
    CUDA_PROBLEM("1x1x1x1, blocks of 4, bf16", 1, 1, 1, 1, 4, true, TENSOR_BF16),
    CUDA_REAL_PROBLEM("1x540x960x3, blocks of 2, f16", 1, 540, 960, 3, 2, true, TENSOR_F16),
    CUDA_REAL_PROBLEM("8x270x480x3, blocks of 4, f16", 8, 270, 480, 3, 4, true, TENSOR_F16),
};

const struct cuda_ladder cuda_tail_ladder = {
    "tail", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems, fill,
};

static int64_t count_all(const struct shape_of *s)
{
    return (int64_t)s->batch * s->rows * s->columns * s->channels * s->block * s->block;
}

static struct blocks blocks_for(const struct shape_of *s)
{
    return (struct blocks){ .block = s->block, .channels = s->channels, .outer = s->outer };
}

/* Of batch x channels x rows x columns. */
static struct view see(enum tensor_type type, const int32_t dim[4], bool channels_last)
{
    int64_t pixels = (int64_t)dim[2] * dim[3], step = channels_last ? dim[1] : 1;
    return (struct view){
        .type = (int32_t)type,
        .rank = 4,
        .dim = { dim[0], dim[1], dim[2], dim[3] },
        .step = { pixels * dim[1], channels_last ? 1 : pixels, dim[3] * step, step },
    };
}

static struct view see_deep(const struct shape_of *s, void *data)
{
    const int32_t dim[] = { s->batch, s->channels * s->block * s->block, s->rows, s->columns };
    struct view view = see(s->type, dim, true);
    struct blocks blocks = blocks_for(s);
    view = blocks_see_deep(&view, &blocks);
    view.data = data;
    return view;
}

static struct view see_wide(const struct shape_of *s, void *data, enum tensor_type type,
                            bool channels_last)
{
    const int32_t dim[] = { s->batch, s->channels, s->rows * s->block, s->columns * s->block };
    struct view view = see(type, dim, channels_last);
    struct blocks blocks = blocks_for(s);
    view = blocks_see_wide(&view, &blocks);
    view.data = data;
    return view;
}

static const struct map_link add_link = { .kind = POINTWISE_ADD, .in = { 0, 1, -1 } };

static struct map_link clip_link(int from)
{
    return (struct map_link){ .kind = POINTWISE_CLIP, .in = { from, -1, -1 }, .alpha = 0, .beta = 1 };
}

/* views: of what map reads, then of the result, whose order it is unless there is another. */
static void run_map(const struct shape_of *s, struct map *map, struct view *views,
                    const struct view *other_order, void *stream)
{
    struct view order = other_order ? *other_order : views[map->input_count];
    map->output_count = 1;
    map->outputs[0] = map->input_count + map->link_count - 1;
    map_set_views(map, views, &order);
    for (int k = 0; k <= map->input_count; k++)
        map->operands[k].data = views[k].data;
    (map_is_flat(map) ? map_flat : map_each)(map, count_all(s), stream);
}

static void run_separate(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    struct view out = see_wide(s, problem->out, TENSOR_F32, false);
    struct copy copy = {
        .from = see_deep(s, problem->in[DEEP]),
        .to = see_wide(s, problem->scratch, s->type, true),
        .element_bytes = (int32_t)tensor_type_bytes(s->type),
    };
    struct view added[] = { copy.to, see_wide(s, problem->in[RESIDUAL], TENSOR_F32, false), out };
    struct view clipped[] = { out, out };
    struct map add = { .input_count = 2, .link_count = 1, .links = { add_link } };
    struct map clip = { .input_count = 1, .link_count = 1, .links = { clip_link(0) } };
    copy_each(&copy, count_all(s), stream);
    run_map(s, &add, added, NULL, stream);
    run_map(s, &clip, clipped, NULL, stream);
}

static void run_together(const struct cuda_problem *problem, bool by_rows, void *stream)
{
    const struct shape_of *s = problem->shape;
    struct view views[] = { see_deep(s, problem->in[DEEP]),
                            see_wide(s, problem->in[RESIDUAL], TENSOR_F32, false),
                            see_wide(s, problem->out, TENSOR_F32, false) };
    struct view rows = blocks_row_by_row(&views[2]);
    struct map map = { .input_count = 2, .link_count = 2, .links = { add_link, clip_link(2) } };
    run_map(s, &map, views, by_rows ? &rows : NULL, stream);
}

static void run_one(const struct cuda_problem *problem, void *stream)
{
    run_together(problem, false, stream);
}

static void run_rows(const struct cuda_problem *problem, void *stream)
{
    run_together(problem, true, stream);
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    const struct shape_of *s = problem->shape;
    int64_t count = count_all(s);
    const enum tensor_type types[] = { s->type, TENSOR_F32 };
    for (int k = DEEP; k <= RESIDUAL; k++) {
        content->in[k] = cuda_lab_numbers(random, types[k], count);
        content->in_bytes[k] = cuda_lab_bytes(types[k], count);
    }
    content->scratch_bytes = cuda_lab_bytes(s->type, count);
    content->out_type = TENSOR_F32;
    content->out_count = count;
    content->moved_bytes = content->in_bytes[DEEP] + 2 * content->in_bytes[RESIDUAL];
    if (!check)
        return;
    content->expected = malloc((size_t)count * sizeof *content->expected);
    assert(content->expected);
    for (int64_t i = 0; i < count; i++)
        content->expected[i] = expect(s, content, i);
}

static float expect(const struct shape_of *s, const struct cuda_content *content, int64_t i)
{
    int64_t columns = (int64_t)s->columns * s->block, rows = (int64_t)s->rows * s->block;
    int64_t x = i % columns, y = i / columns % rows, c = i / columns / rows % s->channels;
    int64_t n = i / columns / rows / s->channels, square = (int64_t)s->block * s->block;
    int64_t inner = y % s->block * s->block + x % s->block;
    int64_t channel = s->outer ? inner * s->channels + c : c * square + inner;
    int64_t pixel = (n * s->rows + y / s->block) * s->columns + x / s->block;
    float sum = cuda_lab_number(content->in[DEEP], s->type, pixel * s->channels * square + channel) +
                cuda_lab_number(content->in[RESIDUAL], TENSOR_F32, i);
    return fminf(fmaxf(sum, 0), 1);
}
