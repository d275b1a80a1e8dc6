/* boxes: a detector's output becomes lists of boxes (ops/boxes.c has the rules). Nothing depends on the
 * order in which threads come: lists are compacted by prefix sums and sorted by counting who is better. */
#ifndef RUNESPOOR_CUDA_BOXES_H
#define RUNESPOOR_CUDA_BOXES_H

#include "cuda/view.h"

#define BOX_CORNERS 4 /* x1, y1, x2, y2 */
#define BOX_WORD_BITS 32
#define BOX_WORDS_MAX 32 /* of as many boxes as are looked at */

/* Lists of `limit` boxes an image, row-major; what lies behind count[image] is 0. NULL: not wanted. */
struct box_lists {
    float *boxes, *scores;
    int32_t *classes, *count;
    int32_t limit;
};

/* ---- box_decode ---- */

struct box_decode {
    int32_t kind; /* enum box_kind */
    const void *data;
    int32_t type;
    int64_t image, number, row,
        column; /* steps: from image to image, from number to number of a cell */
    int32_t cells, columns, classes; /* cells lie in rows of so many columns */
    int32_t size[2];                 /* of the network's input: rows, columns */
    float threshold;
    float *score;      /* scratch, for each cell: its score */
    int32_t *class_id; /* and its class; -1: it is below the threshold */
    struct box_lists to;
};

/* Fills score and class_id. count: images x cells. */
LAUNCHER void box_score_each(const struct box_decode *args, int64_t count, void *stream);
/* Writes the lists of what is above. blocks: images. */
LAUNCHER void box_gather(const struct box_decode *args, int64_t blocks, void *stream);

/* ---- box_nms ---- */

struct box_nms {
    const float *boxes, *scores; /* row-major, as in struct box_lists */
    const int32_t *classes, *count;
    int32_t given, candidates; /* boxes of an image; how many of them are looked at */
    float iou;
    float *key;     /* scratch, images x given: the score, or -infinity of what is no candidate */
    int32_t *order; /* images x candidates: by falling score, number + 1; 0: no more */
    uint32_t *covered; /* images x candidates x words: bit k of candidate i: it covers k, behind it */
    int32_t words;
    struct box_lists to;
};

/* One behind the other; order is 0 before. */
LAUNCHER void box_key_each(const struct box_nms *args, int64_t count, void *stream); /* images x given */
LAUNCHER void box_rank_each(const struct box_nms *args, int64_t count, void *stream); /* the same */
/* count: images x candidates x words. */
LAUNCHER void box_cover_each(const struct box_nms *args, int64_t count, void *stream);
LAUNCHER void box_choose(const struct box_nms *args, int64_t blocks, void *stream); /* images */

#endif
