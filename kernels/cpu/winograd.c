/* winograd: tiles of 4x6 inputs and 2x4 outputs in one long row over the whole batch, dealt to the
 * threads in equal parts and worked on in blocks whose transforms stay in the second-level cache.
 * Compiled for AVX-512 with bf16 (mk/build.mk); callers ask winograd_available() first.
 *
 * Down a column the polynomials are evaluated at 0, 1, -1 and infinity, along a row at 0, a, -a, b, -b
 * and infinity. a and b were chosen for the least error in bf16 among such pairs. The smaller
 * transform in both directions was more exact and slower, the larger one in both less exact: what
 * error this one has is held by winograd_test.c and printed by kernels/lab/winograd.c. */
#include "cpu/winograd.h"

#ifdef __AVX512BF16__

#include "cpu/parallel.h"
#include <immintrin.h>
#include <string.h>

#define COLUMN_POINTS 4
#define ROW_POINTS 6
#define POINTS (COLUMN_POINTS * ROW_POINTS) /* of a transformed tile, row by row */
#define OUT_ROWS 2
#define OUT_COLUMNS 4
#define OUTS (OUT_ROWS * OUT_COLUMNS)
#define A 0.75f
#define B 1.5f
#define SUM_SQUARES (A * A + B * B)
#define PRODUCT_SQUARES (A * A * B * B)
#define LANES 16        /* floats in a vector */
#define GEMM_ROWS 8     /* tiles, or input channels, that the inner loop works on together */
#define GEMM_COLUMNS 32 /* output channels, two vectors */
#define BLOCK_BYTES ((int64_t)640 << 10) /* of transforms, to stay in the second-level cache */
#define BLOCK_TILES_MAX 96
#define CACHE_LINE_BYTES 64
#define CHANNELS_MAX 1024

struct tiles {
    int64_t rows, columns, count; /* of one picture; of all */
};

static inline __m512 load_bf16(const uint16_t *from)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(
        _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)from)), 16));
}

static inline void store_bf16(uint16_t *to, __m512 x)
{
    _mm256_storeu_si256((__m256i *)(void *)to, (__m256i)_mm512_cvtneps_pbh(x));
}

/* Two rows of numbers as pairs: x in the low halves, y in the high ones. */
static inline __m512i pair_bf16(__m512 x, __m512 y)
{
    __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x));
    __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(y));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

static struct tiles count_tiles(const struct winograd *w)
{
    struct tiles tiles = { .rows = (w->out_rows + OUT_ROWS - 1) / OUT_ROWS,
                           .columns = (w->out_columns + OUT_COLUMNS - 1) / OUT_COLUMNS };
    tiles.count = w->batch * tiles.rows * tiles.columns;
    return tiles;
}

/* Tiles in a block: a multiple of GEMM_ROWS. */
static int64_t block_tiles(int64_t bytes_for_tile)
{
    int64_t tiles = BLOCK_BYTES / bytes_for_tile / GEMM_ROWS * GEMM_ROWS;
    return tiles < GEMM_ROWS ? GEMM_ROWS : tiles > BLOCK_TILES_MAX ? BLOCK_TILES_MAX : tiles;
}

/* From one point's numbers to the next one's: a line more than they are, or all sixteen would fall
 * into the same set of the first-level cache. */
static int64_t point_step(int64_t block, int64_t channels, size_t element_bytes)
{
    return block * channels + (int64_t)(CACHE_LINE_BYTES / element_bytes);
}

static int64_t forward_block(const struct winograd *w)
{
    return block_tiles(POINTS * (w->in * (int64_t)sizeof(uint16_t) + w->out * (int64_t)sizeof(float)));
}

static int64_t gradient_block(const struct winograd *w)
{
    return block_tiles(POINTS * (w->in + w->out) * (int64_t)sizeof(uint16_t));
}

bool winograd_available(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16");
}

size_t winograd_weights_bytes(const struct winograd *w)
{
    return (size_t)(POINTS * w->in * w->out) * sizeof(uint16_t);
}

