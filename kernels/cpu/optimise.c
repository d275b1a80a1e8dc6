/* optimise: makers of optimisers' steps, moving averages and sums of squares. Each is one pass over
 * memory, shared among threads; states are renewed where they lie. */
#include "cpu/build.h"
#include "cpu/parallel.h"
#include "ops/resolve.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STATES_MAX 3
#define NUMBERS_MAX 3
#define LEAST 16384 /* elements for a thread, below which it is not woken */

/* A step's places are what comes new (a gradient), each state before and after, and numbers. */
#define FRESH 0
#define BEFORE(state) (1 + 2 * (state))
#define AFTER(state) (2 + 2 * (state))
#define PLACES_MAX (1 + 2 * STATES_MAX + NUMBERS_MAX)

struct update {
    int fresh, states[STATES_MAX], state_count; /* inputs of the node */
    int numbers[NUMBERS_MAX], number_count;     /* the same, and then places; -1: absent */
    int64_t count;
    int parts;
    struct sgd sgd;
    struct adam adam;
    float decay;
    void (*work)(const struct cpu_step *step, int64_t first, int64_t count);
};
enum { SGD_RATE, SGD_SCALE };
enum { ADAM_STEP, ADAM_RATE, ADAM_SCALE };

#define CHUNK 4096 /* elements whose squares are summed apart, whoever does it */

struct squares {
    int inputs;
    int64_t count[GRAPH_NODE_INPUTS_MAX];
    int parts;
    int64_t chunk_count;
    double chunks[];
};

static int add_update(struct build *build, const struct node *node, struct update *update,
                      struct error *err);
static int run_update(const struct cpu_step *step, struct error *err);
static void update_part(const void *arg, int part, int parts);
static float *renewed(const struct cpu_step *step, int state, int64_t first, int64_t count);
static float number(const struct cpu_step *step, int index, float fallback);
static void work_sgd(const struct cpu_step *step, int64_t first, int64_t count);
static void work_adam(const struct cpu_step *step, int64_t first, int64_t count);
static void work_average(const struct cpu_step *step, int64_t first, int64_t count);
static int run_squares(const struct cpu_step *step, struct error *err);
static void squares_part(const void *arg, int part, int parts);
static double sum_squares(const float *x, int64_t count);

int build_sgd(struct build *build, const struct node *node, struct error *err)
{
    struct update update = { .fresh = 1,
                             .states = { 0, 2 },
                             .state_count = 2,
                             .numbers = { [SGD_RATE] = 3, [SGD_SCALE] = 4 },
                             .number_count = 2,
                             .work = work_sgd };
    sgd_resolve(node, &update.sgd);
    return add_update(build, node, &update, err);
}

int build_adam(struct build *build, const struct node *node, struct error *err)
{
    struct update update = { .fresh = 1,
                             .states = { 0, 2, 3 },
                             .state_count = 3,
                             .numbers = { [ADAM_STEP] = 4, [ADAM_RATE] = 5, [ADAM_SCALE] = 6 },
                             .number_count = 3,
                             .work = work_adam };
    adam_resolve(node, &update.adam);
    return add_update(build, node, &update, err);
}

int build_moving_average(struct build *build, const struct node *node, struct error *err)
{
    struct update update = { .fresh = 1, .states = { 0 }, .state_count = 1, .work = work_average };
    update.decay = node_float(node, "decay", 0);
    return add_update(build, node, &update, err);
}

