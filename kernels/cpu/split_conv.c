#include "cpu/split_conv.h"

#if defined(__AMX_TILE__) && defined(__AVX512BF16__)

#include "cpu/parallel.h"
#include <cpuid.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LANES 16
#define TILE 16       /* outputs, and output channels, of a tile */
#define CHUNK_MAX 32  /* bf16 in a row of a tile */
#define WIDE_PIXELS 32 /* 2x2 tiles of sums */
#define LONG_PIXELS 64 /* 4x1 */
#define SUMS (WIDE_PIXELS * 2 * TILE)
#define LARGEST 0x1.fep+127f /* of bf16 */
#define LINE_NUMBERS 32
#define PIECE_BYTES ((int64_t)512 << 10)
#define FLAT_BYTES ((int64_t)64 << 10)
#define LEAST_PRODUCTS 400000

#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_XTILEDATA 18

struct job {
    const struct split_conv *conv;
    const float *input;
    const uint16_t *packed;
    const struct split_conv_tail *tail;
    float *output;
    char *scratch;
};

/* A piece of the output, and its planes. */
struct piece {
    const struct job *job;
    int64_t image, row, column, rows, columns;
    uint16_t *high, *low;
    bool numbers; /* and nothing else is read */
    int64_t offsets[SPLIT_CONV_RUNS_MAX];
    float *sums, *operand; /* sums: of two blocks */
};

/* Outputs and output channels whose sums are there, and what stands behind is not done yet. */
struct block {
    int64_t at, pixels, first, tiles; /* tiles: of output channels */
    float *sums;
};

struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} __attribute__((aligned(64)));

static bool ask_system(void);
static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t max_shift(const struct split_conv *conv, int64_t phase);
static void plan_runs(struct split_conv *conv);
static void plan_pieces(struct split_conv *conv);
static int64_t line_up(int64_t numbers) { return ceil_div(numbers, LINE_NUMBERS) * LINE_NUMBERS; }

bool split_conv_available(void)
{
    static int known; /* 1: no, 2: yes; the answer is always the same */
    int answer = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (!answer) {
        answer = ask_system() ? 2 : 1;
        __atomic_store_n(&known, answer, __ATOMIC_RELAXED);
    }
    return answer == 2;
}

static bool ask_system(void)
{
    unsigned a, b, c, d;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512bf16"))
        return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & bit_AMX_TILE) || !(d & bit_AMX_BF16))
        return false;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

bool split_conv_plan(struct split_conv *conv)
{
    bool by_row = conv->dilation[1] == 1;
    if (conv->kernel[0] * (by_row ? 1 : conv->kernel[1]) > SPLIT_CONV_RUNS_MAX)
        return false;
    if (conv->planar && (conv->in > SPLIT_CONV_PLANAR_MAX || conv->in_step != 1 ||
                         (conv->kernel[1] == 1 && conv->stride[1] > 1)))
        return false;
    plan_runs(conv);
    bool one = conv->kernel[0] * conv->kernel[1] == 1;
    if (one && conv->stride[0] == 1 && conv->stride[1] == 1 && conv->out_rows == conv->rows &&
        conv->out_columns == conv->columns && !conv->planar) {
        conv->columns = conv->out_columns = conv->batch * conv->rows * conv->columns;
        conv->batch = conv->rows = conv->out_rows = 1;
    }
    plan_pieces(conv);
    return true;
}

/* A run is what lies side by side in a row of a plane: all taps of a row, or one where they are apart. What a
 * chunk reads behind its run meets weights that are 0. */
static void plan_runs(struct split_conv *conv)
{
    bool by_row = conv->dilation[1] == 1;
    conv->channels = !conv->planar ? conv->in : conv->in > 2 ? 4 : 2;
    int64_t length = (by_row ? conv->kernel[1] : 1) * conv->channels;
    conv->chunks = ceil_div(length, CHUNK_MAX);
    conv->chunk = 2 * ceil_div(length, 2 * conv->chunks);
    conv->runs = conv->kernel[0] * (by_row ? 1 : conv->kernel[1]);
    for (int64_t r = 0; r < conv->runs; r++) {
        conv->run_rows[r] = (by_row ? r : r / conv->kernel[1]) * conv->dilation[0];
        conv->run_columns[r] = by_row ? 0 : r % conv->kernel[1] * conv->dilation[1];
    }
}

/* How many rows of a piece further down the last tap of a phase reads; -1 if none does. */
static int64_t max_shift(const struct split_conv *conv, int64_t phase)
{
    int64_t most = -1;
    for (int64_t r = 0; r < conv->runs; r++)
        if (conv->run_rows[r] % conv->stride[0] == phase)
            most = conv->run_rows[r] / conv->stride[0];
    return most;
}

