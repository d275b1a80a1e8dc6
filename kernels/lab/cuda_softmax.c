/* cuda_softmax: of the few classes of each pixel, and of long rows, as attention has them.
 *
 *   plain   a thread a row, which it reads three times: what its neighbours read lies a row apart
 *   rows    rows by lanes, read twice: production for long rows
 *   tiles   short rows through shared memory, so that memory is read in its order, and once:
 *           production for short ones */
#include "cuda/softmax.h"
#include "cuda/row_tile.h"
#include "lab/cuda_lab.h"
#include "lab/cuda_plain.h"
#include "lab/cuda_rows.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define SPREAD 8 /* scores go from -SPREAD to SPREAD */

struct shape_of {
    struct cuda_rows rows;
    enum tensor_type from, to;
};

static struct softmax describe(const struct cuda_problem *problem);
static void run_plain(const struct cuda_problem *problem, void *stream);
static void run_rows(const struct cuda_problem *problem, void *stream);
static void run_tiles(const struct cuda_problem *problem, void *stream);
static bool has_tiles(const struct cuda_problem *problem);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);

static const struct cuda_lab_step steps[] = {
    { "plain", run_plain, 1e-3, NULL },
    { "rows", run_rows, 1e-3, NULL },
    { "tiles", run_tiles, 1e-3, has_tiles },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("1x3 x 1 pixel", { 1, 3, 1, ROWS_ARE_PIXELS }, TENSOR_F32, TENSOR_F32),
    CUDA_PROBLEM("2x19 x 331 pixels", { 2, 19, 331, ROWS_ARE_PIXELS }, TENSOR_F32, TENSOR_F32),
    CUDA_PROBLEM("1x21 x 500 pixels, f16 to f32", { 1, 21, 500, ROWS_ARE_PIXELS }, TENSOR_F16,
                 TENSOR_F32),
    CUDA_PROBLEM("1x32 x 257 pixels, f16", { 1, 32, 257, ROWS_ARE_PIXELS }, TENSOR_F16, TENSOR_F16),
    CUDA_PROBLEM("37 rows of 33, bf16 to f32", { 1, 33, 37, ROWS_ARE_PIXELS }, TENSOR_BF16,
                 TENSOR_F32),
    CUDA_PROBLEM("5 rows of 1025", { 1, 1025, 5, ROWS_ARE_PIXELS }, TENSOR_F32, TENSOR_F32),
    CUDA_PROBLEM("2x6 planes of 70 pixels", { 2, 6, 70, ROWS_ARE_PLANES }, TENSOR_F32, TENSOR_F32),
    CUDA_REAL_PROBLEM("8x19 x 1024x512, f16 to f32", { 8, 19, 1024 * 512, ROWS_ARE_PIXELS },
                      TENSOR_F16, TENSOR_F32),
    CUDA_REAL_PROBLEM("8x21 x 480x360, f16", { 8, 21, 480 * 360, ROWS_ARE_PIXELS }, TENSOR_F16,
                      TENSOR_F16),
    CUDA_REAL_PROBLEM("32768 rows of 1024, f16", { 1, 1024, 32768, ROWS_ARE_PIXELS }, TENSOR_F16,
                      TENSOR_F16),
    CUDA_REAL_PROBLEM("2048 rows of 16384, f16", { 1, 16384, 2048, ROWS_ARE_PIXELS }, TENSOR_F16,
                      TENSOR_F16),
};

const struct cuda_ladder cuda_softmax_ladder = {
    "softmax", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems,
    fill,
};

static struct softmax describe(const struct cuda_problem *problem)
{
    const struct shape_of *s = problem->shape;
    struct softmax softmax = {
        .from.kept = cuda_rows_view(&s->rows, s->from, problem->in[0]),
        .to.kept = cuda_rows_view(&s->rows, s->to, problem->out),
        .way = SOFTMAX,
    };
    fold_split(&softmax.fold, cuda_rows_folded(&s->rows),
               (struct fold_array *const[]){ &softmax.from, &softmax.to }, 2);
    softmax.tile_rows = row_tile_rows(&softmax.fold, 1);
    return softmax;
}

static void run_plain(const struct cuda_problem *problem, void *stream)
{
    struct softmax softmax = describe(problem);
    plain_softmax_each(&softmax, softmax.fold.rows, stream);
}

static void run_rows(const struct cuda_problem *problem, void *stream)
{
    struct softmax softmax = describe(problem);
    softmax_forward(&softmax, softmax.fold.rows, fold_lanes_length(&softmax.fold), stream);
}

static void run_tiles(const struct cuda_problem *problem, void *stream)
{
    struct softmax softmax = describe(problem);
    softmax_tiles(&softmax, row_tile_blocks(&softmax.fold, softmax.tile_rows), stream);
}

static bool has_tiles(const struct cuda_problem *problem)
{
    struct softmax softmax = describe(problem);
    return row_tile_suits(&softmax.fold,
                      (const struct fold_array *const[]){ &softmax.from, &softmax.to }, 2);
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    const struct shape_of *s = problem->shape;
    int64_t count = cuda_rows_elements(&s->rows);
    content->in[0] = cuda_lab_numbers_in(random, s->from, count, -SPREAD, SPREAD);
    content->in_bytes[0] = cuda_lab_bytes(s->from, count);
    content->out_type = s->to;
    content->out_count = count;
    content->moved_bytes = content->in_bytes[0] + cuda_lab_bytes(s->to, count);
    if (!check)
        return;
    double *sums = calloc((size_t)cuda_rows_count(&s->rows), sizeof *sums);
    content->expected = malloc((size_t)count * sizeof *content->expected);
    assert(sums && content->expected);
    for (int64_t i = 0; i < count; i++)
        sums[cuda_rows_of(&s->rows, i)] += exp((double)cuda_lab_number(content->in[0], s->from, i));
    for (int64_t i = 0; i < count; i++)
        content->expected[i] = (float)(exp((double)cuda_lab_number(content->in[0], s->from, i)) /
                                       sums[cuda_rows_of(&s->rows, i)]);
    free(sums);
}
