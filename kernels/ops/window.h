/* window: where a kernel slides over rows and columns, with all attributes resolved (auto_pad,
 * defaults, ceil_mode, output_shape). Shared by shape rules, reference kernels and back ends. A
 * tensor with one spatial dimension is seen as one row, and one without depth as one slice of it: who
 * knows only pictures can ignore the depth of what has four dimensions at most. */
#ifndef RUNESPOOR_OPS_WINDOW_H
#define RUNESPOOR_OPS_WINDOW_H

#include "graph/graph.h"

/* Spatial sides, the outermost last. */
enum { ROWS, COLUMNS, DEPTH, WINDOW_SIDES };
#define WINDOW_RANK_MAX (2 + WINDOW_SIDES)

struct window {
    int64_t batch, in_channels, out_channels, groups;
    int64_t in[WINDOW_SIDES], out[WINDOW_SIDES]; /* rows, columns, depth */
    int64_t kernel[WINDOW_SIDES], stride[WINDOW_SIDES], dilation[WINDOW_SIDES];
    int64_t pad_begin[WINDOW_SIDES], pad_end[WINDOW_SIDES];
};

/* Which side the i-th of so many spatial dimensions is. */
static inline int window_side(int spatial, int i)
{
    static const int sides[] = { DEPTH, ROWS, COLUMNS };
    return sides[WINDOW_SIDES - spatial + i];
}

/* Of Conv, ConvTranspose, and MaxPool and its like. Only the shapes are needed. */
int window_of_conv(const struct node *node, const struct shape *input, const struct shape *weights,
                   struct window *window, struct error *err);
int window_of_conv_transpose(const struct node *node, const struct shape *input,
                             const struct shape *weights, struct window *window,
                             struct error *err);
int window_of_pool(const struct node *node, const struct shape *input, struct window *window,
                   struct error *err);
/* The part of a window along rows or columns that meets the input: taps first, first + 1, … of it. */
struct window_reach {
    int64_t start; /* input position of tap 0; may be negative */
    int64_t first, end;
    int64_t counted; /* taps on the input or its padding */
};
struct window_reach window_reach_at(const struct window *window, int i, int64_t position);
/* What an average divides by along this dimension. */
static inline int64_t window_reach_count(const struct window_reach *reach, bool padding)
{
    return padding ? reach->counted : reach->end - reach->first;
}
/* Elements of one channel, in and out, and of one filter's part for it. */
int64_t window_in_size(const struct window *window);
int64_t window_out_size(const struct window *window);
int64_t window_kernel_size(const struct window *window);
/* The output's shape, of rank 3 to 5 like the input. */
void window_output(const struct window *window, int rank, struct shape *shape);

#endif
