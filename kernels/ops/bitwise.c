/* bitwise: elementwise ops on the bits of whole numbers. */
#include "ops/elementwise.h"
#include "ops/families.h"
#include "ops/gradient.h"
#include "ops/rules.h"
#include "tensor/number.h"
#include <string.h>

enum bit_op { BIT_AND, BIT_OR, BIT_XOR, BIT_LEFT, BIT_RIGHT };

static int pair_shape(const struct node *node, const struct op_values *values, struct error *err);
static int shift_shape(const struct node *node, const struct op_values *values, struct error *err);
static int not_shape(const struct node *node, const struct op_values *values, struct error *err);
static int and_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err);
static int or_reference(const struct node *node, const struct tensor *const *in,
                        struct tensor *const *out, struct error *err);
static int xor_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err);
static int shift_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);
static int not_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err);

#define PAIR(name, first, rule, kernel)                                              \
    OP_ROW(name, 2, 2, 1, first, OPSET_MAX, rule, kernel), .class = OP_CLASS_BINARY, \
                                                           .gradient = gradient_none

static const struct op rows[] = {
    { PAIR("BitwiseAnd", 18, pair_shape, and_reference) },
    { PAIR("BitwiseOr", 18, pair_shape, or_reference) },
    { PAIR("BitwiseXor", 18, pair_shape, xor_reference) },
    { PAIR("BitShift", 11, shift_shape, shift_reference),
      OP_ATTRIBUTES({ "direction", ATTRIBUTE_STRING }) },
    { OP_ROW("BitwiseNot", 1, 1, 1, 18, OPSET_MAX, not_shape, not_reference),
      .class = OP_CLASS_UNARY, .gradient = gradient_none },
};
const struct op_family bitwise_family = OP_FAMILY(rows);

static int pair_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    return elementwise_broadcast(node, values, TYPES_WHOLE, TENSOR_NONE, err);
}

static int shift_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    const char *word = node_string(node, "direction", "");
    if (strcmp(word, "LEFT") != 0 && strcmp(word, "RIGHT") != 0)
        return error_set(err, ERROR_FORMAT, "direction", "LEFT or RIGHT expected, not '%.32s'", word);
    return elementwise_broadcast(node, values, TYPES_UNSIGNED, TENSOR_NONE, err);
}

static int not_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    return elementwise_shape(values, TYPES_WHOLE, TENSOR_NONE, err);
}

/* A shift by more bits than there are leaves none; what is above the type's width a store drops. */
static uint64_t bits_of(enum bit_op op, uint64_t x, uint64_t y)
{
    switch (op) {
    case BIT_AND:
        return x & y;
    case BIT_OR:
        return x | y;
    case BIT_XOR:
        return x ^ y;
    case BIT_LEFT:
        return y < 64 ? x << y : 0;
    case BIT_RIGHT:
    default:
        return y < 64 ? x >> y : 0;
    }
}

static int combine(enum bit_op op, const struct tensor *const *in, struct tensor *out)
{
    struct walk walk = elementwise_walk(out, in[0], in[1]);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t i = 0; i < walk.row; i++) {
            int64_t x = number_load_whole(in[0], walk.at[1] + i * walk.row_step[1]);
            int64_t y = number_load_whole(in[1], walk.at[2] + i * walk.row_step[2]);
            number_store_whole(out, walk.at[0] + i, (int64_t)bits_of(op, (uint64_t)x, (uint64_t)y));
        }
    return 0;
}

static int and_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    return combine(BIT_AND, in, out[0]);
}

static int or_reference(const struct node *node, const struct tensor *const *in,
                        struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    return combine(BIT_OR, in, out[0]);
}

static int xor_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    return combine(BIT_XOR, in, out[0]);
}

static int shift_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    (void)err;
    bool left = strcmp(node_string(node, "direction", ""), "LEFT") == 0;
    return combine(left ? BIT_LEFT : BIT_RIGHT, in, out[0]);
}

static int not_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    for (int64_t i = 0, elements = shape_elements(&in[0]->shape); i < elements; i++)
        number_store_whole(out[0], i, ~number_load_whole(in[0], i));
    return 0;
}
