/* cuda_attention: softmax(q k^T * scale) v for each head.
 *
 *   three steps  scores to memory, weights of them, and those times v
 *   one kernel   scores stay in a block's memory: production */
#include "cuda/attention.h"
#include "cuda/matmul.h"
#include "cuda/softmax.h"
#include "lab/cuda_lab.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum { Q, K, V }; /* inputs */

/* q is rows x depth, k keys x depth, v keys x columns. */
struct shape_of {
    int32_t batch, rows, keys, depth, columns;
    enum tensor_type type;
};

static void run_three(const struct cuda_problem *problem, void *stream);
static void run_one(const struct cuda_problem *problem, void *stream);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);
static void expect_row(const struct shape_of *s, const struct cuda_content *content, int64_t row);

static const struct cuda_lab_step steps[] = {
    { "three steps", run_three, 4e-3, NULL },
    { "one kernel", run_one, 4e-3, NULL },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("1 of 1x1, f32", 1, 1, 1, 1, 1, TENSOR_F32),
    CUDA_PROBLEM("2 of 67x70, depth 33, f16", 2, 67, 70, 33, 40, TENSOR_F16),
    CUDA_PROBLEM("3 of 5x200, depth 16, 128 columns, f32", 3, 5, 200, 16, 128, TENSOR_F32),
    CUDA_PROBLEM("1 of 64x64, depth 64, 65 columns, bf16", 1, 64, 64, 64, 65, TENSOR_BF16),
    CUDA_REAL_PROBLEM("8 of 400x400, depth 32, f16", 8, 400, 400, 32, 32, TENSOR_F16),
    CUDA_REAL_PROBLEM("64 of 1350x1350, depth 32, f16", 64, 1350, 1350, 32, 32, TENSOR_F16),
    CUDA_REAL_PROBLEM("12 of 197x197, depth 64, f32", 12, 197, 197, 64, 64, TENSOR_F32),
};

const struct cuda_ladder cuda_attention_ladder = {
    "attention", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems,
    fill,
};

static float scale_of(const struct shape_of *s)
{
    return 4 / sqrtf((float)s->depth); /* more than models have: weights should differ */
}

static struct fold_array see_rows(const struct shape_of *s, void *scores)
{
    return (struct fold_array){
        .kept = { .data = scores,
                  .type = TENSOR_F32,
                  .rank = 1,
                  .dim = { s->batch * s->rows },
                  .step = { s->keys } },
        .folded = { .type = TENSOR_F32, .rank = 1, .dim = { s->keys }, .step = { 1 } },
    };
}

static void run_three(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    struct matmul scores = {
        .m = s->rows,
        .n = s->keys,
        .k = s->depth,
        .batch = s->batch,
        .a_row = s->depth,
        .a_column = 1,
        .b_row = 1,
        .b_column = s->depth,
        .a_batch = (int64_t)s->rows * s->depth,
        .b_batch = (int64_t)s->keys * s->depth,
        .c_batch = (int64_t)s->rows * s->keys,
        .a_type = (int32_t)s->type,
        .b_type = (int32_t)s->type,
        .c_type = TENSOR_F32,
        .alpha = scale_of(s),
        .a = problem->in[Q],
        .b = problem->in[K],
        .c = problem->scratch,
    };
    struct softmax softmax = {
        .fold = { .rows = (int64_t)s->batch * s->rows, .length = s->keys, .parts = 1 },
        .from = see_rows(s, problem->scratch),
        .to = see_rows(s, problem->scratch),
        .way = SOFTMAX,
    };
    struct matmul sums = {
        .m = s->rows,
        .n = s->columns,
        .k = s->keys,
        .batch = s->batch,
        .a_row = s->keys,
        .a_column = 1,
        .b_row = s->columns,
        .b_column = 1,
        .a_batch = (int64_t)s->rows * s->keys,
        .b_batch = (int64_t)s->keys * s->columns,
        .c_batch = (int64_t)s->rows * s->columns,
        .a_type = TENSOR_F32,
        .b_type = (int32_t)s->type,
        .c_type = (int32_t)s->type,
        .alpha = 1,
        .a = problem->scratch,
        .b = problem->in[V],
        .c = problem->out,
    };
    matmul_tiles(&scores, matmul_blocks(&scores), stream);
    softmax_forward(&softmax, softmax.fold.rows, fold_lanes_length(&softmax.fold), stream);
    matmul_tiles(&sums, matmul_blocks(&sums), stream);
}

static struct view see_heads(const struct shape_of *s, void *data, int64_t step)
{
    return (struct view){
        .data = data, .type = (int32_t)s->type, .rank = 1, .dim = { s->batch }, .step = { step }
    };
}

static void run_one(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    struct attention attention = {
        .batch = s->batch,
        .rows = s->rows,
        .keys = s->keys,
        .depth = s->depth,
        .columns = s->columns,
        .scale = scale_of(s),
        .q = see_heads(s, problem->in[Q], (int64_t)s->rows * s->depth),
        .k = see_heads(s, problem->in[K], (int64_t)s->keys * s->depth),
        .v = see_heads(s, problem->in[V], (int64_t)s->keys * s->columns),
        .to = see_heads(s, problem->out, (int64_t)s->rows * s->columns),
        .q_step = { s->depth, 1 },
        .k_step = { 1, s->depth },
        .v_step = { s->columns, 1 },
    };
    attention_tiles(&attention, attention_blocks(&attention), stream);
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    const struct shape_of *s = problem->shape;
    int64_t rows = (int64_t)s->batch * s->rows, keys = (int64_t)s->batch * s->keys;
    int64_t counts[] = { rows * s->depth, keys * s->depth, keys * s->columns };
    content->out_type = s->type;
    content->out_count = rows * s->columns;
    content->moved_bytes = cuda_lab_bytes(s->type, content->out_count);
    for (int k = Q; k <= V; k++) {
        content->in[k] = cuda_lab_numbers(random, s->type, counts[k]);
        content->in_bytes[k] = cuda_lab_bytes(s->type, counts[k]);
        content->moved_bytes += content->in_bytes[k];
    }
    content->scratch_bytes = cuda_lab_bytes(TENSOR_F32, rows * s->keys);
    content->flop = 2u * (uint64_t)rows * (uint64_t)s->keys * (uint64_t)(s->depth + s->columns);
    if (!check)
        return;
    content->expected = malloc((size_t)content->out_count * sizeof *content->expected);
    assert(content->expected);
    for (int64_t row = 0; row < rows; row++)
        expect_row(s, content, row);
}

/* The largest score of these numbers is far from what exp cannot take. */
static void expect_row(const struct shape_of *s, const struct cuda_content *content, int64_t row)
{
    int64_t first = row / s->rows * s->keys;
    double *sums = calloc((size_t)s->columns, sizeof *sums), all = 0;
    assert(sums);
    for (int64_t key = first; key < first + s->keys; key++) {
        double score = 0;
        for (int64_t d = 0; d < s->depth; d++)
            score += (double)cuda_lab_number(content->in[Q], s->type, row * s->depth + d) *
                     (double)cuda_lab_number(content->in[K], s->type, key * s->depth + d);
        double weight = exp(score * (double)scale_of(s));
        all += weight;
        for (int32_t c = 0; c < s->columns; c++)
            sums[c] +=
                weight * (double)cuda_lab_number(content->in[V], s->type, key * s->columns + c);
    }
    for (int32_t c = 0; c < s->columns; c++)
        content->expected[row * s->columns + c] = (float)(sums[c] / all);
    free(sums);
}
