/* pair_picture: two pictures of one size side by side, each with boxes and a caption above. One thread. */
#ifndef RUNESPOOR_DEMO_PAIR_PICTURE_H
#define RUNESPOOR_DEMO_PAIR_PICTURE_H

#include "evaluate/scores.h"
#include "media/picture.h"

/* 8-bit RGB in three planes without gaps. */
struct rgb_planes {
    uint8_t *plane[3];
    uint32_t width, height;
};

/* One half. All is borrowed for the call. */
struct pair_side {
    const struct rgb_planes *pixels;
    const struct score_box *truth, *found; /* truth: thin white lines, below those of found */
    size_t truth_count, found_count;
    const char *caption[2]; /* lines */
};

/* Sides must be even. */
int rgb_planes_init(struct rgb_planes *planes, uint32_t width, uint32_t height, struct error *err);
void rgb_planes_finish(struct rgb_planes *planes); /* all-zero is harmless */
/* From 1x3x(rows)x(columns), 0..1. */
void rgb_planes_fill(struct rgb_planes *planes, const float *restored);

/* Of the whole, for pictures of width x height. */
void pair_picture_size(uint32_t width, uint32_t height, uint32_t *whole_width,
                       uint32_t *whole_height);
/* Draws both halves; they have the same size. The caller unrefs *whole. */
int pair_picture_make(struct picture **whole, const struct pair_side sides[2], struct error *err);

#endif
