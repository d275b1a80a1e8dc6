/* quantise: f32 to bytes, a step of a scale each, to the nearest, halves to even, within limits: at the begin of every
 * model of 8 bits, and behind each of its ops that stays f32.
 *
 *   plain       divided, rounded by the C library, limited: a call for each number
 *   rounder     limited first, then 1.5 * 2^23 added and taken off, which rounds
 *   production  the same loop, compiled for AVX-512, AVX2 and any x86-64 (cpu/bytes.c)
 *   avx512      16 at a time, by hand: converted with rounding, narrowed to bytes in one instruction
 *
 * Xeon (Sapphire Rapids class, virtual), one core, gcc 12 -O2, 2026-11-23:
 *
 *               3x224x224                             96x112x112
 *   plain       1562 us   0.5 GB/s    1 % of a copy   9149 us   0.7 GB/s    2 %
 *   rounder      359 us   2.1 GB/s    3 %             2544 us   2.4 GB/s    9 %
 *   production    38 us  19.6 GB/s   27 %              319 us  18.9 GB/s   71 %
 *   avx512        46 us  16.3 GB/s   23 %              316 us  19.1 GB/s   72 %
 *
 * By hand nothing is gained.
 */
#include "cpu/bytes.h"
#include "lab.h"

/* More numbers are as in a model: without the smallest, which take a division 100 times as long. */
#define ODD_MAX 200u

struct quantise_problem {
    struct lab_problem lab;
    float *from;
    float scale;
    struct bytes_end end;
};

static void run_plain(const void *problem)
{
    const struct quantise_problem *own = problem;
    for (uint64_t i = 0; i < own->lab.elements; i++) {
        float steps = nearbyintf(own->from[i] / own->scale);
        steps = isnan(steps) ? 0 : fminf(fmaxf(steps, own->end.low), own->end.high);
        own->lab.output[i] = (uint8_t)((int32_t)(steps + own->end.zero) ^ own->end.flip);
    }
}

static void run_rounder(const void *problem)
{
    const struct quantise_problem *own = problem;
    const struct bytes_end end = own->end;
    const float scale = own->scale, rounder = 12582912.0f;
    const float *from = own->from;
    uint8_t *to = own->lab.output;
    for (uint64_t i = 0, count = own->lab.elements; i < count; i++) {
        float steps = from[i] / scale;
        steps = steps == steps ? steps : 0;
        steps = steps > end.low ? steps : end.low;
        steps = steps < end.high ? steps : end.high;
        to[i] = (uint8_t)((int32_t)((steps + rounder) - rounder + end.zero) ^ end.flip);
    }
}

static void run_production(const void *problem)
{
    const struct quantise_problem *own = problem;
    bytes_quantise(own->from, own->lab.output, (int64_t)own->lab.elements, own->scale, &own->end);
}

#if LAB_X86

#define AVX512 __attribute__((target("avx512f,avx512bw")))

/* Of up to 16, as whole numbers. */
AVX512 static inline __m512i quantise_lanes(const struct quantise_problem *own, __m512 numbers)
{
    __m512 steps = _mm512_div_ps(numbers, _mm512_set1_ps(own->scale));
    steps = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(steps, steps, _CMP_ORD_Q), steps);
    steps = _mm512_max_ps(steps, _mm512_set1_ps(own->end.low));
    steps = _mm512_min_ps(steps, _mm512_set1_ps(own->end.high));
    __m512i whole =
        _mm512_add_epi32(_mm512_cvtps_epi32(steps), _mm512_set1_epi32((int32_t)own->end.zero));
    return _mm512_xor_si512(whole, _mm512_set1_epi32(own->end.flip));
}

AVX512 static void run_avx512(const void *problem)
{
    const struct quantise_problem *own = problem;
    const uint64_t count = own->lab.elements;
    uint64_t i = 0;
    for (; i + 16 <= count; i += 16) {
        __m512i whole = quantise_lanes(own, _mm512_loadu_ps(own->from + i));
        _mm_storeu_si128((__m128i *)(void *)(own->lab.output + i), _mm512_cvtepi32_epi8(whole));
    }
    if (i < count) {
        const __mmask16 left = (__mmask16)((1u << (count - i)) - 1);
        __m512i whole = quantise_lanes(own, _mm512_maskz_loadu_ps(left, own->from + i));
        _mm512_mask_cvtepi32_storeu_epi8(own->lab.output + i, left, whole);
    }
    _mm256_zeroupper();
}

#endif

static void make_problem(struct quantise_problem *problem, struct random_state *random,
                         size_t count, size_t offset, bool is_signed)
{
    const float zero = is_signed ? 117 : 3;
    *problem = (struct quantise_problem){
        .lab = { .output = lab_take(count, offset),
                 .output_bytes = count,
                 .elements = count,
                 .moved_bytes = count * (sizeof(float) + 1) },
        .from = lab_take(count * sizeof(float), 4 * (offset % 16)),
        .scale = 0.0078125f,
        .end = { .low = -zero, .high = 255 - zero, .zero = zero, .flip = is_signed ? 0x80 : 0 },
    };
    snprintf(problem->lab.name, sizeof problem->lab.name, "%zu numbers to %s8", count,
             is_signed ? "i" : "u");
    for (size_t i = 0; i < count; i++)
        problem->from[i] = (float)(4 * random_next_unit(random) - 2);
    for (size_t i = 0; i < count; i += 7) /* halves between two steps */
        problem->from[i] = ((float)(i % 300) - 150.5f) * problem->scale;
    static const float odd[] = { NAN, INFINITY, -INFINITY, -0.0f, 1e30f, -1e30f, 1e-40f };
    for (size_t i = 3; i < count && count <= ODD_MAX; i += 11)
        problem->from[i] = odd[i % (sizeof odd / sizeof *odd)];
}

static void free_problem(struct quantise_problem *problem)
{
    lab_give(problem->from);
    lab_give(problem->lab.output);
}

int main(int argc, char **argv)
{
    static const struct lab_step steps[] = {
        { "plain", run_plain, LAB_ANY, 0 },
        { "rounder", run_rounder, LAB_ANY, 0 },
        { "production", run_production, LAB_ANY, 0 },
#if LAB_X86
        { "avx512", run_avx512, LAB_AVX512, 0 },
#endif
    };
    static const size_t real[] = { (size_t)3 * 224 * 224, (size_t)96 * 112 * 112 };
    struct lab lab = lab_begin("quantise", steps, sizeof steps / sizeof *steps, argc, argv);
    struct random_state random;
    struct quantise_problem problem;
    random_seed(&random, 8);
    for (size_t count = 1; count <= ODD_MAX; count += 1 + count / 9) {
        make_problem(&problem, &random, count, count % 13, count % 2);
        lab_check(&lab, &problem.lab);
        free_problem(&problem);
    }
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        make_problem(&problem, &random, real[i], 0, false);
        lab_check(&lab, &problem.lab);
        lab_time(&lab, &problem.lab);
        free_problem(&problem);
    }
    return lab_end(&lab);
}
