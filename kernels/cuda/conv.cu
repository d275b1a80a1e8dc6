/* conv: neighbouring threads have neighbouring channels, so that what they write, and of the weights and
 * pictures what they do not share, is read in one go. */
#include "cuda/conv.h"

CUDA_FN float conv_dot(const struct conv *c, int64_t x_at, int64_t w_at, int32_t count)
{
    float sum = 0;
    for (int32_t i = 0; i < count; i++)
        sum += element_load(c->x, c->x_type, x_at + i) * element_load(c->w, c->w_type, w_at + i);
    return sum;
}

CUDA_FN void conv_forward_at(const struct conv *c, int64_t i)
{
    int32_t k = (int32_t)(i % c->filters);
    int64_t pixel = i / c->filters;
    int32_t column = (int32_t)(pixel % c->out[1]), row = (int32_t)(pixel / c->out[1] % c->out[0]);
    int32_t n = (int32_t)(pixel / c->out[1] / c->out[0]);
    int32_t per_group = c->channels / c->groups;
    int32_t first = k / (c->filters / c->groups) * per_group;
    float sum = c->bias ? c->bias[k] : 0;
    for (int32_t r = 0; r < c->kernel[0]; r++) {
        int32_t y = row * c->stride[0] - c->pad[0] + r * c->dilation[0];
        if (y < 0 || y >= c->in[0])
            continue;
        for (int32_t s = 0; s < c->kernel[1]; s++) {
            int32_t x = column * c->stride[1] - c->pad[1] + s * c->dilation[1];
            if (x < 0 || x >= c->in[1])
                continue;
            int64_t x_at = (((int64_t)n * c->in[0] + y) * c->in[1] + x) * c->channels + first;
            int64_t w_at = (((int64_t)k * c->kernel[0] + r) * c->kernel[1] + s) * per_group;
            sum += conv_dot(c, x_at, w_at, per_group);
        }
    }
    element_store(c->y, c->y_type, i, sum);
}

/* The output position whose tap falls on input position `at`; -1 where there is none. */
CUDA_FN int32_t conv_output_of(const struct conv *c, int d, int32_t at, int32_t tap)
{
    int32_t from = at + c->pad[d] - tap * c->dilation[d];
    if (from < 0 || from % c->stride[d] != 0 || from / c->stride[d] >= c->out[d])
        return -1;
    return from / c->stride[d];
}

CUDA_FN void conv_input_at(const struct conv *c, int64_t i)
{
    int32_t channel = (int32_t)(i % c->channels);
    int64_t pixel = i / c->channels;
    int32_t column = (int32_t)(pixel % c->in[1]), row = (int32_t)(pixel / c->in[1] % c->in[0]);
    int32_t n = (int32_t)(pixel / c->in[1] / c->in[0]);
    int32_t per_group = c->channels / c->groups, filters = c->filters / c->groups;
    int32_t first = channel / per_group * filters;
    int64_t w_step = (int64_t)c->kernel[0] * c->kernel[1] * per_group;
    float sum = c->bias ? c->bias[channel] : 0;
    for (int32_t r = 0; r < c->kernel[0]; r++) {
        int32_t p = conv_output_of(c, 0, row, r);
        for (int32_t s = 0; p >= 0 && s < c->kernel[1]; s++) {
            int32_t q = conv_output_of(c, 1, column, s);
            if (q < 0)
                continue;
            int64_t y_at = (((int64_t)n * c->out[0] + p) * c->out[1] + q) * c->filters + first;
            int64_t w_at = (((int64_t)first * c->kernel[0] + r) * c->kernel[1] + s) * per_group +
                           channel % per_group;
            float part = 0;
            for (int32_t k = 0; k < filters; k++)
                part += element_load(c->y, c->y_type, y_at + k) *
                        element_load(c->w, c->w_type, w_at + k * w_step);
            sum += part;
        }
    }
    element_store(c->x, c->x_type, i, sum);
}

/* ---- weights: a row is one of them, summed over all output positions ---- */

struct conv_sum {
    float sum;
};

CUDA_FN void conv_weights_lane(const struct conv *c, int64_t row, int lane, int lanes,
                               struct conv_sum *sum)
{
    int32_t per_group = c->channels / c->groups;
    int32_t channel = (int32_t)(row % per_group);
    int32_t s = (int32_t)(row / per_group % c->kernel[1]);
    int32_t r = (int32_t)(row / per_group / c->kernel[1] % c->kernel[0]);
    int32_t k = (int32_t)(row / per_group / c->kernel[1] / c->kernel[0]);
    int64_t length = (int64_t)c->batch * c->out[0] * c->out[1];
    channel += k / (c->filters / c->groups) * per_group;
    sum->sum = 0;
    for (int64_t i = lane; i < length; i += lanes) {
        int32_t q = (int32_t)(i % c->out[1]), p = (int32_t)(i / c->out[1] % c->out[0]);
        int64_t n = i / c->out[1] / c->out[0];
        int32_t y = p * c->stride[0] - c->pad[0] + r * c->dilation[0];
        int32_t x = q * c->stride[1] - c->pad[1] + s * c->dilation[1];
        if (y < 0 || y >= c->in[0] || x < 0 || x >= c->in[1])
            continue;
        sum->sum += element_load(c->y, c->y_type, i * c->filters + k) *
                    element_load(c->x, c->x_type,
                                 ((n * c->in[0] + y) * c->in[1] + x) * c->channels + channel);
    }
}

CUDA_FN void conv_weights_merge(struct conv_sum *sum, const struct conv_sum *other)
{
    sum->sum += other->sum;
}

CUDA_FN void conv_weights_finish(const struct conv *c, int64_t row, int lane, int lanes,
                                 const struct conv_sum *sum)
{
    (void)lanes;
    if (lane == 0)
        element_store(c->w, c->w_type, row, sum->sum);
}

EACH_KERNEL(conv_forward, struct conv, conv_forward_at)
EACH_KERNEL(conv_input, struct conv, conv_input_at)
ROWS_KERNEL(conv_weights, struct conv, struct conv_sum, conv_weights_lane, conv_weights_merge,
            conv_weights_finish)
