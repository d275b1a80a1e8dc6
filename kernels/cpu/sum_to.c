/* sum_to: sums over some of the dimensions, in whatever order they lie in memory: biases' gradients
 * (all but the channels), losses (everything), what was broadcast (the batch). The work is shared among
 * threads along one dimension.
 *
 * Sums are exact to 1e-6 of the sum of the magnitudes: at most 16 floats are added as floats, and what
 * they give as doubles. */
#include "cpu/bfloat.h"
#include "cpu/build.h"
#include "cpu/parallel.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 16    /* numbers that are added up as floats */
#define LANES 16    /* sums that run beside each other along a row */
#define ROWS 8      /* that are added up at once, column by column */
#define NARROW 32   /* rows that are shorter are put together, */
#define TOGETHER 64 /* to about as many numbers */
#define LEAST 16384 /* numbers for a thread, below which it is not woken */

/* A dimension as it lies in memory. */
struct sum_dimension {
    int64_t count, step; /* of the input */
    int64_t sum_step;    /* in the sums, which lie in the input's order; 0: it is added up */
    int64_t out_step;    /* in the output, which is row-major */
};

struct sum_state {
    struct sum_dimension dims[SHAPE_RANK_MAX + 1]; /* outermost first, the last one without gaps */
    int rank;                                      /* at least 1 */
    int split; /* the dimension that is shared among the parts */
    int parts;
    int64_t sum_count;
    double scale; /* of what is written */
    enum tensor_type type;
};

struct sum_run {
    const struct sum_state *state;
    const void *in;
    double *sums; /* for each part, where the dimension they share is added up */
    float *out;
};

static int add_sum(struct build *build, int from, int to, const bool *folded, double scale,
                   struct error *err);
static void read_dimensions(struct sum_state *state, const struct layout *in, const bool *folded);
static void add_dimension(struct sum_state *state, struct sum_dimension dimension);
static void join_dimensions(struct sum_state *state);
static void choose_split(struct sum_state *state, int threads);
static bool splits_sums(const struct sum_state *state);
static int run_sum(const struct cpu_step *step, struct error *err);
static void sum_part(const void *arg, int part, int parts);
static void add_rows(const struct sum_state *state, const void *in, int64_t at, int64_t rows,
                     int64_t step, int64_t columns, double *sums);
static double sum_row(const float *x, int64_t count);
static inline void add_lanes(const float *x, int64_t depth, double sums[LANES]);
static double sum_row_bf16(const uint16_t *x, int64_t count);
static void add_columns(const float *x, int64_t rows, int64_t step, int64_t columns, double *sums);
static void add_columns_bf16(const uint16_t *x, int64_t rows, int64_t step, int64_t columns,
                             double *sums);
static void finish_part(const void *arg, int part, int parts);
static int64_t out_index(const struct sum_state *state, int64_t sum);

int build_sum_to(struct build *build, const struct node *node, struct error *err)
{
    const struct shape *from = &build_info(build, node->inputs[0])->shape;
    const struct shape *to = &build_info(build, node->outputs[0])->shape;
    bool folded[SHAPE_RANK_MAX] = { false };
    for (int d = 0, missing = from->rank - to->rank; d < from->rank; d++)
        folded[d] = d < missing || to->dim[d - missing] != from->dim[d];
    return build_sum(build, node->inputs[0], node->outputs[0], folded, err);
}

int build_sum(struct build *build, int from, int to, const bool *folded, struct error *err)
{
    return add_sum(build, from, to, folded, 1, err);
}

/* ReduceSum and ReduceMean. */
int build_reduce(struct build *build, const struct node *node, struct error *err)
{
    const struct value *in = build_info(build, node->inputs[0]);
    bool by_input = node->input_count > 1 && node->inputs[1] >= 0;
    const struct tensor *axes = by_input ? &build_info(build, node->inputs[1])->constant : NULL;
    bool folded[SHAPE_RANK_MAX] = { false };
    if (by_input && !axes->data)
        return BUILD_DECLINED;
    int rc = reduce_axes(node, axes, in->shape.rank, folded, err);
    if (rc)
        return rc;
    int64_t terms = 1;
    for (int d = 0; d < in->shape.rank; d++)
        terms *= folded[d] ? in->shape.dim[d] : 1;
    bool mean = strcmp(node->op->name, "ReduceMean") == 0;
    return add_sum(build, node->inputs[0], node->outputs[0], folded, mean ? 1 / (double)terms : 1,
                   err);
}

