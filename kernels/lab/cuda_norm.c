/* cuda_norm: normalisation with scale and bias per channel, of batches (rows are channels), instances
 * (planes) and layers (pixels): mean and deviation of each row, then each element.
 *
 *   plain   a thread measures a row, which it reads twice
 *   rows    rows by lanes, read once, moments merged
 *   parts   few rows are cut: production, where there are parts
 *
 * A step reads the array once for moments and once more for elements; the copy beside it is as large. */
#include "cuda/norm.h"
#include "cuda/iterate.h"
#include "lab/cuda_lab.h"
#include "lab/cuda_plain.h"
#include "lab/cuda_rows.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define EPSILON 1e-5f
#define LOW 2 /* numbers go from LOW to HIGH: a mean that is larger than the deviation */
#define HIGH 4

struct shape_of {
    struct cuda_rows rows;
    enum tensor_type type;
};

static struct norm_moments describe(const struct cuda_problem *problem);
static void apply(const struct cuda_problem *problem, void *stream);
static void run_plain(const struct cuda_problem *problem, void *stream);
static void run_rows(const struct cuda_problem *problem, void *stream);
static void run_parts(const struct cuda_problem *problem, void *stream);
static bool is_quick_plain(const struct cuda_problem *problem);
static bool is_quick_in_rows(const struct cuda_problem *problem);
static bool has_parts(const struct cuda_problem *problem);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);
static void expect(const struct shape_of *s, struct cuda_content *content);

static const struct cuda_lab_step steps[] = {
    { "plain", run_plain, 2e-3, is_quick_plain },
    { "rows", run_rows, 2e-3, is_quick_in_rows },
    { "parts", run_parts, 2e-3, has_parts },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("1x2 x 1 pixel, pixels", { 1, 2, 1, ROWS_ARE_PIXELS }, TENSOR_F32),
    CUDA_PROBLEM("3x33 x 77 pixels, channels", { 3, 33, 77, ROWS_ARE_CHANNELS }, TENSOR_F32),
    CUDA_PROBLEM("2x5 x 999 pixels, channels, f16", { 2, 5, 999, ROWS_ARE_CHANNELS }, TENSOR_F16),
    CUDA_PROBLEM("2x24 x 155 pixels, planes", { 2, 24, 155, ROWS_ARE_PLANES }, TENSOR_F32),
    CUDA_PROBLEM("1x96 x 41 pixels, pixels, f16", { 1, 96, 41, ROWS_ARE_PIXELS }, TENSOR_F16),
    CUDA_PROBLEM("1x769 x 5 pixels, pixels", { 1, 769, 5, ROWS_ARE_PIXELS }, TENSOR_F32),
    CUDA_PROBLEM("2x33 x 4001 pixels, images", { 2, 33, 4001, ROWS_ARE_IMAGES }, TENSOR_F32),
    CUDA_REAL_PROBLEM("8x32 x 480x360, channels, f16", { 8, 32, 480 * 360, ROWS_ARE_CHANNELS },
                      TENSOR_F16),
    CUDA_REAL_PROBLEM("8x256 x 60x45, channels, f16", { 8, 256, 60 * 45, ROWS_ARE_CHANNELS },
                      TENSOR_F16),
    CUDA_REAL_PROBLEM("8x64 x 240x180, planes, f16", { 8, 64, 240 * 180, ROWS_ARE_PLANES },
                      TENSOR_F16),
    CUDA_REAL_PROBLEM("32768 rows of 768, f16", { 1, 768, 32768, ROWS_ARE_PIXELS }, TENSOR_F16),
};

const struct cuda_ladder cuda_norm_ladder = {
    "norm", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems, fill,
};

/* In one part. Scratch begins with means and what deviations are multiplied with. */
static struct norm_moments describe(const struct cuda_problem *problem)
{
    const struct shape_of *s = problem->shape;
    float *mean = problem->scratch, *inverse = mean ? mean + cuda_rows_count(&s->rows) : NULL;
    struct norm_moments moments = {
        .x.kept = cuda_rows_view(&s->rows, s->type, problem->in[0]),
        .mean.kept = cuda_rows_result(&s->rows, TENSOR_F32, mean),
        .inverse.kept = cuda_rows_result(&s->rows, TENSOR_F32, inverse),
        .epsilon = EPSILON,
    };
    fold_split(&moments.fold, cuda_rows_folded(&s->rows),
               (struct fold_array *const[]){ &moments.x, &moments.mean, &moments.inverse }, 3);
    return moments;
}

