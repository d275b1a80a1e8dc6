/* picture: decoded pictures become a network's input in one pass (ops/picture.h has the formulas). */
#ifndef RUNESPOOR_CUDA_PICTURE_H
#define RUNESPOOR_CUDA_PICTURE_H

#include "cuda/view.h"

#define PICTURE_COLOURS 3

/* Rows, then columns, where there are two. Steps are in elements. */
struct picture {
    const uint8_t *y, *u, *v;
    int64_t luma_image, chroma_image;             /* from one picture to the next */
    int32_t luma_row, chroma_row, chroma_column;  /* steps within it */
    int32_t luma[2], chroma[2], inner[2], linear; /* as struct picture_form has them */
    float black, colour[PICTURE_COLOURS][3];
    float factor[PICTURE_COLOURS], offset[PICTURE_COLOURS], pad[PICTURE_COLOURS];
    struct view to; /* of N x 3 x rows x columns, not joined */
};

/* pixels: of the output, all channels at once. */
LAUNCHER void picture_each(const struct picture *args, int64_t pixels, void *stream);

#endif
