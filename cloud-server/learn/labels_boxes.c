/* labels_boxes: a growing list of boxes, grouped by picture once it is whole. */
#include "learn/labels.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_FIRST 256u

int label_boxes_init(struct label_boxes *boxes, size_t picture_count, struct error *err)
{
    assert(boxes && picture_count > 0);
    *boxes = (struct label_boxes){ .picture_count = picture_count };
    boxes->first = calloc(picture_count + 1, sizeof *boxes->first);
    boxes->sizes = calloc(picture_count, sizeof *boxes->sizes);
    if (boxes->first && boxes->sizes)
        return 0;
    label_boxes_finish(boxes);
    return error_set(err, ERROR_MEMORY, "labels", "no room for the labels of %zu pictures",
                     picture_count);
}

static int make_room(struct label_boxes *boxes, const char *place, struct error *err)
{
    if (boxes->count < boxes->capacity)
        return 0;
    if (boxes->count >= LABELS_BOXES_MAX)
        return error_set(err, ERROR_LIMIT, place, "more than %u boxes", LABELS_BOXES_MAX);
    size_t capacity = boxes->capacity ? 2 * boxes->capacity : CAPACITY_FIRST;
    struct label_box *grown = realloc(boxes->items, capacity * sizeof *grown);
    if (!grown)
        return error_set(err, ERROR_MEMORY, place, "no room for %zu boxes", capacity);
    boxes->items = grown;
    boxes->capacity = capacity;
    return 0;
}

int label_boxes_add(struct label_boxes *boxes, const struct label_box *box, const char *place,
                    struct error *err)
{
    assert(box->picture < boxes->picture_count);
    const double numbers[] = { box->x, box->y, box->width, box->height };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!(fabs(numbers[i]) <= LABELS_NUMBER_MAX)) /* also NaN */
            return error_set(err, ERROR_FORMAT, place, "%g is no coordinate of a box", numbers[i]);
    if (box->width <= 0 || box->height <= 0)
        return error_set(err, ERROR_FORMAT, place,
                         "a box of %gx%g has no area; correct it or take it out", box->width,
                         box->height);
    int failed = make_room(boxes, place, err);
    if (!failed)
        boxes->items[boxes->count++] = *box;
    return failed;
}

/* A counting sort: keeps the order inside of a picture. */
int label_boxes_sort(struct label_boxes *boxes, const char *file, struct error *err)
{
    size_t *first = boxes->first;
    struct label_box *sorted = malloc((boxes->count + 1) * sizeof *sorted);
    if (!sorted)
        return error_set(err, ERROR_MEMORY, file, "no room for %zu boxes", boxes->count);
    memset(first, 0, (boxes->picture_count + 1) * sizeof *first);
    for (size_t i = 0; i < boxes->count; i++)
        first[boxes->items[i].picture + 1]++;
    for (size_t p = 0; p < boxes->picture_count; p++) {
        if (first[p + 1] > LABELS_PICTURE_BOXES_MAX) {
            size_t count = first[p + 1];
            free(sorted);
            return error_set(err, ERROR_LIMIT, file, "picture %zu has %zu boxes, allowed are %u",
                             p + 1, count, LABELS_PICTURE_BOXES_MAX);
        }
        first[p + 1] += first[p];
    }
    for (size_t i = 0; i < boxes->count; i++)
        sorted[first[boxes->items[i].picture]++] = boxes->items[i];
    /* Each start has moved to the next picture's. */
    memmove(first + 1, first, boxes->picture_count * sizeof *first);
    first[0] = 0;
    free(boxes->items);
    boxes->items = sorted;
    boxes->capacity = boxes->count + 1;
    return 0;
}

void label_boxes_finish(struct label_boxes *boxes)
{
    free(boxes->items);
    free(boxes->first);
    free(boxes->sizes);
    *boxes = (struct label_boxes){ 0 };
}

bool label_box_place(const struct label_box *box, bool normalised, uint32_t width, uint32_t height,
                     double placed[4], bool *clipped)
{
    const double by_x = normalised ? width : 1, by_y = normalised ? height : 1;
    const double x1 = box->x * by_x, x2 = (box->x + box->width) * by_x;
    const double y1 = box->y * by_y, y2 = (box->y + box->height) * by_y;
    placed[0] = fmax(x1, 0);
    placed[1] = fmax(y1, 0);
    placed[2] = fmin(x2, width) - placed[0];
    placed[3] = fmin(y2, height) - placed[1];
    *clipped = x1 < -LABELS_ROUNDING || y1 < -LABELS_ROUNDING || x2 > width + LABELS_ROUNDING ||
               y2 > height + LABELS_ROUNDING;
    return placed[2] > 0 && placed[3] > 0;
}