static int add_sum(struct build *build, int from, int to, const bool *folded, double scale,
                   struct error *err)
{
    struct cpu_place *in, *sums, *out;
    int rc = build_place_any(build, from, &in, err);
    if (rc)
        return rc;
    if (in->layout.type != TENSOR_F32 && in->layout.type != TENSOR_BF16)
        return BUILD_DECLINED;
    struct layout layout = layout_packed_like(in->layout.type, &in->layout.shape, &in->layout);
    rc = build_want(build, from, &layout, &in, err);
    if (rc)
        return rc;
    struct sum_state *state = calloc(1, sizeof *state);
    if (!state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    state->type = layout.type;
    state->scale = scale;
    read_dimensions(state, &in->layout, folded);
    choose_split(state, build->device->threads);
    struct shape sums_shape = { .rank = 2,
                                .dim = { splits_sums(state) ? 1 : state->parts, state->sum_count } };
    struct layout sums_layout = layout_dense(TENSOR_F64, &sums_shape);
    layout = layout_dense(TENSOR_F32, &build_info(build, to)->shape);
    rc = build_new_place(build, &sums_layout, &sums, err);
    if (!rc)
        rc = build_output(build, to, &layout, &out, err);
    if (rc) {
        free(state);
        return rc;
    }
    struct cpu_place *places[] = { in, sums, out };
    return build_c_step(build, "sum", run_sum, state, places, 3, err);
}

/* From the outermost in memory to the innermost, joined where they can be. */
static void read_dimensions(struct sum_state *state, const struct layout *in, const bool *folded)
{
    int64_t out_step[SHAPE_RANK_MAX], next = 1;
    for (int d = in->shape.rank - 1; d >= 0; d--) {
        out_step[d] = folded[d] ? 0 : next;
        next *= folded[d] ? 1 : in->shape.dim[d];
    }
    for (int d = 0; d < in->shape.rank; d++) {
        struct sum_dimension dimension = { .count = in->shape.dim[d],
                                           .step = in->stride[d],
                                           .out_step = out_step[d] };
        if (in->blocked && d == 1) { /* blocks, and the channels in them */
            add_dimension(state, (struct sum_dimension){
                                     .count = LAYOUT_BLOCK, .step = 1, .out_step = out_step[d] });
            dimension.count /= LAYOUT_BLOCK;
            dimension.out_step *= LAYOUT_BLOCK;
        }
        add_dimension(state, dimension);
    }
    join_dimensions(state);
    state->sum_count = 1;
    for (int d = state->rank - 1; d >= 0; d--) {
        struct sum_dimension *dim = &state->dims[d];
        dim->sum_step = dim->out_step ? state->sum_count : 0;
        state->sum_count *= dim->out_step ? dim->count : 1;
    }
    assert(state->dims[state->rank - 1].step == 1);
}

static void add_dimension(struct sum_state *state, struct sum_dimension dimension)
{
    if (dimension.count == 1)
        return;
    int at = state->rank++;
    for (; at > 0 && state->dims[at - 1].step < dimension.step; at--)
        state->dims[at] = state->dims[at - 1];
    state->dims[at] = dimension;
}

static void join_dimensions(struct sum_state *state)
{
    int kept = 0;
    for (int d = 0; d < state->rank; d++) {
        struct sum_dimension dim = state->dims[d], *before = &state->dims[kept > 0 ? kept - 1 : 0];
        if (kept > 0 && before->step == dim.step * dim.count &&
            before->out_step == dim.out_step * dim.count) {
            dim.count *= before->count;
            *before = dim;
        } else {
            state->dims[kept++] = dim;
        }
    }
    if (kept == 0) /* a single number */
        state->dims[kept++] = (struct sum_dimension){ .count = 1, .step = 1, .out_step = 1 };
    state->rank = kept;
}

/* Along what stays, if that is long enough to be shared out evenly: each part then has its own sums.
 * Otherwise along the longest that is added up. */
static void choose_split(struct sum_state *state, int threads)
{
    int64_t elements = 1;
    for (int d = 0; d < state->rank; d++)
        elements *= state->dims[d].count;
    state->parts = parallel_parts(threads, elements, LEAST);
    int longest = 0;
    for (int d = 0; d < state->rank; d++) {
        const struct sum_dimension *dim = &state->dims[d];
        if (dim->out_step && (dim->count % state->parts == 0 || dim->count / 8 >= state->parts)) {
            state->split = d;
            return;
        }
        if (dim->count > state->dims[longest].count)
            longest = d;
    }
    state->split = longest;
    if (state->dims[longest].count < state->parts)
        state->parts = (int)state->dims[longest].count;
}

static bool splits_sums(const struct sum_state *state)
{
    return state->dims[state->split].out_step != 0;
}

static int run_sum(const struct cpu_step *step, struct error *err)
{
    (void)err;
    const struct sum_state *state = step->state;
    struct sum_run run = { .state = state,
                           .in = step->places[0]->data,
                           .sums = step->places[1]->data,
                           .out = step->places[2]->data };
    memset(run.sums, 0, layout_bytes(&step->places[1]->layout));
    parallel_run(state->parts, sum_part, &run);
    parallel_run(parallel_parts(state->parts, state->sum_count, LEAST), finish_part, &run);
    return 0;
}

/* Walks over all dimensions but the last one, or but the last two where numbers that are neighbours
 * go to different sums. */
static void sum_part(const void *arg, int part, int parts)
{
    const struct sum_run *run = arg;
    const struct sum_state *state = run->state;
    int64_t first, end, count[SHAPE_RANK_MAX + 1], index[SHAPE_RANK_MAX + 1] = { 0 };
    const struct sum_dimension *split = &state->dims[state->split];
    parallel_share(split->count, 1, part, parts, &first, &end);
    if (first == end)
        return;
    assert(state->rank > 0 && state->split < state->rank);
    for (int d = 0; d < state->rank; d++)
        count[d] = d == state->split ? end - first : state->dims[d].count;
    int last = state->rank - 1;
    bool columns = state->dims[last].out_step != 0;
    bool rows = columns && last > 0 && !state->dims[last - 1].out_step;
    int outer = rows ? last - 1 : last;
    int64_t at = first * split->step;
    double *sums = run->sums + (split->out_step ? first * split->sum_step : part * state->sum_count);
    for (bool more = true; more;) {
        if (columns)
            add_rows(state, run->in, at, rows ? count[last - 1] : 1,
                     rows ? state->dims[last - 1].step : 0, count[last], sums);
        else if (state->type == TENSOR_F32)
            *sums += sum_row((const float *)run->in + at, count[last]);
        else
            *sums += sum_row_bf16((const uint16_t *)run->in + at, count[last]);
        more = false;
        for (int d = outer - 1; d >= 0 && !more; d--) {
            more = ++index[d] < count[d];
            int64_t steps = more ? 1 : 1 - count[d];
            at += steps * state->dims[d].step;
            sums += steps * state->dims[d].sum_step;
            index[d] = more ? index[d] : 0;
        }
    }
}

/* A few channels (of pixels, mostly) make rows that are too short for vectors. */
static void add_rows(const struct sum_state *state, const void *in, int64_t at, int64_t rows,
                     int64_t step, int64_t columns, double *sums)
{
    bool wide = state->type == TENSOR_F32;
    assert(columns > 0);
    int64_t together = columns < NARROW && step == columns ? TOGETHER / columns : 1;
    if (together > 1 && rows >= together) {
        double many[TOGETHER] = { 0 };
        int64_t length = together * columns, times = rows / together;
        if (wide)
            add_columns((const float *)in + at, times, length, length, many);
        else
            add_columns_bf16((const uint16_t *)in + at, times, length, length, many);
        for (int64_t i = 0; i < length; i++)
            sums[i % columns] += many[i];
        rows -= times * together;
        at += times * length;
    }
    if (wide)
        add_columns((const float *)in + at, rows, step, columns, sums);
    else
        add_columns_bf16((const uint16_t *)in + at, rows, step, columns, sums);
}

/* Loops that compilers make vectors of (gcc at -O3, with which mk/build.mk has this file compiled). */
static double sum_row(const float *x, int64_t count)
{
    const int64_t stretch = (int64_t)DEPTH * LANES;
    double sums[LANES] = { 0 };
    for (; count >= stretch; count -= stretch, x += stretch)
        add_lanes(x, DEPTH, sums);
    add_lanes(x, count / LANES, sums);
    x += count / LANES * LANES;
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int lane = 0; lane < width; lane++)
            sums[lane] += sums[lane + width];
    for (int64_t i = 0; i < count % LANES; i++)
        sums[0] += (double)x[i];
    return sums[0];
}

