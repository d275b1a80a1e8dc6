/* head_yolov8: YOLOv8 as exported without suppression, [1, 4 + classes, boxes] or the same with the
 * last two dimensions swapped. Centre x, y, width and height in pixels of the input, then the class
 * scores (0..1); there is no objectness. */
#include "analyse/head.h"
#include <stdlib.h>

/* Where number k of box n lies: data[n * box_step + k * number_step]. */
struct yolov8 {
    size_t box_count, box_step, number_step;
};

static int yolov8_open(struct head *head, struct error *err)
{
    const struct shape *shape = &head->outputs[0]->shape;
    int64_t numbers = 4 + (int64_t)head->class_count;
    if (head->output_count != 1)
        return head_refuse_shape(head, 0, err, "one output, not %zu", head->output_count);
    if (shape->rank != 3 || shape->dim[0] != 1 ||
        (shape->dim[1] != numbers && shape->dim[2] != numbers))
        return head_refuse_shape(head, 0, err, "1x%lldxN or 1xNx%lld for %u classes",
                                 (long long)numbers, (long long)numbers, head->class_count);
    struct yolov8 *own = malloc(sizeof *own);
    if (!own)
        return error_set(err, ERROR_MEMORY, "head", "no room for %zu bytes", sizeof *own);
    if (shape->dim[1] == numbers)
        *own = (struct yolov8){ .box_count = (size_t)shape->dim[2],
                                .box_step = 1,
                                .number_step = (size_t)shape->dim[2] };
    else
        *own = (struct yolov8){ .box_count = (size_t)shape->dim[1],
                                .box_step = (size_t)numbers,
                                .number_step = 1 };
    head->own = own;
    return 0;
}

static void yolov8_find_boxes(struct head *head, float score)
{
    const struct yolov8 *own = head->own;
    const float *box = head->outputs[0]->data;
    size_t step = own->number_step;
    for (size_t n = 0; n < own->box_count; n++, box += own->box_step) {
        const float *scores = box + 4 * step;
        uint32_t best = 0;
        float best_score = scores[0];
        for (uint32_t c = 1; c < head->class_count; c++) {
            float value = scores[c * step];
            if (value > best_score) {
                best_score = value;
                best = c;
            }
        }
        if (!(best_score >= score))
            continue;
        float x = box[0], y = box[step], half_width = box[2 * step] / 2,
              half_height = box[3 * step] / 2;
        nms_add(head->nms, best, best_score, x - half_width, y - half_height, x + half_width,
                y + half_height);
    }
}

const struct head_kind head_YOLOV8 = { .open = yolov8_open, .find_boxes = yolov8_find_boxes };
