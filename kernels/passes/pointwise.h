/* pointwise: the elementwise functions that may follow another operation, in one vocabulary for
 * passes and back ends. y = f(x) or y = f(x, operand). */
#ifndef RUNESPOOR_PASSES_POINTWISE_H
#define RUNESPOOR_PASSES_POINTWISE_H

#include "graph/graph.h"

/* kind, op name, takes an operand, meaning of alpha and beta */
#define POINTWISE_KINDS(X)                                     \
    X(RELU, "Relu", false)                                     \
    X(LEAKY_RELU, "LeakyRelu", false) /* alpha: slope */       \
    X(CLIP, "Clip", false)            /* alpha..beta */        \
    X(SIGMOID, "Sigmoid", false)                               \
    X(HARD_SIGMOID, "HardSigmoid", false) /* alpha x + beta */ \
    X(SWISH, "swish", false)                                   \
    X(HARD_SWISH, "HardSwish", false)                          \
    X(TANH, "Tanh", false)                                     \
    X(ELU, "Elu", false) /* alpha */                           \
    X(EXP, "Exp", false)                                       \
    X(LOG, "Log", false)                                       \
    X(SQRT, "Sqrt", false)                                     \
    X(ABS, "Abs", false)                                       \
    X(NEG, "Neg", false)                                       \
    X(SOFTPLUS, "Softplus", false)                             \
    X(ADD, "Add", true)                                        \
    X(SUB, "Sub", true) /* x - operand */                      \
    X(MUL, "Mul", true)                                        \
    X(DIV, "Div", true) /* x / operand */                      \
    X(MAX, "Max", true)                                        \
    X(MIN, "Min", true)                                        \
    X(PRELU, "PRelu", true)

enum pointwise_kind {
#define X(kind, name, operand) POINTWISE_##kind,
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
bool pointwise_takes_operand(enum pointwise_kind kind);
bool pointwise_commutes(enum pointwise_kind kind);

/* Reads an f32 node as a pointwise function of its first input (the operand is the second). False
 * when it is none, or one whose parameters are not known before it runs. */
bool pointwise_from_node(const struct graph *graph, const struct node *node,
                         struct pointwise *pointwise);

float pointwise_apply(const struct pointwise *pointwise, float x, float operand);

#endif
