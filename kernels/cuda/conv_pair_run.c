/* conv_pair_run: which of the kernels, and with how many blocks. */
#include "cuda/conv_pair.h"
#include <assert.h>
#include <string.h>

typedef void launch_fn(const struct conv_pair *args, int64_t blocks, int resident, int shared_bytes,
                       void *stream);

static const struct {
    int channels, rows, shared_bytes;
    launch_fn *f16, *bf16;
} kernels[] = {
#define ROW(channels)                                                           \
    { channels, CONV_PAIR_ROWS(channels) - 2, CONV_PAIR_SHARED_BYTES(channels), \
      conv_pair_f16_##channels, conv_pair_bf16_##channels },
    CONV_PAIR_SIZES(ROW)
#undef ROW
};

static bool fits(const struct conv *conv);
static int find(const struct conv *first, const struct conv *second);

bool conv_pair_suits(const struct conv *first, const struct conv *second, int major, int minor)
{
    return conv_tile_suits(first, major, minor) && conv_tile_suits(second, major, minor) &&
           fits(first) && fits(second) && first->filters == second->channels &&
           first->batch == second->batch && first->y_type == second->x_type &&
           first->x_type == second->x_type &&
           memcmp(first->out, second->in, sizeof first->out) == 0 &&
           kernels[find(first, second)].shared_bytes <= conv_tile_shared_max(major, minor);
}

void conv_pair_run(const struct conv_pair *args, int multiprocessors, void *stream)
{
    struct conv_pair whole = *args;
    const struct conv *second = &args->second.conv;
    int k = find(&args->first.conv, second);
    int resident = multiprocessors * (conv_tile_shared_max(8, 6) / kernels[k].shared_bytes);
    whole.row_tiles = (second->out[0] + kernels[k].rows - 1) / kernels[k].rows;
    whole.column_tiles = (second->out[1] + CONV_PAIR_COLUMNS - 1) / CONV_PAIR_COLUMNS;
    int64_t blocks = (int64_t)second->batch * whole.row_tiles * whole.column_tiles;
    launch_fn *launch = second->x_type == TENSOR_F16 ? kernels[k].f16 : kernels[k].bf16;
    launch(&whole, blocks, resident, kernels[k].shared_bytes, stream);
}

/* What conv_tile takes, of the same size in and out. */
static bool fits(const struct conv *conv)
{
    return conv->pad[0] == 1 && conv->pad[1] == 1 && conv->in[0] == conv->out[0] &&
           conv->in[1] == conv->out[1] && conv->channels <= CONV_PAIR_CHANNELS_MAX &&
           conv->filters <= CONV_PAIR_CHANNELS_MAX;
}

static int find(const struct conv *first, const struct conv *second)
{
    int widest = first->channels;
    if (first->filters > widest)
        widest = first->filters;
    if (second->filters > widest)
        widest = second->filters;
    int k = 0, count = (int)(sizeof kernels / sizeof *kernels);
    while (kernels[k].channels < widest)
        k++;
    assert(k < count);
    (void)count;
    return k;
}
