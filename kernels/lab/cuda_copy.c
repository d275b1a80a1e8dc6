/* cuda_copy: between row-major and channels-last, converting, which is what stands before the first and
 * behind the last convolution of every network.
 *
 *   strided   an element a thread, in the order of the output's memory: reads are far apart
 *   tiles     32 x 32 elements through shared memory, so that both sides are read and written along
 *             their memory: production */
#include "cuda/copy.h"
#include "lab/cuda_lab.h"
#include <assert.h>
#include <stdlib.h>

struct shape_of {
    int32_t batch, channels, pixels;
    enum tensor_type from, to;
    bool back; /* from channels-last */
};

static struct copy describe(const struct cuda_problem *problem);
static void run_strided(const struct cuda_problem *problem, void *stream);
static void run_tiles(const struct cuda_problem *problem, void *stream);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);

static const struct cuda_lab_step steps[] = {
    { "strided", run_strided, 0, NULL },
    { "tiles", run_tiles, 0, NULL },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("2x3 x 35 pixels", 2, 3, 35, TENSOR_F32, TENSOR_F32, false),
    CUDA_PROBLEM("1x33 x 65 pixels", 1, 33, 65, TENSOR_F32, TENSOR_F32, true),
    CUDA_PROBLEM("3x32 x 32 pixels, to f16", 3, 32, 32, TENSOR_F32, TENSOR_F16, false),
    CUDA_PROBLEM("1x17 x 100 pixels, bytes", 1, 17, 100, TENSOR_U8, TENSOR_U8, false),
    CUDA_PROBLEM("1x40 x 31 pixels, whole numbers", 1, 40, 31, TENSOR_I64, TENSOR_I64, true),
    CUDA_PROBLEM("1x19 x 77 pixels, from bf16", 1, 19, 77, TENSOR_BF16, TENSOR_F32, true),
    CUDA_REAL_PROBLEM("1x3 x 1920x1080, to f16", 1, 3, 1920 * 1080, TENSOR_F32, TENSOR_F16, false),
    CUDA_REAL_PROBLEM("8x32 x 480x270, f16", 8, 32, 480 * 270, TENSOR_F16, TENSOR_F16, true),
    CUDA_REAL_PROBLEM("8x19 x 480x360, f16 to f32", 8, 19, 480 * 360, TENSOR_F16, TENSOR_F32, true),
};

const struct cuda_ladder cuda_copy_ladder = {
    "copy", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems, fill,
};

static struct copy describe(const struct cuda_problem *problem)
{
    const struct shape_of *s = problem->shape;
    int64_t image = (int64_t)s->channels * s->pixels;
    /* In the order of the output's memory. */
    int fast = s->back ? 1 : 2, slow = s->back ? 2 : 1;
    struct view planes = { .rank = 3 }, last = { .rank = 3 };
    planes.dim[0] = last.dim[0] = s->batch;
    planes.step[0] = last.step[0] = image;
    planes.dim[fast] = last.dim[fast] = s->channels;
    planes.dim[slow] = last.dim[slow] = s->pixels;
    planes.step[fast] = s->pixels;
    planes.step[slow] = 1;
    last.step[fast] = 1;
    last.step[slow] = s->channels;
    struct copy copy = { .from = s->back ? last : planes, .to = s->back ? planes : last };
    copy.from.type = s->from;
    copy.to.type = s->to;
    copy.from.data = problem->in[0];
    copy.to.data = problem->out;
    copy.element_bytes = s->from == s->to ? (int32_t)tensor_type_bytes(s->from) : 0;
    return copy;
}

static void run_strided(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    struct copy copy = describe(problem);
    copy_each(&copy, (int64_t)s->batch * s->channels * s->pixels, stream);
}

static void run_tiles(const struct cuda_problem *problem, void *stream)
{
    struct copy copy = describe(problem);
    copy_tiles(&copy, copy_tile_count(&copy), stream);
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    const struct shape_of *s = problem->shape;
    int64_t count = (int64_t)s->batch * s->channels * s->pixels;
    content->in[0] = cuda_lab_numbers(random, s->from, count);
    if (s->from == TENSOR_U8 || s->from == TENSOR_I64)
        for (int64_t i = 0; i < count; i++)
            ((uint8_t *)content->in[0])[i * (int64_t)tensor_type_bytes(s->from)] =
                (uint8_t)random_next_u64(random);
    content->in_bytes[0] = cuda_lab_bytes(s->from, count);
    content->out_type = s->to;
    content->out_count = count;
    content->moved_bytes = content->in_bytes[0] + cuda_lab_bytes(s->to, count);
    if (!check)
        return;
    content->expected = malloc((size_t)count * sizeof *content->expected);
    assert(content->expected);
    for (int64_t n = 0, i = 0; n < s->batch; n++)
        for (int64_t c = 0; c < s->channels; c++)
            for (int64_t p = 0; p < s->pixels; p++, i++) {
                int64_t last = (n * s->pixels + p) * s->channels + c;
                float number = cuda_lab_number(content->in[0], s->from, s->back ? last : i);
                if (s->to == TENSOR_F16)
                    number = float_from_half(float_to_half(number));
                content->expected[s->back ? i : last] = number;
            }
}
