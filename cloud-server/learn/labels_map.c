/* labels_map: whether a label map has nothing but classes in it. */
#include "learn/labels.h"

#include <assert.h>

int labels_check_map(const uint8_t *values, uint32_t width, uint32_t height, size_t class_count,
                     int ignore, const char *file, struct error *err)
{
    assert(values && file && class_count <= UINT32_MAX);
    bool allowed[256] = { false };
    for (size_t i = 0; i < 256; i++)
        allowed[i] = i < class_count || (int)i == ignore;
    const size_t count = (size_t)width * height;
    for (size_t i = 0; i < count; i++)
        if (!allowed[values[i]])
            return error_set(err, ERROR_FORMAT, file,
                             "value %u at x %zu, y %zu is none of the %zu classes; add a class, or "
                             "name the value as data.ignore",
                             values[i], i % width, i / width, class_count);
    return 0;
}
