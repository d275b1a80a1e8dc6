/* cuda_pair: two 3 x 3 convolutions between few channels, one behind the other, as the bodies of
 * restoration networks have them, with their biases.
 *
 *   plain   a number of the result a thread, twice
 *   tiles   tensor cores (cuda/conv_tile.h), twice: what lies between goes to memory and comes back
 *   pair    both in one pass (cuda/conv_pair.h): production, where it is faster */
#include "cuda/conv_pair.h"
#include "lab/cuda_lab.h"
#include <assert.h>
#include <stdlib.h>

enum { X, W_FIRST, BIAS_FIRST, W_SECOND, BIAS_SECOND }; /* inputs */

struct shape_of {
    int32_t batch, rows, columns, channels, between, filters;
    enum tensor_type type;
};

static struct conv_pair describe(const struct cuda_problem *problem);
static struct conv describe_one(const struct shape_of *s, int32_t channels, int32_t filters);
static void run_plain(const struct cuda_problem *problem, void *stream);
static void run_tiles(const struct cuda_problem *problem, void *stream);
static void run_pair(const struct cuda_problem *problem, void *stream);
static bool has_tiles(const struct cuda_problem *problem);
static bool has_pair(const struct cuda_problem *problem);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);
static void expect(const struct shape_of *s, struct cuda_content *content);

static const struct cuda_lab_step steps[] = {
    { "plain", run_plain, 1e-2, NULL },
    { "tiles", run_tiles, 1e-2, has_tiles },
    { "pair", run_pair, 1e-2, has_pair },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("1x5x7, 3 to 9 to 4, f16", 1, 5, 7, 3, 9, 4, TENSOR_F16),
    CUDA_PROBLEM("2x35x19, 32 to 32 to 32, f16", 2, 35, 19, 32, 32, 32, TENSOR_F16),
    CUDA_PROBLEM("1x33x16, 16 to 12 to 16, bf16", 1, 33, 16, 16, 12, 16, TENSOR_BF16),
    CUDA_PROBLEM("1x14x29, 24 to 32 to 12, bf16", 1, 14, 29, 24, 32, 12, TENSOR_BF16),
    CUDA_PROBLEM("1x61x15, 16 to 16 to 16, f16", 1, 61, 15, 16, 16, 16, TENSOR_F16),
    CUDA_PROBLEM("1x1x1, 1 to 1 to 1, f16", 1, 1, 1, 1, 1, 1, TENSOR_F16),
    CUDA_REAL_PROBLEM("1x270x480, 32 to 32 to 32, f16", 1, 270, 480, 32, 32, 32, TENSOR_F16),
    CUDA_REAL_PROBLEM("8x270x480, 32 to 32 to 32, f16", 8, 270, 480, 32, 32, 32, TENSOR_F16),
    CUDA_REAL_PROBLEM("1x540x960, 16 to 16 to 16, f16", 1, 540, 960, 16, 16, 16, TENSOR_F16),
};

const struct cuda_ladder cuda_pair_ladder = {
    "conv pair", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems,
    fill,
};

static struct conv_pair describe(const struct cuda_problem *problem)
{
    const struct shape_of *s = problem->shape;
    struct conv_pair pair = { .first = { .conv = describe_one(s, s->channels, s->between) },
                              .second = { .conv = describe_one(s, s->between, s->filters) } };
    pair.first.conv.x = problem->in[X];
    pair.first.conv.w = problem->in[W_FIRST];
    pair.first.conv.bias = problem->in[BIAS_FIRST];
    pair.first.conv.y = pair.second.conv.x = problem->scratch;
    pair.second.conv.w = problem->in[W_SECOND];
    pair.second.conv.bias = problem->in[BIAS_SECOND];
    pair.second.conv.y = problem->out;
    return pair;
}

static struct conv describe_one(const struct shape_of *s, int32_t channels, int32_t filters)
{
    return (struct conv){ .way = CONV_FORWARD,
                          .batch = s->batch,
                          .channels = channels,
                          .filters = filters,
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
                          .y_type = (int32_t)s->type };
}

static void run_plain(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    const struct conv_pair pair = describe(problem);
    int64_t pixels = (int64_t)s->batch * s->rows * s->columns;
    conv_forward(&pair.first.conv, pixels * s->between, stream);
    conv_forward(&pair.second.conv, pixels * s->filters, stream);
}