static size_t forward_thread_bytes(const struct winograd *w)
{
    int64_t block = forward_block(w);
    return POINTS * ((size_t)point_step(block, w->in, sizeof(uint16_t)) * sizeof(uint16_t) +
                     (size_t)point_step(block, w->out, sizeof(float)) * sizeof(float));
}

size_t winograd_scratch_bytes(const struct winograd *w)
{
    return forward_thread_bytes(w) * (size_t)w->threads;
}

static size_t sums_bytes(const struct winograd *w)
{
    return (size_t)(POINTS * w->in * w->out + w->out) * sizeof(float);
}

static size_t gradient_thread_bytes(const struct winograd *w)
{
    int64_t block = gradient_block(w);
    return sums_bytes(w) + POINTS * sizeof(uint16_t) *
                               (size_t)(point_step(block, w->in, sizeof(uint16_t)) +
                                        point_step(block, w->out, sizeof(uint16_t)));
}

size_t winograd_gradient_scratch_bytes(const struct winograd *w)
{
    return gradient_thread_bytes(w) * (size_t)w->threads;
}

/* ---- weights ---- */

/* What a sum over the polynomials' points is divided by at a and at b. */
#define AT_A (1 / (2 * A * A * (A * A - B * B)))
#define AT_B (1 / (2 * B * B * (B * B - A * A)))

/* G g H' of one 3x3 kernel. */
static void transform_kernel(const float g[9], float u[POINTS])
{
    float rows[COLUMN_POINTS][3];
    for (int x = 0; x < 3; x++) {
        float sum = g[x] + g[6 + x];
        rows[0][x] = g[x];
        rows[1][x] = 0.5f * (sum + g[3 + x]);
        rows[2][x] = 0.5f * (sum - g[3 + x]);
        rows[3][x] = g[6 + x];
    }
    for (int y = 0; y < COLUMN_POINTS; y++) {
        const float *r = rows[y];
        float *to = u + ROW_POINTS * y;
        to[0] = r[0] / PRODUCT_SQUARES;
        to[1] = AT_A * (r[0] + A * r[1] + A * A * r[2]);
        to[2] = AT_A * (r[0] - A * r[1] + A * A * r[2]);
        to[3] = AT_B * (r[0] + B * r[1] + B * B * r[2]);
        to[4] = AT_B * (r[0] - B * r[1] + B * B * r[2]);
        to[5] = r[2];
    }
}

static uint16_t to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

struct weights {
    const struct winograd *w;
    const float *from;
    bool turned;
    uint16_t *to; /* [point][out / 32][in / 2][32 outs][2 ins] */
};

static void transform_filter(const struct weights *weights, int64_t k, int64_t c)
{
    const struct winograd *w = weights->w;
    const float *from = weights->from + 9 * (weights->turned ? c * w->out + k : k * w->in + c);
    float g[9], u[POINTS];
    for (int i = 0; i < 9; i++)
        g[i] = from[weights->turned ? 8 - i : i];
    transform_kernel(g, u);
    int64_t at = k / GEMM_COLUMNS * (w->in * GEMM_COLUMNS) + c / 2 * (2 * GEMM_COLUMNS) +
                 k % GEMM_COLUMNS * 2 + c % 2;
    for (int p = 0; p < POINTS; p++)
        weights->to[p * w->in * w->out + at] = to_bf16(u[p]);
}

static void transform_part(const void *arg, int part, int parts)
{
    const struct weights *weights = arg;
    int64_t first, end;
    parallel_share(weights->w->out, 1, part, parts, &first, &end);
    for (int64_t k = first; k < end; k++)
        for (int64_t c = 0; c < weights->w->in; c++)
            transform_filter(weights, k, c);
}

void winograd_transform_weights(const struct winograd *w, const float *weights, bool turned,
                                void *transformed)
{
    struct weights job = { .w = w, .from = weights, .turned = turned, .to = transformed };
    parallel_run(w->threads, transform_part, &job);
}

/* ---- tiles ---- */

