/* picture_cut: part of a picture as a picture of its own. Nothing is copied: both share their memory. */
#ifndef RUNESPOOR_MEDIA_PICTURE_CUT_H
#define RUNESPOOR_MEDIA_PICTURE_CUT_H

#include "base/error.h"
#include "media/picture.h"

/* What lies inside of the picture; x and y are even, as two pixels share their colour. */
struct picture_part {
    uint32_t x, y, width, height;
};

/* The largest part in the middle of width x height that has the shape of shape_width x shape_height, to the
 * pixel; even sides where it is cut. All sides are above 0. */
struct picture_part picture_middle(uint32_t width, uint32_t height, uint32_t shape_width,
                                   uint32_t shape_height);
/* *to is the caller's to unref; the same picture, referenced, where the part is all of it. */
int picture_cut(struct picture *from, const struct picture_part *part, struct picture **to,
                struct error *err);

#endif
