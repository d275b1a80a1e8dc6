/* loss: losses as nodes of a graph. Each takes values of an inferred graph, adds nodes and gives the
 * value of one number, the mean over what it is taken over; gradients come from the ops' own rules.
 * All give a negative error when shapes do not fit. */
#ifndef RUNESPOOR_TRAIN_LOSS_H
#define RUNESPOOR_TRAIN_LOSS_H

#include "graph/graph.h"

/* Mean |output - target|. */
int loss_l1(struct graph *graph, int output, int target, struct error *err);
/* Mean sqrt((output - target)^2 + epsilon^2): Charbonnier et al., ICIP 1994; as used for restoration by
 * Lai et al., CVPR 2017 (LapSRN), epsilon 1e-3. */
int loss_charbonnier(struct graph *graph, int output, int target, float epsilon, struct error *err);
/* Mean squared error. */
int loss_l2(struct graph *graph, int output, int target, struct error *err);
/* Softmax over dimension 1 of logits (batch x classes x …) against labels (batch x …, i64 or i32).
 * weights: a value with a number for each class, or -1; positions labelled `ignore` do not count.
 * The mean is weighted, as in ONNX (SoftmaxCrossEntropyLoss) and PyTorch. */
int loss_cross_entropy(struct graph *graph, int logits, int labels, int weights, int64_t ignore,
                       struct error *err);
/* 1 - soft IoU of classes: softmax over dimension 1 of logits (batch x classes x rows x columns) against
 * targets of the same shape, 1 at the class of each pixel and 0 elsewhere; pixels that are 0 everywhere do
 * not count. Over all pixels of the batch together, as Rahman and Wang have it (ISVC 2016), and then the
 * mean over classes, weighted by weights (one number for each; 0 leaves a class out, as one that the
 * batch does not have). */
int loss_jaccard(struct graph *graph, int logits, int targets, int weights, struct error *err);
/* Sigmoid focal loss, Lin et al., ICCV 2017: -alpha_t (1 - p_t)^gamma log p_t, from logits and
 * targets in 0..1 of the same shape; mean over all. */
int loss_focal(struct graph *graph, int logits, int targets, float alpha, float gamma,
               struct error *err);
/* Boxes (… x 4: left, top, right, bottom): mean 1 - IoU, or with generalised 1 - GIoU (Rezatofighi et
 * al., CVPR 2019). weights (… without the 4; -1: all count once): the mean is weighted by them. */
int loss_iou(struct graph *graph, int boxes, int targets, int weights, bool generalised,
             struct error *err);

#endif