static uint64_t moments_bytes(const struct shape_of *s)
{
    return gpu_aligned(2 * cuda_lab_bytes(TENSOR_F32, cuda_rows_count(&s->rows)));
}

static void run_plain(const struct cuda_problem *problem, void *stream)
{
    struct norm_moments moments = describe(problem);
    plain_moments_each(&moments, moments.fold.rows, stream);
    apply(problem, stream);
}

static void run_rows(const struct cuda_problem *problem, void *stream)
{
    struct norm_moments moments = describe(problem);
    norm_moments(&moments, stream);
    apply(problem, stream);
}

static void run_parts(const struct cuda_problem *problem, void *stream)
{
    struct norm_moments moments = describe(problem);
    fold_choose_parts(&moments.fold);
    moments.fold.partial = (char *)problem->scratch + moments_bytes(problem->shape);
    norm_moments(&moments, stream);
    apply(problem, stream);
}

static bool is_quick_plain(const struct cuda_problem *problem)
{
    struct norm_moments moments = describe(problem);
    return cuda_rows_are_quick(&moments.fold, 1);
}

static bool is_quick_in_rows(const struct cuda_problem *problem)
{
    struct norm_moments moments = describe(problem);
    const struct fold *fold = &moments.fold;
    return cuda_rows_are_quick(fold, launch_lanes(fold->rows, fold_lanes_length(fold)));
}

static bool has_parts(const struct cuda_problem *problem)
{
    struct norm_moments moments = describe(problem);
    return fold_choose_parts(&moments.fold) > 0;
}

/* What follows in all steps. */
static void apply(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    float *mean = problem->scratch, *inverse = mean + cuda_rows_count(&s->rows);
    struct norm_apply args = { .views = {
                                   cuda_rows_view(&s->rows, s->type, problem->out),
                                   cuda_rows_view(&s->rows, s->type, problem->in[0]),
                                   cuda_rows_result(&s->rows, TENSOR_F32, mean),
                                   cuda_rows_result(&s->rows, TENSOR_F32, inverse),
                                   cuda_rows_channels(&s->rows, TENSOR_F32, problem->in[1]),
                                   cuda_rows_channels(&s->rows, TENSOR_F32, problem->in[2]),
                               } };
    struct view *views[NORM_VIEWS];
    for (int k = 0; k < NORM_VIEWS; k++)
        views[k] = &args.views[k];
    iterate_join(views, NORM_VIEWS);
    norm_apply(&args, cuda_rows_elements(&s->rows), stream);
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    const struct shape_of *s = problem->shape;
    struct norm_moments moments = describe(problem);
    int64_t count = cuda_rows_elements(&s->rows);
    content->in[0] = cuda_lab_numbers_in(random, s->type, count, LOW, HIGH);
    content->in_bytes[0] = cuda_lab_bytes(s->type, count);
    for (int k = 1; k <= 2; k++) {
        content->in[k] = cuda_lab_numbers(random, TENSOR_F32, s->rows.channels);
        content->in_bytes[k] = cuda_lab_bytes(TENSOR_F32, s->rows.channels);
    }
    content->out_type = s->type;
    content->out_count = count;
    content->moved_bytes = 3 * content->in_bytes[0];
    content->scratch_bytes = moments_bytes(s) + fold_choose_parts(&moments.fold);
    if (check)
        expect(s, content);
}

static void expect(const struct shape_of *s, struct cuda_content *content)
{
    int64_t count = cuda_rows_elements(&s->rows), rows = cuda_rows_count(&s->rows);
    double *mean = calloc((size_t)rows, sizeof *mean), *variance = calloc((size_t)rows, sizeof *mean);
    double share = (double)rows / (double)count;
    content->expected = malloc((size_t)count * sizeof *content->expected);
    assert(mean && variance && content->expected);
    for (int64_t i = 0; i < count; i++)
        mean[cuda_rows_of(&s->rows, i)] +=
            share * (double)cuda_lab_number(content->in[0], s->type, i);
    for (int64_t i = 0; i < count; i++) {
        int64_t row = cuda_rows_of(&s->rows, i);
        variance[row] +=
            share * pow((double)cuda_lab_number(content->in[0], s->type, i) - mean[row], 2);
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t row = cuda_rows_of(&s->rows, i), channel = i % s->rows.channels;
        double distance = (double)cuda_lab_number(content->in[0], s->type, i) - mean[row];
        content->expected[i] = (float)(distance / sqrt(variance[row] + (double)EPSILON) *
                                           (double)((float *)content->in[1])[channel] +
                                       (double)((float *)content->in[2])[channel]);
    }
    free(mean);
    free(variance);
}
