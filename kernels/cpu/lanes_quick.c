/* lanes_quick: exponentials by AVX-512's own instructions for powers of two and reciprocals, with fused
 * multiplications and additions. */
#include "cpu/lanes_quick.h"
#include <stddef.h>

#if defined(__x86_64__)
#include "cpu/exponential.h"

#define NARROW __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define LANES 16

WIDE_INLINE __m512 widen(__m256i bits)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

/* 1 / (1 + exp(-x)): the instruction's 14 bits, and one step of Newton's that doubles them. */
WIDE_INLINE __m512 sigmoid(__m512 x)
{
    __m512 d = _mm512_add_ps(_mm512_set1_ps(1), exponential_of_minus(x));
    __m512 y = _mm512_rcp14_ps(d);
    return _mm512_fmadd_ps(y, _mm512_fnmadd_ps(d, y, _mm512_set1_ps(1)), y);
}

#define QUICK(name, value)                                                                    \
    WIDE static void run_##name(const float *xs, const float *ys, const float *zs, float *to, \
                                int64_t count, float a, float b)                              \
    {                                                                                         \
        int64_t i = 0;                                                                        \
        (void)ys, (void)zs, (void)a, (void)b;                                                 \
        for (; i + LANES <= count; i += LANES) {                                              \
            const __m512 x = _mm512_loadu_ps(xs + i);                                         \
            _mm512_storeu_ps(to + i, (value));                                                \
        }                                                                                     \
        if (i < count) {                                                                      \
            const __mmask16 left = (__mmask16)((1u << (count - i)) - 1);                      \
            const __m512 x = _mm512_maskz_loadu_ps(left, xs + i);                             \
            _mm512_mask_storeu_ps(to + i, left, (value));                                     \
        }                                                                                     \
    }                                                                                         \
    NARROW static void run_##name##_bf16(const uint16_t *xs, uint16_t *to, int64_t count)     \
    {                                                                                         \
        int64_t i = 0;                                                                        \
        for (; i + LANES <= count; i += LANES) {                                              \
            const __m512 x = widen(_mm256_loadu_si256((const __m256i *)(xs + i)));            \
            _mm256_storeu_si256((__m256i *)(to + i), (__m256i)_mm512_cvtneps_pbh(value));     \
        }                                                                                     \
        if (i < count) {                                                                      \
            const __mmask16 left = (__mmask16)((1u << (count - i)) - 1);                      \
            const __m512 x = widen(_mm256_maskz_loadu_epi16(left, xs + i));                   \
            _mm256_mask_storeu_epi16(to + i, left, (__m256i)_mm512_cvtneps_pbh(value));       \
        }                                                                                     \
    }

QUICK(swish, _mm512_mul_ps(x, sigmoid(x)))
QUICK(sigmoid, sigmoid(x))

lanes_bf16_fn *lanes_find_bf16(enum pointwise_kind kind)
{
    if (!__builtin_cpu_supports("avx512bf16"))
        return NULL;
    return kind == POINTWISE_SWISH     ? run_swish_bf16
           : kind == POINTWISE_SIGMOID ? run_sigmoid_bf16
                                       : NULL;
}

lanes_fn *lanes_find_quick(enum pointwise_kind kind)
{
    if (!__builtin_cpu_supports("avx512f"))
        return lanes_find(kind);
    return kind == POINTWISE_SWISH     ? run_swish
           : kind == POINTWISE_SIGMOID ? run_sigmoid
                                       : lanes_find(kind);
}
#else
lanes_bf16_fn *lanes_find_bf16(enum pointwise_kind kind)
{
    (void)kind;
    return NULL;
}

lanes_fn *lanes_find_quick(enum pointwise_kind kind)
{
    return lanes_find(kind);
}
#endif
