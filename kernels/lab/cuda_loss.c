/* cuda_loss: cross-entropy of classes and labels per pixel, with weights of classes and labels to ignore:
 * the costs and their mean, and the gradient of scores.
 *
 *   plain   a thread a pixel, which reads its scores three times and more
 *   rows    rows by lanes: production for many classes
 *   tiles   scores through shared memory, read in the order of memory, and once: production for few */
#include "cuda/loss.h"
#include "cuda/row_tile.h"
#include "lab/cuda_lab.h"
#include "lab/cuda_plain.h"
#include "lab/cuda_rows.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define SPREAD 8 /* scores go from -SPREAD to SPREAD */
#define IGNORE 255
#define IGNORED_EACH 7 /* one label of as many is IGNORE */

enum { SCORES, LABELS, WEIGHTS, GRADIENT }; /* inputs */

struct shape_of {
    struct cuda_rows rows; /* ROWS_ARE_PIXELS; channels are classes */
    enum tensor_type type;
    bool back;
};

static struct loss describe(const struct cuda_problem *problem);
static struct loss_total describe_total(const struct cuda_problem *problem);
static void run(const struct cuda_problem *problem,
                void (*launch)(const struct loss *loss, bool back, void *stream), void *stream);
static void run_plain(const struct cuda_problem *problem, void *stream);
static void run_rows(const struct cuda_problem *problem, void *stream);
static void run_tiles(const struct cuda_problem *problem, void *stream);
static bool has_tiles(const struct cuda_problem *problem);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);
static void expect(const struct shape_of *s, struct cuda_content *content);

static const struct cuda_lab_step steps[] = {
    { "plain", run_plain, 1e-3, NULL },
    { "rows", run_rows, 1e-3, NULL },
    { "tiles", run_tiles, 1e-3, has_tiles },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("2x19 x 331 pixels", { 2, 19, 331, ROWS_ARE_PIXELS }, TENSOR_F32, false),
    CUDA_PROBLEM("2x19 x 331 pixels, back", { 2, 19, 331, ROWS_ARE_PIXELS }, TENSOR_F32, true),
    CUDA_PROBLEM("1x2 x 301 pixels, f16", { 1, 2, 301, ROWS_ARE_PIXELS }, TENSOR_F16, false),
    CUDA_PROBLEM("1x32 x 301 pixels, f16, back", { 1, 32, 301, ROWS_ARE_PIXELS }, TENSOR_F16, true),
    CUDA_PROBLEM("1x150 x 67 pixels", { 1, 150, 67, ROWS_ARE_PIXELS }, TENSOR_F32, false),
    CUDA_PROBLEM("1x150 x 67 pixels, back", { 1, 150, 67, ROWS_ARE_PIXELS }, TENSOR_F32, true),
    CUDA_PROBLEM("1x3 x 70001 pixels", { 1, 3, 70001, ROWS_ARE_PIXELS }, TENSOR_F32, false),
    CUDA_REAL_PROBLEM("8x12 x 480x360, f16", { 8, 12, 480 * 360, ROWS_ARE_PIXELS }, TENSOR_F16, false),
    CUDA_REAL_PROBLEM("8x12 x 480x360, f16, back", { 8, 12, 480 * 360, ROWS_ARE_PIXELS },
                      TENSOR_F16, true),
    CUDA_REAL_PROBLEM("4x19 x 1024x512", { 4, 19, 1024 * 512, ROWS_ARE_PIXELS }, TENSOR_F32, false),
    CUDA_REAL_PROBLEM("4x19 x 1024x512, back", { 4, 19, 1024 * 512, ROWS_ARE_PIXELS }, TENSOR_F32,
                      true),
};

const struct cuda_ladder cuda_loss_ladder = {
    "loss", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems, fill,
};

