/* labels: planes of scores become one label for each pixel, that of the plane with the largest; the
 * first thing that is done with the output of every network that segments. Rows of one output, as
 * head_segment has them: a plane apart, next to each other.
 *
 *   plain       pixel by pixel over the planes
 *   rows        plane by plane over a row, the best so far in a row beside it: what production was;
 *               a branch for each pixel, which the compiler cannot make vectors of
 *   blocks      64 pixels at a time without branches: production (pixels_label)
 *   avx2        the same source with 128 at a time, compiled for AVX2
 *   avx512      16 pixels in an instruction, by hand: comparisons give masks, which select
 *
 * AMD EPYC (Zen 4, family 25 model 17), one core, gcc 12 -O2, 2026-11-21:
 *
 *             2 planes of 640x360 (twinlitenet)         12 planes of 480x360
 *   plain     278 us   7.5 GB/s    8 % of a copy     1221 us   6.9 GB/s    7 %
 *   rows      269 us   7.7 GB/s    8 %               1202 us   7.0 GB/s    7 %
 *   blocks    119 us  17.4 GB/s   18 %                489 us  17.3 GB/s   18 %
 *   avx2       65 us  32.0 GB/s   33 %                417 us  20.3 GB/s   21 %
 *   avx512     22 us  92.7 GB/s   95 %                112 us  75.6 GB/s   78 %
 *
 * avx512 would save 0.2 ms of twinlitenet's 75 ms, and needs a second way beside it for other
 * processors: not worth that today.
 */
#include "lab.h"
#include "pixels.h"

#define PLANES_MAX 12u
#define WIDTH_MAX 640u
#define BLOCK 128u

struct labels_problem {
    struct lab_problem lab;
    float *scores;
    size_t rows, width, plane_step;
    uint32_t plane_count;
    uint8_t names[PLANES_MAX];
};

typedef void row_fn(const float *restrict scores, size_t plane_step, const uint8_t *restrict names,
                    uint32_t plane_count, uint8_t *restrict labels, size_t count);

static inline void run_rows(const void *problem, row_fn *row)
{
    const struct labels_problem *own = problem;
    for (size_t y = 0; y < own->rows; y++)
        row(own->scores + y * own->width, own->plane_step, own->names, own->plane_count,
            own->lab.output + y * own->width, own->width);
}

static inline uint8_t label_pixel(const float *scores, size_t plane_step, const uint8_t *names,
                                  uint32_t plane_count)
{
    uint32_t best = 0;
    for (uint32_t p = 1; p < plane_count; p++)
        if (scores[p * plane_step] > scores[best * plane_step])
            best = p;
    return isfinite(scores[best * plane_step]) ? names[best] : (uint8_t)PIXELS_NO_LABEL;
}

static void row_plain(const float *restrict scores, size_t plane_step, const uint8_t *restrict names,
                      uint32_t plane_count, uint8_t *restrict labels, size_t count)
{
    for (size_t x = 0; x < count; x++)
        labels[x] = label_pixel(scores + x, plane_step, names, plane_count);
}

static void run_plain(const void *problem)
{
    run_rows(problem, row_plain);
}

static void row_by_planes(const float *restrict scores, size_t plane_step,
                          const uint8_t *restrict names, uint32_t plane_count,
                          uint8_t *restrict labels, size_t count)
{
    float best[WIDTH_MAX];
    memcpy(best, scores, count * sizeof *best);
    memset(labels, names[0], count);
    for (uint32_t p = 1; p < plane_count; p++) {
        const float *plane = scores + p * plane_step;
        for (size_t x = 0; x < count; x++)
            if (plane[x] > best[x]) {
                best[x] = plane[x];
                labels[x] = names[p];
            }
    }
    for (size_t x = 0; x < count; x++)
        if (!isfinite(best[x]))
            labels[x] = PIXELS_NO_LABEL;
}

static void run_by_planes(const void *problem)
{
    run_rows(problem, row_by_planes);
}

static void run_production(const void *problem)
{
    run_rows(problem, pixels_label);
}

#if LAB_X86

__attribute__((target("avx2"))) static void row_avx2(const float *restrict scores, size_t plane_step,
                                                     const uint8_t *restrict names,
                                                     uint32_t plane_count, uint8_t *restrict labels,
                                                     size_t count)
{
    size_t x = 0;
    for (; x + BLOCK <= count; x += BLOCK) {
        float best[BLOCK];
        int32_t label[BLOCK];
        memcpy(best, scores + x, sizeof best);
        for (size_t i = 0; i < BLOCK; i++)
            label[i] = names[0];
        for (uint32_t p = 1; p < plane_count; p++) {
            const float *plane = scores + p * plane_step + x;
            int32_t name = names[p];
            for (size_t i = 0; i < BLOCK; i++)
                label[i] = plane[i] > best[i] ? name : label[i];
            for (size_t i = 0; i < BLOCK; i++)
                best[i] = plane[i] > best[i] ? plane[i] : best[i];
        }
        for (size_t i = 0; i < BLOCK; i++)
            label[i] = best[i] - best[i] == 0 ? label[i] : (int32_t)PIXELS_NO_LABEL;
        for (size_t i = 0; i < BLOCK; i++)
            labels[x + i] = (uint8_t)label[i];
    }
    _mm256_zeroupper(); /* gcc 12 leaves it out before a tail call, and all SSE code crawls then */
    row_plain(scores + x, plane_step, names, plane_count, labels + x, count - x);
}