int build_sum_squares(struct build *build, const struct node *node, struct error *err)
{
    struct cpu_place *places[GRAPH_NODE_INPUTS_MAX + 1];
    struct layout scalar = layout_dense(TENSOR_F32, &(struct shape){ .rank = 0 });
    int64_t chunks = 0, elements = 0;
    int rc = 0;
    for (int k = 0; k < node->input_count; k++) {
        int64_t count = shape_elements(&build_info(build, node->inputs[k])->shape);
        chunks += (count + CHUNK - 1) / CHUNK;
        elements += count;
    }
    struct squares *state = calloc(1, sizeof *state + (size_t)chunks * sizeof *state->chunks);
    if (!state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    state->inputs = node->input_count;
    state->chunk_count = chunks;
    state->parts = parallel_parts(build->device->threads, elements, LEAST);
    for (int k = 0; !rc && k < node->input_count; k++) {
        const struct shape *shape = &build_info(build, node->inputs[k])->shape;
        struct layout layout = layout_dense(TENSOR_F32, shape);
        state->count[k] = shape_elements(shape);
        rc = build_want(build, node->inputs[k], &layout, &places[k], err);
    }
    if (!rc)
        rc = build_output(build, node->outputs[0], &scalar, &places[node->input_count], err);
    if (rc) {
        free(state);
        return rc;
    }
    return build_c_step(build, "own", run_squares, state, places, node->input_count + 1, err);
}

/* ---- updates ---- */

static int add_update(struct build *build, const struct node *node, struct update *update,
                      struct error *err)
{
    struct cpu_place *places[PLACES_MAX];
    const struct shape *shape = &build_info(build, node->inputs[0])->shape;
    struct layout layout = layout_dense(TENSOR_F32, shape);
    int count = 1;
    if (node->output_count < update->state_count)
        return BUILD_DECLINED;
    for (int k = 0; k < update->state_count; k++)
        if (node->outputs[k] < 0)
            return BUILD_DECLINED;
    update->count = shape_elements(shape);
    update->parts = parallel_parts(build->device->threads, update->count, LEAST);
    int rc = build_want(build, node->inputs[update->fresh], &layout, &places[FRESH], err);
    for (int k = 0; !rc && k < update->state_count; k++) {
        int before = node->inputs[update->states[k]];
        rc = build_want(build, before, &layout, &places[count++], err);
        if (!rc)
            rc = build_renew(build, before, node->outputs[k], &layout, &places[count++], err);
    }
    for (int k = 0; !rc && k < update->number_count; k++) {
        int input = update->numbers[k];
        bool there = input < node->input_count && node->inputs[input] >= 0;
        update->numbers[k] = there ? count : -1;
        if (there)
            rc = build_want_dense(build, node->inputs[input], &places[count++], err);
    }
    if (rc)
        return rc;
    struct update *state = malloc(sizeof *state);
    if (!state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    *state = *update;
    return build_c_step(build, "own", run_update, state, places, count, err);
}

static int run_update(const struct cpu_step *step, struct error *err)
{
    (void)err;
    const struct update *update = step->state;
    parallel_run(update->parts, update_part, step);
    return 0;
}

static void update_part(const void *arg, int part, int parts)
{
    const struct cpu_step *step = arg;
    const struct update *update = step->state;
    int64_t first, end;
    parallel_share(update->count, CPU_ALIGNMENT_BYTES / sizeof(float), part, parts, &first, &end);
    if (first < end)
        update->work(step, first, end - first);
}

/* Where the state's successor lies. It holds what the state does, so that all work is in place and the
 * loops below have one pointer for both. */
static float *renewed(const struct cpu_step *step, int state, int64_t first, int64_t count)
{
    const float *before = step->places[BEFORE(state)]->data;
    float *after = step->places[AFTER(state)]->data;
    if (after != before)
        memcpy(after + first, before + first, (size_t)count * sizeof *after);
    return after + first;
}

static float number(const struct cpu_step *step, int index, float fallback)
{
    const struct update *update = step->state;
    int place = update->numbers[index];
    return place < 0 ? fallback : *(const float *)step->places[place]->data;
}

static void work_sgd(const struct cpu_step *step, int64_t first, int64_t count)
{
    const struct update *update = step->state;
    const float *restrict g = (const float *)step->places[FRESH]->data + first;
    float *restrict w = renewed(step, 0, first, count), *restrict v = renewed(step, 1, first, count);
    float rate = number(step, SGD_RATE, 0), scale = number(step, SGD_SCALE, 1);
    float momentum = (float)update->sgd.momentum, decay = (float)update->sgd.weight_decay;
    float ahead = update->sgd.nesterov ? momentum : 1, now = update->sgd.nesterov ? 1 : 0;
    for (int64_t i = 0; i < count; i++) {
        float slope = g[i] * scale + decay * w[i];
        v[i] = momentum * v[i] + slope;
        w[i] -= rate * (now * slope + ahead * v[i]);
    }
}

static void work_adam(const struct cpu_step *step, int64_t first, int64_t count)
{
    const struct update *update = step->state;
    const struct adam *adam = &update->adam;
    const float *restrict g = (const float *)step->places[FRESH]->data + first;
    float *restrict w = renewed(step, 0, first, count), *restrict m = renewed(step, 1, first, count);
    float *restrict v = renewed(step, 2, first, count);
    float scale = number(step, ADAM_SCALE, 1);
    struct adam_step now;
    adam_step(adam, (double)number(step, ADAM_STEP, 1), (double)number(step, ADAM_RATE, 0), &now);
    float keep = (float)now.keep, decay = (float)now.decay, rate = (float)now.rate;
    float root = (float)now.root, epsilon = (float)adam->epsilon;
    float beta1 = (float)adam->beta1, beta2 = (float)adam->beta2;
    float fresh1 = (float)(1 - adam->beta1), fresh2 = (float)(1 - adam->beta2);
    for (int64_t i = 0; i < count; i++) {
        float slope = g[i] * scale + decay * w[i];
        m[i] = beta1 * m[i] + fresh1 * slope;
        v[i] = beta2 * v[i] + fresh2 * slope * slope;
        w[i] = keep * w[i] - rate * m[i] / (sqrtf(v[i]) * root + epsilon);
    }
}

static void work_average(const struct cpu_step *step, int64_t first, int64_t count)
{
    const struct update *update = step->state;
    const float *restrict x = (const float *)step->places[FRESH]->data + first;
    float *restrict average = renewed(step, 0, first, count);
    float keep = update->decay, fresh = (float)(1 - (double)update->decay);
    for (int64_t i = 0; i < count; i++)
        average[i] = keep * average[i] + fresh * x[i];
}

/* ---- sums of squares ---- */

static int run_squares(const struct cpu_step *step, struct error *err)
{
    (void)err;
    const struct squares *squares = step->state;
    double sum = 0;
    parallel_run(squares->parts, squares_part, step);
    for (int64_t i = 0; i < squares->chunk_count; i++)
        sum += squares->chunks[i];
    *(float *)step->places[squares->inputs]->data = (float)sum;
    return 0;
}

static void squares_part(const void *arg, int part, int parts)
{
    const struct cpu_step *step = arg;
    struct squares *squares = step->state;
    int64_t first, end, before = 0;
    parallel_share(squares->chunk_count, 1, part, parts, &first, &end);
    for (int k = 0; k < squares->inputs; k++) {
        const float *x = step->places[k]->data;
        int64_t chunks = (squares->count[k] + CHUNK - 1) / CHUNK;
        for (int64_t i = first > before ? first - before : 0; i < chunks && before + i < end; i++) {
            int64_t left = squares->count[k] - i * CHUNK;
            squares->chunks[before + i] = sum_squares(x + i * CHUNK, left < CHUNK ? left : CHUNK);
        }
        before += chunks;
    }
}

/* Products of floats are exact in double; the lanes are what makes vectors of it. */
static double sum_squares(const float *x, int64_t count)
{
    enum { LANES = 8 };
    double lanes[LANES] = { 0 }, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int lane = 0; lane < LANES; lane++)
            lanes[lane] += (double)x[i + lane] * (double)x[i + lane];
    for (; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    for (int lane = 0; lane < LANES; lane++)
        sum += lanes[lane];
    return sum;
}
