/* pointwise: the elementwise functions of f32 tensors in one vocabulary for passes and back ends: those
 * that may follow another operation as its post-operation, and all that a chain (passes/chain.h) can be
 * made of. y = f(x), f(x, operand), or f(x, operand, third). */
#ifndef RUNESPOOR_PASSES_POINTWISE_H
#define RUNESPOOR_PASSES_POINTWISE_H

#include "graph/graph.h"

#define POINTWISE_INPUTS_MAX 3
#define POINTWISE_ERF_SLOPE 1.12837917f /* at 0: two over the root of pi */

/* kind, op name, number of inputs, may be a post-operation, meaning of alpha and beta */
#define POINTWISE_KINDS(X)                                            \
    X(RELU, "Relu", 1, true)                                          \
    X(LEAKY_RELU, "LeakyRelu", 1, true) /* alpha: slope */            \
    X(CLIP, "Clip", 1, true)            /* alpha..beta */             \
    X(SIGMOID, "Sigmoid", 1, true)                                    \
    X(HARD_SIGMOID, "HardSigmoid", 1, true) /* alpha x + beta */      \
    X(SWISH, "swish", 1, true)                                        \
    X(HARD_SWISH, "HardSwish", 1, true)                               \
    X(TANH, "Tanh", 1, true)                                          \
    X(ELU, "Elu", 1, true) /* alpha */                                \
    X(EXP, "Exp", 1, true)                                            \
    X(LOG, "Log", 1, false) /* oneDNN's is 1.4e-6 off at 1 */         \
    X(SQRT, "Sqrt", 1, true)                                          \
    X(ABS, "Abs", 1, true)                                            \
    X(NEG, "Neg", 1, true)                                            \
    X(SOFTPLUS, "Softplus", 1, true)                                  \
    X(IDENTITY, "Identity", 1, false)                                 \
    X(ERF, "Erf", 1, false)                                           \
    X(RECIPROCAL, "Reciprocal", 1, false)                             \
    X(ADD, "Add", 2, true)                                            \
    X(SUB, "Sub", 2, true) /* x - operand */                          \
    X(MUL, "Mul", 2, true)                                            \
    X(DIV, "Div", 2, true) /* x / operand */                          \
    X(MAX, "Max", 2, true)                                            \
    X(MIN, "Min", 2, true)                                            \
    X(PRELU, "PRelu", 2, true)                                        \
    X(POW, "Pow", 2, false)                                           \
    X(RELU_GRAD, "relu_grad", 2, false)                               \
    X(LEAKY_RELU_GRAD, "leaky_relu_grad", 2, false) /* alpha */       \
    X(CLIP_GRAD, "clip_grad", 2, false)             /* alpha..beta */ \
    X(SIGMOID_GRAD, "sigmoid_grad", 2, false)                         \
    X(HARD_SIGMOID_GRAD, "hard_sigmoid_grad", 2, false) /* alpha */   \
    X(SWISH_GRAD, "swish_grad", 2, false)                             \
    X(HARD_SWISH_GRAD, "hard_swish_grad", 2, false)                   \
    X(TANH_GRAD, "tanh_grad", 2, false)                               \
    X(ELU_GRAD, "elu_grad", 2, false) /* alpha */                     \
    X(SQRT_GRAD, "sqrt_grad", 2, false)                               \
    X(ABS_GRAD, "abs_grad", 2, false)                                 \
    X(SOFTPLUS_GRAD, "softplus_grad", 2, false)                       \
    X(ERF_GRAD, "erf_grad", 2, false)                                 \
    X(RECIPROCAL_GRAD, "reciprocal_grad", 2, false)                   \
    X(MAX_GRAD, "max_grad", 3, false)                                 \
    X(MIN_GRAD, "min_grad", 3, false)                                 \
    X(PRELU_GRAD, "prelu_grad", 3, false)                             \
    X(POW_GRAD, "pow_grad", 3, false)

enum pointwise_kind {
#define X(kind, name, inputs, post) POINTWISE_##kind,
    POINTWISE_KINDS(X)
#undef X
        POINTWISE_KIND_COUNT
};

struct pointwise {
    enum pointwise_kind kind;
    float alpha, beta;
    int operand; /* index among the node's inputs, or -1 */
};

const char *pointwise_name(enum pointwise_kind kind);
int pointwise_find(const char *name); /* the kind, or -1 */
int pointwise_input_count(enum pointwise_kind kind);
bool pointwise_takes_operand(enum pointwise_kind kind);
bool pointwise_may_follow(enum pointwise_kind kind); /* as a post-operation */
bool pointwise_commutes(enum pointwise_kind kind);

/* Reads an f32 node as a pointwise function of its first inputs (the operand is the second). False
 * when it is none, or one whose parameters are not known before it runs. */
bool pointwise_from_node(const struct graph *graph, const struct node *node,
                         struct pointwise *pointwise);

float pointwise_apply(const struct pointwise *pointwise, float x, float operand);
float pointwise_compute(const struct pointwise *pointwise, const float in[POINTWISE_INPUTS_MAX]);

#endif
