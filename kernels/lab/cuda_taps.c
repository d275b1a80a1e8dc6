/* cuda_taps: a channels-last picture made larger by a whole factor, between two neighbours each way or
 * four.
 *
 *   plain       finds its neighbours and what they weigh by itself
 *   two passes  tables say who is made of whom; along rows, then along columns, floats in between
 *   together    both ways at once, as neighbours come from caches: production up to sixteen of them */
#include "cuda/taps.h"
#include "lab/cuda_lab.h"
#include "lab/cuda_plain_pictures.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum { ROWS, COLUMNS };
enum { PICTURE, TABLES }; /* inputs; a table each way */

struct shape_of {
    int32_t batch, side[2], channels, factor;
    bool cubic;
    enum tensor_type type;
};

/* From one array to another; ways whose sides differ are summed along. */
struct pass {
    const void *from;
    void *to;
    enum tensor_type from_type, to_type;
    int32_t from_side[2], to_side[2];
};

static void run_plain(const struct cuda_problem *problem, void *stream);
static void run_two_passes(const struct cuda_problem *problem, void *stream);
static void run_together(const struct cuda_problem *problem, void *stream);
static void run_pass(const struct cuda_problem *problem, const struct pass *pass, void *stream);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);
static void fill_table(const struct shape_of *s, int way, struct cuda_content *content);
static size_t list_offset_bytes(int32_t positions);
static int find_near(const struct shape_of *s, int way, int32_t at, int32_t *from, double *weight);
static float expect(const struct shape_of *s, const void *picture, int64_t i);

static const struct cuda_lab_step steps[] = {
    { "plain", run_plain, 4e-3, NULL },
    { "two passes", run_two_passes, 4e-3, NULL },
    { "together", run_together, 4e-3, NULL },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("1x5x7x3, f32", 1, { 5, 7 }, 3, 2, false, TENSOR_F32),
    CUDA_PROBLEM("2x9x4x33, f16, cubic", 2, { 9, 4 }, 33, 2, true, TENSOR_F16),
    CUDA_PROBLEM("1x1x3x5, bf16, threefold", 1, { 1, 3 }, 5, 3, false, TENSOR_BF16),
    CUDA_PROBLEM("1x11x1x8, f32, cubic", 1, { 11, 1 }, 8, 4, true, TENSOR_F32),
    CUDA_REAL_PROBLEM("8x90x120x96, f16", 8, { 90, 120 }, 96, 2, false, TENSOR_F16),
    CUDA_REAL_PROBLEM("1x270x480x32, f16", 1, { 270, 480 }, 32, 2, false, TENSOR_F16),
    CUDA_REAL_PROBLEM("1x540x960x3, f32, cubic", 1, { 540, 960 }, 3, 2, true, TENSOR_F32),
};

const struct cuda_ladder cuda_taps_ladder = {
    "taps", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems, fill,
};

static int64_t count_to(const struct shape_of *s)
{
    return (int64_t)s->batch * s->side[ROWS] * s->side[COLUMNS] * s->channels * s->factor * s->factor;
}

static void run_plain(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    struct plain_resize resize = {
        .from = problem->in[PICTURE],
        .to = problem->out,
        .type = (int32_t)s->type,
        .rows = s->side[ROWS],
        .columns = s->side[COLUMNS],
        .channels = s->channels,
        .factor = s->factor,
        .cubic = s->cubic,
    };
    plain_resize_each(&resize, count_to(s), stream);
}

static void run_two_passes(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    struct pass down = {
        .from = problem->in[PICTURE],
        .to = problem->scratch,
        .from_type = s->type,
        .to_type = TENSOR_F32,
        .from_side = { s->side[ROWS], s->side[COLUMNS] },
        .to_side = { s->side[ROWS] * s->factor, s->side[COLUMNS] },
    };
    struct pass across = {
        .from = problem->scratch,
        .to = problem->out,
        .from_type = TENSOR_F32,
        .to_type = s->type,
        .from_side = { s->side[ROWS] * s->factor, s->side[COLUMNS] },
        .to_side = { s->side[ROWS] * s->factor, s->side[COLUMNS] * s->factor },
    };
    run_pass(problem, &down, stream);
    run_pass(problem, &across, stream);
}

static void run_together(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    struct pass pass = {
        .from = problem->in[PICTURE],
        .to = problem->out,
        .from_type = s->type,
        .to_type = s->type,
        .from_side = { s->side[ROWS], s->side[COLUMNS] },
        .to_side = { s->side[ROWS] * s->factor, s->side[COLUMNS] * s->factor },
    };
    run_pass(problem, &pass, stream);
}

