/* labels_fuzz: any bytes as a label file; the first byte tells the form: m(ot), y(olo), c(oco), v(oc),
 * n(ames of classes). What is read must be boxes of known classes and pictures, in groups by picture,
 * and a box that is placed in a picture must lie inside of it. */
#include "learn/labels.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define PICTURES 3u
#define WIDTH 64u
#define HEIGHT 48u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[PICTURES] = { "a.jpg", "b.jpg", "c.jpg" };

static const char *name_picture(const void *arg, size_t picture)
{
    (void)arg;
    assert(picture < PICTURES);
    return names[picture];
}

static size_t find_picture(const void *arg, const char *name)
{
    (void)arg;
    for (size_t i = 0; i < PICTURES; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return SIZE_MAX;
}

static void check_box(const struct label_box *box, bool normalised)
{
    double placed[4];
    bool clipped;
    assert(isfinite(box->x) && isfinite(box->y) && box->width > 0 && box->height > 0);
    if (!label_box_place(box, normalised, WIDTH, HEIGHT, placed, &clipped))
        return;
    assert(placed[0] >= 0 && placed[1] >= 0 && placed[2] > 0 && placed[3] > 0);
    assert(placed[0] + placed[2] <= WIDTH + 1e-6 && placed[1] + placed[3] <= HEIGHT + 1e-6);
}

static void check_boxes(struct label_boxes *boxes, const struct label_classes *classes)
{
    struct error err;
    if (label_boxes_sort(boxes, "fuzz", &err))
        return;
    assert(boxes->first[0] == 0 && boxes->first[PICTURES] == boxes->count);
    for (size_t p = 0; p < PICTURES; p++)
        for (size_t i = boxes->first[p]; i < boxes->first[p + 1]; i++) {
            assert(boxes->items[i].picture == p && boxes->items[i].class_id < classes->count);
            check_box(&boxes->items[i], boxes->normalised);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > LABELS_PICTURE_FILE_BYTES_MAX)
        return 0;
    const char *bytes = (const char *)data + 1;
    struct error err = { 0 };
    struct label_classes classes = { 0 };
    const struct label_pictures pictures = { find_picture, name_picture, NULL };
    struct label_boxes boxes;
    if (label_boxes_init(&boxes, PICTURES, &err))
        return 0;
    int failed = 0;
    if (*data != 'n' && *data != 'c')
        failed = label_classes_parse(&classes, "names", "person\ncar\n", 11, &err);
    if (!failed && *data == 'm')
        failed = labels_parse_mot(&boxes, 1, "fuzz", bytes, size - 1, &err);
    else if (!failed && *data == 'y')
        failed = labels_parse_yolo(&boxes, 2, classes.count, "fuzz", bytes, size - 1, &err);
    else if (!failed && *data == 'c')
        failed = labels_parse_coco(&boxes, &classes, &pictures, "fuzz", bytes, size - 1, &err);
    else if (!failed && *data == 'v')
        failed = labels_parse_voc(&boxes, 0, &classes, "fuzz", bytes, size - 1, &err);
    else if (!failed && *data == 'n')
        failed = label_classes_parse(&classes, "fuzz", bytes, size - 1, &err);
    if (failed) /* says where */
        assert(strlen(err.text) > 0 && err.code != ERROR_NONE);
    else
        check_boxes(&boxes, &classes);
    label_boxes_finish(&boxes);
    label_classes_finish(&classes);
    return 0;
}