/* Where the pixels of a tile lie; zeros outside the picture. */
static void find_inputs(const struct winograd *w, const struct tiles *tiles, int64_t tile,
                        const uint16_t *input, const uint16_t *zeros, const uint16_t *pixels[POINTS])
{
    int64_t n = tile / (tiles->rows * tiles->columns), at = tile % (tiles->rows * tiles->columns);
    int64_t top = at / tiles->columns * OUT_ROWS - w->pad_rows;
    int64_t left = at % tiles->columns * OUT_COLUMNS - w->pad_columns;
    for (int64_t y = 0; y < COLUMN_POINTS; y++)
        for (int64_t x = 0; x < ROW_POINTS; x++) {
            bool inside = top + y >= 0 && top + y < w->rows && left + x >= 0 && left + x < w->columns;
            pixels[ROW_POINTS * y + x] =
                inside ? input + ((n * w->rows + top + y) * w->columns + left + x) * w->in : zeros;
        }
}

/* The same for the outputs; -1 outside. */
static void find_outputs(const struct winograd *w, const struct tiles *tiles, int64_t tile,
                         int64_t offsets[OUTS])
{
    int64_t n = tile / (tiles->rows * tiles->columns), at = tile % (tiles->rows * tiles->columns);
    int64_t top = at / tiles->columns * OUT_ROWS, left = at % tiles->columns * OUT_COLUMNS;
    for (int64_t y = 0; y < OUT_ROWS; y++)
        for (int64_t x = 0; x < OUT_COLUMNS; x++) {
            bool inside = top + y < w->out_rows && left + x < w->out_columns;
            offsets[OUT_COLUMNS * y + x] =
                inside ? ((n * w->out_rows + top + y) * w->out_columns + left + x) * w->out : -1;
        }
}

/* Down the columns, of 16 channels. */
static inline void transform_columns(const uint16_t *const pixels[POINTS], int64_t channel,
                                     __m512 rows[POINTS])
{
    for (int x = 0; x < ROW_POINTS; x++) {
        __m512 d0 = load_bf16(pixels[x] + channel), d1 = load_bf16(pixels[ROW_POINTS + x] + channel);
        __m512 d2 = load_bf16(pixels[2 * ROW_POINTS + x] + channel);
        __m512 d3 = load_bf16(pixels[3 * ROW_POINTS + x] + channel);
        rows[x] = _mm512_sub_ps(d0, d2);
        rows[ROW_POINTS + x] = _mm512_add_ps(d1, d2);
        rows[2 * ROW_POINTS + x] = _mm512_sub_ps(d2, d1);
        rows[3 * ROW_POINTS + x] = _mm512_sub_ps(d1, d3);
    }
}

/* Along a row: the even and the odd powers of a point and of its negative are the same but for the
 * sign. */
static inline void transform_row(const __m512 d[ROW_POINTS], __m512 v[ROW_POINTS])
{
    const __m512 a = _mm512_set1_ps(A), b = _mm512_set1_ps(B), aa = _mm512_set1_ps(A * A);
    const __m512 bb = _mm512_set1_ps(B * B), sum = _mm512_set1_ps(SUM_SQUARES);
    const __m512 product = _mm512_set1_ps(PRODUCT_SQUARES);
    __m512 even_a = _mm512_fnmadd_ps(bb, d[2], d[4]), even_b = _mm512_fnmadd_ps(aa, d[2], d[4]);
    __m512 odd_a = _mm512_fnmadd_ps(bb, d[1], d[3]), odd_b = _mm512_fnmadd_ps(aa, d[1], d[3]);
    v[0] = _mm512_fmadd_ps(product, d[0], _mm512_fnmadd_ps(sum, d[2], d[4]));
    v[1] = _mm512_fmadd_ps(a, odd_a, even_a);
    v[2] = _mm512_fnmadd_ps(a, odd_a, even_a);
    v[3] = _mm512_fmadd_ps(b, odd_b, even_b);
    v[4] = _mm512_fnmadd_ps(b, odd_b, even_b);
    v[5] = _mm512_fmadd_ps(product, d[1], _mm512_fnmadd_ps(sum, d[3], d[5]));
}

