/* model_picture: shades and edges in the range that a model was trained for: noise shows nothing to it,
 * and activations would not be those of work. */
#ifndef RUNESPOOR_TESTS_MODEL_PICTURE_H
#define RUNESPOOR_TESTS_MODEL_PICTURE_H

#include "tensor/tensor.h"
#include <math.h>
#include <stdbool.h>

/* picture: f32 of four dimensions, channels second, or last where there is but one there. */
static inline void model_picture_draw(struct tensor *picture, double low, double high)
{
    const int64_t *dim = picture->shape.dim;
    bool last = dim[3] == 1;
    int64_t channels = last ? 1 : dim[1], rows = dim[last ? 1 : 2], columns = dim[last ? 2 : 3];
    float *data = picture->data;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t y = 0; y < rows; y++)
            for (int64_t x = 0; x < columns; x++) {
                double shade = 0.25 * sin((double)(x + 9 * c) / 23) * cos((double)y / 31);
                double grain = 0.1 * sin((double)(x + 2 * y) / 5);
                double edge = ((x / 40 + y / 56) & 1) ? 0.15 : -0.15;
                double unit = 0.5 + shade + grain + edge; /* 0 to 1 */
                *data++ = (float)(low + (high - low) * unit);
            }
}

#endif