static void run_tiles(const struct cuda_problem *problem, void *stream)
{
    const struct conv_pair pair = describe(problem);
    conv_tile_run(&pair.first, problem->multiprocessors, stream);
    conv_tile_run(&pair.second, problem->multiprocessors, stream);
}

static void run_pair(const struct cuda_problem *problem, void *stream)
{
    const struct conv_pair pair = describe(problem);
    conv_pair_run(&pair, problem->multiprocessors, stream);
}

static bool has_tiles(const struct cuda_problem *problem)
{
    const struct conv_pair pair = describe(problem);
    return conv_tile_suits(&pair.first.conv, problem->major, problem->minor) &&
           conv_tile_suits(&pair.second.conv, problem->major, problem->minor);
}

static bool has_pair(const struct cuda_problem *problem)
{
    const struct conv_pair pair = describe(problem);
    return conv_pair_suits(&pair.first.conv, &pair.second.conv, problem->major, problem->minor);
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    const struct shape_of *s = problem->shape;
    int64_t pixels = (int64_t)s->batch * s->rows * s->columns;
    const int64_t counts[] = { pixels * s->channels, (int64_t)s->between * 9 * s->channels,
                               s->between, (int64_t)s->filters * 9 * s->between, s->filters };
    for (int k = X; k <= BIAS_SECOND; k++) {
        enum tensor_type type = k == BIAS_FIRST || k == BIAS_SECOND ? TENSOR_F32 : s->type;
        content->in[k] = cuda_lab_numbers(random, type, counts[k]);
        content->in_bytes[k] = cuda_lab_bytes(type, counts[k]);
    }
    content->out_type = s->type;
    content->out_count = pixels * s->filters;
    content->scratch_bytes = cuda_lab_bytes(s->type, pixels * s->between);
    content->moved_bytes = content->in_bytes[X] + content->in_bytes[W_FIRST] +
                           content->in_bytes[W_SECOND] + cuda_lab_bytes(s->type, content->out_count);
    content->flop = (uint64_t)2 * 9 * (uint64_t)pixels * (uint64_t)s->between *
                    (uint64_t)(s->channels + s->filters);
    if (check)
        expect(s, content);
}

/* A number of one convolution's result, of numbers that are read as type. */
static float convolve(const struct shape_of *s, const void *x, const void *w, float bias,
                      int32_t channels, int64_t pixel, int32_t k)
{
    double sum = (double)bias;
    for (int tap = 0; tap < 9; tap++) {
        int64_t row = pixel / s->columns % s->rows + tap / 3 - 1,
                column = pixel % s->columns + tap % 3 - 1;
        if (row < 0 || row >= s->rows || column < 0 || column >= s->columns)
            continue;
        int64_t from = (pixel / s->columns / s->rows * s->rows + row) * s->columns + column;
        for (int32_t c = 0; c < channels; c++)
            sum += (double)cuda_lab_number(x, s->type, from * channels + c) *
                   (double)cuda_lab_number(w, s->type, ((int64_t)k * 9 + tap) * channels + c);
    }
    return (float)sum;
}

/* What lies between is rounded to the type, as every way does. */
static void expect(const struct shape_of *s, struct cuda_content *content)
{
    int64_t pixels = (int64_t)s->batch * s->rows * s->columns;
    void *between = malloc(cuda_lab_bytes(s->type, pixels * s->between));
    content->expected = malloc((size_t)content->out_count * sizeof *content->expected);
    assert(between && content->expected);
    for (int64_t pixel = 0; pixel < pixels; pixel++)
        for (int32_t k = 0; k < s->between; k++)
            element_store(between, (int)s->type, pixel * s->between + k,
                          convolve(s, content->in[X], content->in[W_FIRST],
                                   ((const float *)content->in[BIAS_FIRST])[k], s->channels, pixel,
                                   k));
    for (int64_t pixel = 0; pixel < pixels; pixel++)
        for (int32_t k = 0; k < s->filters; k++)
            content->expected[pixel * s->filters + k] =
                convolve(s, between, content->in[W_SECOND],
                         ((const float *)content->in[BIAS_SECOND])[k], s->between, pixel, k);
    free(between);
}