/* Columns are the first axis, as they are closer in memory. */
static void run_pass(const struct cuda_problem *problem, const struct pass *pass, void *stream)
{
    const struct shape_of *s = problem->shape;
    const int32_t *from = pass->from_side, *to = pass->to_side;
    int64_t from_step[] = { (int64_t)from[COLUMNS] * s->channels, s->channels };
    int64_t to_step[] = { (int64_t)to[COLUMNS] * s->channels, s->channels };
    struct taps taps = {
        .from = pass->from,
        .to = pass->to,
        .from_type = (int32_t)pass->from_type,
        .to_type = (int32_t)pass->to_type,
        .rank = 4,
        .dim = { s->batch, to[ROWS], to[COLUMNS], s->channels },
        .step = { { to[ROWS] * to_step[ROWS], from[ROWS] * from_step[ROWS] },
                  { to_step[ROWS], from_step[ROWS] },
                  { to_step[COLUMNS], from_step[COLUMNS] },
                  { 1, 1 } },
    };
    for (int way = COLUMNS; way >= ROWS; way--) {
        const char *table = problem->in[TABLES + way];
        if (from[way] == to[way])
            continue;
        taps.step[1 + way][TAPS_FROM] = 0;
        taps.step[1 + way][TAPS_POSITIONS + taps.axis_count] = 1;
        taps.axes[taps.axis_count++] = (struct taps_axis){
            .first = (const int32_t *)(const void *)table,
            .list = (const struct tap *)(const void *)(table + list_offset_bytes(to[way])),
            .step = from_step[way],
        };
    }
    taps_each(&taps, (int64_t)s->batch * to[ROWS] * to_step[ROWS], stream);
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    const struct shape_of *s = problem->shape;
    int64_t count = count_to(s) / s->factor / s->factor;
    content->in[PICTURE] = cuda_lab_numbers(random, s->type, count);
    content->in_bytes[PICTURE] = cuda_lab_bytes(s->type, count);
    fill_table(s, ROWS, content);
    fill_table(s, COLUMNS, content);
    content->scratch_bytes = cuda_lab_bytes(TENSOR_F32, count * s->factor);
    content->out_type = s->type;
    content->out_count = count_to(s);
    content->moved_bytes = content->in_bytes[PICTURE] + cuda_lab_bytes(s->type, content->out_count);
    if (!check)
        return;
    content->expected = malloc((size_t)content->out_count * sizeof *content->expected);
    assert(content->expected);
    for (int64_t i = 0; i < content->out_count; i++)
        content->expected[i] = expect(s, content->in[PICTURE], i);
}

/* The first tap of each position, then all taps. */
static void fill_table(const struct shape_of *s, int way, struct cuda_content *content)
{
    int32_t positions = s->side[way] * s->factor, from[4], taps = 0;
    int each = s->cubic ? 4 : 2;
    double weight[4];
    size_t bytes =
        list_offset_bytes(positions) + (size_t)positions * (size_t)each * sizeof(struct tap);
    char *table = calloc(1, bytes);
    assert(table);
    int32_t *first = (int32_t *)(void *)table;
    struct tap *list = (struct tap *)(void *)(table + list_offset_bytes(positions));
    for (int32_t p = 0; p < positions; p++) {
        int count = find_near(s, way, p, from, weight);
        for (int k = 0; k < count; k++)
            list[taps++] = (struct tap){ .from = from[k], .weight = (float)weight[k] };
        first[p + 1] = taps;
    }
    content->in[TABLES + way] = table;
    content->in_bytes[TABLES + way] = bytes;
}

static size_t list_offset_bytes(int32_t positions)
{
    size_t bytes = ((size_t)positions + 1) * sizeof(int32_t);
    return (bytes + sizeof(struct tap) - 1) / sizeof(struct tap) * sizeof(struct tap);
}

/* Gives how many. */
static int find_near(const struct shape_of *s, int way, int32_t at, int32_t *from, double *weight)
{
    double a = (double)PLAIN_CUBIC_A, position = (at + 0.5) / s->factor - 0.5;
    int count = s->cubic ? 4 : 2, first = (int)floor(position) - (s->cubic ? 1 : 0);
    for (int k = 0; k < count; k++) {
        double d = fabs(position - (first + k));
        weight[k] = !s->cubic ? 1 - d
                    : d <= 1  ? (a + 2) * d * d * d - (a + 3) * d * d + 1
                              : a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a;
        from[k] = first + k < 0 ? 0 : first + k < s->side[way] ? first + k : s->side[way] - 1;
    }
    return count;
}

static float expect(const struct shape_of *s, const void *picture, int64_t i)
{
    int64_t pixel = i / s->channels, rows = (int64_t)s->side[ROWS] * s->factor;
    int64_t columns = (int64_t)s->side[COLUMNS] * s->factor, n = pixel / columns / rows;
    int32_t y[4], x[4];
    double down[4], across[4], sum = 0;
    int count = find_near(s, ROWS, (int32_t)(pixel / columns % rows), y, down);
    find_near(s, COLUMNS, (int32_t)(pixel % columns), x, across);
    for (int r = 0; r < count; r++)
        for (int c = 0; c < count; c++) {
            int64_t from = (n * s->side[ROWS] + y[r]) * s->side[COLUMNS] + x[c];
            sum += down[r] * across[c] *
                   (double)cuda_lab_number(picture, s->type, from * s->channels + i % s->channels);
        }
    return (float)sum;
}
