/* picture: what the attributes of `picture` mean for given planes. The op makes a network's input of
 * decoded pictures, 8-bit 4:2:0: size, fit, colours, normalisation, in this order.
 *
 * Luma and chroma are each brought to where the picture comes to lie, by centres: sample i of a plane
 * covers [i, i + 1) of its side, whatever the side is, so chroma lies in the middle of the pixels that
 * share it. Then, with nothing rounded in between,
 *
 *     pixel = clip(colour[0] * (Y - black) + colour[1] * (U - 128) + colour[2] * (V - 128), 0, 255)
 *     value = pixel * factor + offset
 *
 * with the coefficients of ITU-R BT.601 or BT.709 for what Y, U and V reach, 219 and 224 steps or 255. */
#ifndef RUNESPOOR_OPS_PICTURE_H
#define RUNESPOOR_OPS_PICTURE_H

#include "graph/graph.h"

#define PICTURE_CHANNELS 3
#define PICTURE_PLANE_SIDE_MAX 16384

struct picture_form {
    int64_t batch;
    bool interleaved; /* NV12: U and V take turns in one plane */
    /* Rows, then columns: */
    int64_t plane[2], chroma_plane[2]; /* of memory; rows may be longer than the picture */
    int64_t luma[2], chroma[2];        /* of the picture; chroma: half of it, rounded up */
    int64_t inner[2];                  /* where it lies, top left in */
    int64_t to[2];                     /* the output */
    bool linear;                       /* two neighbours in a row also where a side shrinks */
    /* For each channel of the output, in its order: */
    float black, colour[PICTURE_CHANNELS][3]; /* of Y, U, V */
    float factor[PICTURE_CHANNELS], offset[PICTURE_CHANNELS];
    float pad[PICTURE_CHANNELS]; /* what stands right of and below the picture */
};

/* v: NULL where U and V are interleaved. */
int picture_resolve(const struct node *node, const struct shape *y, const struct shape *u,
                    const struct shape *v, struct picture_form *form, struct error *err);

#endif