static struct loss_labels describe_labels(const struct cuda_problem *problem)
{
    const struct shape_of *s = problem->shape;
    return (struct loss_labels){
        .at.kept = cuda_rows_result(&s->rows, TENSOR_I64, problem->in[LABELS]),
        .weights = { .data = problem->in[WEIGHTS],
                     .type = TENSOR_F32,
                     .rank = 1,
                     .dim = { s->rows.channels },
                     .step = { 1 } },
        .classes = s->rows.channels,
        .ignore = IGNORE,
        .ignores = 1,
    };
}

/* Of both directions; back, scratch begins with the share. */
static struct loss describe(const struct cuda_problem *problem)
{
    const struct shape_of *s = problem->shape;
    struct loss loss = {
        .labels = describe_labels(problem),
        .scores.kept = cuda_rows_view(&s->rows, s->type, problem->in[SCORES]),
        .cost.kept = cuda_rows_result(&s->rows, TENSOR_F32, problem->out),
        .logs.kept = cuda_rows_view(&s->rows, s->type, NULL),
        .gradient.kept = cuda_rows_view(&s->rows, TENSOR_F32, problem->in[GRADIENT]),
        .to.kept = cuda_rows_view(&s->rows, s->type, problem->out),
        .share = problem->scratch,
        .softmax = 1,
    };
    for (int d = 0; d < loss.gradient.kept.rank; d++)
        loss.gradient.kept.step[d] = 0; /* one for all */
    fold_split(&loss.fold, cuda_rows_folded(&s->rows),
               (struct fold_array *const[]){ &loss.scores, &loss.to, &loss.logs, &loss.labels.at,
                                             &loss.cost, &loss.gradient },
               6);
    loss.tile_rows = row_tile_rows(&loss.fold, 1);
    return loss;
}

/* Their mean, which lies behind the costs, or the share that it gives to each; as production has it in all
 * steps. */
static struct loss_total describe_total(const struct cuda_problem *problem)
{
    static const bool all[SHAPE_RANK_MAX] = { true, true, true };
    const struct shape_of *s = problem->shape;
    float *out = problem->out;
    char *scratch = problem->scratch;
    struct cuda_rows positions = { s->rows.batch, 1, s->rows.pixels, ROWS_ARE_PIXELS };
    struct loss_total total = {
        .labels = describe_labels(problem),
        .cost.kept = cuda_rows_view(&positions, TENSOR_F32, s->back ? NULL : problem->out),
        .mean = 1,
        .result = s->back ? problem->scratch
                  : out   ? out + cuda_rows_count(&s->rows)
                          : NULL,
    };
    total.labels.at.kept = cuda_rows_view(&positions, TENSOR_I64, problem->in[LABELS]);
    fold_split(&total.fold, all, (struct fold_array *const[]){ &total.labels.at, &total.cost }, 2);
    fold_choose_parts(&total.fold);
    total.fold.partial = scratch ? scratch + GPU_ALIGNMENT_BYTES : NULL;
    return total;
}

static void run(const struct cuda_problem *problem,
                void (*launch)(const struct loss *loss, bool back, void *stream), void *stream)
{
    bool back = ((const struct shape_of *)problem->shape)->back;
    struct loss loss = describe(problem);
    struct loss_total total = describe_total(problem);
    if (back)
        loss_total(&total, stream);
    launch(&loss, back, stream);
    if (!back)
        loss_total(&total, stream);
}

static void launch_plain(const struct loss *loss, bool back, void *stream)
{
    if (back)
        plain_cost_back_each(loss, loss->fold.rows, stream);
    else
        plain_cost_each(loss, loss->fold.rows, stream);
}

static void run_plain(const struct cuda_problem *problem, void *stream)
{
    run(problem, launch_plain, stream);
}

static void launch_rows(const struct loss *loss, bool back, void *stream)
{
    int64_t length = fold_lanes_length(&loss->fold);
    if (back)
        loss_back(loss, loss->fold.rows, length, stream);
    else
        loss_forward(loss, loss->fold.rows, length, stream);
}

static void run_rows(const struct cuda_problem *problem, void *stream)
{
    run(problem, launch_rows, stream);
}