/* ---- forward ---- */

/* sums[row][column] of GEMM_ROWS tiles and GEMM_COLUMNS outputs over all inputs. */
static inline void multiply_tiles(const uint16_t *v, const uint16_t *u, int64_t in, float *sums,
                                  int64_t out)
{
    __m512 low[GEMM_ROWS], high[GEMM_ROWS];
    for (int r = 0; r < GEMM_ROWS; r++)
        low[r] = high[r] = _mm512_setzero_ps();
    for (int64_t c = 0; c < in; c += 2) {
        __m512bh first = (__m512bh)_mm512_loadu_si512(u + c * GEMM_COLUMNS);
        __m512bh second = (__m512bh)_mm512_loadu_si512(u + c * GEMM_COLUMNS + 2 * LANES);
        for (int r = 0; r < GEMM_ROWS; r++) {
            int32_t pair;
            memcpy(&pair, v + r * in + c, sizeof pair);
            __m512bh both = (__m512bh)_mm512_set1_epi32(pair);
            low[r] = _mm512_dpbf16_ps(low[r], both, first);
            high[r] = _mm512_dpbf16_ps(high[r], both, second);
        }
    }
    for (int r = 0; r < GEMM_ROWS; r++) {
        _mm512_storeu_ps(sums + r * out, low[r]);
        _mm512_storeu_ps(sums + r * out + LANES, high[r]);
    }
}

/* The outputs of 16 channels; m's points lie `point` floats from one to the next. */
static inline void transform_output(const float *m, int64_t point, __m512 y[OUTS])
{
    const __m512 a = _mm512_set1_ps(A), b = _mm512_set1_ps(B), aa = _mm512_set1_ps(A * A);
    const __m512 bb = _mm512_set1_ps(B * B), aaa = _mm512_set1_ps(A * A * A);
    const __m512 bbb = _mm512_set1_ps(B * B * B);
    __m512 rows[OUT_ROWS][ROW_POINTS];
    for (int x = 0; x < ROW_POINTS; x++) {
        __m512 m0 = _mm512_loadu_ps(m + x * point);
        __m512 m1 = _mm512_loadu_ps(m + (ROW_POINTS + x) * point);
        __m512 m2 = _mm512_loadu_ps(m + (2 * ROW_POINTS + x) * point);
        __m512 m3 = _mm512_loadu_ps(m + (3 * ROW_POINTS + x) * point);
        rows[0][x] = _mm512_add_ps(_mm512_add_ps(m0, m1), m2);
        rows[1][x] = _mm512_sub_ps(_mm512_sub_ps(m1, m2), m3);
    }
    for (int i = 0; i < OUT_ROWS; i++, y += OUT_COLUMNS) {
        const __m512 *r = rows[i];
        __m512 sum_a = _mm512_add_ps(r[1], r[2]), sum_b = _mm512_add_ps(r[3], r[4]);
        __m512 odd_a = _mm512_sub_ps(r[1], r[2]), odd_b = _mm512_sub_ps(r[3], r[4]);
        y[0] = _mm512_add_ps(_mm512_add_ps(r[0], sum_a), sum_b);
        y[1] = _mm512_fmadd_ps(a, odd_a, _mm512_mul_ps(b, odd_b));
        y[2] = _mm512_fmadd_ps(aa, sum_a, _mm512_mul_ps(bb, sum_b));
        y[3] = _mm512_fmadd_ps(aaa, odd_a, _mm512_fmadd_ps(bbb, odd_b, r[5]));
    }
}

struct forward {
    const struct winograd *w;
    struct tiles tiles;
    const uint16_t *input, *transformed, *added;
    const float *bias;
    bool relu;
    uint16_t *output;
    int64_t block; /* tiles */
    char *scratch;
};

