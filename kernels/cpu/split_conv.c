/* split_conv: products of tiles, and who computes which piece. Compiled for AMX (mk/build.mk); elsewhere it is not
 * available.
 *
 * A block is 2x2 tiles of sums, or 4x1 where there are no more than 16 output channels. For each chunk of 32
 * numbers that takes 12 products and 8 tiles loaded (4x1: 10), as a tile of one part meets both of the other. On a
 * Xeon at 2.5 GHz a product takes 6.4 ns, 16 cycles, a load 3.3, and a chunk 77: loads hide behind products. In
 * other minutes of that virtual machine, probably while another thread runs on the same core, a product takes 16 ns, a
 * load 12, and a chunk 300: then they take turns, in whatever order they stand. */
#include "cpu/split_conv_piece.h"

#if defined(__AMX_TILE__) && defined(__AVX512BF16__)

#include "cpu/parallel.h"
#include <cpuid.h>
#include <immintrin.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TILE SPLIT_CONV_TILE
#define LINE_BYTES 64         /* of the caches, and in a row of a tile of weights */
#define LEAST_PRODUCTS 400000 /* of numbers, for a thread */
#define PERMISSION 0x1023     /* arch_prctl's, to ask for */
#define TILE_DATA 18
#define ROW_BYTES(tiles) ((tiles)*TILE * (int64_t)sizeof(float))
#define INLINE static inline __attribute__((always_inline))

struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} __attribute__((aligned(64)));

static bool ask_system(void);
static size_t part_bytes(const struct split_conv *conv);
static parallel_fn run_part;
static void configure(const struct split_conv *conv);
static void run_piece(const struct split_conv_piece *piece);
static void multiply(const struct split_conv_piece *piece, const struct split_conv_block *block);

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

size_t split_conv_scratch_bytes(const struct split_conv *conv)
{
    return part_bytes(conv) * (size_t)conv->threads;
}

void split_conv_run(const struct split_conv *conv, const float *input, const void *packed,
                    const struct split_conv_tail *tail, float *output, void *scratch)
{
    struct split_conv_job job = { conv, input, packed, tail, output, scratch };
    int64_t products = conv->batch * conv->out_rows * conv->out_columns * conv->out * conv->in *
                       conv->kernel[0] * conv->kernel[1];
    parallel_run(parallel_parts(conv->threads, products, LEAST_PRODUCTS), run_part, &job);
}

static bool ask_system(void)
{
    unsigned a, b, c, d;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512bf16"))
        return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & bit_AMX_TILE) || !(d & bit_AMX_BF16))
        return false;
    return syscall(SYS_arch_prctl, PERMISSION, TILE_DATA) == 0;
}

static size_t part_bytes(const struct split_conv *conv)
{
    return (size_t)conv->plane_numbers * 2 * sizeof(uint16_t) + 3 * SPLIT_CONV_SUMS * sizeof(float);
}

static void run_part(const void *arg, int part, int parts)
{
    const struct split_conv_job *job = arg;
    const struct split_conv *conv = job->conv;
    int64_t pieces = conv->row_pieces * conv->column_pieces, first, end;
    struct split_conv_piece piece = { .job = job };
    piece.sums = (float *)(void *)(job->scratch + (size_t)part * part_bytes(conv));
    piece.operand = piece.sums + 2 * SPLIT_CONV_SUMS;
    piece.high = (uint16_t *)(void *)(piece.operand + SPLIT_CONV_SUMS);
    piece.low = piece.high + conv->plane_numbers;
    memset(piece.operand, 0, SPLIT_CONV_SUMS * sizeof(float));
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
        split_conv_read(&piece);
        run_piece(&piece);
    }
    _tile_release();
}

static void configure(const struct split_conv *conv)
{
    struct tile_config config = { .palette = 1 };
    for (int t = 0; t < 8; t++) {
        config.rows[t] = t < 6 ? TILE : (uint8_t)(conv->chunk / 2);
        config.row_bytes[t] = t == 4 || t == 5 ? (uint16_t)(conv->chunk * 2) : LINE_BYTES;
    }
    _tile_loadconfig(&config);
}

/* A block is finished when the products of the next one have been begun: they run beside each other. */
static void run_piece(const struct split_conv_piece *piece)
{
    const struct split_conv *conv = piece->job->conv;
    int64_t count = (piece->rows - 1) * conv->width + piece->columns;
    struct split_conv_block last = { .sums = piece->sums };
    for (int64_t first = 0; first < conv->out; first += 2 * TILE) {
        int64_t tiles = first + TILE < conv->out ? 2 : 1;
        int64_t pixels = tiles == 2 ? SPLIT_CONV_WIDE : SPLIT_CONV_LONG;
        for (int64_t at = 0; at < count; at += pixels) {
            struct split_conv_block block = {
                at, count - at < pixels ? count - at : pixels, first, tiles,
                last.sums == piece->sums ? piece->sums + SPLIT_CONV_SUMS : piece->sums
            };
            multiply(piece, &block);
            if (last.pixels > 0)
                split_conv_finish(piece, &last);
            last = block;
        }
    }
    split_conv_finish(piece, &last);
}

/* ---- products ---- */

/* 2x2 tiles, or 1x2: the outputs of pixels from `at` on and 32 output channels. */
INLINE void multiply_wide(const struct split_conv_piece *piece, int64_t at, const uint16_t *weights,
                          const float *bias, float *sums, const bool second)
{
    const struct split_conv *conv = piece->job->conv;
    const int64_t pixel = conv->step * conv->channels, step = pixel * (int64_t)sizeof(uint16_t);
    const int64_t part = conv->chunk * TILE, next = split_conv_packed(conv), below = TILE * pixel;
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
            _tile_loadd(6, weights + part, LINE_BYTES);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(7, weights + next + part, LINE_BYTES);
            _tile_dpbf16ps(1, 4, 7);
            if (second) {
                _tile_loadd(5, piece->high + from + below, step);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
            _tile_loadd(6, weights, LINE_BYTES);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(7, weights + next, LINE_BYTES);
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

#define ADD_LONG(sum, below)                                \
    do {                                                    \
        _tile_loadd(4, piece->high + from + (below), step); \
        _tile_dpbf16ps(sum, 4, 7);                          \
        _tile_dpbf16ps(sum, 4, 6);                          \
        _tile_loadd(5, piece->low + from + (below), step);  \
        _tile_dpbf16ps(sum, 5, 6);                          \
    } while (0)

/* Up to 4x1 tiles: 16 output channels, where there are no more. */
INLINE void multiply_long(const struct split_conv_piece *piece, int64_t at, const uint16_t *weights,
                          const float *bias, float *sums, const int tiles)
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
            _tile_loadd(6, weights, LINE_BYTES);
            _tile_loadd(7, weights + part, LINE_BYTES);
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

static void multiply(const struct split_conv_piece *piece, const struct split_conv_block *block)
{
    const struct split_conv_job *job = piece->job;
    const uint16_t *weights = job->packed + block->first / TILE * split_conv_packed(job->conv);
    const float *bias = job->tail->bias + block->first;
    if (!piece->numbers)
        split_conv_add_plain(piece, block);
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

#else

#include <stdlib.h>

bool split_conv_available(void)
{
    return false;
}

size_t split_conv_scratch_bytes(const struct split_conv *conv)
{
    (void)conv;
    abort();
}

void split_conv_run(const struct split_conv *conv, const float *input, const void *packed,
                    const struct split_conv_tail *tail, float *output, void *scratch)
{
    (void)conv, (void)input, (void)packed, (void)tail, (void)output, (void)scratch;
    abort();
}

#endif