static void run_avx2(const void *problem)
{
    run_rows(problem, row_avx2);
}

__attribute__((target("avx512f,avx512bw"))) static void row_avx512(
    const float *restrict scores, size_t plane_step, const uint8_t *restrict names,
    uint32_t plane_count, uint8_t *restrict labels, size_t count)
{
    const __m512i none = _mm512_set1_epi32((int)PIXELS_NO_LABEL);
    size_t x = 0;
    for (; x + 16 <= count; x += 16) {
        __m512 best = _mm512_loadu_ps(scores + x);
        __m512i label = _mm512_set1_epi32(names[0]);
        for (uint32_t p = 1; p < plane_count; p++) {
            __m512 plane = _mm512_loadu_ps(scores + p * plane_step + x);
            __mmask16 wins = _mm512_cmp_ps_mask(plane, best, _CMP_GT_OQ);
            label = _mm512_mask_mov_epi32(label, wins, _mm512_set1_epi32(names[p]));
            best = _mm512_mask_mov_ps(best, wins, plane);
        }
        __m512 zero = _mm512_sub_ps(best, best);
        label = _mm512_mask_mov_epi32(label, _mm512_cmp_ps_mask(zero, zero, _CMP_UNORD_Q), none);
        _mm_storeu_si128((void *)(labels + x), _mm512_cvtepi32_epi8(label));
    }
    _mm256_zeroupper(); /* gcc 12 leaves it out before a tail call, and all SSE code crawls then */
    row_plain(scores + x, plane_step, names, plane_count, labels + x, count - x);
}

static void run_avx512(const void *problem)
{
    run_rows(problem, row_avx512);
}

#endif

static const struct lab_step steps[] = {
    { "plain", run_plain, LAB_ANY, 0 },
    { "rows", run_by_planes, LAB_ANY, 0 },
    { "blocks (production)", run_production, LAB_ANY, 0 },
#if LAB_X86
    { "avx2", run_avx2, LAB_AVX2, 0 },
    { "avx512", run_avx512, LAB_AVX512, 0 },
#endif
};

/* Areas where one plane is ahead, as networks find them, with a little noise. wild: with numbers that
 * are none, and equal ones. */
static void fill_scores(struct labels_problem *own, bool wild)
{
    static const float odd[] = { NAN, INFINITY, -INFINITY, 0, -0.0f, 0.5f, 3.4e38f, -3.4e38f };
    struct random_state random;
    random_seed(&random, own->rows * own->width + own->plane_count);
    for (size_t i = 0; i < own->plane_count * own->plane_step; i++) {
        size_t pixel = i % own->plane_step, plane = i / own->plane_step;
        size_t area = pixel % own->width / 80 + pixel / own->width / 45;
        float score = (float)((area * 7 + plane * 5) % 11);
        own->scores[i] = score + (float)random_next_unit(&random);
        if (wild && random_next_u64(&random) % 3 == 0)
            own->scores[i] = odd[random_next_u64(&random) % (sizeof odd / sizeof *odd)];
    }
}

static void open_problem(struct labels_problem *own, size_t rows, size_t width,
                         uint32_t plane_count, size_t offset, bool wild)
{
    assert(width <= WIDTH_MAX && plane_count <= PLANES_MAX);
    *own = (struct labels_problem){
        .rows = rows, .width = width, .plane_step = rows * width, .plane_count = plane_count
    };
    for (uint32_t p = 0; p < plane_count; p++)
        own->names[p] = (uint8_t)(p == 0 && plane_count == 2 ? PIXELS_NO_LABEL : 7 + p);
    own->scores =
        lab_take(plane_count * own->plane_step * sizeof(float), offset * sizeof(float) % 64);
    fill_scores(own, wild);
    own->lab.output_bytes = own->plane_step;
    own->lab.output = lab_take(own->plane_step, offset);
    own->lab.elements = own->plane_step;
    own->lab.moved_bytes = own->plane_step * (plane_count * sizeof(float) + 1);
    snprintf(own->lab.name, sizeof own->lab.name, "%u planes of %zux%zu", plane_count, width, rows);
}

static void close_problem(struct labels_problem *own)
{
    lab_give(own->scores);
    lab_give(own->lab.output);
}

int main(int argc, char **argv)
{
    struct lab lab = lab_begin("labels", steps, sizeof steps / sizeof *steps, argc, argv);
    struct labels_problem own;
    for (size_t width = 1; width < 300; width += 1 + width / 64)
        for (uint32_t planes = 1; planes <= PLANES_MAX; planes += planes < 3 ? 1 : 9) {
            open_problem(&own, 1 + width % 3, width, planes, width % 4, true);
            lab_check(&lab, &own.lab);
            close_problem(&own);
        }
    static const size_t real[][3] = { { 360, 640, 2 }, { 360, 480, 12 } };
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        open_problem(&own, real[i][0], real[i][1], (uint32_t)real[i][2], 0, false);
        lab_check(&lab, &own.lab);
        lab_time(&lab, &own.lab);
        close_problem(&own);
    }
    return lab_end(&lab);
}