static void forward_inputs(const struct forward *f, int64_t first, int64_t count, uint16_t *v)
{
    static const uint16_t zeros[CHANNELS_MAX];
    int64_t in = f->w->in, point = point_step(f->block, in, sizeof *v);
    for (int64_t t = 0; t < count; t++) {
        const uint16_t *pixels[POINTS];
        find_inputs(f->w, &f->tiles, first + t, f->input, zeros, pixels);
        for (int64_t c = 0; c < in; c += LANES) {
            __m512 rows[POINTS], values[ROW_POINTS];
            transform_columns(pixels, c, rows);
            uint16_t *to = v + t * in + c;
            for (int y = 0; y < COLUMN_POINTS; y++) {
                transform_row(rows + y * ROW_POINTS, values);
                for (int x = 0; x < ROW_POINTS; x++, to += point)
                    store_bf16(to, values[x]);
            }
        }
    }
}

static void forward_outputs(const struct forward *f, int64_t first, int64_t count, const float *m)
{
    int64_t out = f->w->out, point = point_step(f->block, out, sizeof *m);
    for (int64_t t = 0; t < count; t++) {
        int64_t offsets[OUTS];
        find_outputs(f->w, &f->tiles, first + t, offsets);
        for (int64_t k = 0; k < out; k += LANES) {
            __m512 y[OUTS], bias = f->bias ? _mm512_loadu_ps(f->bias + k) : _mm512_setzero_ps();
            transform_output(m + t * out + k, point, y);
            for (int i = 0; i < OUTS; i++) {
                if (offsets[i] < 0)
                    continue;
                __m512 value = _mm512_add_ps(y[i], bias);
                if (f->added)
                    value = _mm512_add_ps(value, load_bf16(f->added + offsets[i] + k));
                if (f->relu)
                    value = _mm512_max_ps(value, _mm512_setzero_ps());
                store_bf16(f->output + offsets[i] + k, value);
            }
        }
    }
}

static void forward_block_run(const struct forward *f, int64_t first, int64_t count, uint16_t *v,
                              float *m)
{
    int64_t in = f->w->in, out = f->w->out;
    int64_t v_step = point_step(f->block, in, sizeof *v),
            m_step = point_step(f->block, out, sizeof *m);
    int64_t rows = (count + GEMM_ROWS - 1) / GEMM_ROWS * GEMM_ROWS; /* the rest is never read */
    forward_inputs(f, first, count, v);
    for (int64_t p = 0; p < POINTS; p++)
        for (int64_t k = 0; k < out; k += GEMM_COLUMNS)
            for (int64_t t = 0; t < rows; t += GEMM_ROWS)
                multiply_tiles(v + p * v_step + t * in, f->transformed + (p * out + k) * in, in,
                               m + p * m_step + t * out + k, out);
    forward_outputs(f, first, count, m);
}

static void forward_part(const void *arg, int part, int parts)
{
    const struct forward *f = arg;
    uint16_t *v = (uint16_t *)(void *)(f->scratch + (size_t)part * forward_thread_bytes(f->w));
    float *m = (float *)(void *)(v + POINTS * point_step(f->block, f->w->in, sizeof *v));
    int64_t first, end;
    parallel_share(f->tiles.count, GEMM_ROWS, part, parts, &first, &end);
    for (int64_t t = first; t < end; t += f->block)
        forward_block_run(f, t, end - t < f->block ? end - t : f->block, v, m);
}

void winograd_run(const struct winograd *w, const uint16_t *input, const void *transformed,
                  const float *bias, const uint16_t *added, bool relu, uint16_t *output,
                  void *scratch)
{
    struct forward f = {
        .w = w,
        .tiles = count_tiles(w),
        .input = input,
        .transformed = transformed,
        .added = added,
        .bias = bias,
        .relu = relu,
        .output = output,
        .block = forward_block(w),
        .scratch = scratch,
    };
    parallel_run(w->threads, forward_part, &f);
}

/* ---- weight gradient ---- */

struct backward {
    const struct winograd *w;
    struct tiles tiles;
    const uint16_t *input, *gradient;
    int64_t block;
    float *weights_gradient;
    char *scratch;
};

