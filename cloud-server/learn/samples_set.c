/* samples_set: see the header. */
#include "learn/samples_set.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const struct samples_source *samples_set_source(const struct samples_set *set, size_t index)
{
    assert(index < set->count && set->pictures[index].source < set->source_count);
    return &set->sources[set->pictures[index].source];
}

const char *samples_set_name(const struct samples_set *set, size_t index)
{
    return data_picture_name(samples_set_source(set, index)->data, set->pictures[index].number);
}

int samples_set_picture(const struct samples_set *set, size_t index, uint32_t width, uint32_t height,
                        struct picture **picture, struct samples_window *window, struct error *err)
{
    return samples_source_picture(samples_set_source(set, index), set->pictures[index].number,
                                  width, height, picture, window, err);
}

int samples_source_picture(const struct samples_source *source, size_t number, uint32_t width,
                           uint32_t height, struct picture **picture, struct samples_window *window,
                           struct error *err)
{
    struct picture *whole = NULL;
    struct picture_view view;
    int rc = data_picture(source->data, number, &whole, err);
    if (rc < 0)
        return rc;
    picture_get_view(whole, &view);
    *window = (struct samples_window){ view.width, view.height,
                                       picture_middle(view.width, view.height, width, height) };
    rc = picture_cut(whole, &window->part, picture, err);
    picture_unref(&whole);
    return rc;
}

/* The pixel of `to` that lies nearest to the middle of pixel `at` of `from`. */
static size_t nearest(uint32_t at, uint32_t from, uint32_t to)
{
    return (size_t)((2 * (uint64_t)at + 1) * to / (2 * (uint64_t)from));
}

static void take_golden(const struct samples_golden *golden, const uint8_t *map, uint32_t width,
                        uint32_t height, uint8_t *labels)
{
    if (width == golden->width && height == golden->height) {
        memcpy(labels, map, (size_t)width * height);
        return;
    }
    for (uint32_t y = 0; y < height; y++) {
        const uint8_t *row = map + nearest(y, height, golden->height) * golden->width;
        for (uint32_t x = 0; x < width; x++)
            labels[(size_t)y * width + x] = row[nearest(x, width, golden->width)];
    }
}

int samples_set_labels(const struct samples_set *set, size_t index,
                       const struct samples_window *window, uint32_t width, uint32_t height,
                       uint8_t *labels, struct error *err)
{
    const struct samples_source *source = samples_set_source(set, index);
    uint32_t number = set->pictures[index].number;
    if (source->golden.maps) {
        assert(source->golden.maps[number]);
        take_golden(&source->golden, source->golden.maps[number], width, height, labels);
        return 0;
    }
    assert(window);
    const struct picture_part *part = &window->part;
    uint8_t *values = malloc((size_t)window->width * window->height);
    if (!values)
        return error_set(err, ERROR_MEMORY, "samples", "no room for labels");
    int rc = data_map(source->data, number, window->width, window->height, values, err);
    for (uint32_t y = 0; rc == 0 && y < height; y++) {
        const uint8_t *row =
            values + (part->y + nearest(y, height, part->height)) * window->width + part->x;
        for (uint32_t x = 0; x < width; x++)
            labels[(size_t)y * width + x] = source->classes[row[nearest(x, width, part->width)]];
    }
    free(values);
    return rc;
}
