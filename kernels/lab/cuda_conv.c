/* cuda_conv: 3 x 3 convolutions between few channels, of restoration networks, with bias and PReLU.
 *
 *   plain   a number of the result a thread
 *   tiles   tensor cores, weights and a tile's pixels in shared memory (cuda/conv_tile.h): production */
#include "cuda/conv_tile.h"
#include "lab/cuda_lab.h"
#include <assert.h>
#include <stdlib.h>

struct shape_of {
    int32_t batch, rows, columns, channels, filters;
    enum tensor_type type;
};

static struct conv_tile describe(const struct cuda_problem *problem);
static void run_plain(const struct cuda_problem *problem, void *stream);
static void run_tiles(const struct cuda_problem *problem, void *stream);
static bool has_tiles(const struct cuda_problem *problem);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);
static float expect(const struct shape_of *s, const struct cuda_content *content, int64_t pixel,
                    int32_t k);

static const struct cuda_lab_step steps[] = {
    { "plain", run_plain, 1e-2, NULL },
    { "tiles", run_tiles, 1e-2, has_tiles },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("1x5x7, 3 to 17, f16", 1, 5, 7, 3, 17, TENSOR_F16),
    CUDA_PROBLEM("2x35x19, 32 to 32, f16", 2, 35, 19, 32, 32, TENSOR_F16),
    CUDA_PROBLEM("1x33x16, 24 to 12, bf16", 1, 33, 16, 24, 12, TENSOR_BF16),
    CUDA_PROBLEM("1x9x40, 64 to 64, bf16", 1, 9, 40, 64, 64, TENSOR_BF16),
    CUDA_PROBLEM("1x18x18, 40 to 33, f16", 1, 18, 18, 40, 33, TENSOR_F16),
    CUDA_PROBLEM("1x1x1, 1 to 1, f16", 1, 1, 1, 1, 1, TENSOR_F16),
    CUDA_REAL_PROBLEM("1x270x480, 32 to 32, f16", 1, 270, 480, 32, 32, TENSOR_F16),
    CUDA_REAL_PROBLEM("8x270x480, 32 to 32, f16", 8, 270, 480, 32, 32, TENSOR_F16),
    CUDA_REAL_PROBLEM("1x540x960, 3 to 32, f16", 1, 540, 960, 3, 32, TENSOR_F16),
    CUDA_REAL_PROBLEM("1x540x960, 64 to 64, f16", 1, 540, 960, 64, 64, TENSOR_F16),
};

const struct cuda_ladder cuda_conv_ladder = {
    "conv", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems, fill,
};

static struct conv_tile describe(const struct cuda_problem *problem)
{
    const struct shape_of *s = problem->shape;
    struct conv_tile tile = {
        .conv = { .way = CONV_FORWARD,
                  .batch = s->batch,
                  .channels = s->channels,
                  .filters = s->filters,
                  .groups = 1,
                  .in = { s->rows, s->columns },
                  .out = { s->rows, s->columns },
                  .kernel = { 3, 3 },
                  .stride = { 1, 1 },
                  .dilation = { 1, 1 },
                  .pad = { 1, 1 },
                  .pad_end = { 1, 1 },
                  .x_type = (int32_t)s->type,
                  .w_type = (int32_t)s->type,
                  .y_type = (int32_t)s->type,
                  .x = problem->in[0],
                  .w = problem->in[1],
                  .y = problem->out,
                  .bias = problem->in[2] },
        .post_count = 1,
        .posts = { { .kind = POINTWISE_PRELU,
                     .operand = problem->in[3],
                     .type = TENSOR_F32,
                     .step = { 0, 1, 0, 0 } } },
    };
    return tile;
}

/* Without what follows, which would be a step of its own. */
static void run_plain(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    struct conv_tile tile = describe(problem);
    conv_forward(&tile.conv, (int64_t)s->batch * s->rows * s->columns * s->filters, stream);
}

static void run_tiles(const struct cuda_problem *problem, void *stream)
{
    struct conv_tile tile = describe(problem);
    conv_tile_run(&tile, problem->multiprocessors, stream);
}

static bool has_tiles(const struct cuda_problem *problem)
{
    struct conv_tile tile = describe(problem);
    return conv_tile_suits(&tile.conv, problem->major, problem->minor);
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    const struct shape_of *s = problem->shape;
    int64_t pixels = (int64_t)s->batch * s->rows * s->columns;
    int64_t counts[] = { pixels * s->channels, (int64_t)s->filters * 9 * s->channels, s->filters,
                         s->filters };
    for (int k = 0; k < 4; k++) {
        enum tensor_type type = k < 2 ? s->type : TENSOR_F32;
        content->in[k] = cuda_lab_numbers(random, type, counts[k]);
        content->in_bytes[k] = cuda_lab_bytes(type, counts[k]);
    }
    for (int32_t k = 0; k < s->filters; k++)
        ((float *)content->in[3])[k] = 1; /* a slope that changes nothing, so that both steps agree */
    content->out_type = s->type;
    content->out_count = pixels * s->filters;
    content->moved_bytes =
        content->in_bytes[0] + content->in_bytes[1] + cuda_lab_bytes(s->type, content->out_count);
    content->flop = (uint64_t)2 * 9 * (uint64_t)pixels * (uint64_t)s->channels * (uint64_t)s->filters;
    if (!check)
        return;
    content->expected = malloc((size_t)content->out_count * sizeof *content->expected);
    assert(content->expected);
    for (int64_t pixel = 0; pixel < pixels; pixel++)
        for (int32_t k = 0; k < s->filters; k++)
            content->expected[pixel * s->filters + k] = expect(s, content, pixel, k);
}

static float expect(const struct shape_of *s, const struct cuda_content *content, int64_t pixel,
                    int32_t k)
{
    double sum = (double)((const float *)content->in[2])[k];
    for (int tap = 0; tap < 9; tap++) {
        int64_t y = pixel / s->columns % s->rows + tap / 3 - 1, x = pixel % s->columns + tap % 3 - 1;
        if (y < 0 || y >= s->rows || x < 0 || x >= s->columns)
            continue;
        int64_t from = (pixel / s->columns / s->rows * s->rows + y) * s->columns + x;
        for (int32_t c = 0; c < s->channels; c++)
            sum += (double)cuda_lab_number(content->in[0], s->type, from * s->channels + c) *
                   (double)cuda_lab_number(content->in[1], s->type,
                                           ((int64_t)k * 9 + tap) * s->channels + c);
    }
    return (float)sum;
}