/* Down the columns of the output's gradient, of 16 channels. */
static inline void gradient_columns(const __m512 y[OUTS], __m512 rows[COLUMN_POINTS * OUT_COLUMNS])
{
    for (int x = 0; x < OUT_COLUMNS; x++) {
        rows[x] = y[x];
        rows[OUT_COLUMNS + x] = _mm512_add_ps(y[x], y[OUT_COLUMNS + x]);
        rows[2 * OUT_COLUMNS + x] = _mm512_sub_ps(y[x], y[OUT_COLUMNS + x]);
        rows[3 * OUT_COLUMNS + x] = _mm512_sub_ps(_mm512_setzero_ps(), y[OUT_COLUMNS + x]);
    }
}

static inline void gradient_row(const __m512 y[OUT_COLUMNS], __m512 z[ROW_POINTS])
{
    const __m512 a = _mm512_set1_ps(A), b = _mm512_set1_ps(B), aa = _mm512_set1_ps(A * A);
    const __m512 bb = _mm512_set1_ps(B * B);
    __m512 even_a = _mm512_fmadd_ps(aa, y[2], y[0]), even_b = _mm512_fmadd_ps(bb, y[2], y[0]);
    __m512 odd_a = _mm512_fmadd_ps(aa, y[3], y[1]), odd_b = _mm512_fmadd_ps(bb, y[3], y[1]);
    z[0] = y[0];
    z[1] = _mm512_fmadd_ps(a, odd_a, even_a);
    z[2] = _mm512_fnmadd_ps(a, odd_a, even_a);
    z[3] = _mm512_fmadd_ps(b, odd_b, even_b);
    z[4] = _mm512_fnmadd_ps(b, odd_b, even_b);
    z[5] = y[3];
}

/* v[point][tile / 2][channel][2]; a tile behind the last one counts as zeros. */
static void backward_inputs(const struct backward *b, int64_t first, int64_t count, uint16_t *v)
{
    static const uint16_t zeros[CHANNELS_MAX];
    int64_t in = b->w->in, point = point_step(b->block, in, sizeof *v);
    for (int64_t t = 0; t < count; t += 2) {
        const uint16_t *one[POINTS], *two[POINTS];
        find_inputs(b->w, &b->tiles, first + t, b->input, zeros, one);
        for (int p = 0; p < POINTS; p++)
            two[p] = zeros;
        if (t + 1 < count)
            find_inputs(b->w, &b->tiles, first + t + 1, b->input, zeros, two);
        for (int64_t c = 0; c < in; c += LANES) {
            __m512 left[POINTS], right[POINTS], v_left[ROW_POINTS], v_right[ROW_POINTS];
            transform_columns(one, c, left);
            transform_columns(two, c, right);
            uint16_t *to = v + t * in + 2 * c;
            for (int y = 0; y < COLUMN_POINTS; y++) {
                transform_row(left + y * ROW_POINTS, v_left);
                transform_row(right + y * ROW_POINTS, v_right);
                for (int x = 0; x < ROW_POINTS; x++, to += point)
                    _mm512_storeu_si512(to, pair_bf16(v_left[x], v_right[x]));
            }
        }
    }
}

/* Loads the outputs' gradients, adds them to the bias's and transforms them down the columns. */
static inline void load_gradients(const struct backward *b, const int64_t offsets[OUTS],
                                  int64_t channel, float *bias,
                                  __m512 rows[COLUMN_POINTS * OUT_COLUMNS])
{
    __m512 y[OUTS], sum = _mm512_loadu_ps(bias + channel);
    for (int i = 0; i < OUTS; i++) {
        y[i] = offsets[i] < 0 ? _mm512_setzero_ps() : load_bf16(b->gradient + offsets[i] + channel);
        sum = _mm512_add_ps(sum, y[i]);
    }
    _mm512_storeu_ps(bias + channel, sum);
    gradient_columns(y, rows);
}

