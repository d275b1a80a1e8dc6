/* head_yolox: the raw output of YOLOX, [1, cells, 5 + classes]. A row is a cell of a grid: the grid
 * of stride 8 first, then 16, 32 (and 64 where there are that many rows), each row by row. Numbers
 * of a row: centre x and y (in cells, from the cell's corner), log of width and height (in cells),
 * objectness and class scores (0..1, sigmoid done). */
#include "analyse/head.h"
#include <math.h>

#define STRIDE_FIRST 8u
#define STRIDE_LAST_MAX 64u

/* Cells of the grid of this stride. */
static uint32_t grid_cells(uint32_t pixels, uint32_t stride)
{
    return (pixels + stride - 1) / stride;
}

static int yolox_open(struct head *head, struct error *err)
{
    const struct card_input *input = &head->card->input;
    const struct shape *shape = &head->outputs[0]->shape;
    int64_t cells = 0, cells_to_32 = 0;
    bool matches = false;
    for (uint32_t stride = STRIDE_FIRST; stride <= STRIDE_LAST_MAX; stride *= 2) {
        cells += (int64_t)grid_cells(input->width, stride) * grid_cells(input->height, stride);
        if (stride == 32)
            cells_to_32 = cells;
        matches |= stride >= 32 && shape->rank == 3 && shape->dim[1] == cells;
    }
    if (head->output_count != 1)
        return head_refuse_shape(head, 0, err, "one output, not %zu", head->output_count);
    if (!matches || shape->dim[0] != 1 || shape->dim[2] != 5 + (int64_t)head->class_count)
        return head_refuse_shape(head, 0, err, "1x%lldx%u for an input of %ux%u and %u classes",
                                 (long long)cells_to_32, 5 + head->class_count, input->width,
                                 input->height, head->class_count);
    return 0;
}

/* Adds one cell, whose five numbers and class scores start at row. */
static void add_cell(struct head *head, const float *row, uint32_t gx, uint32_t gy, float stride,
                     float threshold)
{
    float objectness = row[4];
    if (!(objectness >= threshold)) /* class scores are at most 1 */
        return;
    uint32_t best = 0;
    for (uint32_t c = 1; c < head->class_count; c++)
        if (row[5 + c] > row[5 + best])
            best = c;
    float score = objectness * row[5 + best];
    if (!(score >= threshold))
        return;
    float x = (row[0] + (float)gx) * stride, y = (row[1] + (float)gy) * stride;
    float half_width = expf(row[2]) * stride / 2, half_height = expf(row[3]) * stride / 2;
    nms_add(head->nms, best, score, x - half_width, y - half_height, x + half_width, y + half_height);
}

static void yolox_find_boxes(struct head *head, float score)
{
    const struct card_input *input = &head->card->input;
    const float *row = head->outputs[0]->data;
    const float *end = row + head->outputs[0]->shape.dim[1] * head->outputs[0]->shape.dim[2];
    for (uint32_t stride = STRIDE_FIRST; row < end; stride *= 2)
        for (uint32_t gy = 0; gy < grid_cells(input->height, stride); gy++)
            for (uint32_t gx = 0; gx < grid_cells(input->width, stride); gx++) {
                add_cell(head, row, gx, gy, (float)stride, score);
                row += 5 + head->class_count;
            }
}

const struct head_kind head_YOLOX = { .open = yolox_open, .find_boxes = yolox_find_boxes };
