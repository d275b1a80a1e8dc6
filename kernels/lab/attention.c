/* attention: softmax(q k) v, all row-major.
 *
 *   plain          score by score, sums in doubles
 *   three steps    the product, the Softmax and the product over all of memory, in loops of floats
 *   a row          the three for one row after the other: its scores stay in the nearest cache, keys and
 *                  values come from the next one for each
 *   eight rows     by hand for AVX-512: the sums of eight rows in registers, so that each key and value that
 *                  is read is used eight times: production (cpu/attention.c)
 *
 * Xeon (Sapphire Rapids), two threads shared with much other work, 2026-11-22, twinlitenet's 3600 rows and
 * keys, 4 deep, 32 columns: oneDNN's three steps 27.6 ms in f32 and 32.8 in bf16, and 99 MB of memory;
 * production 11.1 ms and 0.2 MB. One thread, a quarter of the rows: three steps 226 ms, a row 309 (gcc -O2),
 * eight rows 8.8.
 */
#include "cpu/attention.h"
#include "cpu/lanes.h"
#include "lab.h"

struct attention_problem {
    struct lab_problem lab;
    struct attention shape;
    float *q, *k, *v, *to, *scores;
};

static void run_plain(const void *problem)
{
    const struct attention_problem *own = problem;
    const struct attention *shape = &own->shape;
    for (int64_t row = 0; row < shape->batch * shape->rows; row++) {
        int64_t image = row / shape->rows;
        const float *k = own->k + image * shape->depth * shape->keys;
        const float *v = own->v + image * shape->keys * shape->columns;
        double largest = -INFINITY, sum = 0;
        for (int64_t j = 0; j < shape->keys; j++) {
            double score = 0;
            for (int64_t d = 0; d < shape->depth; d++)
                score += (double)own->q[row * shape->depth + d] * k[d * shape->keys + j];
            own->scores[j] = (float)score;
            largest = score > largest ? score : largest;
        }
        for (int64_t j = 0; j < shape->keys; j++)
            sum += exp(own->scores[j] - largest);
        for (int64_t c = 0; c < shape->columns; c++) {
            double value = 0;
            for (int64_t j = 0; j < shape->keys; j++)
                value += exp(own->scores[j] - largest) / sum * v[j * shape->columns + c];
            own->to[row * shape->columns + c] = (float)value;
        }
    }
}

/* Rows [first, end) of one image, their scores one behind the other. */
static void scores_of(const struct attention_problem *own, int64_t first, int64_t end, float *scores)
{
    const struct attention *shape = &own->shape;
    const float *k = own->k + first / shape->rows * shape->depth * shape->keys;
    for (int64_t row = first; row < end; row++, scores += shape->keys) {
        lanes_fill(0, scores, shape->keys);
        for (int64_t d = 0; d < shape->depth; d++) {
            float factor = own->q[row * shape->depth + d];
            for (int64_t j = 0; j < shape->keys; j++)
                scores[j] += factor * k[d * shape->keys + j];
        }
    }
}

static void softmax_of(const struct attention *shape, int64_t rows, float *scores)
{
    for (; rows-- > 0; scores += shape->keys) {
        float largest = scores[0], sum = 0;
        for (int64_t j = 1; j < shape->keys; j++)
            largest = scores[j] > largest ? scores[j] : largest;
        for (int64_t j = 0; j < shape->keys; j++)
            scores[j] -= largest;
        lanes_find(POINTWISE_EXP)(scores, NULL, NULL, scores, shape->keys, 0, 0);
        for (int64_t j = 0; j < shape->keys; j++)
            sum += scores[j];
        for (int64_t j = 0; j < shape->keys; j++)
            scores[j] /= sum;
    }
}

