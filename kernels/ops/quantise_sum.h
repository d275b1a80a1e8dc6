/* quantise_sum: how the products of bytes read and write, for quantise_conv.c and quantise_matmul.c.
 * Sums are exact: whole numbers of 64 bits. As i32 they wrap around, as the standard's do. */
#ifndef RUNESPOOR_OPS_QUANTISE_SUM_H
#define RUNESPOOR_OPS_QUANTISE_SUM_H

#include "ops/quantise.h"

#define STRETCH 128 /* outputs summed together; their sums stay in the nearest cache */

/* Inputs of ConvInteger and MatMulInteger. */
enum { INTEGER_A, INTEGER_B, INTEGER_A_ZERO, INTEGER_B_ZERO };

/* Bytes of either sign: element i stands for (data[i] ^ flip) - zero. */
struct bytes {
    const uint8_t *data;
    uint8_t flip;
    int64_t zero;
};

/* Where sums go: as they are, or quantised. */
struct finish {
    struct tensor *out;
    bool quantises;
    int64_t low, high;
};

static inline struct bytes bytes_of(const struct tensor *tensor, int64_t at, int64_t zero)
{
    bool is_signed = tensor->type == TENSOR_I8;
    return (struct bytes){ .data = (const uint8_t *)tensor->data + at,
                           .flip = is_signed ? 0x80 : 0,
                           .zero = zero + (is_signed ? 0x80 : 0) };
}

static inline int64_t byte_at(const struct bytes *bytes, int64_t i)
{
    return (int64_t)(bytes->data[i] ^ bytes->flip) - bytes->zero;
}

static inline struct finish finish_at(const struct node *node, struct tensor *out)
{
    struct finish finish = { .out = out, .quantises = out->type != TENSOR_I32 };
    quantise_limits(node, out->type, &finish.low, &finish.high);
    return finish;
}

static inline void finish_sum(const struct finish *finish, int64_t at, int64_t sum, double factor,
                              int64_t zero)
{
    number_store_whole(finish->out, at,
                       finish->quantises
                           ? quantise_round((double)sum * factor, zero, finish->low, finish->high)
                           : sum);
}

#endif
