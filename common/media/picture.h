/* picture: a reference-counted decoded frame (8-bit 4:2:0, planar or NV12), and a plain view of its
 * pixels that other processes can rebuild from shared memory. FFmpeg's AVFrame is inside. */
#ifndef RUNESPOOR_MEDIA_PICTURE_H
#define RUNESPOOR_MEDIA_PICTURE_H

#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

#define PICTURE_SIDE_MAX 16384u

enum pixel_format { PIXEL_I420, PIXEL_NV12 };
enum pixel_matrix { MATRIX_BT601, MATRIX_BT709 };

/* Pixels, borrowed. Valid while the owner (a picture, a mapping) is. Odd sizes are allowed: a chroma
 * plane has (width + 1) / 2 by (height + 1) / 2 samples. */
struct picture_view {
    enum pixel_format format;
    enum pixel_matrix matrix;
    bool full_range;
    uint32_t width, height;
    uint8_t *plane[3]; /* I420: Y, U, V; NV12: Y, UV, NULL */
    uint32_t stride[3];
};

/* Where a picture lies when its memory comes from a picture_pool. */
struct picture_place {
    uint64_t pool_id; /* 0: private memory, cannot be shared */
    uint64_t offset[3];
};

struct picture;
struct AVFrame;

/* Takes over the references of frame (it is left blank; on an error it is as before). Formats:
 * yuv420p, yuvj420p, nv12. A frame that does not tell its matrix gets the usual one of its size. */
int picture_from_frame(struct picture **picture, struct AVFrame *frame, struct error *err);
/* A picture whose frame is blank, for the maker of its pixels to fill; media/ only. */
int picture_create_blank(struct picture **picture, struct error *err);
/* The frame inside, borrowed; media/ only. */
struct AVFrame *picture_frame(const struct picture *picture);

/* A writable I420 picture in private memory, black. Not for the frame path: it allocates. */
int picture_create(struct picture **picture, uint32_t width, uint32_t height, struct error *err);

struct picture *picture_ref(struct picture *picture); /* any thread */
void picture_unref(struct picture **picture);         /* any thread; sets NULL, takes NULL */

void picture_get_view(const struct picture *picture, struct picture_view *view);
/* Its size in square pixels: as it is meant to be seen. The view's where nothing else is known. */
void picture_get_display_size(const struct picture *picture, uint32_t *width, uint32_t *height);
void picture_get_place(const struct picture *picture, struct picture_place *place);
struct picture_pool;
/* The pool that it lies in; borrowed, lives at least as long as the picture. NULL: private memory. */
const struct picture_pool *picture_get_pool(const struct picture *picture);

/* A picture_pool has equal slots in one memfd, for decoded pictures that worker processes read. Slots
 * are taken by the decoder and return when the last reference goes. Any thread. */
int picture_pool_create(struct picture_pool **pool, uint32_t width, uint32_t height,
                        uint32_t slot_count, struct error *err);
uint64_t picture_pool_id(const struct picture_pool *pool); /* unique in this process, never 0 */
int picture_pool_fd(const struct picture_pool *pool);      /* borrowed; sealed against resizing */
uint64_t picture_pool_bytes(const struct picture_pool *pool);
/* A writable I420 picture of the pool's size in a free slot; its pixels are whatever the slot's last
 * picture left. -ERROR_LIMIT when no slot is free. */
int picture_pool_take(struct picture_pool *pool, struct picture **picture, struct error *err);
/* The same for a frame that libavcodec fills; media/ only. */
int picture_pool_take_frame(struct picture_pool *pool, struct AVFrame *frame, struct error *err);
/* The pool lives on until its last slot has come back. Takes NULL. */
void picture_pool_release(struct picture_pool **pool);

#endif
