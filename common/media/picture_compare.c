/* picture_compare: see the header. */
#include "media/picture_compare.h"
#include <stddef.h>
#include <stdlib.h>

/* Mean difference of two pictures' luma from which on they are not the same one. What a few bits leave of a picture
 * differs by less than this part of what the nearest grey does; of nearly flat pictures, which are all noise, by
 * less than the minimum; and nothing that differs by more than the maximum is alike. */
#define SPREAD_PART 0.5
#define DIFFERENCE_MIN 8.0
#define DIFFERENCE_MAX 40.0

double picture_difference(const struct picture *a, const struct picture *b)
{
    struct picture_view x, y;
    picture_get_view(a, &x);
    picture_get_view(b, &y);
    if (x.width != y.width || x.height != y.height)
        return 255;
    uint64_t sum = 0;
    for (uint32_t row = 0; row < x.height; row++) {
        const uint8_t *p = x.plane[0] + (size_t)row * x.stride[0];
        const uint8_t *q = y.plane[0] + (size_t)row * y.stride[0];
        for (uint32_t column = 0; column < x.width; column++)
            sum += (uint64_t)abs(p[column] - q[column]);
    }
    return (double)sum / ((double)x.width * x.height);
}

/* Mean difference to the flat picture that is nearest: that of the luma which half of the samples are below. */
static double spread(const struct picture *picture)
{
    struct picture_view view;
    uint64_t count[256] = { 0 }, below = 0, sum = 0;
    picture_get_view(picture, &view);
    const uint64_t samples = (uint64_t)view.width * view.height;
    for (uint32_t row = 0; row < view.height; row++)
        for (uint32_t column = 0; column < view.width; column++)
            count[view.plane[0][(size_t)row * view.stride[0] + column]]++;
    int middle = 0;
    while ((below += count[middle]) < samples / 2)
        middle++;
    for (int value = 0; value < 256; value++)
        sum += count[value] * (uint64_t)abs(value - middle);
    return (double)sum / (double)samples;
}

bool picture_is_alike(const struct picture *a, const struct picture *b)
{
    double limit = spread(a) * SPREAD_PART;
    limit = limit < DIFFERENCE_MIN ? DIFFERENCE_MIN : limit > DIFFERENCE_MAX ? DIFFERENCE_MAX : limit;
    return picture_difference(a, b) <= limit;
}
