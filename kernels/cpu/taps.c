/* taps: each row of the output is a weighted sum of whole rows of the input, put aside in a row of
 * floats, of which the columns are then weighted sums. An output row has one writer and a fixed order
 * of additions, so results do not depend on the number of threads. */
#include "cpu/taps.h"
#include "cpu/bfloat.h"
#include "cpu/parallel.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LEAST 16384  /* elements for a thread, below which it is not woken */
#define STRETCH 1024 /* elements that are put aside at once */
#define NARROW 8     /* channels side by side, below which columns are not worth a loop over them */

/* The taps of a dimension, by output position. */
struct tap_table {
    int64_t to_count, from_count;
    int each;       /* taps, if all positions have as many; otherwise 0 */
    int32_t *first; /* to_count + 1 */
    int32_t *from;
    float *weight;
};

struct taps_state {
    struct tap_table rows, columns;
    int64_t planes; /* pictures one behind the other, */
    int64_t inner;  /* of pixels of so many elements */
    enum tensor_type type;
    int parts;
    int64_t scratch; /* floats for each part: a row of the input, and one of the output */
};

struct taps_run {
    const struct taps_state *state;
    const char *in;
    char *out;
    float *scratch;
};

static struct layout choose_layout(const struct layout *in, const struct shape *shape);
static int open_state(struct taps_state **state, const struct taps *rows,
                      const struct taps *columns, struct error *err);
static size_t table_bytes(const struct taps *taps);
static void *fill_table(struct tap_table *table, const struct taps *taps, void *memory);
static int compare_taps(const void *a, const void *b);
static int run_taps(const struct cpu_step *step, struct error *err);
static void run_part(const void *arg, int part, int parts);
static void make_row(const struct taps_state *state, const char *plane, int64_t y, float *put_aside,
                     float *to);
static void weigh_rows(const struct taps_state *state, const char *plane, int64_t y, int64_t first,
                       int64_t end, float *to);
static void weigh_columns(const struct taps_state *state, const float *from, float *to);
static void weigh(float *restrict to, const float *from, const int32_t *at, int64_t step,
                  const float *weights, int count, int64_t length);
static void weigh_bf16(float *restrict to, const uint16_t *from, const int32_t *at, int64_t step,
                       const float *weights, int count, int64_t length);

int taps_add(struct taps *taps, int64_t to, int64_t from, double weight, struct error *err)
{
    assert(to >= 0 && to < taps->to_count && from >= 0 && from < taps->from_count);
    if (taps->count == taps->capacity) {
        int64_t wanted = taps->capacity ? 2 * taps->capacity : 256;
        struct tap *more = realloc(taps->list, (size_t)wanted * sizeof *more);
        if (!more)
            return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
        taps->list = more;
        taps->capacity = wanted;
    }
    taps->list[taps->count++] = (struct tap){ (int32_t)to, (int32_t)from, weight };
    return 0;
}

void taps_free(struct taps *taps)
{
    free(taps->list);
    *taps = (struct taps){ 0 };
}

