/* split_conv_plan: how a convolution is cut into runs, chunks and pieces, and its weights packed. A piece's planes
 * stay in the second-level cache, beside the weights: on a Xeon with AMX (2 MiB of it) 64 to 64 channels, 3x3,
 * 224x224 take 9.30, 9.29, 9.17 and 9.84 ms with 128, 256, 512 and 1024 KiB, and 131 to 25 of stride 2, 90x160,
 * 1.44, 1.44, 1.31 and 1.42 (one thread, 2026-11-22). */
#include "cpu/split_conv_piece.h"
#include <assert.h>
#include <string.h>

#define PIECE_BYTES ((int64_t)512 << 10)
#define FLAT_BYTES ((int64_t)64 << 10) /* where nothing is read twice */
#define PLANE_NUMBERS_MAX ((int64_t)4 << 20)
#define STRIDE_MAX 16
#define REACH_MAX 4096
#define LINE_NUMBERS 32 /* of a line of the caches, and of a page */
#define PAGE_NUMBERS 2048

static bool suits(const struct split_conv *conv);
static bool takes_rows(const struct split_conv *conv);
static void flatten(struct split_conv *conv);
static void cut_runs(struct split_conv *conv);
static void cut_columns(struct split_conv *conv, int64_t budget, int64_t more_rows);
static void cut_rows(struct split_conv *conv, int64_t budget, int64_t more_rows);
static int64_t choose_size(int64_t count, int64_t most, int64_t times, int64_t threads, int64_t more);
static void lay_planes(struct split_conv *conv, int64_t more_rows);
static uint16_t round_bf16(float x, float *rounded);

bool split_conv_plan(struct split_conv *conv)
{
    if (!suits(conv))
        return false;
    flatten(conv);
    cut_runs(conv);
    int64_t more_rows = (conv->kernel[0] - 1) * conv->dilation[0] / conv->stride[0], phases = 0;
    for (int64_t p = 0; p < conv->stride[0]; p++)
        phases += split_conv_shift(conv, p) >= 0;
    assert(phases > 0); /* that of the first tap */
    bool one = conv->kernel[1] == 1;
    conv->taken = one ? conv->stride[1] : 1;
    conv->step = one ? 1 : conv->stride[1];
    int64_t output_bytes = conv->step * conv->channels * 2 * (int64_t)sizeof(uint16_t) * phases;
    int64_t budget = (conv->out_rows == 1 ? FLAT_BYTES : PIECE_BYTES) / output_bytes;
    cut_columns(conv, budget, more_rows);
    cut_rows(conv, budget, more_rows);
    lay_planes(conv, more_rows);
    return conv->plane_numbers <= PLANE_NUMBERS_MAX;
}

int64_t split_conv_products(const struct split_conv *conv)
{
    int64_t outputs = conv->piece_rows * conv->width; /* of a piece, and some that are none */
    int64_t wide = (conv->out + SPLIT_CONV_TILE - 1) / SPLIT_CONV_WIDE;
    bool left = wide * SPLIT_CONV_WIDE < conv->out;
    int64_t blocks = wide * split_conv_ceil(outputs, SPLIT_CONV_WIDE) +
                     (left ? split_conv_ceil(outputs, SPLIT_CONV_LONG) : 0);
    int64_t pieces = conv->batch * conv->row_pieces * conv->column_pieces;
    return pieces * blocks * conv->runs * conv->chunks *
           12; /* three for each of a block's four tiles */
}

size_t split_conv_weights_bytes(const struct split_conv *conv)
{
    return (size_t)(split_conv_ceil(conv->out, SPLIT_CONV_TILE) * split_conv_packed(conv)) *
           sizeof(uint16_t);
}

