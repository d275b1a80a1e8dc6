/* cuda_plain_pictures: as straight as they can be said. */
#include "lab/cuda_plain_pictures.h"

/* ---- resizing ---- */

#define PLAIN_NEAR_MAX 4

/* The samples near a position and what they weigh. */
struct plain_near {
    int32_t first, count;
    float weight[PLAIN_NEAR_MAX];
};

CUDA_FN float plain_cubic(float distance)
{
    float d = distance, a = PLAIN_CUBIC_A;
    if (d <= 1)
        return ((a + 2) * d - (a + 3)) * d * d + 1;
    return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
}

CUDA_FN struct plain_near plain_near_at(const struct plain_resize *args, int32_t at)
{
    float position = ((float)at + 0.5f) / (float)args->factor - 0.5f;
    float below = floorf(position), part = position - below;
    struct plain_near near = { (int32_t)below, 2, { 1 - part, part, 0, 0 } };
    if (args->cubic) {
        near.first--;
        near.count = 4;
        for (int k = 0; k < near.count; k++)
            near.weight[k] = plain_cubic(fabsf((float)(k - 1) - part));
    }
    return near;
}

CUDA_FN int32_t plain_within(int32_t at, int32_t side)
{
    return at < 0 ? 0 : at < side ? at : side - 1;
}

CUDA_FN void plain_resize_at(const struct plain_resize *args, int64_t i)
{
    int64_t pixel = i / args->channels;
    int32_t rows = args->rows * args->factor, columns = args->columns * args->factor;
    struct plain_near down = plain_near_at(args, (int32_t)(pixel / columns % rows));
    struct plain_near across = plain_near_at(args, (int32_t)(pixel % columns));
    float sum = 0;
    for (int r = 0; r < down.count; r++)
        for (int c = 0; c < across.count; c++) {
            int64_t row =
                pixel / columns / rows * args->rows + plain_within(down.first + r, args->rows);
            int64_t from = row * args->columns + plain_within(across.first + c, args->columns);
            sum += down.weight[r] * across.weight[c] *
                   element_load(args->from, args->type, from * args->channels + i % args->channels);
        }
    element_store(args->to, args->type, i, sum);
}

EACH_KERNEL(plain_resize_each, struct plain_resize, plain_resize_at)

/* ---- windows ---- */

CUDA_FN void plain_pool_at(const struct pool *args, int64_t i)
{
    const int32_t *in = args->in.dim, *out = args->out.dim;
    int64_t pixel = i / out[POOL_CHANNELS], channel = i % out[POOL_CHANNELS];
    int64_t row = pixel / out[POOL_COLUMNS] % out[POOL_ROWS], column = pixel % out[POOL_COLUMNS];
    int64_t n = pixel / out[POOL_COLUMNS] / out[POOL_ROWS];
    float most = -INFINITY;
    for (int32_t r = 0; r < args->kernel[0]; r++)
        for (int32_t c = 0; c < args->kernel[1]; c++) {
            int64_t y = row * args->stride[0] - args->pad[0] + r * args->dilation[0];
            int64_t x = column * args->stride[1] - args->pad[1] + c * args->dilation[1];
            if (y < 0 || y >= in[POOL_ROWS] || x < 0 || x >= in[POOL_COLUMNS])
                continue;
            int64_t from = (n * in[POOL_ROWS] + y) * in[POOL_COLUMNS] + x;
            float number =
                element_load(args->in.data, args->in.type, from * in[POOL_CHANNELS] + channel);
            if (number > most || number != number)
                most = number;
        }
    element_store(args->out.data, args->out.type, i, most);
}

EACH_KERNEL(plain_pool_each, struct pool, plain_pool_at)

/* ---- products ---- */

CUDA_FN void plain_matmul_at(const struct matmul *args, int64_t i)
{
    int64_t column = i % args->n, row = i / args->n % args->m, n = i / args->n / args->m;
    int64_t a = n * args->a_batch + row * args->a_row;
    int64_t b = n * args->b_batch + column * args->b_column;
    float sum = 0;
    for (int32_t k = 0; k < args->k; k++)
        sum += element_load(args->a, args->a_type, a + k * args->a_column) *
               element_load(args->b, args->b_type, b + k * args->b_row);
    element_store(args->c, args->c_type, n * args->c_batch + row * args->n + column,
                  args->alpha * sum + (args->bias ? args->bias[column] : 0));
}

EACH_KERNEL(plain_matmul_each, struct matmul, plain_matmul_at)

