/* conv: what the files of the convolutions share, and what back ends ask of the gradient ops.
 *
 * conv_grad_input (dy, weights) -> dx and conv_grad_weights (x, dy) -> (dweights, [dbias]) belong to a
 * Conv: they have its attributes, and the shape that only the result has as input_shape and
 * weights_shape. */
#ifndef RUNESPOOR_OPS_CONV_H
#define RUNESPOOR_OPS_CONV_H

#include "ops/gradient.h"
#include "ops/real.h"
#include "ops/window.h"

int conv_gradient(struct gradient *g);
int conv_transpose_gradient(struct gradient *g);

/* The window of the Conv that such a node belongs to; what does not fit together is an error. */
int window_of_conv_grad_input(const struct node *node, const struct shape *dy,
                              const struct shape *weights, struct window *window, struct error *err);
int window_of_conv_grad_weights(const struct node *node, const struct shape *x,
                                const struct shape *dy, struct window *window, struct error *err);
/* The list of that name as a shape, 3 or 4 positive dimensions. */
int conv_listed_shape(const struct node *node, const char *name, struct shape *shape,
                      struct error *err);

/* A Conv the other way round: each element of `from`, which lies as the window's output, is spread
 * over the elements of `to`, its input, that the Conv would have read for it. bias (of the window's
 * input channels) may be NULL. */
void conv_spread(const struct window *window, const real *from, const real *weights,
                 const real *bias, real *to);

/* The same op table rows for the other float types, transposed or not; in as a kernel gets it. */
void conv_any(const struct window *window, bool transposed, const struct tensor *const *in,
              struct tensor *out);

#endif
