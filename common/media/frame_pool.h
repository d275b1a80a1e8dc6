/* frame_pool: where the planes of an I420 picture lie in one block of memory, and recycled blocks of
 * private memory for pictures that are made here (scaled, converted, drawn). For media/ only. */
#ifndef RUNESPOOR_MEDIA_FRAME_POOL_H
#define RUNESPOOR_MEDIA_FRAME_POOL_H

#include "media/picture.h"
#include <stddef.h>

/* Strides are multiples of 64, and each plane has room behind it for the vector code of libavcodec
 * and libswscale, which may touch bytes past a row's end. */
struct frame_layout {
    uint32_t width, height;
    int stride[3];
    size_t offset[3];
    size_t bytes;
};

/* -ERROR_LIMIT for a side of 0 or above PICTURE_SIDE_MAX. */
int frame_layout_init(struct frame_layout *layout, uint32_t width, uint32_t height,
                      struct error *err);
/* Points frame (format, size, planes) at a block; its buf[0] is the caller's business. */
void frame_layout_apply(const struct frame_layout *layout, struct AVFrame *frame, uint8_t *block);

/* All-zero is an empty pool. One thread; its pictures may go anywhere and may outlive it. */
struct frame_pool {
    struct frame_layout layout;
    struct AVBufferPool *blocks; /* of layout.bytes each */
};

/* A writable picture whose pixels are undefined. Another size than last time starts a new pool. */
int frame_pool_take(struct frame_pool *pool, uint32_t width, uint32_t height,
                    struct picture **picture, struct error *err);
void frame_pool_finish(struct frame_pool *pool);

#endif
