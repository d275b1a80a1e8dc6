/* attention: a block of rows after the other: its scores, their exponentials, and the sum of the values that
 * they weigh, in registers for all rows of the block at once. */
#include "cpu/attention.h"
#include "cpu/parallel.h"
#include <assert.h>

#if defined(__x86_64__)
#include "cpu/exponential.h"

#define ROWS ATTENTION_ROWS
#define LANES ATTENTION_LANES

WIDE static void make_scores(const struct attention *shape, const float *q, const float *k,
                             int64_t rows, float *scores);
WIDE static float make_weights(float *scores, int64_t keys);
WIDE static void sum_values(const struct attention *shape, const float *weights, const float *v,
                            const float *factors, int64_t rows, int64_t first, int vectors,
                            float *to);

bool attention_suits(const struct attention *shape)
{
    return __builtin_cpu_supports("avx512f") && shape->keys % LANES == 0 &&
           shape->columns % LANES == 0;
}

void attention_run(const struct attention *shape, const float *q, const float *k, const float *v,
                   float *scores, int part, int parts, float *to)
{
    int64_t blocks = (shape->rows + ROWS - 1) / ROWS, at, end;
    parallel_share(shape->batch * blocks, 1, part, parts, &at, &end);
    for (; at < end; at++) {
        int64_t image = at / blocks, row = at % blocks * ROWS;
        int64_t rows = shape->rows - row < ROWS ? shape->rows - row : ROWS;
        const float *values = v + image * shape->keys * shape->columns;
        float *result = to + (image * shape->rows + row) * shape->columns, factors[ROWS];
        make_scores(shape, q + (image * shape->rows + row) * shape->depth,
                    k + image * shape->depth * shape->keys, rows, scores);
        for (int64_t r = 0; r < rows; r++)
            factors[r] = 1 / make_weights(scores + r * shape->keys, shape->keys);
        for (int64_t c = 0; c < shape->columns; c += 2 * LANES)
            sum_values(shape, scores, values, factors, rows, c, shape->columns - c > LANES ? 2 : 1,
                       result);
    }
}

/* A row behind the last is a copy of the last, so that there are always as many. */
WIDE static void make_scores(const struct attention *shape, const float *q, const float *k,
                             int64_t rows, float *scores)
{
    const float *row[ROWS];
    for (int r = 0; r < ROWS; r++)
        row[r] = q + (r < rows ? r : rows - 1) * shape->depth;
    for (int64_t j = 0; j < shape->keys; j += LANES) {
        __m512 sum[ROWS];
        for (int r = 0; r < ROWS; r++)
            sum[r] = _mm512_setzero_ps();
        for (int64_t d = 0; d < shape->depth; d++) {
            const __m512 keys = _mm512_loadu_ps(k + d * shape->keys + j);
            for (int r = 0; r < ROWS; r++)
                sum[r] = _mm512_fmadd_ps(_mm512_set1_ps(row[r][d]), keys, sum[r]);
        }
        for (int r = 0; r < ROWS; r++)
            _mm512_storeu_ps(scores + r * shape->keys + j, sum[r]);
    }
}

/* exp(score - the largest) in their place; what they add up to. */
WIDE static float make_weights(float *scores, int64_t keys)
{
    __m512 largest = _mm512_loadu_ps(scores), sum = _mm512_setzero_ps();
    for (int64_t j = LANES; j < keys; j += LANES)
        largest = _mm512_max_ps(largest, _mm512_loadu_ps(scores + j));
    largest = _mm512_set1_ps(_mm512_reduce_max_ps(largest));
    for (int64_t j = 0; j < keys; j += LANES) {
        const __m512 below = _mm512_sub_ps(largest, _mm512_loadu_ps(scores + j));
        const __m512 weight = exponential_of_minus(below);
        sum = _mm512_add_ps(sum, weight);
        _mm512_storeu_ps(scores + j, weight);
    }
    return _mm512_reduce_add_ps(sum);
}

/* Columns from `first` on, as many vectors of them as said: 1 or 2. */
WIDE static void sum_values(const struct attention *shape, const float *weights, const float *v,
                            const float *factors, int64_t rows, int64_t first, int vectors, float *to)
{
    __m512 left[ROWS], right[ROWS];
    const int64_t second = vectors > 1 ? LANES : 0;
    for (int r = 0; r < ROWS; r++)
        left[r] = right[r] = _mm512_setzero_ps();
    for (int64_t j = 0; j < shape->keys; j++) {
        const __m512 a = _mm512_loadu_ps(v + j * shape->columns + first);
        const __m512 b = _mm512_loadu_ps(v + j * shape->columns + first + second);
        for (int r = 0; r < ROWS; r++) {
            const __m512 weight = _mm512_set1_ps(weights[r * shape->keys + j]);
            left[r] = _mm512_fmadd_ps(weight, a, left[r]);
            right[r] = _mm512_fmadd_ps(weight, b, right[r]);
        }
    }
    for (int r = 0; r < rows; r++) {
        const __m512 factor = _mm512_set1_ps(factors[r]);
        float *row = to + r * shape->columns + first;
        _mm512_storeu_ps(row + second, _mm512_mul_ps(right[r], factor));
        _mm512_storeu_ps(row, _mm512_mul_ps(left[r], factor));
    }
}
#else
bool attention_suits(const struct attention *shape)
{
    (void)shape;
    return false;
}

void attention_run(const struct attention *shape, const float *q, const float *k, const float *v,
                   float *scores, int part, int parts, float *to)
{
    (void)shape, (void)q, (void)k, (void)v, (void)scores, (void)part, (void)parts, (void)to;
    assert(!"nothing suits");
}
#endif
