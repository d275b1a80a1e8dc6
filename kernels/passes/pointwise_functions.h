/* pointwise_functions: what each pointwise function computes, written once for the processor and for
 * kernels of a GPU, whose compiler is told by POINTWISE_FN. */
#ifndef RUNESPOOR_PASSES_POINTWISE_FUNCTIONS_H
#define RUNESPOOR_PASSES_POINTWISE_FUNCTIONS_H

#include "passes/pointwise.h"
#include <math.h>

#ifndef POINTWISE_FN
#define POINTWISE_FN static inline
#endif

/* The formulas of ops/unary_gradient.c and binary_gradient.c. */
POINTWISE_FN float pointwise_slope(int kind, float alpha, float beta, float d, float v, float w)
{
    switch (kind) {
    case POINTWISE_RELU_GRAD:
        return v > 0 ? d : 0;
    case POINTWISE_LEAKY_RELU_GRAD:
        return v > 0 ? d : alpha * d;
    case POINTWISE_CLIP_GRAD:
        return v >= alpha && v <= beta ? d : 0;
    case POINTWISE_SIGMOID_GRAD:
        return d * v * (1 - v);
    case POINTWISE_HARD_SIGMOID_GRAD:
        return v > 0 && v < 1 ? alpha * d : 0;
    case POINTWISE_SWISH_GRAD: {
        float s = 1 / (1 + expf(-v));
        return d * s * (1 + v * (1 - s));
    }
    case POINTWISE_HARD_SWISH_GRAD:
        return v <= -3 ? 0 : v >= 3 ? d : d * (v / 3 + 0.5f);
    case POINTWISE_TANH_GRAD:
        return d * (1 - v * v);
    case POINTWISE_ELU_GRAD:
        return v > 0 ? d : d * alpha * expf(v);
    case POINTWISE_SQRT_GRAD:
        return d / (2 * v);
    case POINTWISE_ABS_GRAD:
        return v > 0 ? d : v < 0 ? -d : 0;
    case POINTWISE_SOFTPLUS_GRAD:
        return d / (1 + expf(-v));
    case POINTWISE_ERF_GRAD:
        return d * POINTWISE_ERF_SLOPE * expf(-v * v);
    case POINTWISE_RECIPROCAL_GRAD:
        return -d * v * v;
    case POINTWISE_MAX_GRAD:
        return v > w ? d : v == w ? d / 2 : 0;
    case POINTWISE_MIN_GRAD:
        return v < w ? d : v == w ? d / 2 : 0;
    case POINTWISE_PRELU_GRAD:
        return v > 0 ? d : d * w;
    case POINTWISE_POW_GRAD:
        return w == 0 ? 0 : d * w * powf(v, w - 1);
    default: /* there are no others */
        return NAN;
    }
}

/* Of up to three numbers, in the order of the op's inputs. */
POINTWISE_FN float pointwise_value(int kind, float alpha, float beta, float x, float y, float z)
{
    switch (kind) {
    case POINTWISE_RELU:
        return x > 0 ? x : 0;
    case POINTWISE_LEAKY_RELU:
        return x > 0 ? x : alpha * x;
    case POINTWISE_CLIP:
        return fminf(fmaxf(x, alpha), beta);
    case POINTWISE_SIGMOID:
        return 1 / (1 + expf(-x));
    case POINTWISE_HARD_SIGMOID:
        return fminf(fmaxf(alpha * x + beta, 0), 1);
    case POINTWISE_SWISH:
        return x / (1 + expf(-x));
    case POINTWISE_HARD_SWISH:
        return x * fminf(fmaxf(x / 6 + 0.5f, 0), 1);
    case POINTWISE_TANH:
        return tanhf(x);
    case POINTWISE_ELU:
        return x > 0 ? x : alpha * expm1f(x);
    case POINTWISE_EXP:
        return expf(x);
    case POINTWISE_LOG:
        return logf(x);
    case POINTWISE_SQRT:
        return sqrtf(x);
    case POINTWISE_ABS:
        return fabsf(x);
    case POINTWISE_NEG:
        return -x;
    case POINTWISE_SOFTPLUS:
        return x > 0 ? x + log1pf(expf(-x)) : log1pf(expf(x));
    case POINTWISE_ADD:
        return x + y;
    case POINTWISE_SUB:
        return x - y;
    case POINTWISE_MUL:
        return x * y;
    case POINTWISE_DIV:
        return x / y;
    case POINTWISE_MAX:
        return fmaxf(x, y);
    case POINTWISE_MIN:
        return fminf(x, y);
    case POINTWISE_PRELU:
        return x > 0 ? x : y * x;
    case POINTWISE_IDENTITY:
        return x;
    case POINTWISE_ERF:
        return erff(x);
    case POINTWISE_RECIPROCAL:
        return 1 / x;
    case POINTWISE_POW:
        return powf(x, y);
    default:
        return pointwise_slope(kind, alpha, beta, x, y, z);
    }
}

#endif