static void values_of(const struct attention_problem *own, int64_t first, int64_t end,
                      const float *scores)
{
    const struct attention *shape = &own->shape;
    const float *v = own->v + first / shape->rows * shape->keys * shape->columns;
    for (int64_t row = first; row < end; row++, scores += shape->keys) {
        float *to = own->to + row * shape->columns;
        lanes_fill(0, to, shape->columns);
        for (int64_t j = 0; j < shape->keys; j++)
            for (int64_t c = 0; c < shape->columns; c++)
                to[c] += scores[j] * v[j * shape->columns + c];
    }
}

static void run_rows(const struct attention_problem *own, int64_t rows)
{
    for (int64_t at = 0; at < own->shape.batch * own->shape.rows; at += rows) {
        scores_of(own, at, at + rows, own->scores);
        softmax_of(&own->shape, rows, own->scores);
        values_of(own, at, at + rows, own->scores);
    }
}

static void run_three_steps(const void *problem)
{
    const struct attention_problem *own = problem;
    run_rows(own, own->shape.rows);
}

static void run_a_row(const void *problem)
{
    run_rows(problem, 1);
}

static void run_production(const void *problem)
{
    const struct attention_problem *own = problem;
    attention_run(&own->shape, own->q, own->k, own->v, own->scores, 0, 1, own->to);
}

static const struct lab_step steps[] = {
    { "plain", run_plain, LAB_ANY, 0 },
    { "three steps", run_three_steps, LAB_ANY, 4e-6 },
    { "a row", run_a_row, LAB_ANY, 4e-6 },
    { "eight rows (production)", run_production, LAB_AVX512, 4e-6 },
};

static float *take_floats(struct random_state *random, int64_t count)
{
    float *data = lab_take((size_t)count * sizeof *data, 0);
    lab_fill_floats(random, data, (size_t)count);
    return data;
}

static void open_problem(struct attention_problem *own, const struct attention *shape)
{
    struct random_state random;
    int64_t rows = shape->batch * shape->rows, keys = shape->batch * shape->keys;
    *own = (struct attention_problem){ .shape = *shape };
    random_seed(&random, (uint64_t)rows);
    own->lab.floats = true;
    own->lab.elements = (uint64_t)(rows * shape->keys);
    own->lab.output_bytes = (size_t)(rows * shape->columns) * sizeof(float);
    own->lab.output = lab_take(own->lab.output_bytes, 0);
    own->to = (float *)(void *)own->lab.output;
    own->q = take_floats(&random, rows * shape->depth);
    own->k = take_floats(&random, keys * shape->depth);
    own->v = take_floats(&random, keys * shape->columns);
    int64_t scores = shape->rows < ATTENTION_ROWS ? ATTENTION_ROWS : shape->rows;
    own->scores = take_floats(&random, scores * shape->keys);
    own->lab.moved_bytes =
        (uint64_t)((rows + keys) * (shape->depth + shape->columns)) * sizeof(float);
    snprintf(own->lab.name, sizeof own->lab.name, "%lld times %lldx%lld, %lld deep, %lld columns",
             (long long)shape->batch, (long long)shape->rows, (long long)shape->keys,
             (long long)shape->depth, (long long)shape->columns);
}

static void close_problem(struct attention_problem *own)
{
    float *taken[] = { own->q, own->k, own->v, own->scores };
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        lab_give(taken[i]);
    lab_give(own->lab.output);
}

int main(int argc, char **argv)
{
    struct lab lab = lab_begin("attention", steps, sizeof steps / sizeof *steps, argc, argv);
    struct attention_problem own;
    static const struct attention odd[] = {
        { 1, 1, 16, 1, 16 }, { 2, 9, 48, 3, 32 }, { 3, 16, 32, 5, 48 }, { 1, 23, 112, 33, 80 }
    };
    static const struct attention real[] = { { 1, 900, 3600, 4, 32 } }; /* a quarter of twinlitenet's */
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        open_problem(&own, &odd[i]);
        lab_check(&lab, &own.lab);
        close_problem(&own);
    }
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        open_problem(&own, &real[i]);
        lab_check(&lab, &own.lab);
        lab_time(&lab, &own.lab);
        close_problem(&own);
    }
    return lab_end(&lab);
}