/* ---- decoded pictures ---- */

/* A sample of a plane at an output position: by centres between two, or all that it covers. */
CUDA_FN struct plain_near plain_covered(int32_t side, int32_t to, int32_t linear, int32_t at,
                                        float *begin, float *end)
{
    struct plain_near near = { 0, 0, { 0, 0, 0, 0 } };
    float scale = (float)side / (float)to;
    if (side <= to || linear) {
        float centre = ((float)at + 0.5f) * scale - 0.5f;
        *begin = fminf(fmaxf(centre, 0), (float)(side - 1));
        *end = *begin + 1;
    } else {
        *begin = (float)at * scale;
        *end = *begin + scale;
    }
    near.first = (int32_t)*begin;
    near.count = (int32_t)ceilf(*end) - near.first;
    return near;
}

/* The mean over begin, … end along both ways: between two centres it is as much of each as the interval
 * of one that begins there has of it. */
CUDA_FN float plain_sample(const struct picture *args, const uint8_t *plane, const int32_t *side,
                           int32_t row_step, int32_t step, int32_t row, int32_t column)
{
    float top, bottom, left, right, sum = 0;
    struct plain_near down = plain_covered(side[0], args->inner[0], args->linear, row, &top, &bottom);
    struct plain_near across =
        plain_covered(side[1], args->inner[1], args->linear, column, &left, &right);
    for (int32_t y = down.first; y < down.first + down.count && y < side[0]; y++)
        for (int32_t x = across.first; x < across.first + across.count && x < side[1]; x++) {
            float height = fminf(bottom, (float)(y + 1)) - fmaxf(top, (float)y);
            float width = fminf(right, (float)(x + 1)) - fmaxf(left, (float)x);
            sum += height * width * (float)plane[(int64_t)y * row_step + x * step];
        }
    return sum / ((bottom - top) * (right - left));
}

CUDA_FN void plain_picture_at(const struct picture *args, int64_t i)
{
    const struct view *to = &args->to;
    int32_t column = (int32_t)(i % to->dim[3]), row = (int32_t)(i / to->dim[3] % to->dim[2]);
    int32_t c = (int32_t)(i / to->dim[3] / to->dim[2] % PICTURE_COLOURS);
    int64_t n = i / to->dim[3] / to->dim[2] / PICTURE_COLOURS;
    float number = args->pad[c];
    if (row < args->inner[0] && column < args->inner[1]) {
        const float *colour = args->colour[c];
        float y = plain_sample(args, args->y + n * args->luma_image, args->luma, args->luma_row, 1,
                               row, column);
        float u = plain_sample(args, args->u + n * args->chroma_image, args->chroma,
                               args->chroma_row, args->chroma_column, row, column);
        float v = plain_sample(args, args->v + n * args->chroma_image, args->chroma,
                               args->chroma_row, args->chroma_column, row, column);
        number = colour[0] * (y - args->black) + colour[1] * (u - 128) + colour[2] * (v - 128);
        number = fminf(fmaxf(number, 0), 255) * args->factor[c] + args->offset[c];
    }
    view_store(to, i, number);
}

EACH_KERNEL(plain_picture_each, struct picture, plain_picture_at)

/* ---- labels ---- */

CUDA_FN void plain_count(int32_t *to)
{
#ifdef __CUDACC__
    atomicAdd(to, 1);
#else
    *to += 1;
#endif
}

CUDA_FN void plain_label_at(const struct label_map *args, int64_t i)
{
    int64_t image = i / args->positions;
    int64_t at = image * args->image + view_at(&args->scores, i % args->positions);
    float best = element_load(args->scores.data, args->scores.type, at);
    int32_t winner = 0;
    for (int32_t p = 1; p < args->planes; p++) {
        float score = element_load(args->scores.data, args->scores.type, at + p * args->step);
        if (score > best) {
            best = score;
            winner = p;
        }
    }
    if (best - best != 0) { /* not finite */
        args->labels[i] = LABEL_NONE;
        return;
    }
    args->labels[i] = args->names[winner];
    plain_count(&args->counts[image * args->planes + winner]);
}

EACH_KERNEL(plain_label_each, struct label_map, plain_label_at)

/* ---- boxes ---- */

#define PLAIN_STRIDE_FIRST 8 /* of YOLOX's grids */

CUDA_FN void plain_put(const struct box_lists *to, int64_t at, const float *box, float score,
                       int32_t class_id)
{
    for (int k = 0; k < BOX_CORNERS; k++)
        to->boxes[at * BOX_CORNERS + k] = box[k];
    to->scores[at] = score;
    to->classes[at] = class_id;
}

