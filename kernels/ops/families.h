/* families: the files of the op table. Each gives its rows as one array. */
#ifndef RUNESPOOR_OPS_FAMILIES_H
#define RUNESPOOR_OPS_FAMILIES_H

#include "ops/op.h"

struct op_family {
    const struct op *rows;
    size_t count;
};

/* clang-format off */
#define OP_FAMILY(rows) { (rows), sizeof(rows) / sizeof *(rows) }

/* What every row has: at least and at most so many inputs, at most so many outputs, the opsets. */
#define OP_ROW(op_name, least, most, outputs, first, last, rule, kernel)                          \
    .name = (op_name), .inputs_min = (least), .inputs_max = (most), .outputs_min = 1,             \
    .outputs_max = (outputs), .opset_min = (first), .opset_max = (last), .shape = (rule),         \
    .reference = (kernel)
#define OP_ATTRIBUTES(...) .attributes = (const struct op_attribute[]){ __VA_ARGS__, { 0 } }
/* clang-format on */

extern const struct op_family conv_family, pool_family, unary_family, binary_family, matmul_family,
    shape_family, move_family, slice_family, resize_family, normalise_family, reduce_family,
    cast_family, pool_gradient_family, move_gradient_family, slice_gradient_family,
    resize_gradient_family, conv_gradient_family, sum_to_family, unary_gradient_family,
    binary_gradient_family, reduce_gradient_family,
    normalise_gradient_family, optimise_family,
    loss_family, picture_family, labels_family, boxes_family,
    control_family, recurrent_family,
    clip_family, power_family, compare_family, bitwise_family,
    cumulate_family, rank_family, blocks_family, gather_family, scatter_family,
    generate_family, arrange_family, select_family, einsum_family, determinant_family;

extern const struct op_family unpool_family, roi_family, grid_family, nms_family, col2im_family;
extern const struct op_family center_crop_family, deform_family, layer_norm_family, lp_norm_family;
extern const struct op_family dft_family, spectrum_family;

extern const struct op_family quantise_family, quantise_conv_family, quantise_matmul_family;
extern const struct op_family quantise_own_family;

#endif
