/* cuda_rows: what ladders of kernels that work on rows (cuda/fold.h) share. Their array is a channels-last
 * picture, or a matrix as one (pixels are its lines), and a row is what belongs to one channel, image,
 * plane or pixel of it. */
#ifndef RUNESPOOR_LAB_CUDA_ROWS_H
#define RUNESPOOR_LAB_CUDA_ROWS_H

#include "cuda/fold.h"

enum cuda_rows_kind {
    ROWS_ARE_CHANNELS, /* over all images and pixels */
    ROWS_ARE_IMAGES,   /* over channels and pixels */
    ROWS_ARE_PLANES,   /* a channel of an image: over its pixels */
    ROWS_ARE_PIXELS,   /* over channels */
};

struct cuda_rows {
    int32_t batch, channels, pixels;
    enum cuda_rows_kind kind;
};

int64_t cuda_rows_elements(const struct cuda_rows *rows);
int64_t cuda_rows_count(const struct cuda_rows *rows);
/* The row of the i-th element in the order of memory. Rows are counted image by image, then channel by
 * channel, then pixel by pixel, as far as they are told apart. */
int64_t cuda_rows_of(const struct cuda_rows *rows, int64_t i);

/* The array, of dimensions batch, channels, pixels; which of them rows go over. */
struct view cuda_rows_view(const struct cuda_rows *rows, enum tensor_type type, void *data);
const bool *cuda_rows_folded(const struct cuda_rows *rows);
/* One number for each row, in order, seen with the array's dimensions. */
struct view cuda_rows_result(const struct cuda_rows *rows, enum tensor_type type, void *data);
/* One number for each channel, seen likewise. */
struct view cuda_rows_channels(const struct cuda_rows *rows, enum tensor_type type, void *data);

/* Whether so many lanes a row are worth timing: a thread that goes through more than ROWS_LOOP_MAX
 * elements, each of which it waits for, takes tenths of a second. */
#define ROWS_LOOP_MAX 262144
bool cuda_rows_are_quick(const struct fold *fold, int lanes);

#endif
