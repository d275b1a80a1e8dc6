/* cuda_optimise: a step of Adam over all arrays of a network: weights in turn with biases, which are small.
 *
 *   each    a launch for each array, an element a thread: what a small one costs is its launch
 *   table   one launch for OPTIMISE_PARTS_MAX arrays, which a table in its arguments lists: production
 *
 * What the result is for lies behind each other: weights, then m, then v. */
#include "cuda/optimise.h"
#include "lab/cuda_lab.h"
#include "lab/cuda_plain.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STATES OPTIMISE_STATES_MAX
#define STEP 3.0f
#define RATE 0.01f

enum { GRADIENTS, STATE, NUMBERS = STATE + STATES }; /* inputs; numbers: step and rate */

struct shape_of {
    int32_t parts; /* every second one is a bias */
    int64_t weight_count, bias_count;
};

static void prepare(const struct cuda_problem *problem, void *stream);
static void run_each(const struct cuda_problem *problem, void *stream);
static void run_table(const struct cuda_problem *problem, void *stream);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);
static void expect(const struct shape_of *s, struct cuda_content *content);

static const struct cuda_lab_step steps[] = {
    { "each", run_each, 1e-5, NULL },
    { "table", run_table, 1e-5, NULL },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("1 array of 1", 1, 1, 0),
    CUDA_PROBLEM("5 arrays of 2049 and 3", 5, 2049, 3),
    CUDA_PROBLEM("401 arrays of 37 and 5", 401, 37, 5),
    CUDA_REAL_PROBLEM("120 arrays of 36864 and 64", 120, 36864, 64),
    CUDA_REAL_PROBLEM("400 arrays of 147456 and 128", 400, 147456, 128),
};

const struct cuda_ladder cuda_optimise_ladder = {
    "optimise", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems,
    fill,
};

static const struct adam adam = {
    .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.02, .decoupled = true
};

static int64_t part_count(const struct shape_of *s, int32_t part)
{
    return part % 2 == 0 ? s->weight_count : s->bias_count;
}

static int64_t total_count(const struct shape_of *s)
{
    return (s->parts + 1) / 2 * s->weight_count + s->parts / 2 * s->bias_count;
}

static void prepare(const struct cuda_problem *problem, void *stream)
{
    const float *numbers = problem->in[NUMBERS];
    struct adam_prepare now = { adam, numbers, numbers + 1, problem->scratch };
    adam_prepare_each(&now, 1, stream);
}

static void run_each(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    int64_t first = 0, total = total_count(s);
    prepare(problem, stream);
    for (int32_t i = 0; i < s->parts; i++) {
        struct plain_adam one = { .gradient = (const float *)problem->in[GRADIENTS] + first,
                                  .now = problem->scratch,
                                  .beta1 = (float)adam.beta1,
                                  .beta2 = (float)adam.beta2,
                                  .epsilon = (float)adam.epsilon };
        for (int k = 0; k < STATES; k++) {
            one.before[k] = (const float *)problem->in[STATE + k] + first;
            one.after[k] = (float *)problem->out + k * total + first;
        }
        plain_adam_each(&one, part_count(s, i), stream);
        first += part_count(s, i);
    }
}

/* One of the table; `first` is where it lies among all elements. */
static struct optimise_part describe_part(const struct cuda_problem *problem, int64_t count,
                                          int64_t first, int64_t first_block)
{
    struct optimise_part part = {
        .fresh = { .data = (float *)problem->in[GRADIENTS] + first,
                   .type = TENSOR_F32,
                   .rank = 1,
                   .dim = { (int32_t)count },
                   .step = { 1 } },
        .count = count,
        .first_block = first_block,
    };
    for (int k = 0; k < STATES; k++) {
        part.before[k] = (float *)problem->in[STATE + k] + first;
        part.after[k] = (float *)problem->out + k * total_count(problem->shape) + first;
    }
    return part;
}

static void run_table(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    struct optimise optimise = { .kind = OPTIMISE_ADAM,
                                 .beta1 = (float)adam.beta1,
                                 .beta2 = (float)adam.beta2,
                                 .fresh1 = (float)(1 - adam.beta1),
                                 .fresh2 = (float)(1 - adam.beta2),
                                 .epsilon = (float)adam.epsilon,
                                 .now = problem->scratch };
    struct optimise_parts *table = &optimise.parts;
    int64_t first = 0, blocks = 0;
    prepare(problem, stream);
    for (int32_t i = 0; i < s->parts; i++) {
        int64_t count = part_count(s, i);
        table->part[table->count++] = describe_part(problem, count, first, blocks);
        first += count;
        blocks += (count + OPTIMISE_CHUNK - 1) / OPTIMISE_CHUNK;
        if (table->count == OPTIMISE_PARTS_MAX || i == s->parts - 1) {
            optimise_all(&optimise, blocks, stream);
            table->count = 0;
            blocks = 0;
        }
    }
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    static const float numbers[] = { STEP, RATE };
    const struct shape_of *s = problem->shape;
    int64_t total = total_count(s);
    for (int k = GRADIENTS; k < NUMBERS; k++) {
        bool is_square = k == NUMBERS - 1; /* v is a mean of squares */
        content->in[k] = cuda_lab_numbers_in(random, TENSOR_F32, total, is_square ? 0 : -1, 1);
        content->in_bytes[k] = cuda_lab_bytes(TENSOR_F32, total);
    }
    content->in[NUMBERS] = malloc(sizeof numbers);
    assert(content->in[NUMBERS]);
    memcpy(content->in[NUMBERS], numbers, sizeof numbers);
    content->in_bytes[NUMBERS] = sizeof numbers;
    content->out_type = TENSOR_F32;
    content->out_count = STATES * total;
    content->moved_bytes = (1 + 2 * STATES) * cuda_lab_bytes(TENSOR_F32, total);
    content->scratch_bytes = sizeof(struct optimise_now);
    if (check)
        expect(s, content);
}

/* By the formulas of D. Kingma and J. Ba, "Adam" (arXiv:1412.6980), with I. Loshchilov's and F. Hutter's
 * decay apart from the slope (arXiv:1711.05101). */
static void expect(const struct shape_of *s, struct cuda_content *content)
{
    int64_t total = total_count(s);
    const float *const *in = (const float *const *)content->in;
    content->expected = malloc((size_t)content->out_count * sizeof *content->expected);
    assert(content->expected);
    for (int64_t i = 0; i < total; i++) {
        double g = (double)in[GRADIENTS][i], w = (double)in[STATE][i];
        double m = adam.beta1 * (double)in[STATE + 1][i] + (1 - adam.beta1) * g;
        double v = adam.beta2 * (double)in[STATE + 2][i] + (1 - adam.beta2) * g * g;
        double m_now = m / (1 - pow(adam.beta1, (double)STEP));
        double v_now = v / (1 - pow(adam.beta2, (double)STEP));
        w -= (double)RATE * (adam.weight_decay * w + m_now / (sqrt(v_now) + adam.epsilon));
        content->expected[i] = (float)w;
        content->expected[total + i] = (float)m;
        content->expected[2 * total + i] = (float)v;
    }
}
