/* picture: a thread makes all channels of a pixel, so that luma and chroma are read once. Weights are
 * whole numbers over a common one: sides of up to 16,384 take 30 bits, which a float would round. */
#include "cuda/picture.h"

#define PICTURE_GREY 128.0f /* U and V of no colour */

/* What samples weigh in a position of a side: count of them from first on, the ends apart. */
struct picture_reach {
    int32_t first, count;
    int32_t begin, middle, end; /* a single one weighs `begin` */
    float unit;                 /* of the weights */
};

/* Two neighbours, or one where there is no other or nothing in between. */
CUDA_FN struct picture_reach picture_between(int32_t side, int32_t to, int32_t at)
{
    struct picture_reach reach = { 0, 1, 2 * to, 0, 0, 0.5f / (float)to };
    int32_t ahead = (2 * at + 1) * side - to; /* of the first sample's centre, in halves of 1 / to */
    int32_t part = ahead % (2 * to);
    if (ahead <= 0)
        return reach;
    reach.first = ahead / (2 * to);
    if (part > 0 && reach.first + 1 < side) {
        reach.count = 2;
        reach.begin = 2 * to - part;
        reach.end = part;
    }
    return reach;
}

/* What [at, at + 1) covers, in parts of 1 / to. */
CUDA_FN struct picture_reach picture_covered(int32_t side, int32_t to, int32_t at)
{
    struct picture_reach reach = { 0, 1, side, to, 0, 1 / (float)side };
    int32_t begin = at * side, end = begin + side;
    int32_t last = (end - 1) / to;
    reach.first = begin / to;
    reach.count = last - reach.first + 1;
    if (reach.count > 1) {
        reach.begin = (reach.first + 1) * to - begin;
        reach.end = end - last * to;
    }
    return reach;
}

CUDA_FN struct picture_reach picture_reach_at(int32_t side, int32_t to, int32_t linear, int32_t at)
{
    return side <= to || linear ? picture_between(side, to, at) : picture_covered(side, to, at);
}

CUDA_FN float picture_weight(const struct picture_reach *reach, int32_t i)
{
    int32_t weight = i == 0 ? reach->begin : i == reach->count - 1 ? reach->end : reach->middle;
    return (float)weight * reach->unit;
}

CUDA_FN float picture_sample(const uint8_t *plane, int32_t row_step, int32_t step,
                             const struct picture_reach *rows, const struct picture_reach *columns)
{
    const uint8_t *row = plane + (int64_t)rows->first * row_step + columns->first * step;
    float sum = 0;
    for (int32_t y = 0; y < rows->count; y++, row += row_step) {
        float along = 0;
        for (int32_t x = 0; x < columns->count; x++)
            along += picture_weight(columns, x) * (float)row[x * step];
        sum += picture_weight(rows, y) * along;
    }
    return sum;
}

/* Of the luma side and of the chroma side, each at its own scale. */
CUDA_FN void picture_colours(const struct picture *args, int32_t image, int32_t row, int32_t column,
                             float colours[PICTURE_COLOURS])
{
    const int32_t *inner = args->inner;
    struct picture_reach rows = picture_reach_at(args->luma[0], inner[0], args->linear, row);
    struct picture_reach columns = picture_reach_at(args->luma[1], inner[1], args->linear, column);
    float y = picture_sample(args->y + image * args->luma_image, args->luma_row, 1, &rows, &columns);
    int64_t from = image * args->chroma_image;
    rows = picture_reach_at(args->chroma[0], inner[0], args->linear, row);
    columns = picture_reach_at(args->chroma[1], inner[1], args->linear, column);
    float u = picture_sample(args->u + from, args->chroma_row, args->chroma_column, &rows, &columns);
    float v = picture_sample(args->v + from, args->chroma_row, args->chroma_column, &rows, &columns);
    for (int c = 0; c < PICTURE_COLOURS; c++) {
        const float *weight = args->colour[c];
        float pixel = weight[0] * (y - args->black) + weight[1] * (u - PICTURE_GREY) +
                      weight[2] * (v - PICTURE_GREY);
        colours[c] = fminf(fmaxf(pixel, 0), 255) * args->factor[c] + args->offset[c];
    }
}

CUDA_FN void picture_at(const struct picture *args, int64_t i)
{
    const struct view *to = &args->to;
    uint32_t pixel = (uint32_t)i;
    uint32_t columns = (uint32_t)to->dim[3], rows = (uint32_t)to->dim[2];
    int32_t column = (int32_t)(pixel % columns), row = (int32_t)(pixel / columns % rows);
    int32_t image = (int32_t)(pixel / columns / rows);
    int64_t at = image * to->step[0] + row * to->step[2] + column * to->step[3];
    float colours[PICTURE_COLOURS] = { args->pad[0], args->pad[1], args->pad[2] };
    if (row < args->inner[0] && column < args->inner[1])
        picture_colours(args, image, row, column, colours);
    for (int c = 0; c < PICTURE_COLOURS; c++)
        element_store(to->data, to->type, at + c * to->step[1], colours[c]);
}

EACH_KERNEL(picture_each, struct picture, picture_at)
