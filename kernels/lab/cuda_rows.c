/* cuda_rows: steps of views, and the same for a reference that goes through memory. */
#include "lab/cuda_rows.h"

#define DIMENSIONS 3

static const bool folded[][DIMENSIONS] = {
    [ROWS_ARE_CHANNELS] = { true, false, true },
    [ROWS_ARE_IMAGES] = { false, true, true },
    [ROWS_ARE_PLANES] = { false, false, true },
    [ROWS_ARE_PIXELS] = { false, true, false },
};

static struct view begin_view(const struct cuda_rows *rows, enum tensor_type type, void *data);

int64_t cuda_rows_elements(const struct cuda_rows *rows)
{
    return (int64_t)rows->batch * rows->channels * rows->pixels;
}

int64_t cuda_rows_count(const struct cuda_rows *rows)
{
    return cuda_rows_of(rows, cuda_rows_elements(rows) - 1) + 1;
}

int64_t cuda_rows_of(const struct cuda_rows *rows, int64_t i)
{
    struct view view = cuda_rows_result(rows, TENSOR_F32, NULL);
    int64_t pixel = i / rows->channels;
    return pixel / rows->pixels * view.step[0] + i % rows->channels * view.step[1] +
           pixel % rows->pixels * view.step[2];
}

struct view cuda_rows_view(const struct cuda_rows *rows, enum tensor_type type, void *data)
{
    struct view view = begin_view(rows, type, data);
    view.step[0] = (int64_t)rows->channels * rows->pixels;
    view.step[1] = 1;
    view.step[2] = rows->channels;
    return view;
}

const bool *cuda_rows_folded(const struct cuda_rows *rows)
{
    return folded[rows->kind];
}

struct view cuda_rows_result(const struct cuda_rows *rows, enum tensor_type type, void *data)
{
    struct view view = begin_view(rows, type, data);
    int64_t step = 1;
    for (int d = DIMENSIONS - 1; d >= 0; d--) {
        if (folded[rows->kind][d])
            continue;
        view.step[d] = step;
        step *= view.dim[d];
    }
    return view;
}

struct view cuda_rows_channels(const struct cuda_rows *rows, enum tensor_type type, void *data)
{
    struct view view = begin_view(rows, type, data);
    view.step[1] = 1;
    return view;
}

bool cuda_rows_are_quick(const struct fold *fold, int lanes)
{
    return fold->length / lanes <= ROWS_LOOP_MAX;
}

/* Without steps. */
static struct view begin_view(const struct cuda_rows *rows, enum tensor_type type, void *data)
{
    return (struct view){ .data = data,
                          .type = (int32_t)type,
                          .rank = DIMENSIONS,
                          .dim = { rows->batch, rows->channels, rows->pixels } };
}
