/* labels: the plane with the largest score of each position, and how often labels come together
 * (ops/labels.c has the rules). Counts are added to what is there, in any order. */
#ifndef RUNESPOOR_CUDA_LABELS_H
#define RUNESPOOR_CUDA_LABELS_H

#include "cuda/view.h"

#define LABEL_PLANES_MAX 256
#define LABEL_NONE 255
#define LABEL_POSITIONS 4096 /* of one image, that a block labels or counts */
#define LABEL_BINS 4096      /* that a block counts into */

struct label_map {
    struct view scores;  /* of the positions of one image, in the order of labels; of any layout */
    int64_t image, step; /* of scores: from one image to the next, from one plane to the next */
    int32_t planes, positions;
    int32_t chunks; /* of LABEL_POSITIONS, that an image has */
    uint8_t names[LABEL_PLANES_MAX];
    uint8_t *labels; /* images x positions; NULL: not wanted */
    int32_t *counts; /* images x planes; NULL: not wanted */
};

/* blocks: images x chunks. */
LAUNCHER void label_map_chunks(const struct label_map *args, int64_t blocks, void *stream);

struct confusion {
    const uint8_t *labels, *wanted;
    int32_t *counts; /* classes x (classes + 1) */
    int32_t classes;
    int64_t positions, chunks;
};

/* blocks: chunks, for each LABEL_BINS of the counts. */
LAUNCHER void confusion_chunks(const struct confusion *args, int64_t blocks, void *stream);

#endif