static inline void add_lanes(const float *x, int64_t depth, double sums[LANES])
{
    float short_sums[LANES] = { 0 };
    for (int64_t k = 0; k < depth; k++)
        for (int lane = 0; lane < LANES; lane++)
            short_sums[lane] += x[k * LANES + lane];
    for (int lane = 0; lane < LANES; lane++)
        sums[lane] += (double)short_sums[lane];
}

static double sum_row_bf16(const uint16_t *x, int64_t count)
{
    const int64_t stretch = (int64_t)DEPTH * LANES;
    float block[DEPTH * LANES];
    double sum = 0;
    for (int64_t at = 0; at < count; at += stretch) {
        int64_t here = count - at < stretch ? count - at : stretch;
        for (int64_t i = 0; i < here; i++)
            block[i] = bfloat_widen(x[at + i]);
        sum += sum_row(block, here);
    }
    return sum;
}

static float same(float number)
{
    return number;
}

#define ADD_COLUMNS(name, type, load)                                                       \
    static void name(const type *x, int64_t rows, int64_t step, int64_t columns,            \
                     double *restrict sums)                                                 \
    {                                                                                       \
        for (; rows >= ROWS; rows -= ROWS, x += ROWS * step) {                              \
            const type *restrict a = x, *restrict b = x + step, *restrict c = x + 2 * step; \
            const type *restrict d = x + 3 * step, *restrict e = x + 4 * step;              \
            const type *restrict f = x + 5 * step, *restrict g = x + 6 * step;              \
            const type *restrict h = x + 7 * step;                                          \
            for (int64_t i = 0; i < columns; i++) {                                         \
                float front = (load(a[i]) + load(b[i])) + (load(c[i]) + load(d[i]));        \
                float back = (load(e[i]) + load(f[i])) + (load(g[i]) + load(h[i]));         \
                sums[i] += (double)(front + back);                                          \
            }                                                                               \
        }                                                                                   \
        for (; rows > 0; rows--, x += step)                                                 \
            for (int64_t i = 0; i < columns; i++)                                           \
                sums[i] += (double)load(x[i]);                                              \
    }
ADD_COLUMNS(add_columns, float, same)
ADD_COLUMNS(add_columns_bf16, uint16_t, bfloat_widen)

/* What the parts have found together, in their order. */
static void finish_part(const void *arg, int part, int parts)
{
    const struct sum_run *run = arg;
    const struct sum_state *state = run->state;
    int64_t first, end;
    int each = splits_sums(state) ? 1 : state->parts;
    bool in_order = true;
    for (int d = 0; d < state->rank; d++)
        in_order = in_order && state->dims[d].sum_step == state->dims[d].out_step;
    parallel_share(state->sum_count, LANES, part, parts, &first, &end);
    for (int64_t i = first; i < end; i++) {
        double sum = run->sums[i];
        for (int p = 1; p < each; p++)
            sum += run->sums[p * state->sum_count + i];
        run->out[in_order ? i : out_index(state, i)] = (float)(state->scale * sum);
    }
}

static int64_t out_index(const struct sum_state *state, int64_t sum)
{
    int64_t index = 0;
    for (int d = state->rank - 1; d >= 0; d--)
        if (state->dims[d].out_step) {
            index += sum % state->dims[d].count * state->dims[d].out_step;
            sum /= state->dims[d].count;
        }
    return index;
}
