/* cuda_plain_pictures: the plain way of kernels for pictures and of products: a thread makes an element
 * from memory alone, and shares nothing with others. Where ladders (cuda_lab.h) of pictures begin. */
#ifndef RUNESPOOR_LAB_CUDA_PLAIN_PICTURES_H
#define RUNESPOOR_LAB_CUDA_PLAIN_PICTURES_H

#include "cuda/boxes.h"
#include "cuda/labels.h"
#include "cuda/matmul.h"
#include "cuda/picture.h"
#include "cuda/pool.h"

#define PLAIN_CUBIC_A (-0.75f) /* ONNX's cubic_coeff_a */

/* A channels-last picture made larger by a whole factor, by centres; the border goes on outside. */
struct plain_resize {
    const void *from;
    void *to;
    int32_t type;
    int32_t rows, columns, channels; /* of from */
    int32_t factor;
    int32_t cubic; /* four neighbours each way, not two */
};

/* count: elements of to, all pictures of a batch. */
LAUNCHER void plain_resize_each(const struct plain_resize *args, int64_t count, void *stream);

/* As pool_largest, of channels-last pictures, both counted in the order of their memory. */
LAUNCHER void plain_pool_each(const struct pool *args, int64_t count, void *stream);

/* As matmul_tiles. count: elements of c. */
LAUNCHER void plain_matmul_each(const struct matmul *args, int64_t count, void *stream);

/* As picture_each. count: elements of the output, row-major. */
LAUNCHER void plain_picture_each(const struct picture *args, int64_t count, void *stream);

/* As label_map_chunks; counts are there. count: positions of all images. */
LAUNCHER void plain_label_each(const struct label_map *args, int64_t count, void *stream);

/* As box_gather, of a YOLOX detector, and as all kernels of box_nms one behind the other, with all boxes
 * looked at; key is the only scratch. All lists are there. count: images. */
LAUNCHER void plain_box_gather_each(const struct box_decode *args, int64_t count, void *stream);
LAUNCHER void plain_box_nms_each(const struct box_nms *args, int64_t count, void *stream);

struct plain_numbers {
    int32_t *numbers;
};

/* To 0, as the device's own memory is cleared. */
LAUNCHER void plain_clear_each(const struct plain_numbers *args, int64_t count, void *stream);
/* Whole numbers become floats where they are. */
LAUNCHER void plain_float_each(const struct plain_numbers *args, int64_t count, void *stream);

#endif
