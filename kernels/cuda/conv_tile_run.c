/* conv_tile_run: which of the kernels, and with how many blocks. */
#include "cuda/conv_tile.h"
#include <assert.h>

#define SMALLEST 16

typedef void launch_fn(const struct conv_tile *args, int64_t blocks, int resident, int shared_bytes,
                       void *stream);

static const struct {
    int channels, filters, rows, shared_bytes;
    launch_fn *f16, *bf16;
} kernels[] = {
#define ROW(channels, filters)                   \
    { channels,                                  \
      filters,                                   \
      CONV_TILE_ROWS(channels, filters),         \
      CONV_TILE_SHARED_BYTES(channels, filters), \
      conv_tile_f16_##channels##_##filters,      \
      conv_tile_bf16_##channels##_##filters },
    CONV_TILE_SIZES(ROW)
#undef ROW
};

static int find(const struct conv *conv);
static int round_up(int count);

bool conv_tile_suits(const struct conv *conv, int major, int minor)
{
    bool fits = conv->way == CONV_FORWARD && conv->groups == 1 && conv->x_type == conv->w_type &&
                (conv->x_type == TENSOR_F16 || conv->x_type == TENSOR_BF16) && major >= 8 &&
                conv->channels <= CONV_TILE_CHANNELS_MAX && conv->filters <= CONV_TILE_CHANNELS_MAX;
    for (int d = 0; d < 2; d++)
        fits = fits && conv->kernel[d] == 3 && conv->stride[d] == 1 && conv->dilation[d] == 1 &&
               conv->pad[d] >= 0 && conv->pad[d] <= 2;
    return fits && kernels[find(conv)].shared_bytes <= conv_tile_shared_max(major, minor);
}

void conv_tile_run(const struct conv_tile *args, int multiprocessors, void *stream)
{
    struct conv_tile whole = *args;
    int k = find(&args->conv);
    int per_multiprocessor = conv_tile_shared_max(8, 6) / kernels[k].shared_bytes;
    int resident = multiprocessors * (per_multiprocessor > 1 ? per_multiprocessor : 1);
    whole.row_tiles = (args->conv.out[0] + kernels[k].rows - 1) / kernels[k].rows;
    whole.column_tiles = (args->conv.out[1] + CONV_TILE_COLUMNS - 1) / CONV_TILE_COLUMNS;
    int64_t blocks = (int64_t)args->conv.batch * whole.row_tiles * whole.column_tiles;
    launch_fn *launch = args->conv.x_type == TENSOR_F16 ? kernels[k].f16 : kernels[k].bf16;
    launch(&whole, blocks, resident, kernels[k].shared_bytes, stream);
}

/* As CUDA's programming guide has it ("Technical Specifications per Compute Capability"). */
int conv_tile_shared_max(int major, int minor)
{
    if (major == 8)
        return (minor == 0 || minor == 7 ? 163 : 99) * 1024;
    return (major == 9 || major == 10 ? 227 : 99) * 1024;
}

static int find(const struct conv *conv)
{
    int channels = round_up(conv->channels), filters = round_up(conv->filters);
    int count = (int)(sizeof kernels / sizeof *kernels);
    for (int k = 0; k < count; k++)
        if (kernels[k].channels == channels && kernels[k].filters == filters)
            return k;
    assert(!"a size that suits");
    return 0;
}

static int round_up(int count)
{
    int size = SMALLEST;
    while (size < count)
        size *= 2;
    return size;
}