void split_conv_pack(const struct split_conv *conv, const struct split_conv_weights *weights,
                     void *packed)
{
    const bool rows = takes_rows(conv);
    const int64_t length = (rows ? conv->kernel[1] : 1) * conv->channels;
    const int64_t part = conv->chunk * SPLIT_CONV_TILE;
    memset(packed, 0, split_conv_weights_bytes(conv));
    for (int64_t i = 0; i < conv->out * conv->runs * length; i++) {
        int64_t e = i % length, r = i / length % conv->runs, o = i / length / conv->runs;
        int64_t c = e % conv->channels, k = e % conv->chunk;
        int64_t row = rows ? r : r / conv->kernel[1];
        int64_t column = rows ? e / conv->channels : r % conv->kernel[1];
        if (c >= conv->in)
            continue;
        float x = weights->data[o * weights->out_step + c * weights->in_step +
                                row * weights->row_step + column * weights->column_step];
        float high, low;
        uint16_t *to = (uint16_t *)packed + o / SPLIT_CONV_TILE * split_conv_packed(conv) +
                       (r * conv->chunks + e / conv->chunk) * 2 * part +
                       (k / 2 * SPLIT_CONV_TILE + o % SPLIT_CONV_TILE) * 2 + k % 2;
        to[0] = round_bf16(x, &high);
        to[part] = round_bf16(x - high, &low);
    }
}

int64_t split_conv_shift(const struct split_conv *conv, int64_t phase)
{
    int64_t most = -1;
    for (int64_t r = 0; r < conv->runs; r++)
        if (conv->run_rows[r] % conv->stride[0] == phase)
            most = conv->run_rows[r] / conv->stride[0];
    return most;
}

/* ---- the plan ---- */

static bool suits(const struct split_conv *conv)
{
    for (int d = 0; d < 2; d++)
        if (conv->stride[d] > STRIDE_MAX || conv->kernel[d] > REACH_MAX ||
            conv->dilation[d] > REACH_MAX || (conv->kernel[d] - 1) * conv->dilation[d] > REACH_MAX)
            return false;
    if (conv->planar && (conv->in > SPLIT_CONV_PLANAR_MAX || conv->in_step != 1 ||
                         (conv->kernel[1] == 1 && conv->stride[1] > 1)))
        return false;
    return conv->kernel[0] * (takes_rows(conv) ? 1 : conv->kernel[1]) <= SPLIT_CONV_RUNS_MAX;
}

static bool takes_rows(const struct split_conv *conv)
{
    return conv->dilation[1] == 1;
}

/* Where each output reads one pixel, and each pixel is read, all pictures are one row. */
static void flatten(struct split_conv *conv)
{
    if (conv->kernel[0] * conv->kernel[1] * conv->stride[0] * conv->stride[1] != 1 ||
        conv->planar || conv->out_rows != conv->rows || conv->out_columns != conv->columns)
        return;
    conv->columns = conv->out_columns = conv->batch * conv->rows * conv->columns;
    conv->batch = conv->rows = conv->out_rows = 1;
}

/* A run is what lies side by side in a row of a plane: all taps of a row, or one where they are apart. What the
 * last chunk reads behind its run meets weights that are 0. */
static void cut_runs(struct split_conv *conv)
{
    const bool rows = takes_rows(conv);
    conv->channels = !conv->planar ? conv->in : conv->in > 2 ? 4 : 2;
    int64_t length = (rows ? conv->kernel[1] : 1) * conv->channels;
    conv->chunks = split_conv_ceil(length, SPLIT_CONV_CHUNK);
    conv->chunk = 2 * split_conv_ceil(length, 2 * conv->chunks);
    conv->runs = conv->kernel[0] * (rows ? 1 : conv->kernel[1]);
    for (int64_t r = 0; r < conv->runs; r++) {
        conv->run_rows[r] = (rows ? r : r / conv->kernel[1]) * conv->dilation[0];
        conv->run_columns[r] = rows ? 0 : r % conv->kernel[1] * conv->dilation[1];
    }
}

/* budget: outputs that there is room for. Rows are cut only where a few of them would be too many; a single one in
 * whole blocks. */