static void plan_pieces(struct split_conv *conv)
{
    int64_t reach = (conv->kernel[1] - 1) * conv->dilation[1] + 1;
    int64_t more_rows = (conv->kernel[0] - 1) * conv->dilation[0] / conv->stride[0];
    int64_t phases = 0;
    for (int64_t p = 0; p < conv->stride[0] && p < SPLIT_CONV_RUNS_MAX * conv->dilation[0]; p++)
        phases += max_shift(conv, p) >= 0;
    conv->taken = conv->kernel[1] == 1 ? conv->stride[1] : 1;
    conv->step = conv->kernel[1] == 1 ? 1 : conv->stride[1];
    int64_t more = reach > conv->step ? ceil_div(reach - conv->step, conv->step) : 0;
    bool flat = conv->out_rows == 1;
    int64_t pixel = conv->step * conv->channels * 4 * phases;
    int64_t budget = (flat ? FLAT_BYTES : PIECE_BYTES) / pixel; /* outputs */
    int64_t wide = budget / (flat ? 1 : more_rows + 4) / WIDE_PIXELS * WIDE_PIXELS;
    wide = wide < 2 * WIDE_PIXELS ? 2 * WIDE_PIXELS : wide;
    conv->column_pieces = ceil_div(conv->out_columns, wide);
    if (flat && conv->batch % conv->threads != 0)
        conv->column_pieces = ceil_div(conv->column_pieces, conv->threads) * conv->threads;
    conv->piece_columns = ceil_div(conv->out_columns, conv->column_pieces);
    if (flat)
        conv->piece_columns = ceil_div(conv->piece_columns, WIDE_PIXELS) * WIDE_PIXELS;
    conv->column_pieces = ceil_div(conv->out_columns, conv->piece_columns);
    conv->width = conv->piece_columns + more;
    int64_t high = budget / conv->width - more_rows;
    int64_t least = 2 * more_rows < 1 ? 1 : 2 * more_rows; /* or most would be split again and again */
    high = high < least ? least : high;
    conv->row_pieces = ceil_div(conv->out_rows, high);
    while (conv->row_pieces < conv->out_rows &&
           conv->row_pieces * conv->column_pieces * conv->batch % conv->threads != 0)
        conv->row_pieces++;
    conv->piece_rows = ceil_div(conv->out_rows, conv->row_pieces);
    conv->row_pieces = ceil_div(conv->out_rows, conv->piece_rows);
    conv->phase_numbers = line_up(
        ((conv->piece_rows + more_rows) * conv->width + LONG_PIXELS) * conv->step * conv->channels +
        conv->chunks * conv->chunk + CHUNK_MAX);
    int64_t used = 0;
    for (int64_t p = 0; p < conv->stride[0]; p++)
        if (max_shift(conv, p) >= 0)
            used = p + 1;
    conv->plane_numbers = line_up(used * conv->phase_numbers);
    conv->plane_numbers += 2048 - conv->plane_numbers % 2048 + 1024 + LINE_NUMBERS;
}

int64_t split_conv_products(const struct split_conv *conv)
{
    int64_t outputs = conv->piece_rows * conv->width; /* of a piece, and some that are none */
    int64_t wide = conv->out / (2 * TILE) + (conv->out % (2 * TILE) > TILE);
    int64_t left = wide * 2 * TILE < conv->out ? 1 : 0;
    int64_t tiles = 4 * wide * ceil_div(outputs, WIDE_PIXELS) + 4 * left * ceil_div(outputs, LONG_PIXELS);
    return conv->batch * conv->row_pieces * conv->column_pieces * tiles * conv->runs * conv->chunks * 3;
}

/* ---- weights ---- */

static int64_t block_numbers(const struct split_conv *conv)
{
    return conv->runs * conv->chunks * conv->chunk * TILE * 2;
}

size_t split_conv_weights_bytes(const struct split_conv *conv)
{
    return (size_t)(ceil_div(conv->out, TILE) * block_numbers(conv)) * sizeof(uint16_t);
}

static uint16_t round_bf16(float x, float *wide)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t rounded = bits + 0x7fffu + (bits >> 16 & 1u);
    rounded = (rounded & 0x7f800000u) == 0x7f800000u ? bits : rounded; /* cut what would be infinite */
    rounded &= 0xffff0000u;
    memcpy(wide, &rounded, sizeof *wide);
    return (uint16_t)(rounded >> 16);
}

