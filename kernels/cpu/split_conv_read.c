/* split_conv_read: pixels of f32 into the two planes of a piece, 16 or 32 numbers at a time by the processor's own
 * conversion. Compiled for AVX-512 with bf16 (mk/build.mk). */
#include "cpu/split_conv_piece.h"

#ifdef __AVX512BF16__

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define LANES 16
#define PAIR ((int64_t)2 * LANES)
#define LARGEST 0x1.fep+127f /* of bf16 */

static bool split_row(const struct split_conv_piece *piece, int64_t row, uint16_t *high,
                      uint16_t *low);

void split_conv_read(struct split_conv_piece *piece)
{
    const struct split_conv *conv = piece->job->conv;
    const int64_t line = conv->width * conv->step * conv->channels;
    piece->numbers = true;
    for (int64_t phase = 0; phase < conv->stride[0]; phase++) {
        int64_t shift = split_conv_shift(conv, phase), at = phase * conv->phase_numbers;
        if (shift < 0)
            continue;
        for (int64_t r = 0; r < piece->rows + shift; r++, at += line) {
            int64_t row = (piece->row + r) * conv->stride[0] + phase - conv->pad[0];
            if (!split_row(piece, row, piece->high + at, piece->low + at))
                piece->numbers = false;
        }
        /* Read behind the last run, and times 0. */
        memset(piece->high + at, 0, SPLIT_CONV_CHUNK * sizeof *piece->high);
        memset(piece->low + at, 0, SPLIT_CONV_CHUNK * sizeof *piece->low);
    }
}

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
    parts.low = (__m256i)_mm512_maskz_cvtneps_pbh((__mmask16)~parts.odd, _mm512_sub_ps(x, wide));
    return parts;
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
        while (i + PAIR <= count && split_pair(from + i, high + i, low + i))
            i += PAIR;
        __mmask16 left = split_conv_lanes(count - i);
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
            __mmask16 to = split_conv_lanes(conv->channels - c);
            struct parts parts =
                split_lanes(_mm512_maskz_loadu_ps(split_conv_lanes(conv->in - c), from + c));
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
static inline void weave(const __m256i parts[SPLIT_CONV_PLANAR_MAX], int64_t channels,
                         int64_t count, uint16_t *to)
{
    __m512i pairs[2];
    for (size_t i = 0; i < 2; i++)
        pairs[i] = _mm512_or_si512(_mm512_cvtepu16_epi32(parts[2 * i]),
                                   _mm512_slli_epi32(_mm512_cvtepu16_epi32(parts[2 * i + 1]), 16));
    if (channels == 2) {
        _mm512_mask_storeu_epi32(to, split_conv_lanes(count), pairs[0]);
        return;
    }
    const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(LANES / 2));
    _mm512_mask_storeu_epi32(to, split_conv_lanes(2 * count),
                             _mm512_permutex2var_epi32(pairs[0], first, pairs[1]));
    _mm512_mask_storeu_epi32(to + PAIR, split_conv_lanes(2 * count - LANES),
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
                split_conv_lanes(count - p), from + c * conv->rows * conv->columns + p));
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
static bool split_row(const struct split_conv_piece *piece, int64_t row, uint16_t *high, uint16_t *low)
{
    const struct split_conv *conv = piece->job->conv;
    int64_t count = conv->width * conv->step; /* pixels of a plane's row */
    size_t pixel = (size_t)conv->channels * sizeof *high;
    int64_t start = piece->column * conv->stride[1] - conv->pad[1]; /* in the picture */
    int64_t first = start < 0 ? split_conv_ceil(-start, conv->taken) : 0;
    int64_t end = split_conv_ceil(conv->columns - start, conv->taken);
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

#else

#include <stdlib.h>

void split_conv_read(struct split_conv_piece *piece)
{
    (void)piece;
    abort();
}

#endif
