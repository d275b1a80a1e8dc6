/* cuda_pool: the largest of 3 x 3 pixels, every other row and column, of channels-last pictures.
 *
 *   plain  looks at each tap whether it lies on the picture
 *   reach  knows the taps that do: production */
#include "lab/cuda_lab.h"
#include "lab/cuda_plain_pictures.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define EDGE 3 /* of a window */

struct shape_of {
    int32_t batch, channels, rows, columns, stride;
    enum tensor_type type;
};

static struct pool describe(const struct cuda_problem *problem);
static void run_plain(const struct cuda_problem *problem, void *stream);
static void run_reach(const struct cuda_problem *problem, void *stream);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);
static float expect(const struct shape_of *s, const void *picture, int64_t i);

static const struct cuda_lab_step steps[] = {
    { "plain", run_plain, 0, NULL },
    { "reach", run_reach, 0, NULL },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("2x3 of 7x10, f32", 2, 3, 7, 10, 2, TENSOR_F32),
    CUDA_PROBLEM("1x33 of 9x5, f16", 1, 33, 9, 5, 2, TENSOR_F16),
    CUDA_PROBLEM("1x8 of 1x2, bf16", 1, 8, 1, 2, 2, TENSOR_BF16),
    CUDA_PROBLEM("1x5 of 6x6, each pixel, f16", 1, 5, 6, 6, 1, TENSOR_F16),
    CUDA_REAL_PROBLEM("8x64 of 180x240, f16", 8, 64, 180, 240, 2, TENSOR_F16),
    CUDA_REAL_PROBLEM("1x24 of 176x176, f16", 1, 24, 176, 176, 2, TENSOR_F16),
    CUDA_REAL_PROBLEM("1x64 of 540x960, f32", 1, 64, 540, 960, 2, TENSOR_F32),
};

const struct cuda_ladder cuda_pool_ladder = {
    "pool", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems, fill,
};

static int32_t shrink(const struct shape_of *s, int32_t side)
{
    return (side - 1) / s->stride + 1;
}

static int64_t count_to(const struct shape_of *s)
{
    return (int64_t)s->batch * s->channels * shrink(s, s->rows) * shrink(s, s->columns);
}

static struct view see(const struct shape_of *s, void *data, int32_t rows, int32_t columns)
{
    return (struct view){
        .data = data,
        .type = (int32_t)s->type,
        .rank = POOL_RANK,
        .dim = { s->batch, s->channels, rows, columns },
        .step = { (int64_t)rows * columns * s->channels, 1, (int64_t)columns * s->channels,
                  s->channels },
    };
}

static struct pool describe(const struct cuda_problem *problem)
{
    const struct shape_of *s = problem->shape;
    return (struct pool){
        .in = see(s, problem->in[0], s->rows, s->columns),
        .out = see(s, problem->out, shrink(s, s->rows), shrink(s, s->columns)),
        .channels_last = true,
        .kernel = { EDGE, EDGE },
        .stride = { s->stride, s->stride },
        .dilation = { 1, 1 },
        .pad = { EDGE / 2, EDGE / 2 },
    };
}

static void run_plain(const struct cuda_problem *problem, void *stream)
{
    struct pool pool = describe(problem);
    plain_pool_each(&pool, count_to(problem->shape), stream);
}

static void run_reach(const struct cuda_problem *problem, void *stream)
{
    struct pool pool = describe(problem);
    pool_largest(&pool, count_to(problem->shape), (int64_t)EDGE * EDGE, stream);
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    const struct shape_of *s = problem->shape;
    int64_t count = (int64_t)s->batch * s->channels * s->rows * s->columns;
    content->in[0] = cuda_lab_numbers(random, s->type, count);
    content->in_bytes[0] = cuda_lab_bytes(s->type, count);
    content->out_type = s->type;
    content->out_count = count_to(s);
    content->moved_bytes = content->in_bytes[0] + cuda_lab_bytes(s->type, content->out_count);
    if (!check)
        return;
    content->expected = malloc((size_t)content->out_count * sizeof *content->expected);
    assert(content->expected);
    for (int64_t i = 0; i < content->out_count; i++)
        content->expected[i] = expect(s, content->in[0], i);
}

static float expect(const struct shape_of *s, const void *picture, int64_t i)
{
    int64_t pixel = i / s->channels, rows = shrink(s, s->rows), columns = shrink(s, s->columns);
    int64_t top = pixel / columns % rows * s->stride - 1, left = pixel % columns * s->stride - 1;
    float most = -INFINITY;
    for (int64_t y = top < 0 ? 0 : top; y < top + EDGE && y < s->rows; y++)
        for (int64_t x = left < 0 ? 0 : left; x < left + EDGE && x < s->columns; x++) {
            int64_t from = (pixel / columns / rows * s->rows + y) * s->columns + x;
            most =
                fmaxf(most, cuda_lab_number(picture, s->type, from * s->channels + i % s->channels));
        }
    return most;
}