void split_conv_pack(const struct split_conv *conv, const struct split_conv_weights *weights,
                     void *packed)
{
    bool by_row = conv->dilation[1] == 1;
    int64_t length = (by_row ? conv->kernel[1] : 1) * conv->channels, part = conv->chunk * TILE;
    memset(packed, 0, split_conv_weights_bytes(conv));
    for (int64_t o = 0; o < conv->out; o++)
        for (int64_t r = 0; r < conv->runs; r++)
            for (int64_t e = 0; e < length; e++) {
                int64_t c = e % conv->channels, k = e % conv->chunk;
                int64_t row = by_row ? r : r / conv->kernel[1];
                int64_t column = by_row ? e / conv->channels : r % conv->kernel[1];
                if (c >= conv->in)
                    continue;
                float x = weights->data[o * weights->out_step + c * weights->in_step +
                                        row * weights->row_step + column * weights->column_step];
                float wide, rest;
                uint16_t *to = (uint16_t *)packed + o / TILE * block_numbers(conv) +
                               (r * conv->chunks + e / conv->chunk) * 2 * part + k / 2 * 2 * TILE +
                               o % TILE * 2 + k % 2;
                to[0] = round_bf16(x, &wide);
                to[part] = round_bf16(x - wide, &rest);
            }
}

/* ---- splitting ---- */

struct parts {
    __m256i high, low;
    __mmask16 odd; /* no numbers */
};

static inline struct parts split_lanes(__m512 x)
{
    const __m512 most = _mm512_set1_ps(LARGEST), size = _mm512_abs_ps(x);
    struct parts parts = { .odd = 0 };
    __m512 near = x;
    if (__builtin_expect(_mm512_cmp_ps_mask(size, most, _CMP_NLE_UQ), 0)) {
        parts.odd = _mm512_cmp_ps_mask(size, _mm512_set1_ps(INFINITY), _CMP_NLT_UQ);
        __mmask16 finite = (__mmask16)~parts.odd;
        near = _mm512_mask_min_ps(x, finite, x, most);
        near = _mm512_mask_max_ps(near, finite, near, _mm512_set1_ps(-LARGEST));
    }
    parts.high = (__m256i)_mm512_cvtneps_pbh(near);
    __m512 wide = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(parts.high), 16));
    parts.low =
        (__m256i)_mm512_maskz_cvtneps_pbh((__mmask16)~parts.odd, _mm512_sub_ps(x, wide));
    return parts;
}

static inline __mmask16 lanes_below(int64_t count)
{
    return count >= LANES ? 0xffff : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}

/* Twice as many, unless one of them is too large or no number. */
static inline bool split_pair(const float *from, uint16_t *high, uint16_t *low)
{
    __m512 x = _mm512_loadu_ps(from), y = _mm512_loadu_ps(from + LANES);
    __m512 most = _mm512_set1_ps(LARGEST);
    if (_mm512_cmp_ps_mask(_mm512_abs_ps(x), most, _CMP_NLE_UQ) |
        _mm512_cmp_ps_mask(_mm512_abs_ps(y), most, _CMP_NLE_UQ))
        return false;
    __m512i first = (__m512i)_mm512_cvtne2ps_pbh(y, x);
    __m512i wide_x = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(first));
    __m512i wide_y = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(first, 1));
    x = _mm512_sub_ps(x, _mm512_castsi512_ps(_mm512_slli_epi32(wide_x, 16)));
    y = _mm512_sub_ps(y, _mm512_castsi512_ps(_mm512_slli_epi32(wide_y, 16)));
    _mm512_storeu_si512(high, first);
    _mm512_storeu_si512(low, (__m512i)_mm512_cvtne2ps_pbh(y, x));
    return true;
}

/* True if all are numbers. */
static bool split_line(const float *from, int64_t count, uint16_t *high, uint16_t *low)
{
    unsigned odd = 0;
    for (int64_t i = 0; i < count; i += LANES) {
        while (i + 2 * LANES <= count && split_pair(from + i, high + i, low + i))
            i += 2 * LANES;
        __mmask16 left = lanes_below(count - i);
        struct parts parts = split_lanes(_mm512_maskz_loadu_ps(left, from + i));
        _mm256_mask_storeu_epi16(high + i, left, parts.high);
        _mm256_mask_storeu_epi16(low + i, left, parts.low);
        odd |= parts.odd;
    }
    return odd == 0;
}

