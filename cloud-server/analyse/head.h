/* head: turns a network's raw output into boxes or class areas of the picture. One file and one row
 * of the table per kind; a new kind is a word here and a row in its own file.
 *
 * Uncertainty (analysis.uncertainty) is to tell frames whose answer lost much to compression from others,
 * so that probes see more of them: it predicts 1 - accuracy, as evaluate/scores.h has that, from what the
 * network gave for this picture alone.
 *
 *     boxes   s: score of a box, t: threshold. The chance that the golden model finds it, too, is
 *                 c = 1 - ((1 - s) / (1 - t))^2 / 2    of what was found (s >= t),
 *                 c = (s / t)^2 / 2                    of what was nearly found,
 *             one half at the threshold, about as often as it was so where that was counted: boxes of
 *             street_det at 0.3, 0.4, 0.5, 0.65 and 0.75 (t = 0.45) were there 7 to 22, 25 to 45, 50 to
 *             79, 82 to 90 and 97 to 100 times of a hundred. Then
 *                 right = sum of c, found   wrong = sum of 1 - c, found + sum of c, nearly found
 *                 spread = square root of the sum of c (1 - c)
 *                 uncertainty = (wrong + spread) / (max(1, 2 right + wrong) + spread)
 *             which is 1 - F1 but for the spread. With it, few boxes are less certain than many: each
 *             one that is lost costs more there.
 *     areas   mean over the classes that were found of the mean over a class's pixels of 1 - the
 *             probability of the winner, by softmax. So a class counts as much as another, however small
 *             it is, as in the accuracy of a frame. Where each class has its own output, its pixels that
 *             were nearly found count with their probability; a class without a pixel but near ones
 *             counts with the largest.
 *
 * Nothing found and nothing near: 0. Its rank correlation with 1 - accuracy was 0.60 for boxes in the CamVid
 * video (mean of eight rungs), 0.43 in vtest.avi (five) and 0.87 for areas in the CamVid video. A plain mean of
 * 1 - score had 0.57, 0.45 and, over all pixels alike, 0.80, and took 3 and 5 % more probes for the same
 * interval of the 90 % tail. Between a quarter and two thirds of what the detector missed left no trace in
 * its scores, so boxes cannot be much better: a regression on ten figures of them, fitted to other rungs, was
 * not. */
#ifndef RUNESPOOR_ANALYSE_HEAD_H
#define RUNESPOOR_ANALYSE_HEAD_H

#include "analyse/analysis.h"
#include "analyse/card.h"
#include "analyse/nms.h"
#include "analyse/prepare.h"
#include "tensor/tensor.h"

#define HEAD_OUTPUTS_MAX 8u
#define HEAD_REDUCED_MAX 16u /* two for each: outputs that head_graph_append leaves */
#define HEAD_BINARY_PLANES 2 /* of an output that is one class's alone */

/* Candidates below the threshold, down to this part of it, count as nearly found. */
#define HEAD_NEAR_SHARE 0.2f
#define HEAD_NEAR_MAX 100u /* the best of them */
/* Label maps: every so many-th pixel of every so many-th row is looked at for uncertainty. */
#define HEAD_GRID_STEP 4u

/* name, word in the card, meaning */
#define HEAD_KINDS(X)                                                        \
    X(YOLOX, "yolox", "one output, a row per grid cell, boxes not decoded")  \
    X(YOLOV8, "yolov8", "one output, boxes in input pixels, no suppression") \
    X(FASTESTDET, "fastestdet", "one output, one coarse grid of cells")      \
    X(SEGMENT, "segment", "a score per pixel and class")

enum head_kind_index {
#define X(name, word, meaning) HEAD_##name,
    HEAD_KINDS(X)
#undef X
        HEAD_KIND_COUNT
};
extern const char *const head_words[]; /* NULL-ended */

struct head;

/* Compares outputs (in the head's order, f32, read at each decode) with the card. card and outputs
 * are borrowed until head_close; all memory that decoding needs is taken here. */
int head_open(struct head **head, const struct card *card, const struct tensor *const *outputs,
              size_t output_count, struct error *err);

/* The same of what head_graph_append left of the outputs. Boxes: head_decode's score must be the card's or its
 * sample's. */
int head_open_reduced(struct head **head, const struct card *card,
                      const struct tensor *const *outputs, size_t output_count, struct error *err);

/* Fills objects or areas of analysis from what the outputs hold now, and how uncertain they are. score:
 * threshold for boxes. */
void head_decode(struct head *head, const struct placement *placement, float score,
                 struct analysis *analysis);
/* Labels of what the outputs hold now, laid over a picture of width x height (see model_label_map). Of
 * kinds that find areas. */
void head_label_map(struct head *head, const struct placement *placement, uint32_t width,
                    uint32_t height, uint8_t *map);
void head_close(struct head **head); /* takes NULL */

/* True for a kind that finds class areas, false for one that finds boxes. */
bool head_finds_areas(int kind);

/* The rest is for the kinds' own files. */

struct head {
    const struct head_kind *kind;
    const struct card *card;
    const struct tensor *outputs[HEAD_OUTPUTS_MAX]; /* for areas, reduced: their grid alone */
    size_t output_count;
    uint32_t class_count;
    bool reduced;
    const struct tensor *lists[HEAD_OUTPUTS_MAX]; /* reduced: boxes, scores, classes, count; or labels */
    struct nms_box *found;                        /* reduced: of the lists */
    struct nms *nms; /* for kinds that find boxes; has those that are nearly found, too */
    void *own;       /* what the kind keeps, or NULL; freed by head_close */
};

struct head_kind {
    /* Checks the outputs' shapes and sets own. */
    int (*open)(struct head *head, struct error *err);
    /* The first, or both of the others. find_boxes adds candidates of at least this score to nms, in
     * pixels of the network's input. find_areas fills areas, mask size, runs and uncertainty of analysis. */
    void (*find_boxes)(struct head *head, float score);
    void (*find_areas)(struct head *head, const struct placement *placement,
                       struct analysis *analysis);
    void (*map_labels)(struct head *head, const struct placement *placement, uint32_t width,
                       uint32_t height, uint8_t *map);
};

#define X(name, word, meaning) extern const struct head_kind head_##name;
HEAD_KINDS(X)
#undef X

/* Sets and gives an error: output number so has this shape, but the kind needs … */
int head_refuse_shape(const struct head *head, size_t output, struct error *err, const char *format,
                      ...) __attribute__((format(printf, 4, 5)));

#endif