int taps_add_step(struct build *build, const struct node *node, const char *implementation,
                  const struct taps *rows, const struct taps *columns, struct error *err)
{
    const struct shape *shape = &build_info(build, node->outputs[0])->shape;
    struct cpu_place *in, *out, *scratch;
    int rc = build_place_any(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    assert(in->layout.shape.rank == 4 && shape->dim[2] == rows->to_count &&
           shape->dim[3] == columns->to_count && in->layout.shape.dim[2] == rows->from_count &&
           in->layout.shape.dim[3] == columns->from_count);
    struct layout layout = choose_layout(&in->layout, &in->layout.shape);
    rc = build_want(build, node->inputs[0], &layout, &in, err);
    if (rc)
        return rc;
    struct layout made = choose_layout(&layout, shape);
    struct taps_state *state;
    rc = open_state(&state, rows, columns, err);
    if (rc)
        return rc;
    bool dense = layout_is_dense(&layout);
    state->inner = layout.blocked ? LAYOUT_BLOCK : dense ? 1 : shape->dim[1];
    state->planes = shape->dim[0] * shape->dim[1] / state->inner;
    state->type = layout.type;
    state->parts = parallel_parts(build->device->threads, shape_elements(shape), LEAST);
    state->scratch = (columns->from_count + columns->to_count) * state->inner;
    struct shape floats = { .rank = 1, .dim = { state->parts * state->scratch } };
    struct layout beside = layout_dense(TENSOR_F32, &floats);
    rc = build_output(build, node->outputs[0], &made, &out, err);
    if (!rc)
        rc = build_new_place(build, &beside, &scratch, err);
    if (rc) {
        free(state);
        return rc;
    }
    struct cpu_place *places[] = { in, out, scratch };
    return build_c_step(build, implementation, run_taps, state, places, 3, err);
}

/* Blocked, channels-last or row-major: whatever is nearest to how the input lies. */
static struct layout choose_layout(const struct layout *in, const struct shape *shape)
{
    if (in->blocked)
        return layout_channels_like(in->type, shape, in);
    bool planar = layout_is_dense(in) || in->stride[1] > in->stride[3];
    return planar ? layout_dense(in->type, shape) : layout_channels_last(in->type, shape);
}

static int open_state(struct taps_state **state, const struct taps *rows,
                      const struct taps *columns, struct error *err)
{
    *state = calloc(1, sizeof **state + table_bytes(rows) + table_bytes(columns));
    if (!*state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    void *memory = *state + 1;
    memory = fill_table(&(*state)->rows, rows, memory);
    fill_table(&(*state)->columns, columns, memory);
    return 0;
}

static size_t table_bytes(const struct taps *taps)
{
    size_t taps_bytes = (size_t)taps->count * (sizeof(int32_t) + sizeof(float));
    return (size_t)(taps->to_count + 1) * sizeof(int32_t) + taps_bytes;
}

/* Sorts the list, adds up what goes the same way, and gives the memory behind the table. */
static void *fill_table(struct tap_table *table, const struct taps *taps, void *memory)
{
    table->to_count = taps->to_count;
    table->from_count = taps->from_count;
    table->first = memory;
    table->from = table->first + taps->to_count + 1;
    table->weight = (float *)(void *)(table->from + taps->count);
    if (taps->count > 0)
        qsort(taps->list, (size_t)taps->count, sizeof *taps->list, compare_taps);
    int32_t kept = 0, to = 0;
    for (int64_t i = 0, end; i < taps->count; i = end) {
        double sum = 0;
        for (end = i; end < taps->count && compare_taps(&taps->list[i], &taps->list[end]) == 0; end++)
            sum += taps->list[end].weight;
        while (to <= taps->list[i].to)
            table->first[to++] = kept;
        table->from[kept] = taps->list[i].from;
        table->weight[kept++] = (float)sum;
    }
    while (to <= taps->to_count)
        table->first[to++] = kept;
    table->each = table->first[1];
    for (to = 0; to < taps->to_count; to++)
        if (table->first[to + 1] - table->first[to] != table->each)
            table->each = 0;
    return table->weight + taps->count;
}

static int compare_taps(const void *a, const void *b)
{
    const struct tap *left = a, *right = b;
    if (left->to != right->to)
        return left->to < right->to ? -1 : 1;
    return left->from < right->from ? -1 : left->from > right->from;
}

/* ---- running ---- */

static int run_taps(const struct cpu_step *step, struct error *err)
{
    (void)err;
    struct taps_run run = { .state = step->state,
                            .in = step->places[0]->data,
                            .out = step->places[1]->data,
                            .scratch = step->places[2]->data };
    parallel_run(run.state->parts, run_part, &run);
    return 0;
}

static void run_part(const void *arg, int part, int parts)
{
    const struct taps_run *run = arg;
    const struct taps_state *state = run->state;
    const struct tap_table *rows = &state->rows, *columns = &state->columns;
    int64_t in_row = columns->from_count * state->inner, out_row = columns->to_count * state->inner;
    size_t bytes = tensor_type_bytes(state->type);
    float *put_aside = run->scratch + part * state->scratch, *made = put_aside + in_row;
    int64_t first, end;
    parallel_share(state->planes * rows->to_count, 1, part, parts, &first, &end);
    for (int64_t i = first; i < end; i++) {
        int64_t plane = i / rows->to_count;
        const char *in = run->in + (size_t)(plane * rows->from_count * in_row) * bytes;
        if (state->type == TENSOR_F32) {
            make_row(state, in, i % rows->to_count, put_aside,
                     (float *)(void *)run->out + i * out_row);
            continue;
        }
        uint16_t *out = (uint16_t *)(void *)run->out + i * out_row;
        make_row(state, in, i % rows->to_count, put_aside, made);
        for (int64_t k = 0; k < out_row; k++)
            out[k] = bfloat_narrow(made[k]);
    }
}

static void make_row(const struct taps_state *state, const char *plane, int64_t y, float *put_aside,
                     float *to)
{
    const struct tap_table *columns = &state->columns;
    int64_t inner = state->inner, count = columns->from_count, done = 0;
    if (inner < NARROW) {
        weigh_rows(state, plane, y, 0, count, put_aside);
        weigh_columns(state, put_aside, to);
        return;
    }
    /* Columns are put aside shortly before they are needed, while they are in the nearest cache. */
    int64_t step = inner < STRETCH ? STRETCH / inner : 1;
    for (int64_t x = 0; x < columns->to_count; x++) {
        int32_t at = columns->first[x], end = columns->first[x + 1];
        if (end > at && columns->from[end - 1] >= done) {
            int64_t wanted = columns->from[end - 1] + 1;
            wanted = wanted > done + step ? wanted : done + step;
            wanted = wanted < count ? wanted : count;
            weigh_rows(state, plane, y, done, wanted, put_aside);
            done = wanted;
        }
        weigh(to + x * inner, put_aside, columns->from + at, inner, columns->weight + at, end - at,
              inner);
    }
}

/* Columns [first, end) of output row y before they are weighed. */
static void weigh_rows(const struct taps_state *state, const char *plane, int64_t y, int64_t first,
                       int64_t end, float *to)
{
    const struct tap_table *rows = &state->rows;
    int32_t at = rows->first[y];
    int count = rows->first[y + 1] - at;
    int64_t inner = state->inner, row = state->columns.from_count * inner;
    int64_t start = first * inner, length = (end - first) * inner;
    if (state->type == TENSOR_F32)
        weigh(to + start, (const float *)(const void *)plane + start, rows->from + at, row,
              rows->weight + at, count, length);
    else
        weigh_bf16(to + start, (const uint16_t *)(const void *)plane + start, rows->from + at, row,
                   rows->weight + at, count, length);
}

/* Loops with as many turns for every element. */
#define EACH(taps_of_each)                                           \
    for (int64_t x = 0; x < columns->to_count; x++) {                \
        const int32_t *at = columns->from + x * (taps_of_each);      \
        const float *weights = columns->weight + x * (taps_of_each); \
        for (int64_t c = 0; c < inner; c++) {                        \
            float sum = weights[0] * from[at[0] * inner + c];        \
            for (int k = 1; k < (taps_of_each); k++)                 \
                sum += weights[k] * from[at[k] * inner + c];         \
            *to++ = sum;                                             \
        }                                                            \
    }

/* All columns of an output row, of pixels that are too small for a loop over their elements. */
static void weigh_columns(const struct taps_state *state, const float *from, float *to)
{
    const struct tap_table *columns = &state->columns;
    int64_t inner = state->inner;
    if (columns->each == 1) {
        EACH(1)
    } else if (columns->each == 2) {
        EACH(2)
    } else if (columns->each == 4) {
        EACH(4)
    } else {
        for (int64_t x = 0; x < columns->to_count; x++)
            for (int64_t c = 0; c < inner; c++) {
                int32_t k = columns->first[x], end = columns->first[x + 1];
                float sum = k < end ? columns->weight[k] * from[columns->from[k] * inner + c] : 0;
                while (++k < end)
                    sum += columns->weight[k] * from[columns->from[k] * inner + c];
                *to++ = sum;
            }
    }
}

static inline float same(float number)
{
    return number;
}

/* to = the sum of weights[k] * what lies at at[k] * step, four at once, then two, then one. Loops that
 * compilers make vectors of (gcc at -O3, with which mk/build.mk has this file compiled). */
#define WEIGH(name, type, load)                                                               \
    static void name(float *restrict to, const type *from, const int32_t *at, int64_t step,   \
                     const float *weights, int count, int64_t length)                         \
    {                                                                                         \
        int k = 0;                                                                            \
        if (count == 1) { /* exact, -0 too */                                                 \
            const type *a = from + at[0] * step;                                              \
            for (int64_t i = 0; i < length; i++)                                              \
                to[i] = weights[0] * load(a[i]);                                              \
            return;                                                                           \
        }                                                                                     \
        memset(to, 0, (size_t)length * sizeof *to);                                           \
        for (; k + 4 <= count; k += 4) {                                                      \
            const type *a = from + at[k] * step, *b = from + at[k + 1] * step;                \
            const type *c = from + at[k + 2] * step, *d = from + at[k + 3] * step;            \
            float u = weights[k], v = weights[k + 1], w = weights[k + 2], z = weights[k + 3]; \
            for (int64_t i = 0; i < length; i++)                                              \
                to[i] += u * load(a[i]) + v * load(b[i]) + w * load(c[i]) + z * load(d[i]);   \
        }                                                                                     \
        for (; k + 2 <= count; k += 2) {                                                      \
            const type *a = from + at[k] * step, *b = from + at[k + 1] * step;                \
            float u = weights[k], v = weights[k + 1];                                         \
            for (int64_t i = 0; i < length; i++)                                              \
                to[i] += u * load(a[i]) + v * load(b[i]);                                     \
        }                                                                                     \
        for (; k < count; k++) {                                                              \
            const type *a = from + at[k] * step;                                              \
            float u = weights[k];                                                             \
            for (int64_t i = 0; i < length; i++)                                              \
                to[i] += u * load(a[i]);                                                      \
        }                                                                                     \
    }

WEIGH(weigh, float, same)
WEIGH(weigh_bf16, uint16_t, bfloat_widen)