/* Pixel by pixel, each filled up with zeros. */
static bool split_pixels(const struct split_conv *conv, const float *from, int64_t count,
                         uint16_t *high, uint16_t *low)
{
    unsigned odd = 0;
    for (int64_t p = 0; p < count; p++) {
        for (int64_t c = 0; c < conv->channels; c += LANES) {
            __mmask16 to = lanes_below(conv->channels - c);
            struct parts parts =
                split_lanes(_mm512_maskz_loadu_ps(lanes_below(conv->in - c), from + c));
            _mm256_mask_storeu_epi16(high + c, to, parts.high);
            _mm256_mask_storeu_epi16(low + c, to, parts.low);
            odd |= parts.odd;
        }
        from += conv->taken * conv->in_step;
        high += conv->channels;
        low += conv->channels;
    }
    return odd == 0;
}

/* 16 pixels of 2 or 4 channels, of which those there are no planes for are 0. */
static inline void weave(const __m256i parts[SPLIT_CONV_PLANAR_MAX], int64_t channels, int64_t count,
                         uint16_t *to)
{
    __m512i pairs[2];
    for (int i = 0; i < 2; i++)
        pairs[i] =
            _mm512_or_si512(_mm512_cvtepu16_epi32(parts[2 * i]),
                            _mm512_slli_epi32(_mm512_cvtepu16_epi32(parts[2 * i + 1]), 16));
    if (channels == 2) {
        _mm512_mask_storeu_epi32(to, lanes_below(count), pairs[0]);
        return;
    }
    const __m512i first =
        _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(LANES / 2));
    _mm512_mask_storeu_epi32(to, lanes_below(2 * count),
                             _mm512_permutex2var_epi32(pairs[0], first, pairs[1]));
    _mm512_mask_storeu_epi32(to + 2 * LANES, lanes_below(2 * count - LANES),
                             _mm512_permutex2var_epi32(pairs[0], second, pairs[1]));
}

/* From planes of one channel each. */
static bool split_planar(const struct split_conv *conv, const float *from, int64_t count,
                         uint16_t *high, uint16_t *low)
{
    unsigned odd = 0;
    for (int64_t p = 0; p < count; p += LANES) {
        __m256i highs[SPLIT_CONV_PLANAR_MAX] = { 0 }, lows[SPLIT_CONV_PLANAR_MAX] = { 0 };
        for (int64_t c = 0; c < conv->in; c++) {
            struct parts parts = split_lanes(_mm512_maskz_loadu_ps(
                lanes_below(count - p), from + c * conv->rows * conv->columns + p));
            highs[c] = parts.high;
            lows[c] = parts.low;
            odd |= parts.odd;
        }
        weave(highs, conv->channels, count - p, high + p * conv->channels);
        weave(lows, conv->channels, count - p, low + p * conv->channels);
    }
    return odd == 0;
}

/* A row of a plane, zeros where there is no picture. */
static bool split_row(const struct piece *piece, int64_t row, uint16_t *high, uint16_t *low)
{
    const struct split_conv *conv = piece->job->conv;
    int64_t count = conv->width * conv->step; /* pixels of a plane's row */
    size_t pixel = (size_t)conv->channels * sizeof *high;
    int64_t start = piece->column * conv->stride[1] - conv->pad[1]; /* in the picture */
    int64_t first = start < 0 ? ceil_div(-start, conv->taken) : 0;
    int64_t end = ceil_div(conv->columns - start, conv->taken);
    if (row < 0 || row >= conv->rows)
        first = end = count;
    first = first < count ? first : count;
    end = end < first ? first : end < count ? end : count;
    memset(high, 0, (size_t)first * pixel);
    memset(low, 0, (size_t)first * pixel);
    memset(high + end * conv->channels, 0, (size_t)(count - end) * pixel);
    memset(low + end * conv->channels, 0, (size_t)(count - end) * pixel);
    if (first == end)
        return true;
    int64_t images = conv->planar ? piece->image * conv->in : piece->image;
    const float *from =
        piece->job->input +
        ((images * conv->rows + row) * conv->columns + start + first * conv->taken) * conv->in_step;
    high += first * conv->channels;
    low += first * conv->channels;
    if (conv->planar)
        return split_planar(conv, from, end - first, high, low);
    if (conv->taken == 1 && conv->in_step == conv->in && conv->channels == conv->in)
        return split_line(from, (end - first) * conv->in, high, low);
    return split_pixels(conv, from, end - first, high, low);
}