static void cut_columns(struct split_conv *conv, int64_t budget, int64_t more_rows)
{
    int64_t blocks = split_conv_ceil(conv->out_columns, SPLIT_CONV_WIDE);
    int64_t most = budget / SPLIT_CONV_WIDE;
    if (conv->out_rows == 1) {
        conv->piece_columns =
            SPLIT_CONV_WIDE * choose_size(blocks, most, conv->batch, conv->threads, 0);
    } else {
        most = most / (more_rows + 4) * SPLIT_CONV_WIDE;
        most = most < SPLIT_CONV_LONG ? SPLIT_CONV_LONG : most;
        conv->piece_columns =
            split_conv_ceil(conv->out_columns, split_conv_ceil(conv->out_columns, most));
    }
    conv->column_pieces = split_conv_ceil(conv->out_columns, conv->piece_columns);
    int64_t reach = (conv->kernel[1] - 1) * conv->dilation[1] + 1;
    conv->width = conv->piece_columns +
                  (reach > conv->step ? split_conv_ceil(reach - conv->step, conv->step) : 0);
}

/* What two pieces read is split for both: where that is most of it, they are higher than the budget. */
static void cut_rows(struct split_conv *conv, int64_t budget, int64_t more_rows)
{
    int64_t most = budget / conv->width - more_rows;
    most = most < 2 * more_rows ? 2 * more_rows : most;
    conv->piece_rows = choose_size(conv->out_rows, most, conv->column_pieces * conv->batch,
                                   conv->threads, more_rows);
    conv->row_pieces = split_conv_ceil(conv->out_rows, conv->piece_rows);
}

/* So many rows or blocks of `count` for a piece, about `most` of them, that no thread has much more to do than
 * others. times: there are so many such counts; more: rows of a piece that are only split, which takes about a
 * quarter of the time. */
static int64_t choose_size(int64_t count, int64_t most, int64_t times, int64_t threads, int64_t more)
{
    int64_t best = 1, least = INT64_MAX;
    most = most < 1 ? 1 : most > count ? count : most;
    int64_t end = most + most / 2 < count ? most + most / 2 : count;
    for (int64_t size = (most + 1) / 2; size <= end; size++) {
        int64_t pieces = split_conv_ceil(count, size) * times;
        int64_t longest = split_conv_ceil(pieces, threads) * (4 * size + more);
        if (longest <= least) {
            least = longest;
            best = size;
        }
    }
    return best;
}

/* Blocks of outputs may go beyond the last one, and chunks beyond the last run. Both planes are an odd number of
 * lines and half a page apart, so that they do not fall into the same sets of the first-level cache. */
static void lay_planes(struct split_conv *conv, int64_t more_rows)
{
    int64_t outputs = (conv->piece_rows + more_rows) * conv->width + SPLIT_CONV_LONG, used = 0;
    int64_t numbers = outputs * conv->step * conv->channels + conv->chunks * conv->chunk;
    conv->phase_numbers =
        (split_conv_ceil(numbers, LINE_NUMBERS) + 1) * LINE_NUMBERS; /* one of zeros */
    for (int64_t p = 0; p < conv->stride[0]; p++)
        used = split_conv_shift(conv, p) >= 0 ? p + 1 : used;
    conv->plane_numbers = split_conv_ceil(used * conv->phase_numbers, PAGE_NUMBERS) * PAGE_NUMBERS +
                          PAGE_NUMBERS / 2 + LINE_NUMBERS;
}

/* ---- weights ---- */

/* To nearest even; cut where that would be infinite. */
static uint16_t round_bf16(float x, float *rounded)
{
    uint32_t bits, nearest;
    memcpy(&bits, &x, sizeof bits);
    nearest = bits + 0x7fffu + (bits >> 16 & 1u);
    if ((nearest & 0x7f800000u) == 0x7f800000u)
        nearest = bits;
    nearest &= 0xffff0000u;
    memcpy(rounded, &nearest, sizeof *rounded);
    return (uint16_t)(nearest >> 16);
}
