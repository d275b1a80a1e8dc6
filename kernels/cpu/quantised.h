/* quantised: what the makers of products of bytes share (conv_int8, QLinearConv and so on). */
#ifndef RUNESPOOR_CPU_QUANTISED_H
#define RUNESPOOR_CPU_QUANTISED_H

#include "cpu/build.h"
#include "cpu/bytes.h"
#include "ops/window.h"

/* A node whose weights, scales and zero points are all constant. */
struct quantised_node {
    const struct tensor *weights, *scales, *zeros, *bias; /* bias may be NULL */
    double x_scale, y_scale;
    int64_t x_zero, y_zero, low, high;
    enum tensor_type x_type, y_type;
};

/* False where something is not constant or not of this form. */
bool quantised_read(const struct build *build, const struct node *node, struct quantised_node *read);
/* A weight less its zero point; channel is that of the output. */
int64_t quantised_weight(const struct quantised_node *node, int64_t element, int64_t channel);
/* From sums of steps to steps of the output. */
float quantised_factor(const struct quantised_node *node, int64_t channel);
int64_t quantised_bias(const struct quantised_node *node, int64_t channel);
/* A byte as the loops of bytes.h see it. */
uint8_t quantised_flip(enum tensor_type type);
struct bytes_source quantised_source(double scale, int64_t zero, enum tensor_type type);
struct bytes_end quantised_end(int64_t zero, int64_t low, int64_t high, enum tensor_type type);

/* Sums and bias times a scale for each of so many columns or channels, limited, plus the zero point,
 * rounded. */
int quantised_attr(const struct quantised_node *read, const float *scales, int64_t count,
                   dnnl_primitive_attr_t *attr);

/* The input as a matrix: a row for each output pixel, in it the pixels that its window sees. */
int quantised_unfold(struct build *build, const struct node *node, const struct quantised_node *read,
                     const struct window *window, struct cpu_place **in, struct error *err);
/* By oneDNN, where it has that fast; else BUILD_DECLINED. */
int quantised_convolution(struct build *build, const struct node *node,
                          const struct quantised_node *read, const struct window *window,
                          struct error *err);
/* One filter for each channel; BUILD_DECLINED for other convolutions. */
int quantised_depthwise(struct build *build, const struct node *node,
                        const struct quantised_node *read, const struct window *window,
                        struct error *err);

#endif
