/* lanes_quick: exponentials by AVX-512's own instructions for powers of two and reciprocals, with fused
 * multiplications and additions. */
#include "cpu/lanes_quick.h"
#include <stddef.h>

#if defined(__x86_64__)
#include "cpu/exponential.h"

#define NARROW __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define NARROW_INLINE static inline NARROW __attribute__((always_inline))
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

WIDE_INLINE __m512 load(const float *from)
{
    return _mm512_loadu_ps(from);
}

WIDE_INLINE __m512 load_left(const float *from, __mmask16 left)
{
    return _mm512_maskz_loadu_ps(left, from);
}

NARROW_INLINE __m512 load_bf16(const uint16_t *from)
{
    return widen(_mm256_loadu_si256((const __m256i *)from));
}

NARROW_INLINE __m512 load_bf16_left(const uint16_t *from, __mmask16 left)
{
    return widen(_mm256_maskz_loadu_epi16(left, from));
}

WIDE_INLINE __mmask16 lanes_left(int64_t count)
{
    return (__mmask16)((1u << count) - 1);
}

#define QUICK(name, value)                                                                    \
    WIDE static void run_##name(const float *xs, const float *ys, const float *zs, float *to, \
                                int64_t count, float a, float b)                              \
    {                                                                                         \
        int64_t i = 0;                                                                        \
        (void)ys, (void)zs, (void)a, (void)b;                                                 \
        for (; i + LANES <= count; i += LANES) {                                              \
            const __m512 x = load(xs + i);                                                    \
            _mm512_storeu_ps(to + i, (value));                                                \
        }                                                                                     \
        if (i < count) {                                                                      \
            const __mmask16 left = lanes_left(count - i);                                     \
            const __m512 x = load_left(xs + i, left);                                         \
            _mm512_mask_storeu_ps(to + i, left, (value));                                     \
        }                                                                                     \
    }                                                                                         \
    QUICK_NARROW(name##_f32, float, load, load_left, value)                                   \
    QUICK_NARROW(name##_bf16, uint16_t, load_bf16, load_bf16_left, value)

#define QUICK_NARROW(name, type, load, load_left, value)                                  \
    NARROW static void narrow_##name(const void *from, uint16_t *to, int64_t count)       \
    {                                                                                     \
        const type *xs = from;                                                            \
        int64_t i = 0;                                                                    \
        for (; i + LANES <= count; i += LANES) {                                          \
            const __m512 x = load(xs + i);                                                \
            _mm256_storeu_si256((__m256i *)(to + i), (__m256i)_mm512_cvtneps_pbh(value)); \
        }                                                                                 \
        if (i < count) {                                                                  \
            const __mmask16 left = lanes_left(count - i);                                 \
            const __m512 x = load_left(xs + i, left);                                     \
            _mm256_mask_storeu_epi16(to + i, left, (__m256i)_mm512_cvtneps_pbh(value));   \
        }                                                                                 \
    }

QUICK(swish, _mm512_mul_ps(x, sigmoid(x)))
QUICK(sigmoid, sigmoid(x))

lanes_narrow_fn *lanes_find_narrow(enum pointwise_kind kind, bool from_bf16)
{
    if (!__builtin_cpu_supports("avx512bf16"))
        return NULL;
    if (kind == POINTWISE_SWISH)
        return from_bf16 ? narrow_swish_bf16 : narrow_swish_f32;
    if (kind == POINTWISE_SIGMOID)
        return from_bf16 ? narrow_sigmoid_bf16 : narrow_sigmoid_f32;
    return NULL;
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
lanes_narrow_fn *lanes_find_narrow(enum pointwise_kind kind, bool from_bf16)
{
    (void)kind, (void)from_bf16;
    return NULL;
}

lanes_fn *lanes_find_quick(enum pointwise_kind kind)
{
    return lanes_find(kind);
}
#endif