static void launch_tiles(const struct loss *loss, bool back, void *stream)
{
    int64_t blocks = row_tile_blocks(&loss->fold, loss->tile_rows);
    if (back)
        loss_back_tiles(loss, blocks, stream);
    else
        loss_forward_tiles(loss, blocks, stream);
}

static void run_tiles(const struct cuda_problem *problem, void *stream)
{
    run(problem, launch_tiles, stream);
}

static bool has_tiles(const struct cuda_problem *problem)
{
    struct loss loss = describe(problem);
    return row_tile_suits(&loss.fold, (const struct fold_array *const[]){ &loss.scores, &loss.to }, 2);
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    const struct shape_of *s = problem->shape;
    int64_t count = cuda_rows_elements(&s->rows), rows = cuda_rows_count(&s->rows);
    int32_t classes = s->rows.channels;
    struct loss_total total = describe_total(problem);
    int64_t *labels = calloc((size_t)rows, sizeof *labels);
    assert(labels);
    for (int64_t row = 0; row < rows; row++)
        labels[row] = row % IGNORED_EACH == 0
                          ? IGNORE
                          : (int64_t)(random_next_u64(random) % (uint64_t)classes);
    content->in[SCORES] = cuda_lab_numbers_in(random, s->type, count, -SPREAD, SPREAD);
    content->in[LABELS] = labels;
    content->in[WEIGHTS] = cuda_lab_numbers_in(random, TENSOR_F32, classes, 0.5, 1.5);
    content->in[GRADIENT] = cuda_lab_numbers(random, TENSOR_F32, 1);
    ((float *)content->in[WEIGHTS])[0] = 0; /* a class that does not count */
    content->in_bytes[SCORES] = cuda_lab_bytes(s->type, count);
    content->in_bytes[LABELS] = cuda_lab_bytes(TENSOR_I64, rows);
    content->in_bytes[WEIGHTS] = cuda_lab_bytes(TENSOR_F32, classes);
    content->in_bytes[GRADIENT] = cuda_lab_bytes(TENSOR_F32, 1);
    content->out_type = s->back ? s->type : TENSOR_F32;
    content->out_count = s->back ? count : rows + 1;
    content->moved_bytes = content->in_bytes[SCORES] + content->in_bytes[LABELS] +
                           cuda_lab_bytes(content->out_type, content->out_count);
    content->scratch_bytes = GPU_ALIGNMENT_BYTES + fold_choose_parts(&total.fold);
    if (check)
        expect(s, content);
}

static void expect(const struct shape_of *s, struct cuda_content *content)
{
    int64_t count = cuda_rows_elements(&s->rows), rows = cuda_rows_count(&s->rows);
    const int64_t *labels = content->in[LABELS];
    const float *weights = content->in[WEIGHTS];
    double *sums = calloc((size_t)rows, sizeof *sums), cost = 0, weight = 0;
    content->expected = malloc((size_t)content->out_count * sizeof *content->expected);
    assert(sums && content->expected);
    for (int64_t i = 0; i < count; i++)
        sums[i / s->rows.channels] += exp((double)cuda_lab_number(content->in[SCORES], s->type, i));
    for (int64_t row = 0; row < rows; row++)
        weight += labels[row] == IGNORE ? 0 : (double)weights[labels[row]];
    for (int64_t i = 0; i < count; i++) {
        int64_t row = i / s->rows.channels, label = labels[row];
        bool is_label = i % s->rows.channels == label;
        double score = (double)cuda_lab_number(content->in[SCORES], s->type, i);
        double share = label == IGNORE ? 0 : (double)weights[label];
        if (s->back) {
            double slope = share / weight * (double)*(const float *)content->in[GRADIENT];
            content->expected[i] = (float)(slope * (exp(score) / sums[row] - is_label));
        } else if (is_label || label == IGNORE) {
            double own = share == 0 ? 0 : share * (log(sums[row]) - score);
            content->expected[row] = (float)own;
            cost += own;
        }
    }
    if (!s->back)
        content->expected[rows] = (float)(cost / weight);
    free(sums);
}
