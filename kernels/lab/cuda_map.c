/* cuda_map: a chain of pointwise functions, bias per channel and all, over a channels-last array.
 *
 *   strided   finds each operand's place by dividing
 *   ones      where everything lies alike, the index is the place
 *   fours     four elements a thread, with one look at what to do: production where it holds */
#include "cuda/map.h"
#include "lab/cuda_lab.h"
#include <assert.h>
#include <stdlib.h>

struct shape_of {
    int32_t pixels, channels;
    enum tensor_type type;
    bool per_channel; /* the second operand is one number per channel */
};

static struct map describe(const struct cuda_problem *problem);
static void run_strided(const struct cuda_problem *problem, void *stream);
static void run_ones(const struct cuda_problem *problem, void *stream);
static void run_flat(const struct cuda_problem *problem, void *stream);
static bool is_flat(const struct cuda_problem *problem);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);

static const struct cuda_lab_step steps[] = {
    { "strided", run_strided, 1e-3, NULL },
    { "ones", run_ones, 1e-3, is_flat },
    { "fours", run_flat, 1e-3, is_flat },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("77x33, f32", 77, 33, TENSOR_F32, false),
    CUDA_PROBLEM("77x33, f16, per channel", 77, 33, TENSOR_F16, true),
    CUDA_PROBLEM("13x5, f16", 13, 5, TENSOR_F16, false),
    CUDA_PROBLEM("1x1, f32", 1, 1, TENSOR_F32, true),
    CUDA_REAL_PROBLEM("480x270x32, f16", 480 * 270, 32, TENSOR_F16, false),
    CUDA_REAL_PROBLEM("1920x1080x16, f16, per channel", 1920 * 1080, 16, TENSOR_F16, true),
};

const struct cuda_ladder cuda_map_ladder = {
    "map", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems, fill,
};

/* y = swish(x + operand) */
static struct map describe(const struct cuda_problem *problem)
{
    const struct shape_of *s = problem->shape;
    struct map map = {
        .rank = 2,
        .dim = { s->pixels, s->channels },
        .input_count = 2,
        .link_count = 2,
        .output_count = 1,
        .outputs = { 3 },
        .links = { { .kind = POINTWISE_ADD, .in = { 0, 1, -1 } },
                   { .kind = POINTWISE_SWISH, .in = { 2, -1, -1 } } },
    };
    for (int k = 0; k < 3; k++) {
        map.operands[k].data = k < 2 ? problem->in[k] : problem->out;
        map.operands[k].type = (int32_t)s->type;
        map.operands[k].step[0] = k == 1 && s->per_channel ? 0 : s->channels;
        map.operands[k].step[1] = 1;
    }
    return map;
}

static void run_strided(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    struct map map = describe(problem);
    map_each(&map, (int64_t)s->pixels * s->channels, stream);
}

static void run_ones(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    struct map map = describe(problem);
    map_ones(&map, (int64_t)s->pixels * s->channels, stream);
}

static void run_flat(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    struct map map = describe(problem);
    map_flat(&map, (int64_t)s->pixels * s->channels, stream);
}

static bool is_flat(const struct cuda_problem *problem)
{
    return !((const struct shape_of *)problem->shape)->per_channel;
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    const struct shape_of *s = problem->shape;
    int64_t count = (int64_t)s->pixels * s->channels, others = s->per_channel ? s->channels : count;
    content->in[0] = cuda_lab_numbers(random, s->type, count);
    content->in[1] = cuda_lab_numbers(random, s->type, others);
    content->in_bytes[0] = cuda_lab_bytes(s->type, count);
    content->in_bytes[1] = cuda_lab_bytes(s->type, others);
    content->out_type = s->type;
    content->out_count = count;
    content->moved_bytes = content->in_bytes[0] * 2 + content->in_bytes[1];
    if (!check)
        return;
    content->expected = malloc((size_t)count * sizeof *content->expected);
    assert(content->expected);
    for (int64_t i = 0; i < count; i++) {
        float x = cuda_lab_number(content->in[0], s->type, i) +
                  cuda_lab_number(content->in[1], s->type, s->per_channel ? i % s->channels : i);
        content->expected[i] = x / (1 + expf(-x));
    }
}