CUDA_FN void plain_end_list(const struct box_lists *to, int64_t image, int32_t count)
{
    const float none[BOX_CORNERS] = { 0, 0, 0, 0 };
    to->count[image] = count;
    for (; count < to->limit; count++)
        plain_put(to, image * to->limit + count, none, 0, 0);
}

CUDA_FN void plain_yolox(const struct box_decode *args, int64_t at, int32_t cell, float *box)
{
    int32_t stride = PLAIN_STRIDE_FIRST, columns = args->size[1] / stride, grid = 0;
    while (cell - grid >= args->size[0] / stride * columns) {
        grid += args->size[0] / stride * columns;
        stride *= 2;
        columns = args->size[1] / stride;
    }
    for (int k = 0; k < 2; k++) {
        int32_t corner = k == 0 ? (cell - grid) % columns : (cell - grid) / columns;
        float centre = element_load(args->data, args->type, at + k * args->number) + (float)corner;
        float side = expf(element_load(args->data, args->type, at + (k + 2) * args->number));
        box[k] = (centre - side / 2) * (float)stride;
        box[k + 2] = (centre + side / 2) * (float)stride;
    }
}

CUDA_FN void plain_box_gather_at(const struct box_decode *args, int64_t image)
{
    int32_t count = 0;
    for (int32_t cell = 0; cell < args->cells && count < args->to.limit; cell++) {
        int64_t i = image * args->cells + cell;
        float box[BOX_CORNERS];
        if (args->class_id[i] < 0)
            continue;
        plain_yolox(args, image * args->image + cell * args->column, cell, box);
        plain_put(&args->to, image * args->to.limit + count++, box, args->score[i],
                  args->class_id[i]);
    }
    plain_end_list(&args->to, image, count);
}

CUDA_FN bool plain_covers(const float *a, const float *b, float iou)
{
    double width = (double)fminf(a[2], b[2]) - (double)fmaxf(a[0], b[0]);
    double height = (double)fminf(a[3], b[3]) - (double)fmaxf(a[1], b[1]);
    double area_a = ((double)a[2] - (double)a[0]) * ((double)a[3] - (double)a[1]);
    double area_b = ((double)b[2] - (double)b[0]) * ((double)b[3] - (double)b[1]);
    if (width <= 0 || height <= 0)
        return false;
    return (float)(width * height / (area_a + area_b - width * height)) > iou;
}

/* Of boxes that are finite: takes the best that is left and all that it covers. */
CUDA_FN void plain_box_nms_at(const struct box_nms *args, int64_t image)
{
    int64_t first = image * args->given;
    const float *boxes = args->boxes + first * BOX_CORNERS;
    const int32_t *classes = args->classes + first;
    float *key = args->key + first;
    int32_t count = 0, given = args->count[image];
    for (int32_t k = 0; k < given; k++)
        key[k] = args->scores[first + k];
    while (count < args->to.limit) {
        int32_t best = -1;
        for (int32_t k = 0; k < given; k++)
            if (key[k] > -INFINITY && (best < 0 || key[k] > key[best]))
                best = k;
        if (best < 0)
            break;
        plain_put(&args->to, image * args->to.limit + count++, boxes + best * BOX_CORNERS,
                  args->scores[first + best], classes[best]);
        for (int32_t k = 0; k < given; k++)
            if (k == best ||
                (classes[k] == classes[best] &&
                 plain_covers(boxes + best * BOX_CORNERS, boxes + k * BOX_CORNERS, args->iou)))
                key[k] = -INFINITY;
    }
    plain_end_list(&args->to, image, count);
}

EACH_KERNEL(plain_box_gather_each, struct box_decode, plain_box_gather_at)
EACH_KERNEL(plain_box_nms_each, struct box_nms, plain_box_nms_at)

/* ---- numbers ---- */

CUDA_FN void plain_clear_at(const struct plain_numbers *args, int64_t i)
{
    args->numbers[i] = 0;
}

CUDA_FN void plain_float_at(const struct plain_numbers *args, int64_t i)
{
    float number = (float)args->numbers[i];
    memcpy(&args->numbers[i], &number, sizeof number);
}

EACH_KERNEL(plain_clear_each, struct plain_numbers, plain_clear_at)
EACH_KERNEL(plain_float_each, struct plain_numbers, plain_float_at)
