/* resolve: what the attributes of some ops mean for given shapes, for back ends that bring their own
 * kernels. Call them for nodes that have passed shape inference. Windows (Conv, pooling) are in
 * window.h. */
#ifndef RUNESPOOR_OPS_RESOLVE_H
#define RUNESPOOR_OPS_RESOLVE_H

#include "graph/graph.h"
#include "ops/optimise_functions.h"

/* ONNX's number of a tensor type, as in files and in Cast; TENSOR_NONE for those we do not have. */
enum tensor_type type_of_onnx(int64_t number);

/* Clip on f32: from inputs or, before opset 11, attributes; infinite where there is no bound. */
void clip_bounds(const struct node *node, const struct tensor *min, const struct tensor *max,
                 float *low, float *high);

/* MatMul: m x k times k x n for each index of `batch`, to which the leading dimensions of A (left)
 * and B (right) broadcast. A vector is a matrix of one row (A) or column (B). False when the shapes
 * do not go together. */
struct matmul_span {
    int64_t m, k, n;
    struct shape batch, left, right;
};
bool matmul_span(const struct shape *a, const struct shape *b, struct matmul_span *span);

/* Softmax: the tensor seen as outer x size x inner, normalised over size. */
void softmax_span(const struct node *node, const struct shape *input, int64_t *outer, int64_t *size,
                  int64_t *inner);

/* ReduceSum and its relatives: the axes that are folded, one flag for each of `rank` many. axes is the
 * input, NULL when absent. */
int reduce_axes(const struct node *node, const struct tensor *axes, int rank, bool *folded,
                struct error *err);

/* BatchNormalization of inference with one number per channel; the other forms of the row (training,
 * numbers of their own for each place) are for the reference kernel. */
bool batch_norm_is_plain(const struct node *node);
/* LayerNormalization that gives nothing but y, and whose scale and bias (NULL when absent) have just the
 * shape of what is normalised together. */
bool layer_norm_is_plain(const struct node *node, const struct shape *input,
                         const struct shape *scale, const struct shape *bias);

/* batch_norm_train: what a running statistic becomes with the batch's. */
void batch_norm_renew(const struct node *node, double batch, double *running);

/* Optimisers; struct adam is in optimise_functions.h. */
struct sgd {
    double momentum, weight_decay;
    bool nesterov;
};
void sgd_resolve(const struct node *node, struct sgd *sgd);

void adam_resolve(const struct node *node, struct adam *adam);

/* Cross-entropy losses and their gradients: scores as batch x classes x positions. */
enum loss_reduction { REDUCTION_MEAN, REDUCTION_SUM, REDUCTION_NONE };
struct cross_entropy {
    int64_t batch, classes, positions;
    bool ignores;
    int64_t ignore; /* a label */
    enum loss_reduction reduction;
};
void cross_entropy_resolve(const struct node *node, const struct shape *scores,
                           struct cross_entropy *loss);
/* A label that is no class: sets the error and gives it. */
int cross_entropy_bad_label(const struct cross_entropy *loss, int64_t label, struct error *err);

/* Concat and Split: the axis, counted from the front. */
int concat_axis(const struct node *node, const struct shape *output);

/* Slice: for each dimension the first element, the step to the next (may be negative), and in shape how
 * many there are. in: the node's inputs starts, ends, axes and steps, NULL when absent. */
int slice_resolve(const struct node *node, const struct tensor *const *in, const struct shape *from,
                  int64_t first[SHAPE_RANK_MAX], int64_t stride[SHAPE_RANK_MAX],
                  struct shape *shape, struct error *err);

/* Pad: what is added (or, negative, cut) before each dimension, and the padded shape. pads and axes
 * are the node's inputs, NULL when absent. */
enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP };
int pad_resolve(const struct node *node, const struct tensor *pads, const struct tensor *axes,
                const struct shape *from, enum pad_mode *mode, int64_t begin[SHAPE_RANK_MAX],
                struct shape *padded, struct error *err);
/* The input position that position `at`, counted from the input's first, shows; -1: the constant. */
int64_t pad_source(enum pad_mode mode, int64_t at, int64_t dim);

/* Resize and Upsample. roi, scales and sizes are the node's inputs, NULL or empty when absent. */
enum resize_mode { RESIZE_NEAREST, RESIZE_LINEAR, RESIZE_CUBIC };
enum resize_coordinate {
    RESIZE_HALF_PIXEL,
    RESIZE_PYTORCH_HALF_PIXEL,
    RESIZE_ALIGN_CORNERS,
    RESIZE_ASYMMETRIC,
    RESIZE_TF_HALF_PIXEL,
    RESIZE_HALF_PIXEL_SYMMETRIC,
    RESIZE_CROP, /* a part of the input, beyond which there is a value of its own */
};
enum resize_nearest {
    RESIZE_PREFER_FLOOR,
    RESIZE_PREFER_CEIL,
    RESIZE_FLOOR,
    RESIZE_CEIL,
    RESIZE_SIMPLE, /* before opset 11: floor when it grows, ceil when it shrinks */
};

struct resize {
    struct shape in, out;
    float scale[SHAPE_RANK_MAX];
    bool by_sizes; /* output sizes were given, and scale follows from them */
    enum resize_mode mode;
    enum resize_coordinate coordinate;
    enum resize_nearest nearest;
    float cubic_a;
    bool exclude_outside;
    bool antialias;                   /* elements are made of spans, not of taps */
    float extrapolation;              /* of RESIZE_CROP, outside of the input */
    float crop[SHAPE_RANK_MAX][2];    /* begin and end, as parts of the whole */
    int64_t ratio[SHAPE_RANK_MAX][2]; /* by_sizes: so many elements become so many */
};

/* Of the forward op, or of resize_grad, with the forward op's shape `from` and no tensors. */
int resize_resolve(const struct node *node, const struct shape *from, const struct tensor *roi,
                   const struct tensor *scales, const struct tensor *sizes, struct resize *resize,
                   struct error *err);

/* The input elements that an output position is made of along one dimension. */
struct resize_taps {
    int count; /* 1, 2 or 4; 0 outside of the input (RESIZE_CROP) */
    int64_t index[4];
    double weight[4];
};
void resize_taps(const struct resize *resize, int axis, int64_t at, struct resize_taps *taps);
/* The first output position with its taps, one for each dimension; and from any to the next, row-major,
 * with new taps for what changed. */
void resize_first(const struct resize *resize, int64_t index[SHAPE_RANK_MAX],
                  struct resize_taps taps[SHAPE_RANK_MAX]);
void resize_next(const struct resize *resize, int64_t index[SHAPE_RANK_MAX],
                 struct resize_taps taps[SHAPE_RANK_MAX]);

/* The same with antialias: elements first … end - 1, of which those outside are the input's ends; none
 * outside of the input (RESIZE_CROP). */
struct resize_span {
    int64_t first, end;
    double x, scale, sum;
};
void resize_span(const struct resize *resize, int axis, int64_t at, struct resize_span *span);
/* What element i of a span weighs, and where it is. */
double resize_span_weight(const struct resize *resize, int axis, const struct resize_span *span,
                          int64_t i, int64_t *index);

#endif
