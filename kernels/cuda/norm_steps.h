/* norm_steps: the steps that normalisations are made of. In all, `folded` tells the dimensions of x over
 * which mean and deviation are taken, and views of things that have fewer elements than x have its
 * dimensions, with steps of 0 where they are repeated. */
#ifndef RUNESPOOR_CUDA_NORM_STEPS_H
#define RUNESPOOR_CUDA_NORM_STEPS_H

#include "cuda/build.h"

/* A place, and how it is seen next to x. */
struct norm_operand {
    struct cuda_place *place; /* NULL: there is none */
    struct view view;
};

/* One number for each channel, which is dimension 1. */
struct norm_operand norm_per_channel(struct cuda_place *place, const struct shape *shape);
/* Numbers for the last dimensions, as NumPy repeats them. */
struct norm_operand norm_per_tail(struct cuda_place *place, const struct shape *shape);
/* One for each row. */
struct norm_operand norm_per_row(struct cuda_place *place, const struct shape *shape,
                                 const bool *folded);
/* New memory with a f32 for each row. */
int norm_row_scratch(struct cuda_build *build, const struct shape *shape, const bool *folded,
                     struct norm_operand *operand, struct error *err);

struct norm_running {
    struct norm_operand mean, variance, next_mean, next_variance;
    float keep, take;
};

/* mean and inverse of x's rows. running NULL: no running statistics. */
int norm_add_moments(struct cuda_build *build, struct cuda_place *x, const bool *folded,
                     float epsilon, const struct norm_running *running,
                     const struct norm_operand *mean, const struct norm_operand *inverse,
                     struct error *err);

struct norm_apply_operands {
    struct cuda_place *x, *y;
    struct norm_operand mean, inverse, scale, bias;
    bool variance; /* inverse holds variances */
    float epsilon;
};

int norm_add_apply(struct cuda_build *build, const struct norm_apply_operands *operands,
                   struct error *err);

struct norm_back_operands {
    struct cuda_place *dy, *x, *dx;
    struct norm_operand mean, inverse, scale, sum, product;
    bool scaled, frozen; /* as in norm.h; frozen: mean and deviation do not depend on x */
};

/* sum and product of the rows of dy that `folded` makes, with scale in them if `scaled`. */
int norm_add_products(struct cuda_build *build, const struct norm_back_operands *operands,
                      const bool *folded, struct error *err);
/* dx; sum and product are those of the rows that share a mean. */
int norm_add_back(struct cuda_build *build, const struct norm_back_operands *operands,
                  const bool *folded, struct error *err);

#endif
