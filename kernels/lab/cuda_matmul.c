/* cuda_matmul: products of matrices in batches, with a bias.
 *
 *   plain  an element of the product a thread
 *   tiles  64 x 64 of them a block, from pieces in shared memory: production where the library has nothing */
#include "lab/cuda_lab.h"
#include "lab/cuda_plain_pictures.h"
#include <assert.h>
#include <stdlib.h>

struct shape_of {
    int32_t batch, m, n, k;
    bool turned; /* b lies as n x k */
    enum tensor_type type, c_type;
};

static struct matmul describe(const struct cuda_problem *problem);
static void run_plain(const struct cuda_problem *problem, void *stream);
static void run_tiles(const struct cuda_problem *problem, void *stream);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);
static float expect(const struct shape_of *s, const struct cuda_content *content, int64_t i);

static const struct cuda_lab_step steps[] = {
    { "plain", run_plain, 4e-3, NULL },
    { "tiles", run_tiles, 4e-3, NULL },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("1x1x1, f32", 1, 1, 1, 1, false, TENSOR_F32, TENSOR_F32),
    CUDA_PROBLEM("65x33x70, f32", 1, 65, 33, 70, false, TENSOR_F32, TENSOR_F32),
    CUDA_PROBLEM("3 of 20x66x31, f16, turned", 3, 20, 66, 31, true, TENSOR_F16, TENSOR_F32),
    CUDA_PROBLEM("2 of 64x64x64, bf16", 2, 64, 64, 64, false, TENSOR_BF16, TENSOR_BF16),
    CUDA_REAL_PROBLEM("1x1000x1024, f16", 1, 1, 1000, 1024, true, TENSOR_F16, TENSOR_F32),
    CUDA_REAL_PROBLEM("8 of 1350x256x256, f16", 8, 1350, 256, 256, false, TENSOR_F16, TENSOR_F16),
    CUDA_REAL_PROBLEM("2048x2048x2048, f32", 1, 2048, 2048, 2048, false, TENSOR_F32, TENSOR_F32),
};

const struct cuda_ladder cuda_matmul_ladder = {
    "matmul", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems,
    fill,
};

static struct matmul describe(const struct cuda_problem *problem)
{
    const struct shape_of *s = problem->shape;
    return (struct matmul){
        .m = s->m,
        .n = s->n,
        .k = s->k,
        .batch = s->batch,
        .a_row = s->k,
        .a_column = 1,
        .b_row = s->turned ? 1 : s->n,
        .b_column = s->turned ? s->k : 1,
        .a_batch = (int64_t)s->m * s->k,
        .b_batch = (int64_t)s->k * s->n,
        .c_batch = (int64_t)s->m * s->n,
        .a_type = (int32_t)s->type,
        .b_type = (int32_t)s->type,
        .c_type = (int32_t)s->c_type,
        .alpha = 0.5f,
        .a = problem->in[0],
        .b = problem->in[1],
        .c = problem->out,
        .bias = problem->in[2],
    };
}

static void run_plain(const struct cuda_problem *problem, void *stream)
{
    struct matmul matmul = describe(problem);
    plain_matmul_each(&matmul, matmul.batch * matmul.c_batch, stream);
}

static void run_tiles(const struct cuda_problem *problem, void *stream)
{
    struct matmul matmul = describe(problem);
    matmul_tiles(&matmul, matmul_blocks(&matmul), stream);
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    const struct shape_of *s = problem->shape;
    struct matmul matmul = describe(problem);
    int64_t counts[] = { s->batch * matmul.a_batch, s->batch * matmul.b_batch, s->n };
    content->out_type = s->c_type;
    content->out_count = s->batch * matmul.c_batch;
    content->moved_bytes = cuda_lab_bytes(s->c_type, content->out_count);
    for (int k = 0; k < 3; k++) {
        enum tensor_type type = k < 2 ? s->type : TENSOR_F32;
        content->in[k] = cuda_lab_numbers(random, type, counts[k]);
        content->in_bytes[k] = cuda_lab_bytes(type, counts[k]);
        content->moved_bytes += content->in_bytes[k];
    }
    content->flop = 2u * (uint64_t)content->out_count * (uint64_t)s->k;
    if (!check)
        return;
    content->expected = malloc((size_t)content->out_count * sizeof *content->expected);
    assert(content->expected);
    for (int64_t i = 0; i < content->out_count; i++)
        content->expected[i] = expect(s, content, i);
}

static float expect(const struct shape_of *s, const struct cuda_content *content, int64_t i)
{
    int64_t column = i % s->n, row = i / s->n, b = row / s->m * s->k * s->n; /* rows of all batches */
    double sum = 0;
    for (int64_t k = 0; k < s->k; k++)
        sum += (double)cuda_lab_number(content->in[0], s->type, row * s->k + k) *
               (double)cuda_lab_number(content->in[1], s->type,
                                       b + (s->turned ? column * s->k + k : k * s->n + column));
    return (float)(sum / 2 + (double)((const float *)content->in[2])[column]);
}