static void backward_gradients(const struct backward *b, int64_t first, int64_t count, uint16_t *z,
                               float *bias)
{
    int64_t out = b->w->out, point = point_step(b->block, out, sizeof *z);
    for (int64_t t = 0; t < count; t += 2) {
        int64_t one[OUTS], two[OUTS];
        find_outputs(b->w, &b->tiles, first + t, one);
        for (int i = 0; i < OUTS; i++)
            two[i] = -1;
        if (t + 1 < count)
            find_outputs(b->w, &b->tiles, first + t + 1, two);
        for (int64_t k = 0; k < out; k += LANES) {
            __m512 left[COLUMN_POINTS * OUT_COLUMNS], right[COLUMN_POINTS * OUT_COLUMNS];
            __m512 z_left[ROW_POINTS], z_right[ROW_POINTS];
            load_gradients(b, one, k, bias, left);
            load_gradients(b, two, k, bias, right);
            uint16_t *to = z + t * out + 2 * k;
            for (int y = 0; y < COLUMN_POINTS; y++) {
                gradient_row(left + y * OUT_COLUMNS, z_left);
                gradient_row(right + y * OUT_COLUMNS, z_right);
                for (int x = 0; x < ROW_POINTS; x++, to += point)
                    _mm512_storeu_si512(to, pair_bf16(z_left[x], z_right[x]));
            }
        }
    }
}

/* Adds to sums[c][k] of GEMM_ROWS inputs and GEMM_COLUMNS outputs over pairs of tiles. */
static inline void multiply_pairs(const uint16_t *v, const uint16_t *z, int64_t pairs, int64_t in,
                                  int64_t out, float *sums)
{
    __m512 low[GEMM_ROWS], high[GEMM_ROWS];
    for (int r = 0; r < GEMM_ROWS; r++) {
        low[r] = _mm512_loadu_ps(sums + r * out);
        high[r] = _mm512_loadu_ps(sums + r * out + LANES);
    }
    for (int64_t t = 0; t < pairs; t++) {
        __m512bh first = (__m512bh)_mm512_loadu_si512(z + 2 * t * out);
        __m512bh second = (__m512bh)_mm512_loadu_si512(z + 2 * t * out + 2 * LANES);
        for (int r = 0; r < GEMM_ROWS; r++) {
            int32_t pair;
            memcpy(&pair, v + 2 * (t * in + r), sizeof pair);
            __m512bh both = (__m512bh)_mm512_set1_epi32(pair);
            low[r] = _mm512_dpbf16_ps(low[r], both, first);
            high[r] = _mm512_dpbf16_ps(high[r], both, second);
        }
    }
    for (int r = 0; r < GEMM_ROWS; r++) {
        _mm512_storeu_ps(sums + r * out, low[r]);
        _mm512_storeu_ps(sums + r * out + LANES, high[r]);
    }
}

static float *part_sums(const struct backward *b, int part)
{
    return (float *)(void *)(b->scratch + (size_t)part * gradient_thread_bytes(b->w));
}

static void backward_part(const void *arg, int part, int parts)
{
    const struct backward *b = arg;
    const struct winograd *w = b->w;
    int64_t first, end;
    float *sums = part_sums(b, part), *bias = sums + POINTS * w->in * w->out;
    uint16_t *v = (uint16_t *)(void *)((char *)sums + sums_bytes(w));
    int64_t v_step = point_step(b->block, w->in, sizeof *v);
    int64_t z_step = point_step(b->block, w->out, sizeof *v);
    uint16_t *z = v + POINTS * v_step;
    memset(sums, 0, sums_bytes(w));
    parallel_share(b->tiles.count, GEMM_ROWS, part, parts, &first, &end);
    for (int64_t t = first; t < end; t += b->block) {
        int64_t count = end - t < b->block ? end - t : b->block;
        backward_inputs(b, t, count, v);
        backward_gradients(b, t, count, z, bias);
        for (int64_t p = 0; p < POINTS; p++)
            for (int64_t k = 0; k < w->out; k += GEMM_COLUMNS)
                for (int64_t c = 0; c < w->in; c += GEMM_ROWS)
                    multiply_pairs(v + p * v_step + 2 * c, z + p * z_step + 2 * k, (count + 1) / 2,
                                   w->in, w->out, sums + (p * w->in + c) * w->out + k);
    }
}

