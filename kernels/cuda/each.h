/* each: elementwise ops that are no pointwise functions of floats (map.h): whole numbers and truth values,
 * comparisons, casts, and functions that chains do not have. Their meaning, with NaN and numbers that
 * wrap around, is that of ops/unary.c, binary.c and cast.c. */
#ifndef RUNESPOOR_CUDA_EACH_H
#define RUNESPOOR_CUDA_EACH_H

#include "cuda/view.h"

#define EACH_INPUTS_MAX 64 /* as nodes have */

enum each_kind {
    /* of one input */
    EACH_FLOOR,
    EACH_CEIL,
    EACH_ROUND, /* halves to even */
    EACH_SIN,
    EACH_COS,
    EACH_NEG,
    EACH_ABS,
    EACH_NOT,
    /* of any number, from the first on */
    EACH_ADD,
    EACH_SUB,
    EACH_MUL,
    EACH_DIV,
    EACH_MIN,
    EACH_MAX,
    EACH_AND,
    EACH_OR,
    /* of two */
    EACH_EQUAL,
    EACH_GREATER,
    EACH_LESS,
    EACH_GREATER_OR_EQUAL,
    EACH_LESS_OR_EQUAL,
    /* of a number and two limits, which may be absent; of a slope, a number and two limits */
    EACH_CLIP,
    EACH_CLIP_GRAD,
    EACH_POW_GRAD_EXPONENT, /* of a slope, the base and the exponent */
    EACH_WHERE,             /* of a condition and two others */
    EACH_CAST,
};

struct each {
    int32_t kind;                      /* enum each_kind */
    int32_t count;                     /* of from */
    struct view from[EACH_INPUTS_MAX]; /* of the dimensions of `to`; of type TENSOR_NONE: absent */
    struct view to;
};

/* count: elements of to. */
/* Floats from floats: FLOOR to COS, ADD, MIN, MAX, CLIP to POW_GRAD_EXPONENT. */
LAUNCHER void each_float(const struct each *args, int64_t count, void *stream);
/* Whole numbers and truth values from such: NEG to OR, CLIP. */
LAUNCHER void each_whole(const struct each *args, int64_t count, void *stream);
/* Truth values: EQUAL to LESS_OR_EQUAL of two numbers of one type. */
LAUNCHER void each_compare(const struct each *args, int64_t count, void *stream);
/* WHERE of any type (doubles as whole numbers: their bits), to the same one or among floats. */
LAUNCHER void each_where(const struct each *args, int64_t count, void *stream);
/* CAST between any two types. */
LAUNCHER void each_cast(const struct each *args, int64_t count, void *stream);

#endif
