/* split_conv_finish: what becomes of sums: posts, an addition, bounds, and to where they belong. And the sums
 * themselves where there is an infinity or NaN. Compiled for AVX-512 (mk/build.mk). */
#include "cpu/split_conv_piece.h"

#ifdef __AVX512F__

#include <immintrin.h>

#define TILE SPLIT_CONV_TILE

/* Outputs of a piece that lie side by side in the whole, among those from `at` to `end`. */
struct stretch {
    int64_t at, count, place; /* place: of the first in the output, in numbers */
};

static inline bool find_stretch(const struct split_conv_piece *piece, int64_t end,
                                struct stretch *stretch);
static void gather(const struct split_conv_piece *piece, const float *from,
                   const struct split_conv_block *block);
static void spread(const struct split_conv_piece *piece, const float *from,
                   const struct split_conv_block *block);
static void run_posts(const struct split_conv_piece *piece, const struct split_conv_block *block);
static inline void store(const struct split_conv_piece *piece, const struct split_conv_block *block,
                         int64_t tiles, bool adds);
static __m512 add_run(const struct split_conv_piece *piece, int64_t row, int64_t column,
                      int64_t taps, const uint16_t *weights, __m512 sum);
static inline __m512 join_weights(const uint16_t *pairs, int64_t part, int64_t odd);

void split_conv_finish(const struct split_conv_piece *piece, const struct split_conv_block *block)
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

/* As in f32: an infinity has no parts that could be multiplied one by one, and would meet the zeros behind
 * a run. */
void split_conv_add_plain(const struct split_conv_piece *piece, const struct split_conv_block *block)
{
    const struct split_conv *conv = piece->job->conv;
    int64_t taps = conv->runs == conv->kernel[0] ? conv->kernel[1] : 1;
    for (int64_t p = 0; p < block->pixels; p++)
        for (int64_t t = 0; t < block->tiles; t++) {
            int64_t first = block->first + t * TILE;
            int64_t row = (piece->row + (block->at + p) / conv->width) * conv->stride[0];
            int64_t column = (piece->column + (block->at + p) % conv->width) * conv->stride[1];
            const uint16_t *weights = piece->job->packed + first / TILE * split_conv_packed(conv);
            __m512 sum = _mm512_loadu_ps(piece->job->tail->bias + first);
            for (int64_t r = 0; r < conv->runs; r++, weights += conv->chunks * conv->chunk * 2 * TILE)
                sum = add_run(piece, row + conv->run_rows[r] - conv->pad[0],
                              column + conv->run_columns[r] - conv->pad[1], taps, weights, sum);
            _mm512_store_ps(block->sums + (p * block->tiles + t) * TILE, sum);
        }
}

/* ---- what stands behind ---- */

static inline bool find_stretch(const struct split_conv_piece *piece, int64_t end,
                                struct stretch *stretch)
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

static void gather(const struct split_conv_piece *piece, const float *from,
                   const struct split_conv_block *block)
{
    const struct split_conv *conv = piece->job->conv;
    struct stretch stretch = { .at = block->at };
    while (find_stretch(piece, block->at + block->pixels, &stretch))
        for (int64_t p = 0; p < stretch.count; p++)
            for (int64_t t = 0; t < block->tiles; t++) {
                int64_t c = block->first + t * TILE;
                _mm512_store_ps(
                    piece->operand + ((stretch.at - block->at + p) * block->tiles + t) * TILE,
                    _mm512_maskz_loadu_ps(split_conv_lanes(conv->out - c),
                                          from + stretch.place + p * conv->out_step + c));
            }
}

static void spread(const struct split_conv_piece *piece, const float *from,
                   const struct split_conv_block *block)
{
    const struct split_conv *conv = piece->job->conv;
    for (int64_t t = 0; t < block->tiles; t++) {
        int64_t c = block->first + t * TILE;
        __m512 x = _mm512_maskz_loadu_ps(split_conv_lanes(conv->out - c), from + c);
        for (int64_t p = 0; p < block->pixels; p++)
            _mm512_store_ps(piece->operand + (p * block->tiles + t) * TILE, x);
    }
}

static void run_posts(const struct split_conv_piece *piece, const struct split_conv_block *block)
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

static inline __attribute__((always_inline)) void store(const struct split_conv_piece *piece,
                                                        const struct split_conv_block *block,
                                                        const int64_t tiles, const bool adds)
{
    const struct split_conv *conv = piece->job->conv;
    const struct split_conv_tail *tail = piece->job->tail;
    const __m512 low = _mm512_set1_ps(tail->low), high = _mm512_set1_ps(tail->high);
    const __mmask16 mask = split_conv_lanes(conv->out - block->first - (tiles - 1) * TILE);
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

/* ---- where something is no number ---- */

/* Adds what one run gives to one output. row, column: in the picture, of the run's first tap. */
static __m512 add_run(const struct split_conv_piece *piece, int64_t row, int64_t column,
                      int64_t taps, const uint16_t *weights, __m512 sum)
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

#else

#include <stdlib.h>

void split_conv_finish(const struct split_conv_piece *piece, const struct split_conv_block *block)
{
    (void)piece, (void)block;
    abort();
}

void split_conv_add_plain(const struct split_conv_piece *piece, const struct split_conv_block *block)
{
    (void)piece, (void)block;
    abort();
}

#endif
