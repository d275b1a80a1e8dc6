/* quantise: what the files of the 8-bit ops share, and what passes and back ends ask of them.
 *
 * A quantised number q with a scale and a zero point stands for (q - zero) * scale. Our own ops
 * conv_int8, matmul_int8, add_int8, mul_int8, average_int8 and table_int8 (quantise_own.c) read and
 * write such numbers alone. */
#ifndef RUNESPOOR_OPS_QUANTISE_H
#define RUNESPOOR_OPS_QUANTISE_H

#include "ops/op.h"
#include "ops/rules.h"
#include "tensor/number.h"

#define TYPES_BYTE (TYPE(U8) | TYPE(I8))
#define TYPES_SCALE (TYPE(REAL) | TYPE(F16) | TYPE(BF16))

/* Which scale (and zero point) belongs to which element of a tensor, seen as outer x size x inner. */
struct quantise_grid {
    int64_t size, inner, block; /* so many elements along the axis share a scale */
    int64_t outer_step, block_step, inner_step;
};

/* From axis and block_size of a QuantizeLinear or DequantizeLinear; what does not fit is an error. */
int quantise_grid_of(const struct node *node, const struct shape *shape, const struct shape *scale,
                     struct quantise_grid *grid, struct error *err);
static inline int64_t quantise_grid_at(const struct quantise_grid *grid, int64_t element)
{
    int64_t row = element / grid->inner;
    return row / grid->size * grid->outer_step + row % grid->size / grid->block * grid->block_step +
           element % grid->inner * grid->inner_step;
}

/* The ends of a type of 8 or 16 bits. */
int64_t quantise_lowest(enum tensor_type type);
int64_t quantise_highest(enum tensor_type type);
/* Halves go to the even neighbour; NaN is the zero point; between low and high. */
static inline int64_t quantise_round(double number, int64_t zero, int64_t low, int64_t high)
{
    double rounded = rint(number) + (double)zero;
    if (!(rounded >= (double)low)) /* below, or NaN */
        return isnan(rounded) ? zero : low;
    return rounded > (double)high ? high : (int64_t)rounded;
}

/* The only number of a scale or zero point; a zero point that is left out is 0. */
double quantise_scale(const struct tensor *tensor);
int64_t quantise_zero(const struct tensor *tensor);
/* The limits of an own op's node: what an activation leaves of its output's type. */
void quantise_limits(const struct node *node, enum tensor_type type, int64_t *low, int64_t *high);

/* Rules of several rows. */
int quantise_check_scale(const struct op_values *values, int index, const char *what,
                         struct error *err);
int quantise_check_zero(const struct op_values *values, int index, const char *what,
                        enum tensor_type type, struct error *err);
int quantise_check_limits(const struct node *node, enum tensor_type type, struct error *err);

/* Inputs of QLinearConv, QLinearMatMul and our own products and elementwise ops. */
enum {
    QLINEAR_A,
    QLINEAR_A_SCALE,
    QLINEAR_A_ZERO,
    QLINEAR_B,
    QLINEAR_B_SCALE,
    QLINEAR_B_ZERO,
    QLINEAR_Y_SCALE,
    QLINEAR_Y_ZERO,
    QLINEAR_BIAS, /* in steps of both scales */
};

#endif
