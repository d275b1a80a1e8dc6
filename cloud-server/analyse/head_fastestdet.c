/* head_fastestdet: [1, 5 + classes, rows, columns], one cell per box. Planes: objectness (0..1), x
 * and y offset (tanh, in cells), width and height (sigmoid, of the whole input), class scores
 * (0..1). The score is objectness^0.6 * class^0.4. */
#include "analyse/head.h"
#include <math.h>

static int fastestdet_open(struct head *head, struct error *err)
{
    const struct shape *shape = &head->outputs[0]->shape;
    if (head->output_count != 1)
        return head_refuse_shape(head, 0, err, "one output, not %zu", head->output_count);
    if (shape->rank != 4 || shape->dim[0] != 1 || shape->dim[1] != 5 + (int64_t)head->class_count ||
        shape->dim[2] < 1 || shape->dim[3] < 1)
        return head_refuse_shape(head, 0, err, "1x%ux(rows)x(columns) for %u classes",
                                 5 + head->class_count, head->class_count);
    return 0;
}

static float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

static void fastestdet_find_boxes(struct head *head, float score)
{
    const struct shape *shape = &head->outputs[0]->shape;
    size_t columns = (size_t)shape->dim[3], cells = (size_t)shape->dim[2] * columns;
    float cell_width = (float)head->card->input.width / (float)columns;
    float cell_height = (float)head->card->input.height / (float)shape->dim[2];
    for (size_t n = 0; n < cells; n++) {
        const float *cell = (const float *)head->outputs[0]->data + n;
        uint32_t best = 0;
        for (uint32_t c = 1; c < head->class_count; c++)
            if (cell[(5 + c) * cells] > cell[(5 + best) * cells])
                best = c;
        float found = powf(cell[0], 0.6f) * powf(cell[(5 + best) * cells], 0.4f);
        if (!(found >= score))
            continue;
        size_t gx = n % columns, gy = n / columns;
        float x = ((float)gx + tanhf(cell[cells])) * cell_width;
        float y = ((float)gy + tanhf(cell[2 * cells])) * cell_height;
        float half_width = sigmoid(cell[3 * cells]) * (float)head->card->input.width / 2;
        float half_height = sigmoid(cell[4 * cells]) * (float)head->card->input.height / 2;
        nms_add(head->nms, best, found, x - half_width, y - half_height, x + half_width,
                y + half_height);
    }
}

const struct head_kind head_FASTESTDET = { .open = fastestdet_open,
                                           .find_boxes = fastestdet_find_boxes };