static void split_piece(struct piece *piece)
{
    const struct split_conv *conv = piece->job->conv;
    const int64_t line = conv->width * conv->step * conv->channels;
    piece->numbers = true;
    for (int64_t phase = 0; phase < conv->stride[0]; phase++) {
        int64_t shift = max_shift(conv, phase), at = phase * conv->phase_numbers;
        if (shift < 0)
            continue;
        for (int64_t r = 0; r < piece->rows + shift; r++, at += line) {
            int64_t row = (piece->row + r) * conv->stride[0] + phase - conv->pad[0];
            if (!split_row(piece, row, piece->high + at, piece->low + at))
                piece->numbers = false;
        }
        /* Read behind the last run, and times 0. */
        memset(piece->high + at, 0, CHUNK_MAX * sizeof *piece->high);
        memset(piece->low + at, 0, CHUNK_MAX * sizeof *piece->low);
    }
}

/* ---- products ---- */

static void configure(const struct split_conv *conv)
{
    struct tile_config config = { .palette = 1 };
    for (int t = 0; t < 8; t++) {
        config.rows[t] = t < 6 ? TILE : (uint8_t)(conv->chunk / 2);
        config.row_bytes[t] = t == 4 || t == 5 ? (uint16_t)(conv->chunk * 2) : 64;
    }
    _tile_loadconfig(&config);
}

#define ROW_BYTES(n) ((n)*TILE * (int64_t)sizeof(float))

