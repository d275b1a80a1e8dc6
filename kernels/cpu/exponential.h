/* exponential: exp in vectors of AVX-512, right to about two units in the last place, for functions that are
 * called only where the processor has that. Included where x86-64 is known. */
#ifndef RUNESPOOR_CPU_EXPONENTIAL_H
#define RUNESPOOR_CPU_EXPONENTIAL_H

#include <immintrin.h>

#define WIDE __attribute__((target("avx512f")))
#define WIDE_INLINE static inline WIDE __attribute__((always_inline))

/* exp(-x) = 2^n 2^r with |r| <= 1/2: the first by an instruction, the second by its series, of which what is
 * left out is below 2e-8. The factor is in two parts, so that r is right where n is large. A NaN stays one. */
WIDE_INLINE __m512 exponential_of_minus(__m512 x)
{
    const __m512 high = _mm512_set1_ps(-1.44269502f), low = _mm512_set1_ps(-1.92596303e-8f);
    x = _mm512_max_ps(_mm512_set1_ps(-87), _mm512_min_ps(_mm512_set1_ps(87), x));
    __m512 n =
        _mm512_roundscale_ps(_mm512_mul_ps(x, high), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fmadd_ps(x, low, _mm512_fmsub_ps(x, high, n));
    __m512 sum = _mm512_set1_ps(1.5403530e-4f);
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.3333558e-3f));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(9.6181291e-3f));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(5.5504109e-2f));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(2.4022651e-1f));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(6.9314718e-1f));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1));
    return _mm512_scalef_ps(sum, n);
}

#endif
