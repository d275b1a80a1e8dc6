/* col2im: Col2Im, which adds the columns of a matrix, each a block of a picture, up to the picture. Any
 * number of sides. */
#include "ops/element.h"
#include "ops/families.h"
#include "ops/rules.h"
#include <string.h>

#define SIDES_MAX (SHAPE_RANK_MAX - 2)
#define NUMBER_MAX ((int64_t)1 << 20) /* far above any picture; keeps products in 64 bits */

static int col2im_shape(const struct node *node, const struct op_values *values, struct error *err);
static int col2im_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    /* (columns of N x (C * block) x places, sides of the picture, sides of a block) */
    { OP_ROW("Col2Im", 3, 3, 1, 18, OPSET_MAX, col2im_shape, col2im_reference), .heavy = true,
      OP_ATTRIBUTES({ "dilations", ATTRIBUTE_INTS }, { "pads", ATTRIBUTE_INTS },
                    { "strides", ATTRIBUTE_INTS }) },
};
const struct op_family col2im_family = OP_FAMILY(rows);

struct blocks {
    int sides;
    int64_t image[SIDES_MAX], block[SIDES_MAX], places[SIDES_MAX];
    int64_t stride[SIDES_MAX], dilation[SIDES_MAX], pad[SIDES_MAX];
    int64_t block_size, place_count;
};

static int check_number(const char *name, int64_t number, int64_t least, struct error *err)
{
    if (number >= least && number <= NUMBER_MAX)
        return 0;
    return error_set(err, ERROR_FORMAT, name, "%lld is outside [%lld, %lld]", (long long)number,
                     (long long)least, (long long)NUMBER_MAX);
}

static int read_input(const struct tensor *input, const char *name, int *sides,
                      int64_t numbers[SIDES_MAX], struct error *err)
{
    int64_t ints[RULE_INTS_MAX];
    size_t count = 0;
    int rc = rule_ints(input, name, ints, &count, err);
    if (rc)
        return rc;
    if (count < 1 || count > SIDES_MAX || (*sides && count != (size_t)*sides))
        return error_set(err, ERROR_FORMAT, name, "%zu numbers; one for each of at most %d sides",
                         count, SIDES_MAX);
    *sides = (int)count;
    for (size_t i = 0; !rc && i < count; i++)
        rc = check_number(name, numbers[i] = ints[i], 1, err);
    return rc;
}

/* An attribute of so many numbers, which are `fallback` without it. */
static int read_attribute(const struct node *node, const char *name, int count, int64_t least,
                          int64_t fallback, int64_t *numbers, struct error *err)
{
    const int64_t *ints;
    size_t given = node_ints(node, name, &ints);
    int rc = 0;
    if (given != 0 && given != (size_t)count)
        return error_set(err, ERROR_FORMAT, name, "%zu numbers; %d expected", given, count);
    for (int i = 0; !rc && i < count; i++)
        rc = check_number(name, numbers[i] = given ? ints[i] : fallback, least, err);
    return rc;
}

static int read_blocks(const struct node *node, const struct tensor *image,
                       const struct tensor *block, struct blocks *b, struct error *err)
{
    int64_t pads[2 * SIDES_MAX];
    *b = (struct blocks){ .block_size = 1, .place_count = 1 };
    int rc = read_input(image, "image_shape", &b->sides, b->image, err);
    if (rc || (rc = read_input(block, "block_shape", &b->sides, b->block, err)) ||
        (rc = read_attribute(node, "strides", b->sides, 1, 1, b->stride, err)) ||
        (rc = read_attribute(node, "dilations", b->sides, 1, 1, b->dilation, err)) ||
        (rc = read_attribute(node, "pads", 2 * b->sides, 0, 0, pads, err)))
        return rc;
    for (int i = 0; i < b->sides; i++) {
        int64_t room =
            b->image[i] + pads[i] + pads[b->sides + i] - ((b->block[i] - 1) * b->dilation[i] + 1);
        if (room < 0)
            return error_set(err, ERROR_FORMAT, "block_shape",
                             "the block is larger than the padded picture");
        b->pad[i] = pads[i];
        b->places[i] = room / b->stride[i] + 1;
        b->place_count *= b->places[i];
        b->block_size *= b->block[i];
        if (b->place_count > (int64_t)TENSOR_BYTES_MAX || b->block_size > (int64_t)TENSOR_BYTES_MAX)
            return error_set(err, ERROR_LIMIT, "image_shape", "there are too many blocks");
    }
    return 0;
}

static int col2im_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct blocks b;
    int rc = rule_input(values, 0, "input", TYPES_FLOAT | TYPES_WHOLE, 3, 3, err);
    if (rc || (rc = rule_input(values, 1, "image_shape", TYPE(I64), 1, 1, err)) ||
        (rc = rule_input(values, 2, "block_shape", TYPE(I64), 1, 1, err)) ||
        (rc = read_blocks(node, rule_constant(values, 1), rule_constant(values, 2), &b, err)))
        return rc;
    const int64_t *from = values->in[0]->shape.dim;
    if (from[1] < 1 || from[1] % b.block_size || from[2] != b.place_count)
        return error_set(err, ERROR_FORMAT, "input",
                         "%lld rows and %lld columns; blocks of %lld in %lld places",
                         (long long)from[1], (long long)from[2], (long long)b.block_size,
                         (long long)b.place_count);
    struct shape shape = { 2 + b.sides, { from[0], from[1] / b.block_size } };
    memcpy(shape.dim + 2, b.image, (size_t)b.sides * sizeof *b.image);
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

/* The column that has element `tap` of its block at `position`, both row-major; -1: none. */
static int64_t column_of(const struct blocks *b, int64_t tap, int64_t position)
{
    int64_t column = 0, step = 1;
    for (int i = b->sides - 1; i >= 0; i--) {
        int64_t at = position % b->image[i] + b->pad[i] - tap % b->block[i] * b->dilation[i];
        position /= b->image[i];
        tap /= b->block[i];
        if (at < 0 || at % b->stride[i] || at / b->stride[i] >= b->places[i])
            return -1;
        column += at / b->stride[i] * step;
        step *= b->places[i];
    }
    return column;
}

static int col2im_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err)
{
    struct blocks b;
    int rc = read_blocks(node, in[1], in[2], &b, err);
    if (rc)
        return rc;
    int64_t pixels = shape_span(&out[0]->shape, 2, out[0]->shape.rank);
    for (int64_t i = 0, count = shape_elements(&out[0]->shape); i < count; i++) {
        double sum = 0;
        for (int64_t tap = 0; tap < b.block_size; tap++) {
            int64_t column = column_of(&b, tap, i % pixels);
            if (column >= 0)
                sum +=
                    element_load(in[0], (i / pixels * b.block_size + tap) * b.place_count + column);
        }
        element_store(out[0], i, sum);
    }
    return 0;
}