/* 2x2 tiles, or 1x2: the outputs of pixels from `at` on and 32 output channels. */
static inline __attribute__((always_inline)) void
multiply_wide(const struct piece *piece, int64_t at, const uint16_t *weights, const float *bias,
              float *sums, const bool second)
{
    const struct split_conv *conv = piece->job->conv;
    const int64_t pixel = conv->step * conv->channels, step = pixel * (int64_t)sizeof(uint16_t);
    const int64_t part = conv->chunk * TILE, next = block_numbers(conv), below = TILE * pixel;
    _tile_loadd(0, bias, 0);
    _tile_loadd(1, bias + TILE, 0);
    if (second) {
        _tile_loadd(2, bias, 0);
        _tile_loadd(3, bias + TILE, 0);
    }
    for (int64_t r = 0; r < conv->runs; r++) {
        int64_t from = at * pixel + piece->offsets[r];
        for (int64_t c = 0; c < conv->chunks; c++, from += conv->chunk, weights += 2 * part) {
            _tile_loadd(4, piece->high + from, step);
            _tile_loadd(6, weights + part, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(7, weights + next + part, 64);
            _tile_dpbf16ps(1, 4, 7);
            if (second) {
                _tile_loadd(5, piece->high + from + below, step);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
            _tile_loadd(6, weights, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(7, weights + next, 64);
            _tile_dpbf16ps(1, 4, 7);
            if (second) {
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
            _tile_loadd(4, piece->low + from, step);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            if (second) {
                _tile_loadd(5, piece->low + from + below, step);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
        }
    }
    _tile_stored(0, sums, ROW_BYTES(2));
    _tile_stored(1, sums + TILE, ROW_BYTES(2));
    if (second) {
        _tile_stored(2, sums + 2 * TILE * TILE, ROW_BYTES(2));
        _tile_stored(3, sums + 2 * TILE * TILE + TILE, ROW_BYTES(2));
    }
}

#define ADD_LONG(sum, below)                                            \
    do {                                                                \
        _tile_loadd(4, piece->high + from + (below), step);            \
        _tile_dpbf16ps(sum, 4, 7);                                      \
        _tile_dpbf16ps(sum, 4, 6);                                      \
        _tile_loadd(5, piece->low + from + (below), step);              \
        _tile_dpbf16ps(sum, 5, 6);                                      \
    } while (0)

/* Up to 4x1 tiles: 16 output channels, where there are no more. */
static inline __attribute__((always_inline)) void
multiply_long(const struct piece *piece, int64_t at, const uint16_t *weights, const float *bias,
              float *sums, const int tiles)
{
    const struct split_conv *conv = piece->job->conv;
    const int64_t pixel = conv->step * conv->channels, step = pixel * (int64_t)sizeof(uint16_t);
    const int64_t part = conv->chunk * TILE, below = TILE * pixel;
    _tile_loadd(0, bias, 0);
    _tile_loadd(1, bias, 0);
    _tile_loadd(2, bias, 0);
    _tile_loadd(3, bias, 0);
    for (int64_t r = 0; r < conv->runs; r++) {
        int64_t from = at * pixel + piece->offsets[r];
        for (int64_t c = 0; c < conv->chunks; c++, from += conv->chunk, weights += 2 * part) {
            _tile_loadd(6, weights, 64);
            _tile_loadd(7, weights + part, 64);
            ADD_LONG(0, 0);
            if (tiles > 1)
                ADD_LONG(1, below);
            if (tiles > 2)
                ADD_LONG(2, 2 * below);
            if (tiles > 3)
                ADD_LONG(3, 3 * below);
        }
    }
    _tile_stored(0, sums, ROW_BYTES(1));
    _tile_stored(1, sums + TILE * TILE, ROW_BYTES(1));
    _tile_stored(2, sums + 2 * TILE * TILE, ROW_BYTES(1));
    _tile_stored(3, sums + 3 * TILE * TILE, ROW_BYTES(1));
}

/* ---- where something is no number ---- */

/* 16 weights that meet the same number, from both parts. */
static inline __m512 join_weights(const uint16_t *pairs, int64_t part, int64_t odd)
{
    __m512i high = _mm512_loadu_si512(pairs), low = _mm512_loadu_si512(pairs + part);
    if (odd) {
        const __m512i upper = _mm512_set1_epi32((int)0xffff0000u);
        high = _mm512_and_si512(high, upper);
        low = _mm512_and_si512(low, upper);
    } else {
        high = _mm512_slli_epi32(high, 16);
        low = _mm512_slli_epi32(low, 16);
    }
    return _mm512_add_ps(_mm512_castsi512_ps(high), _mm512_castsi512_ps(low));
}

/* Adds what one run gives to one output. row, column: in the picture, of the run's first tap. */
static __m512 add_run(const struct piece *piece, int64_t row, int64_t column, int64_t taps,
                      const uint16_t *weights, __m512 sum)
{
    const struct split_conv *conv = piece->job->conv;
    const int64_t part = conv->chunk * TILE;
    if (row < 0 || row >= conv->rows)
        return sum;
    for (int64_t t = 0; t < taps; t++) {
        for (int64_t c = 0; column + t >= 0 && column + t < conv->columns && c < conv->in; c++) {
            int64_t e = t * conv->channels + c, k = e % conv->chunk;
            int64_t plane = conv->planar ? piece->image * conv->in + c : piece->image;
            int64_t from = ((plane * conv->rows + row) * conv->columns + column + t) * conv->in_step +
                           (conv->planar ? 0 : c);
            const uint16_t *pairs = weights + e / conv->chunk * 2 * part + k / 2 * 2 * TILE;
            sum = _mm512_fmadd_ps(_mm512_set1_ps(piece->job->input[from]),
                                  join_weights(pairs, part, k % 2), sum);
        }
    }
    return sum;
}

/* As in f32: an infinity has no parts that could be multiplied one by one, and would meet the zeros behind
 * a run. */
static void multiply_plain(const struct piece *piece, const struct block *block)
{
    const struct split_conv *conv = piece->job->conv;
    int64_t taps = conv->runs == conv->kernel[0] ? conv->kernel[1] : 1;
    for (int64_t p = 0; p < block->pixels; p++)
        for (int64_t t = 0; t < block->tiles; t++) {
            int64_t first = block->first + t * TILE;
            int64_t row = (piece->row + (block->at + p) / conv->width) * conv->stride[0];
            int64_t column = (piece->column + (block->at + p) % conv->width) * conv->stride[1];
            const uint16_t *weights = piece->job->packed + first / TILE * block_numbers(conv);
            __m512 sum = _mm512_loadu_ps(piece->job->tail->bias + first);
            for (int64_t r = 0; r < conv->runs; r++, weights += conv->chunks * conv->chunk * 2 * TILE)
                sum = add_run(piece, row + conv->run_rows[r] - conv->pad[0],
                              column + conv->run_columns[r] - conv->pad[1], taps, weights, sum);
            _mm512_store_ps(block->sums + (p * block->tiles + t) * TILE, sum);
        }
}

/* ---- what stands behind ---- */

/* Outputs of a piece that lie side by side in the whole, among those from `at` to `end`. */
struct stretch {
    int64_t at, count, place; /* place: of the first in the output, in numbers */
};

static inline bool find_stretch(const struct piece *piece, int64_t end, struct stretch *stretch)
{
    const struct split_conv *conv = piece->job->conv;
    int64_t at = stretch->at + stretch->count, row = at / conv->width, column = at % conv->width;
    if (column >= piece->columns) {
        at += conv->width - column;
        column = 0;
        row++;
    }
    if (at >= end || row >= piece->rows)
        return false;
    stretch->at = at;
    stretch->count = piece->columns - column < end - at ? piece->columns - column : end - at;
    stretch->place = (((piece->image * conv->out_rows + piece->row + row) * conv->out_columns) +
                      piece->column + column) *
                     conv->out_step;
    return true;
}

static void gather(const struct piece *piece, const float *from, const struct block *block)
{
    const struct split_conv *conv = piece->job->conv;
    struct stretch stretch = { .at = block->at };
    while (find_stretch(piece, block->at + block->pixels, &stretch))
        for (int64_t p = 0; p < stretch.count; p++)
            for (int64_t t = 0; t < block->tiles; t++) {
                int64_t c = block->first + t * TILE;
                _mm512_store_ps(
                    piece->operand + ((stretch.at - block->at + p) * block->tiles + t) * TILE,
                    _mm512_maskz_loadu_ps(lanes_below(conv->out - c),
                                          from + stretch.place + p * conv->out_step + c));
            }
}

static void spread(const struct piece *piece, const float *from, const struct block *block)
{
    const struct split_conv *conv = piece->job->conv;
    for (int64_t t = 0; t < block->tiles; t++) {
        int64_t c = block->first + t * TILE;
        __m512 x = _mm512_maskz_loadu_ps(lanes_below(conv->out - c), from + c);
        for (int64_t p = 0; p < block->pixels; p++)
            _mm512_store_ps(piece->operand + (p * block->tiles + t) * TILE, x);
    }
}

static void run_posts(const struct piece *piece, const struct block *block)
{
    const struct split_conv_tail *tail = piece->job->tail;
    int64_t count = block->pixels * block->tiles * TILE;
    for (int i = 0; i < tail->post_count; i++) {
        const struct split_conv_post *post = &tail->posts[i];
        const float *operand = post->operand == SPLIT_CONV_ALONE ? block->sums : piece->operand;
        if (post->operand == SPLIT_CONV_FULL)
            gather(piece, post->data, block);
        if (post->operand == SPLIT_CONV_CHANNEL)
            spread(piece, post->data, block);
        post->run(block->sums, operand, operand, block->sums, count, post->alpha, post->beta);
    }
}

static inline __attribute__((always_inline)) void
store(const struct piece *piece, const struct block *block, const int64_t tiles, const bool adds)
{
    const struct split_conv *conv = piece->job->conv;
    const struct split_conv_tail *tail = piece->job->tail;
    const __m512 low = _mm512_set1_ps(tail->low), high = _mm512_set1_ps(tail->high);
    const __mmask16 mask = lanes_below(conv->out - block->first - (tiles - 1) * TILE);
    const int64_t step = conv->out_step;
    struct stretch stretch = { .at = block->at };
    while (find_stretch(piece, block->at + block->pixels, &stretch)) {
        const float *sums = block->sums + (stretch.at - block->at) * tiles * TILE;
        const float *added = adds ? tail->added + stretch.place + block->first : NULL;
        float *to = piece->job->output + stretch.place + block->first;
        for (int64_t p = 0; p < stretch.count; p++, sums += tiles * TILE, to += step) {
            for (int64_t t = 0; t < tiles; t++) {
                const __mmask16 lanes = t + 1 < tiles ? 0xffff : mask;
                __m512 x = _mm512_load_ps(sums + t * TILE);
                if (adds)
                    x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(lanes, added + p * step + t * TILE));
                x = _mm512_min_ps(high, _mm512_max_ps(low, x)); /* NaN stays */
                _mm512_mask_storeu_ps(to + t * TILE, lanes, x);
            }
        }
    }
}

static void finish(const struct piece *piece, const struct block *block)
{
    const bool adds = piece->job->tail->added != NULL;
    run_posts(piece, block);
    if (block->tiles == 2 && adds)
        store(piece, block, 2, true);
    else if (block->tiles == 2)
        store(piece, block, 2, false);
    else if (adds)
        store(piece, block, 1, true);
    else
        store(piece, block, 1, false);
}

/* ---- all of it ---- */

static void multiply(const struct piece *piece, const struct block *block)
{
    const struct job *job = piece->job;
    const uint16_t *weights = job->packed + block->first / TILE * block_numbers(job->conv);
    const float *bias = job->tail->bias + block->first;
    if (!piece->numbers)
        multiply_plain(piece, block);
    else if (block->tiles == 2 && block->pixels > TILE)
        multiply_wide(piece, block->at, weights, bias, block->sums, true);
    else if (block->tiles == 2)
        multiply_wide(piece, block->at, weights, bias, block->sums, false);
    else if (block->pixels > 3 * TILE)
        multiply_long(piece, block->at, weights, bias, block->sums, 4);
    else if (block->pixels > 2 * TILE)
        multiply_long(piece, block->at, weights, bias, block->sums, 3);
    else if (block->pixels > TILE)
        multiply_long(piece, block->at, weights, bias, block->sums, 2);
    else
        multiply_long(piece, block->at, weights, bias, block->sums, 1);
}

/* A block is finished when the products of the next one have been begun: they run beside each other. */
static void run_piece(const struct piece *piece)
{
    const struct split_conv *conv = piece->job->conv;
    int64_t count = (piece->rows - 1) * conv->width + piece->columns;
    struct block last = { .sums = piece->sums };
    for (int64_t first = 0; first < conv->out; first += 2 * TILE) {
        int64_t tiles = first + TILE < conv->out ? 2 : 1;
        int64_t pixels = tiles == 2 ? WIDE_PIXELS : LONG_PIXELS;
        for (int64_t at = 0; at < count; at += pixels) {
            struct block block = { at, count - at < pixels ? count - at : pixels, first, tiles,
                                   last.sums == piece->sums ? piece->sums + SUMS : piece->sums };
            multiply(piece, &block);
            if (last.pixels > 0)
                finish(piece, &last);
            last = block;
        }
    }
    finish(piece, &last);
}

static size_t part_bytes(const struct split_conv *conv)
{
    return (size_t)conv->plane_numbers * 2 * sizeof(uint16_t) + 3 * SUMS * sizeof(float);
}

size_t split_conv_scratch_bytes(const struct split_conv *conv)
{
    return part_bytes(conv) * (size_t)conv->threads;
}

static void run_part(const void *arg, int part, int parts)
{
    const struct job *job = arg;
    const struct split_conv *conv = job->conv;
    int64_t pieces = conv->row_pieces * conv->column_pieces, first, end;
    struct piece piece = { .job = job };
    piece.sums = (float *)(void *)(job->scratch + (size_t)part * part_bytes(conv));
    piece.operand = piece.sums + 2 * SUMS;
    piece.high = (uint16_t *)(void *)(piece.operand + SUMS);
    piece.low = piece.high + conv->plane_numbers;
    memset(piece.operand, 0, SUMS * sizeof(float));
    for (int64_t r = 0; r < conv->runs; r++)
        piece.offsets[r] =
            conv->run_rows[r] % conv->stride[0] * conv->phase_numbers +
            (conv->run_rows[r] / conv->stride[0] * conv->width * conv->step + conv->run_columns[r]) *
                conv->channels;
    configure(conv);
    parallel_share(conv->batch * pieces, 1, part, parts, &first, &end);
    for (int64_t i = first; i < end; i++) {
        piece.image = i / pieces;
        piece.row = i % pieces / conv->column_pieces * conv->piece_rows;
        piece.column = i % conv->column_pieces * conv->piece_columns;
        piece.rows = conv->out_rows - piece.row;
        piece.rows = piece.rows < conv->piece_rows ? piece.rows : conv->piece_rows;
        piece.columns = conv->out_columns - piece.column;
        piece.columns = piece.columns < conv->piece_columns ? piece.columns : conv->piece_columns;
        split_piece(&piece);
        run_piece(&piece);
    }
    _tile_release();
}

void split_conv_run(const struct split_conv *conv, const float *input, const void *packed,
                    const struct split_conv_tail *tail, float *output, void *scratch)
{
    struct job job = { conv, input, packed, tail, output, scratch };
    int64_t products = conv->batch * conv->out_rows * conv->out_columns * conv->out * conv->in *
                       conv->kernel[0] * conv->kernel[1];
    parallel_run(parallel_parts(conv->threads, products, LEAST_PRODUCTS), run_part, &job);
}

#else

#include <stdlib.h>

bool split_conv_available(void)
{
    return false;
}

bool split_conv_plan(struct split_conv *conv)
{
    (void)conv;
    abort();
}

int64_t split_conv_products(const struct split_conv *conv)
{
    (void)conv;
    abort();
}

size_t split_conv_weights_bytes(const struct split_conv *conv)
{
    (void)conv;
    abort();
}

size_t split_conv_scratch_bytes(const struct split_conv *conv)
{
    (void)conv;
    abort();
}

void split_conv_pack(const struct split_conv *conv, const struct split_conv_weights *weights,
                     void *packed)
{
    (void)conv, (void)weights, (void)packed;
    abort();
}

void split_conv_run(const struct split_conv *conv, const float *input, const void *packed,
                    const struct split_conv_tail *tail, float *output, void *scratch)
{
    (void)conv, (void)input, (void)packed, (void)tail, (void)output, (void)scratch;
    abort();
}

#endif
