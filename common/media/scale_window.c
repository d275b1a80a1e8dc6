/* scale_window: Catmull-Rom, first along rows and then along columns, in integers. Bilinear would be
 * simpler, but what it blurs an encoder then has to send again in the next, sharp picture. */
#include "media/scale_window.h"
#include "media/ffmpeg.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define TAPS 4
#define WEIGHT_ONE 128
/* Two passes: rows keep the weights' bits, columns round them away. */
#define BOTH_ONE (WEIGHT_ONE * WEIGHT_ONE)

/* What one output coordinate is made of. */
struct tap {
    int32_t index[TAPS];
    int32_t weight[TAPS]; /* sum: WEIGHT_ONE */
};

static int32_t mirror(int64_t index, int32_t side)
{
    if (side == 1)
        return 0;
    int64_t period = 2 * (int64_t)side - 2;
    index %= period;
    if (index < 0)
        index += period;
    return (int32_t)(index < side ? index : period - index);
}

static void fill_weights(double t, int32_t weight[TAPS])
{
    weight[0] = (int32_t)lround(WEIGHT_ONE * (t * (t * (2 - t) - 1) / 2));
    weight[2] = (int32_t)lround(WEIGHT_ONE * (t * (t * (4 - 3 * t) + 1) / 2));
    weight[3] = (int32_t)lround(WEIGHT_ONE * (t * t * (t - 1) / 2));
    weight[1] = WEIGHT_ONE - weight[0] - weight[2] - weight[3];
}

/* One axis: side samples, seen step of them apart, the centre moved by offset. */
static void fill_taps(struct tap *taps, int32_t side, double offset, double step)
{
    double centre = (side - 1) / 2.0;
    for (int32_t i = 0; i < side; i++) {
        double at = centre + offset + (i - centre) * step;
        double whole = floor(at);
        fill_weights(at - whole, taps[i].weight);
        for (int k = 0; k < TAPS; k++)
            taps[i].index[k] = mirror((int64_t)whole - 1 + k, side);
    }
}

static void look_along_row(const uint8_t *from, const struct tap *taps, int32_t width, int32_t *to)
{
    for (int32_t x = 0; x < width; x++) {
        const struct tap *tap = &taps[x];
        int32_t sum = 0;
        for (int k = 0; k < TAPS; k++)
            sum += tap->weight[k] * from[tap->index[k]];
        to[x] = sum;
    }
}

static void look_along_columns(const int32_t *const rows[TAPS], const int32_t *weight,
                               int32_t width, uint8_t *to)
{
    for (int32_t x = 0; x < width; x++) {
        int32_t sum = BOTH_ONE / 2;
        for (int k = 0; k < TAPS; k++)
            sum += weight[k] * rows[k][x];
        int32_t value = sum < 0 ? 0 : sum / BOTH_ONE;
        to[x] = (uint8_t)(value > UINT8_MAX ? UINT8_MAX : value);
    }
}

/* The memory of one plane at work. */
struct scratch {
    struct tap *columns, *rows;
    int32_t *wide; /* the plane after the first pass */
};

static void look_at_plane(const struct scratch *scratch, const uint8_t *from, size_t from_stride,
                          uint8_t *to, size_t to_stride, int32_t width, int32_t height)
{
    for (int32_t y = 0; y < height; y++)
        look_along_row(from + (size_t)y * from_stride, scratch->columns, width,
                       scratch->wide + (size_t)y * (size_t)width);
    for (int32_t y = 0; y < height; y++) {
        const struct tap *tap = &scratch->rows[y];
        const int32_t *rows[TAPS];
        for (int k = 0; k < TAPS; k++)
            rows[k] = scratch->wide + (size_t)tap->index[k] * (size_t)width;
        look_along_columns(rows, tap->weight, width, to + (size_t)y * to_stride);
    }
}

static void look(const struct scratch *scratch, const struct picture_view *from,
                 const struct window *window, const struct picture_view *to)
{
    for (int plane = 0; plane < 3; plane++) {
        int32_t sub = plane ? 2 : 1;
        int32_t width = ((int32_t)from->width + sub - 1) / sub;
        int32_t height = ((int32_t)from->height + sub - 1) / sub;
        fill_taps(scratch->columns, width, window->x / sub, 1 / window->zoom);
        fill_taps(scratch->rows, height, window->y / sub, 1 / window->zoom);
        look_at_plane(scratch, from->plane[plane], from->stride[plane], to->plane[plane],
                      to->stride[plane], width, height);
    }
}

int scale_window(const struct picture *from, const struct window *window, struct picture **to,
                 struct error *err)
{
    assert(from && window && window->zoom > 0 && to);
    struct picture_view seen, made;
    picture_get_view(from, &seen);
    if (seen.format != PIXEL_I420)
        return error_set(err, ERROR_UNSUPPORTED, "scaler", "a window looks at I420 pictures only");
    struct scratch scratch = {
        .columns = malloc(seen.width * sizeof *scratch.columns),
        .rows = malloc(seen.height * sizeof *scratch.rows),
        .wide = malloc((size_t)seen.width * seen.height * sizeof *scratch.wide),
    };
    struct picture *fresh = NULL;
    int failed = 0;
    if (!scratch.columns || !scratch.rows || !scratch.wide)
        failed = error_set(err, ERROR_MEMORY, "scaler", "no room for a window of %ux%u", seen.width,
                           seen.height);
    if (!failed)
        failed = picture_create(&fresh, seen.width, seen.height, err);
    if (!failed) {
        AVFrame *frame = picture_frame(fresh);
        frame->colorspace = picture_frame(from)->colorspace;
        frame->color_range = picture_frame(from)->color_range;
        picture_get_view(fresh, &made);
        look(&scratch, &seen, window, &made);
        *to = fresh;
    }
    free(scratch.columns);
    free(scratch.rows);
    free(scratch.wide);
    return failed;
}