/* G' s H of one kernel. */
static void finish_kernel(const float s[POINTS], float g[9])
{
    float rows[3][ROW_POINTS];
    for (int x = 0; x < ROW_POINTS; x++) {
        float s1 = s[ROW_POINTS + x], s2 = s[2 * ROW_POINTS + x];
        rows[0][x] = s[x] + 0.5f * (s1 + s2);
        rows[1][x] = 0.5f * (s1 - s2);
        rows[2][x] = s[3 * ROW_POINTS + x] + 0.5f * (s1 + s2);
    }
    for (int y = 0; y < 3; y++) {
        const float *r = rows[y];
        float sum_a = AT_A * (r[1] + r[2]), sum_b = AT_B * (r[3] + r[4]);
        g[3 * y] = r[0] / PRODUCT_SQUARES + sum_a + sum_b;
        g[3 * y + 1] = A * AT_A * (r[1] - r[2]) + B * AT_B * (r[3] - r[4]);
        g[3 * y + 2] = A * A * sum_a + B * B * sum_b + r[5];
    }
}

/* Adds up what the parts have summed. */
static void finish_part(const void *arg, int part, int parts)
{
    const struct backward *b = arg;
    const struct winograd *w = b->w;
    int64_t first, end;
    parallel_share(w->out, 1, part, parts, &first, &end);
    for (int64_t k = first; k < end; k++)
        for (int64_t c = 0; c < w->in; c++) {
            float s[POINTS] = { 0 };
            for (int other = 0; other < w->threads; other++)
                for (int64_t p = 0; p < POINTS; p++)
                    s[p] += part_sums(b, other)[(p * w->in + c) * w->out + k];
            finish_kernel(s, b->weights_gradient + 9 * (k * w->in + c));
        }
}

void winograd_weight_gradient(const struct winograd *w, const uint16_t *input,
                              const uint16_t *output_gradient, float *weights_gradient,
                              float *bias_gradient, void *scratch)
{
    struct backward b = {
        .w = w,
        .tiles = count_tiles(w),
        .input = input,
        .gradient = output_gradient,
        .block = gradient_block(w),
        .weights_gradient = weights_gradient,
        .scratch = scratch,
    };
    parallel_run(w->threads, backward_part, &b);
    parallel_run(w->threads, finish_part, &b);
    for (int64_t k = 0; bias_gradient && k < w->out; k++) {
        bias_gradient[k] = 0;
        for (int part = 0; part < w->threads; part++)
            bias_gradient[k] += part_sums(&b, part)[POINTS * w->in * w->out + k];
    }
}

#else /* another kind of processor */

#include <stdlib.h>

bool winograd_available(void)
{
    return false;
}

size_t winograd_weights_bytes(const struct winograd *w)
{
    (void)w;
    abort();
}

size_t winograd_scratch_bytes(const struct winograd *w)
{
    (void)w;
    abort();
}

size_t winograd_gradient_scratch_bytes(const struct winograd *w)
{
    (void)w;
    abort();
}

void winograd_transform_weights(const struct winograd *w, const float *weights, bool turned,
                                void *transformed)
{
    (void)w, (void)weights, (void)turned, (void)transformed;
    abort();
}

void winograd_run(const struct winograd *w, const uint16_t *input, const void *transformed,
                  const float *bias, const uint16_t *added, bool relu, uint16_t *output,
                  void *scratch)
{
    (void)w, (void)input, (void)transformed, (void)bias, (void)added, (void)relu, (void)output;
    (void)scratch;
    abort();
}

void winograd_weight_gradient(const struct winograd *w, const uint16_t *input,
                              const uint16_t *output_gradient, float *weights_gradient,
                              float *bias_gradient, void *scratch)
{
    (void)w, (void)input, (void)output_gradient, (void)weights_gradient, (void)bias_gradient;
    (void)scratch;
    abort();
}

#endif
