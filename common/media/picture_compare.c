/* picture_compare: see the header. */
#include "media/picture_compare.h"
#include <stddef.h>
#include <stdlib.h>

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
