/* cuda_flat: copies between arrays that lie alike, of one type or two.
 *
 *   ones    an element a thread
 *   lumps   16 bytes a thread, or four floats, and what is left one by one: production */
#include "cuda/copy.h"
#include "lab/cuda_lab.h"
#include <assert.h>
#include <stdlib.h>

struct shape_of {
    int64_t count;
    enum tensor_type from, to;
    int32_t skip; /* elements of `from` before those that are copied */
};

static struct copy describe(const struct cuda_problem *problem);
static void run_ones(const struct cuda_problem *problem, void *stream);
static void run_lumps(const struct cuda_problem *problem, void *stream);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);

static const struct cuda_lab_step steps[] = {
    { "ones", run_ones, 0, NULL },
    { "lumps", run_lumps, 0, NULL },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("1, f32", 1, TENSOR_F32, TENSOR_F32, 0),
    CUDA_PROBLEM("1003, f32 to f16", 1003, TENSOR_F32, TENSOR_F16, 0),
    CUDA_PROBLEM("250, bf16 to f32", 250, TENSOR_BF16, TENSOR_F32, 0),
    CUDA_PROBLEM("77, f16", 77, TENSOR_F16, TENSOR_F16, 0),
    CUDA_PROBLEM("77, f16, from the fourth on", 77, TENSOR_F16, TENSOR_F16, 3),
    CUDA_PROBLEM("65, f16 to f32, from the second on", 65, TENSOR_F16, TENSOR_F32, 1),
    CUDA_PROBLEM("333, bytes", 333, TENSOR_U8, TENSOR_U8, 0),
    CUDA_PROBLEM("19, whole numbers", 19, TENSOR_I64, TENSOR_I64, 0),
    CUDA_REAL_PROBLEM("8x90x120x64, f16", (int64_t)8 * 90 * 120 * 64, TENSOR_F16, TENSOR_F16, 0),
    CUDA_REAL_PROBLEM("540x960x32, f16 to f32", (int64_t)540 * 960 * 32, TENSOR_F16, TENSOR_F32, 0),
};

const struct cuda_ladder cuda_flat_ladder = {
    "flat", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems, fill,
};

static struct copy describe(const struct cuda_problem *problem)
{
    const struct shape_of *s = problem->shape;
    struct copy copy = { .from = { .type = (int32_t)s->from },
                         .to = { .data = problem->out, .type = (int32_t)s->to } };
    copy.from.data = (char *)problem->in[0] + cuda_lab_bytes(s->from, s->skip);
    copy.element_bytes = s->from == s->to ? (int32_t)tensor_type_bytes(s->from) : 0;
    return copy;
}

static void run_ones(const struct cuda_problem *problem, void *stream)
{
    struct copy copy = describe(problem);
    copy_ones(&copy, ((const struct shape_of *)problem->shape)->count, stream);
}

static void run_lumps(const struct cuda_problem *problem, void *stream)
{
    struct copy copy = describe(problem);
    copy_flat(&copy, ((const struct shape_of *)problem->shape)->count, stream);
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    const struct shape_of *s = problem->shape;
    content->in_bytes[0] = cuda_lab_bytes(s->from, s->skip + s->count);
    content->in[0] = cuda_lab_numbers(random, s->from, s->skip + s->count);
    for (int64_t i = 0; element_is_whole((int)s->from) && i < s->skip + s->count; i++)
        ((uint8_t *)content->in[0])[i * (int64_t)tensor_type_bytes(s->from)] =
            (uint8_t)random_next_u64(random);
    content->out_type = s->to;
    content->out_count = s->count;
    content->moved_bytes = cuda_lab_bytes(s->from, s->count) + cuda_lab_bytes(s->to, s->count);
    if (!check)
        return;
    content->expected = malloc((size_t)s->count * sizeof *content->expected);
    assert(content->expected);
    for (int64_t i = 0; i < s->count; i++) {
        float number = cuda_lab_number(content->in[0], s->from, s->skip + i);
        content->expected[i] = s->to == TENSOR_F16 ? float_from_half(float_to_half(number)) : number;
    }
}
