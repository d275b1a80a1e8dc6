/* cuda_conv_depth: convolutions of each channel by itself, with a bias.
 *
 *   plain   a number of the result a thread
 *   strips  several columns of four channels a thread: production where the library has nothing */
#include "cuda/conv_depth.h"
#include "lab/cuda_lab.h"
#include <assert.h>
#include <stdlib.h>

struct shape_of {
    int32_t batch, rows, columns, channels, size, stride;
    enum tensor_type type;
};

static struct conv describe(const struct cuda_problem *problem);
static void run_plain(const struct cuda_problem *problem, void *stream);
static void run_strips(const struct cuda_problem *problem, void *stream);
static bool has_strips(const struct cuda_problem *problem);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);
static float expect(const struct conv *conv, const struct cuda_content *content, int64_t i);

static const struct cuda_lab_step steps[] = {
    { "plain", run_plain, 4e-3, NULL },
    { "strips", run_strips, 4e-3, has_strips },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("1x5x7x4, 3 x 3, f32", 1, 5, 7, 4, 3, 1, TENSOR_F32),
    CUDA_PROBLEM("2x9x19x24, 3 x 3, every other, f16", 2, 9, 19, 24, 3, 2, TENSOR_F16),
    CUDA_PROBLEM("2x6x9x12, 5 x 5, bf16", 2, 6, 9, 12, 5, 1, TENSOR_BF16),
    CUDA_PROBLEM("1x11x8x8, 5 x 5, every other, f32", 1, 11, 8, 8, 5, 2, TENSOR_F32),
    CUDA_PROBLEM("1x1x1x4, 3 x 3, f16", 1, 1, 1, 4, 3, 1, TENSOR_F16),
    CUDA_PROBLEM("1x4x4x5, 3 x 3, f16", 1, 4, 4, 5, 3, 1, TENSOR_F16),
    CUDA_REAL_PROBLEM("8x90x120x64, 3 x 3, f16", 8, 90, 120, 64, 3, 1, TENSOR_F16),
    CUDA_REAL_PROBLEM("1x44x44x48, 3 x 3, every other, f16", 1, 44, 44, 48, 3, 2, TENSOR_F16),
    CUDA_REAL_PROBLEM("1x22x22x96, 5 x 5, f16", 1, 22, 22, 96, 5, 1, TENSOR_F16),
    CUDA_REAL_PROBLEM("1x270x480x32, 3 x 3, f32", 1, 270, 480, 32, 3, 1, TENSOR_F32),
};

const struct cuda_ladder cuda_conv_depth_ladder = {
    "conv_depth", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems,
    fill,
};

static struct conv describe(const struct cuda_problem *problem)
{
    const struct shape_of *s = problem->shape;
    return (struct conv){
        .way = CONV_FORWARD,
        .batch = s->batch,
        .channels = s->channels,
        .filters = s->channels,
        .groups = s->channels,
        .in = { s->rows, s->columns },
        .out = { (s->rows - 1) / s->stride + 1, (s->columns - 1) / s->stride + 1 },
        .kernel = { s->size, s->size },
        .stride = { s->stride, s->stride },
        .dilation = { 1, 1 },
        .pad = { s->size / 2, s->size / 2 },
        .pad_end = { s->size / 2, s->size / 2 },
        .x_type = (int32_t)s->type,
        .w_type = (int32_t)s->type,
        .y_type = (int32_t)s->type,
        .x = problem->in[0],
        .w = problem->in[1],
        .y = problem->out,
        .bias = problem->in[2],
    };
}

static int64_t count_to(const struct conv *conv)
{
    return (int64_t)conv->batch * conv->out[0] * conv->out[1] * conv->channels;
}

static void run_plain(const struct cuda_problem *problem, void *stream)
{
    struct conv conv = describe(problem);
    conv_forward(&conv, count_to(&conv), stream);
}

static void run_strips(const struct cuda_problem *problem, void *stream)
{
    struct conv conv = describe(problem);
    conv_depth_run(&conv, stream);
}

static bool has_strips(const struct cuda_problem *problem)
{
    struct conv conv = describe(problem);
    return conv_depth_suits(&conv);
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    const struct shape_of *s = problem->shape;
    struct conv conv = describe(problem);
    int64_t counts[] = { (int64_t)s->batch * s->rows * s->columns * s->channels,
                         (int64_t)s->channels * s->size * s->size, s->channels };
    content->out_type = s->type;
    content->out_count = count_to(&conv);
    content->moved_bytes = cuda_lab_bytes(s->type, content->out_count);
    for (int k = 0; k < 3; k++) {
        enum tensor_type type = k < 2 ? s->type : TENSOR_F32;
        content->in[k] = cuda_lab_numbers(random, type, counts[k]);
        content->in_bytes[k] = cuda_lab_bytes(type, counts[k]);
        content->moved_bytes += content->in_bytes[k];
    }
    if (!check)
        return;
    content->expected = malloc((size_t)content->out_count * sizeof *content->expected);
    assert(content->expected);
    for (int64_t i = 0; i < content->out_count; i++)
        content->expected[i] = expect(&conv, content, i);
}

static float expect(const struct conv *conv, const struct cuda_content *content, int64_t i)
{
    int64_t c = i % conv->channels, pixel = i / conv->channels, size = conv->kernel[0];
    int64_t top = pixel / conv->out[1] % conv->out[0] * conv->stride[0] - conv->pad[0];
    int64_t left = pixel % conv->out[1] * conv->stride[1] - conv->pad[1];
    int64_t n = pixel / conv->out[1] / conv->out[0];
    double sum = (double)((const float *)content->in[2])[c];
    for (int64_t tap = 0; tap < size * size; tap++) {
        int64_t y = top + tap / size, x = left + tap % size;
        if (y < 0 || y >= conv->in[0] || x < 0 || x >= conv->in[1])
            continue;
        int64_t from = ((n * conv->in[0] + y) * conv->in[1] + x) * conv->channels + c;
        sum += (double)cuda_lab_number(content->in[0], content->out_type, from) *
               (double)cuda_lab_number(content->in[1], content->out_type, c * size * size + tap);
    }
    return (float)sum;
}
