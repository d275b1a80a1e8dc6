/* window: where a kernel slides over rows and columns, with all attributes resolved (auto_pad,
 * defaults, ceil_mode, output_shape). Shared by shape rules, reference kernels and back ends. A
 * tensor with one spatial dimension is seen as one row. */
#ifndef RUNESPOOR_OPS_WINDOW_H
#define RUNESPOOR_OPS_WINDOW_H

#include "graph/graph.h"

enum { ROWS, COLUMNS };

struct window {
    int64_t batch, in_channels, out_channels, groups;
    int64_t in[2], out[2]; /* rows, columns */
    int64_t kernel[2], stride[2], dilation[2];
    int64_t pad_begin[2], pad_end[2];
};

/* Of Conv, ConvTranspose, and MaxPool or AveragePool. Only the shapes are needed. */
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
/* The output's shape, of rank 3 or 4 like the input. */
void window_output(const struct window *window, int rank, struct shape *shape);

#endif
