/* elementwise_gradient: the gradient rules of unary.c, clip.c, binary.c and power.c, called gradient_of_ and the op. */
#ifndef RUNESPOOR_OPS_ELEMENTWISE_GRADIENT_H
#define RUNESPOOR_OPS_ELEMENTWISE_GRADIENT_H

#include "ops/gradient.h"

/* clang-format off */
#define ELEMENTWISE_RULES(X) \
    X(Relu) X(LeakyRelu) X(Elu) X(Sigmoid) X(HardSigmoid) X(HardSwish) X(swish) X(Softplus) \
    X(Tanh) X(Erf) X(Exp) X(Log) X(Sqrt) X(Sin) X(Cos) X(Reciprocal) X(Floor) X(Ceil) X(Round) \
    X(Neg) X(Abs) X(Sign) X(Softsign) X(Clip) X(Add) X(Sub) X(Mul) X(Div) X(Sum) X(Min) X(Max) X(Pow) X(PRelu) \
    X(Where)
/* clang-format on */

#define ELEMENTWISE_DECLARE(name) int gradient_of_##name(struct gradient *g);
ELEMENTWISE_RULES(ELEMENTWISE_DECLARE)
#undef ELEMENTWISE_DECLARE

#endif
