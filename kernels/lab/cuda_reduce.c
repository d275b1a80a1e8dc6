/* cuda_reduce: sums over the pixels of a channel (gradients of biases), over all of an image, and means over
 * a plane (global pooling).
 *
 *   plain   a thread a row: whole warps wait where there are few rows
 *   rows    rows by lanes: neighbours share a row that lies in one stretch
 *   parts   few rows are cut, and a second kernel merges: production, where there are parts */
#include "cuda/reduce.h"
#include "lab/cuda_lab.h"
#include "lab/cuda_plain.h"
#include "lab/cuda_rows.h"
#include <assert.h>
#include <stdlib.h>

struct shape_of {
    struct cuda_rows rows;
    enum tensor_type type;
    bool mean;
};

static struct reduce describe(const struct cuda_problem *problem);
static void run_plain(const struct cuda_problem *problem, void *stream);
static void run_rows(const struct cuda_problem *problem, void *stream);
static void run_parts(const struct cuda_problem *problem, void *stream);
static bool is_quick_plain(const struct cuda_problem *problem);
static bool is_quick_in_rows(const struct cuda_problem *problem);
static bool has_parts(const struct cuda_problem *problem);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);

static const struct cuda_lab_step steps[] = {
    { "plain", run_plain, 1e-4, is_quick_plain },
    { "rows", run_rows, 1e-4, is_quick_in_rows },
    { "parts", run_parts, 1e-4, has_parts },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("1x1 x 1 pixel", { 1, 1, 1, ROWS_ARE_CHANNELS }, TENSOR_F32, false),
    CUDA_PROBLEM("3x33 x 77 pixels, channels", { 3, 33, 77, ROWS_ARE_CHANNELS }, TENSOR_F32, false),
    CUDA_PROBLEM("2x5 x 999 pixels, channels, f16", { 2, 5, 999, ROWS_ARE_CHANNELS }, TENSOR_F16,
                 false),
    CUDA_PROBLEM("3x40 x 131 pixels, planes, bf16", { 3, 40, 131, ROWS_ARE_PLANES }, TENSOR_BF16,
                 true),
    CUDA_PROBLEM("5x7 x 31 pixels, images", { 5, 7, 31, ROWS_ARE_IMAGES }, TENSOR_F32, true),
    CUDA_PROBLEM("2x33 x 4001 pixels, images", { 2, 33, 4001, ROWS_ARE_IMAGES }, TENSOR_F32, false),
    CUDA_REAL_PROBLEM("8x32 x 480x360, channels, f16", { 8, 32, 480 * 360, ROWS_ARE_CHANNELS },
                      TENSOR_F16, false),
    CUDA_REAL_PROBLEM("8x256 x 60x45, channels, f16", { 8, 256, 60 * 45, ROWS_ARE_CHANNELS },
                      TENSOR_F16, false),
    CUDA_REAL_PROBLEM("8x128 x 120x90, planes, f16", { 8, 128, 120 * 90, ROWS_ARE_PLANES },
                      TENSOR_F16, true),
    CUDA_REAL_PROBLEM("8x32 x 480x270, images, f32", { 8, 32, 480 * 270, ROWS_ARE_IMAGES },
                      TENSOR_F32, false),
};

const struct cuda_ladder cuda_reduce_ladder = {
    "reduce", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems,
    fill,
};

/* In one part. */
static struct reduce describe(const struct cuda_problem *problem)
{
    const struct shape_of *s = problem->shape;
    struct reduce reduce = {
        .from.kept = cuda_rows_view(&s->rows, s->type, problem->in[0]),
        .to.kept = cuda_rows_result(&s->rows, TENSOR_F32, problem->out),
        .way = REDUCE_SUM,
    };
    fold_split(&reduce.fold, cuda_rows_folded(&s->rows),
               (struct fold_array *const[]){ &reduce.from, &reduce.to }, 2);
    reduce.scale = s->mean ? 1 / (float)reduce.fold.length : 1;
    return reduce;
}

static void run_plain(const struct cuda_problem *problem, void *stream)
{
    struct reduce reduce = describe(problem);
    plain_sum_each(&reduce, reduce.fold.rows, stream);
}

static void run_rows(const struct cuda_problem *problem, void *stream)
{
    struct reduce reduce = describe(problem);
    reduce_float(&reduce, stream);
}

static void run_parts(const struct cuda_problem *problem, void *stream)
{
    struct reduce reduce = describe(problem);
    fold_choose_parts(&reduce.fold);
    reduce.fold.partial = problem->scratch;
    reduce_float(&reduce, stream);
}

static bool is_quick_plain(const struct cuda_problem *problem)
{
    struct reduce reduce = describe(problem);
    return cuda_rows_are_quick(&reduce.fold, 1);
}

static bool is_quick_in_rows(const struct cuda_problem *problem)
{
    struct reduce reduce = describe(problem);
    const struct fold *fold = &reduce.fold;
    return cuda_rows_are_quick(fold, launch_lanes(fold->rows, fold_lanes_length(fold)));
}

static bool has_parts(const struct cuda_problem *problem)
{
    struct reduce reduce = describe(problem);
    return fold_choose_parts(&reduce.fold) > 0;
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    const struct shape_of *s = problem->shape;
    struct reduce reduce = describe(problem);
    int64_t count = cuda_rows_elements(&s->rows), rows = cuda_rows_count(&s->rows);
    content->in[0] = cuda_lab_numbers(random, s->type, count);
    content->in_bytes[0] = cuda_lab_bytes(s->type, count);
    content->out_type = TENSOR_F32;
    content->out_count = rows;
    content->moved_bytes = content->in_bytes[0] + cuda_lab_bytes(TENSOR_F32, rows);
    content->scratch_bytes = fold_choose_parts(&reduce.fold);
    if (!check)
        return;
    double *sums = calloc((size_t)rows, sizeof *sums);
    content->expected = malloc((size_t)rows * sizeof *content->expected);
    assert(sums && content->expected);
    for (int64_t i = 0; i < count; i++)
        sums[cuda_rows_of(&s->rows, i)] += (double)cuda_lab_number(content->in[0], s->type, i);
    for (int64_t row = 0; row < rows; row++)
        content->expected[row] = (float)(sums[row] / (s->mean ? (double)count / (double)rows : 1));
    free(sums);
}
