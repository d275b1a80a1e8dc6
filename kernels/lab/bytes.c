/* bytes: a camera's pixels become a network's numbers, to = from * factor + offset, plane by plane;
 * the last thing that prepare does before each frame of every model. Rows as prepare has them: the
 * source padded to 64 bytes, the tensor dense.
 *
 *   plain      one loop, of a length that the compiler does not know: one pixel at a time at -O2
 *   table      256 products made before: a load for each pixel, no arithmetic
 *   blocks     a constant 16 inside, which any compiler makes into vectors: production
 *              (pixels_to_floats)
 *   avx2       the same source with 32 inside, compiled for AVX2
 *   avx2 fma   the same with multiply-add in one, which rounds once: other numbers than elsewhere
 *   avx512     16 pixels in an instruction, by hand
 *   streaming  avx512 with stores that go around the caches: the network reads the tensor at once,
 *              so it should be in them
 *
 * AMD EPYC (Zen 4, family 25 model 17), one core, gcc 12 -O2, 2026-11-21; three planes of 512x384:
 *
 *   plain       326 us   9.0 GB/s   10 % of a copy of as many bytes
 *   table       183 us  16.1 GB/s   17 %
 *   blocks       69 us  42.5 GB/s   45 %
 *   avx2         41 us  71.9 GB/s   76 %
 *   avx2 fma     35 us  85.1 GB/s   90 %   error 2.4e-7
 *   avx512       32 us  93.2 GB/s   99 %
 *   streaming    83 us  35.5 GB/s   38 %
 *
 * Production stays with the portable loop: with avx2 in its place `model bench models/street_det`
 * says the same 0.4 of prepare_ms, most of which is the scaler's. The same blocks as a static function
 * of prepare.c were inlined there, which made restrict void and the loop scalar: 0.6.
 */
#include "lab.h"
#include "pixels.h"

#define BLOCK 32u
#define ROUNDING \
    4.8e-7 /* of a product below 8 (half a last place), which may carry to the sum's last */

struct bytes_problem {
    struct lab_problem lab;
    const uint8_t *from;
    float *to;
    size_t rows, width, stride;
    float factor, offset;
};

typedef void row_fn(const uint8_t *restrict from, float *restrict to, size_t count, float factor,
                    float offset);

static inline void run_rows(const void *problem, row_fn *row)
{
    const struct bytes_problem *own = problem;
    for (size_t y = 0; y < own->rows; y++)
        row(own->from + y * own->stride, own->to + y * own->width, own->width, own->factor,
            own->offset);
}

static void row_plain(const uint8_t *restrict from, float *restrict to, size_t count, float factor,
                      float offset)
{
    for (size_t i = 0; i < count; i++)
        to[i] = from[i] * factor + offset;
}

static void run_plain(const void *problem)
{
    run_rows(problem, row_plain);
}

static void run_table(const void *problem)
{
    const struct bytes_problem *own = problem;
    float table[UINT8_MAX + 1];
    for (unsigned i = 0; i <= UINT8_MAX; i++)
        table[i] = (float)i * own->factor + own->offset;
    for (size_t y = 0; y < own->rows; y++)
        for (size_t x = 0; x < own->width; x++)
            own->to[y * own->width + x] = table[own->from[y * own->stride + x]];
}

static void run_production(const void *problem)
{
    run_rows(problem, pixels_to_floats);
}

#if LAB_X86

static inline __attribute__((always_inline)) void row_blocks(const uint8_t *restrict from,
                                                             float *restrict to, size_t count,
                                                             float factor, float offset)
{
    size_t x = 0;
    for (; x + BLOCK <= count; x += BLOCK)
        for (size_t i = 0; i < BLOCK; i++)
            to[x + i] = from[x + i] * factor + offset;
    for (; x < count; x++)
        to[x] = from[x] * factor + offset;
}

__attribute__((target("avx2"))) static void row_avx2(const uint8_t *restrict from, float *restrict to,
                                                     size_t count, float factor, float offset)
{
    row_blocks(from, to, count, factor, offset);
}

static void run_avx2(const void *problem)
{
    run_rows(problem, row_avx2);
}

__attribute__((target("avx2,fma"))) static void row_fma(const uint8_t *restrict from,
                                                        float *restrict to, size_t count,
                                                        float factor, float offset)
{
    const __m256 factors = _mm256_set1_ps(factor), offsets = _mm256_set1_ps(offset);
    size_t x = 0;
    for (; x + 8 <= count; x += 8) {
        __m128i pixels = _mm_loadl_epi64((const void *)(from + x));
        __m256 numbers = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(pixels));
        _mm256_storeu_ps(to + x, _mm256_fmadd_ps(numbers, factors, offsets));
    }
    for (; x < count; x++)
        to[x] = from[x] * factor + offset;
}

