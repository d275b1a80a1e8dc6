/* norm: normalisation over rows, forwards and back: of batches, instances and layers alike, which differ
 * in what a row is (fold.h) and along which dimensions scale and bias go. With x' for x less its row's
 * mean and over its deviation, and means taken over a row:
 *
 *     y = x' * scale + bias
 *     dx = 1 / deviation * (g - mean(g) - x' * mean(g * x'))   with g = dy * scale
 *     dscale = sum(dy * x'), dbias = sum(dy)                    over what shares a scale */
#ifndef RUNESPOOR_CUDA_NORM_H
#define RUNESPOOR_CUDA_NORM_H

#include "cuda/fold.h"

struct norm_moments {
    struct fold fold;
    struct fold_array x;
    struct fold_array mean, inverse; /* results: a row's mean and 1 / sqrt(variance + epsilon) */
    /* Running statistics and what they become: keep times what they were and take times the row's. The
     * variance is then the unbiased one, as PyTorch's is. next without data: not wanted. */
    struct fold_array running_mean, running_variance, next_mean, next_variance;
    float epsilon, keep, take;
};

/* Mean and variance of each row, merged by the formulas of T. F. Chan, G. H. Golub and R. J. LeVeque,
 * "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances" (Stanford, 1979), so that
 * no large squares are subtracted from each other. */
LAUNCHER void norm_moments(const struct norm_moments *args, void *stream);

/* Views of the same dimensions, y's, repeated by steps of 0. */
enum { NORM_Y, NORM_X, NORM_MEAN, NORM_INVERSE, NORM_SCALE, NORM_BIAS, NORM_VIEWS };

struct norm_apply {
    struct view views[NORM_VIEWS]; /* of NORM_BIAS the data may be NULL: 0 */
    int32_t variance; /* NORM_INVERSE holds variances, of which 1 / deviation is made */
    float epsilon;    /* added to them */
};

/* y for each element. */
LAUNCHER void norm_apply(const struct norm_apply *args, int64_t count, void *stream);

struct norm_products {
    struct fold fold;
    struct fold_array dy, x, mean, inverse;
    struct fold_array scale;        /* without data: 1 */
    struct fold_array sum, product; /* results */
};

/* sum = sum(dy * scale), product = sum(dy * scale * x') of each row. */
LAUNCHER void norm_products(const struct norm_products *args, void *stream);

enum {
    NORM_BACK_DX,
    NORM_BACK_DY,
    NORM_BACK_X,
    NORM_BACK_MEAN,
    NORM_BACK_INVERSE,
    NORM_BACK_SCALE,
    NORM_BACK_SUM,
    NORM_BACK_PRODUCT,
    NORM_BACK_VIEWS
};

struct norm_back {
    struct view views[NORM_BACK_VIEWS];
    int32_t scaled; /* sum and product have the scale in them already */
    float share;    /* 1 / elements of a row; 0 where mean and deviation do not depend on x */
};

/* dx for each element. */
LAUNCHER void norm_back(const struct norm_back *args, int64_t count, void *stream);

#endif
