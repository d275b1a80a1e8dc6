/* split: the last rung of kernels/lab/split.c, 16 numbers at a time by the processor's own conversion,
 * which rounds to nearest even and takes denormals for 0. Compiled for AVX-512 with bf16 (mk/build.mk);
 * where that is missing there is no device with bf16, and nothing to split. */
#include "cpu/split.h"

#ifdef __AVX512BF16__

#include "cpu/parallel.h"
#include <immintrin.h>
#include <math.h>

#define LANES 16
#define LEAST 16384          /* numbers for a thread */
#define LARGEST 0x1.fep+127f /* of bf16 */

struct split {
    const float *from;
    uint16_t *to;
    int64_t rows, length;
    enum split_order order;
};

static parallel_fn run_part;

void split_run(const float *from, int64_t rows, int64_t length, enum split_order order, int threads,
               uint16_t *to)
{
    struct split split = { from, to, rows, length, order };
    parallel_run(parallel_parts(threads, rows * length, LEAST), run_part, &split);
}

static inline void split_lanes(const float *from, __mmask16 mask, uint16_t *high, uint16_t *low,
                               uint16_t *again)
{
    __m512 x = _mm512_maskz_loadu_ps(mask, from);
    __mmask16 finite = _mm512_cmp_ps_mask(_mm512_abs_ps(x), _mm512_set1_ps(INFINITY), _CMP_LT_OQ);
    __m512 near = _mm512_mask_min_ps(x, finite, x, _mm512_set1_ps(LARGEST));
    near = _mm512_mask_max_ps(near, finite, near, _mm512_set1_ps(-LARGEST));
    __m256i first = (__m256i)_mm512_cvtneps_pbh(near);
    __m512 wide = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(first), 16));
    __m256i second = (__m256i)_mm512_maskz_cvtneps_pbh(finite, _mm512_sub_ps(x, wide));
    _mm256_mask_storeu_epi16(high, mask, first);
    _mm256_mask_storeu_epi16(low, mask, second);
    _mm256_mask_storeu_epi16(again, mask, _mm256_maskz_mov_epi16(finite, first));
}

static void run_part(const void *arg, int part, int parts)
{
    const struct split *split = arg;
    int64_t length = split->length, at, end;
    int64_t low = (split->order == SPLIT_HIGH_LOW_HIGH ? 1 : 2) * length;
    int64_t again = SPLIT_PARTS * length - low;
    parallel_share(split->rows * length, LANES, part, parts, &at, &end);
    int64_t inside = at % length;
    const float *from = split->from + at;
    uint16_t *to = split->to + SPLIT_PARTS * (at - inside) + inside;
    for (int64_t left = end - at; left > 0; inside = 0, to += 2 * length) {
        int64_t count = length - inside < left ? length - inside : left;
        left -= count;
        for (; count >= LANES; count -= LANES, from += LANES, to += LANES)
            split_lanes(from, 0xffff, to, to + low, to + again);
        if (count > 0)
            split_lanes(from, (__mmask16)((1u << count) - 1), to, to + low, to + again);
        from += count, to += count;
    }
}

#else

#include <stdlib.h>

void split_run(const float *from, int64_t rows, int64_t length, enum split_order order, int threads,
               uint16_t *to)
{
    (void)from, (void)rows, (void)length, (void)order, (void)threads, (void)to;
    abort();
}

#endif