static void run_fma(const void *problem)
{
    run_rows(problem, row_fma);
}

__attribute__((target("avx512f,avx512bw"))) static inline __m512 convert_16(const uint8_t *from,
                                                                            __m512 factors,
                                                                            __m512 offsets)
{
    __m128i pixels = _mm_loadu_si128((const void *)from);
    __m512 numbers = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(pixels));
    return _mm512_add_ps(_mm512_mul_ps(numbers, factors), offsets);
}

__attribute__((target("avx512f,avx512bw"))) static void row_avx512(const uint8_t *restrict from,
                                                                   float *restrict to, size_t count,
                                                                   float factor, float offset)
{
    const __m512 factors = _mm512_set1_ps(factor), offsets = _mm512_set1_ps(offset);
    size_t x = 0;
    for (; x + 16 <= count; x += 16)
        _mm512_storeu_ps(to + x, convert_16(from + x, factors, offsets));
    for (; x < count; x++)
        to[x] = from[x] * factor + offset;
}

static void run_avx512(const void *problem)
{
    run_rows(problem, row_avx512);
}

__attribute__((target("avx512f,avx512bw"))) static void row_streaming(const uint8_t *restrict from,
                                                                      float *restrict to,
                                                                      size_t count, float factor,
                                                                      float offset)
{
    const __m512 factors = _mm512_set1_ps(factor), offsets = _mm512_set1_ps(offset);
    size_t x = 0;
    for (; x < count && (uintptr_t)(to + x) % sizeof(__m512) != 0; x++)
        to[x] = from[x] * factor + offset;
    for (; x + 16 <= count; x += 16)
        _mm512_stream_ps(to + x, convert_16(from + x, factors, offsets));
    for (; x < count; x++)
        to[x] = from[x] * factor + offset;
}

static void run_streaming(const void *problem)
{
    run_rows(problem, row_streaming);
    _mm_sfence();
}

#endif

static const struct lab_step steps[] = {
    { "plain", run_plain, LAB_ANY, 0 },
    { "table", run_table, LAB_ANY, 0 },
    { "blocks (production)", run_production, LAB_ANY, 0 },
#if LAB_X86
    { "avx2", run_avx2, LAB_AVX2, 0 },
    { "avx2 fma", run_fma, LAB_AVX2, ROUNDING },
    { "avx512", run_avx512, LAB_AVX512, 0 },
    { "streaming", run_streaming, LAB_AVX512, 0 },
#endif
};

/* Every byte value comes up where there is room. */
static void open_problem(struct bytes_problem *own, size_t rows, size_t width, size_t stride,
                         size_t offset)
{
    uint8_t *from = lab_take(rows * stride, offset);
    *own = (struct bytes_problem){ .from = from,
                                   .rows = rows,
                                   .width = width,
                                   .stride = stride,
                                   .factor = 1 / (255 * 0.229f),
                                   .offset = -0.485f / 0.229f };
    for (size_t i = 0; i < rows * stride; i++)
        from[i] = (uint8_t)(i * 37 + i / 256);
    own->lab.output_bytes = rows * width * sizeof(float);
    own->lab.output = lab_take(own->lab.output_bytes, offset * sizeof(float) % LAB_GUARD_BYTES);
    own->to = (float *)(void *)own->lab.output;
    own->lab.floats = true;
    own->lab.elements = rows * width;
    own->lab.moved_bytes = rows * width * (1 + sizeof(float));
    snprintf(own->lab.name, sizeof own->lab.name, "%zu rows of %zu", rows, width);
}

static void close_problem(struct bytes_problem *own)
{
    lab_give((void *)(uintptr_t)own->from);
    lab_give(own->lab.output);
}

int main(int argc, char **argv)
{
    struct lab lab = lab_begin("bytes", steps, sizeof steps / sizeof *steps, argc, argv);
    struct bytes_problem own;
    for (size_t width = 1; width < 140; width++)
        for (size_t offset = 0; offset < 4; offset++) {
            open_problem(&own, 1 + width % 3, width, width + offset, offset);
            lab_check(&lab, &own.lab);
            close_problem(&own);
        }
    /* Three planes of 512x384, 416x416 and 640x360. */
    static const size_t real[][2] = { { 1152, 512 }, { 1248, 416 }, { 1080, 640 } };
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        open_problem(&own, real[i][0], real[i][1], (real[i][1] + 63) / 64 * 64, 0);
        lab_check(&lab, &own.lab);
        lab_time(&lab, &own.lab);
        close_problem(&own);
    }
    return lab_end(&lab);
}
