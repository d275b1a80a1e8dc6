/* families: the files of the op table. Each gives its rows as one array. */
#ifndef RUNESPOOR_OPS_FAMILIES_H
#define RUNESPOOR_OPS_FAMILIES_H

#include "ops/op.h"

struct op_family {
    const struct op *rows;
    size_t count;
};

#define OP_FAMILY(rows) { (rows), sizeof(rows) / sizeof *(rows) }

extern const struct op_family conv_family, pool_family, unary_family, binary_family, matmul_family,
    shape_family, move_family, slice_family, resize_family, normalise_family, reduce_family,
    quantise_family;

#endif
