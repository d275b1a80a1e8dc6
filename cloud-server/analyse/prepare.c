/* prepare: the scaler makes 8-bit colour planes of the right size, one pass turns them into the
 * network's numbers. Both buffers are reused, the padding is written when the size changes. */
#include "analyse/prepare.h"
#include "media/scale.h"
#include "pixels.h"
#include <assert.h>
#include <stdlib.h>

#define PLANE_ALIGNMENT 64u

struct prepare {
    struct card_input input;
    struct scaler *scaler;
    uint8_t *planes[3]; /* in the network's order; one allocation, planes[0] not always first */
    uint8_t *memory;
    uint32_t stride;
    float factor[3], offset[3]; /* value = pixel * factor + offset, in the network's order */
    const float *padded;        /* the tensor whose padding is written, for this inner size: */
    uint32_t inner_width, inner_height;
};

static void set_scaling(struct prepare *prepare);
static void fill_padding(const struct prepare *prepare, float *tensor);
static void fill_picture(const struct prepare *prepare, float *tensor);

int prepare_create(struct prepare **prepare, const struct card_input *input, struct error *err)
{
    struct prepare *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "prepare", "no room for %zu bytes", sizeof *fresh);
    fresh->input = *input;
    fresh->stride = (input->width + PLANE_ALIGNMENT - 1) / PLANE_ALIGNMENT * PLANE_ALIGNMENT;
    size_t plane_bytes = (size_t)fresh->stride * input->height;
    fresh->memory = aligned_alloc(PLANE_ALIGNMENT, 3 * plane_bytes);
    int result = fresh->memory ? scaler_create(&fresh->scaler, err)
                               : error_set(err, ERROR_MEMORY, "prepare", "no room for %zu bytes",
                                           3 * plane_bytes);
    if (result < 0) {
        prepare_destroy(&fresh);
        return result;
    }
    for (uint32_t c = 0; c < 3; c++)
        fresh->planes[c] = fresh->memory + c * plane_bytes;
    set_scaling(fresh);
    *prepare = fresh;
    return 0;
}

int prepare_run(struct prepare *prepare, const struct picture_view *picture, float *tensor,
                struct placement *placement, struct error *err)
{
    assert(picture->width > 0 && picture->height > 0);
    prepare_place(&prepare->input, picture->width, picture->height, placement);
    bool bgr = prepare->input.colour == COLOUR_BGR;
    uint8_t *const rgb[3] = { prepare->planes[bgr ? 2 : 0], prepare->planes[1],
                              prepare->planes[bgr ? 0 : 2] };
    int result = scaler_to_rgb_planes(prepare->scaler, picture, placement->inner_width,
                                      placement->inner_height, rgb, prepare->stride, err);
    if (result < 0)
        return result;
    if (prepare->padded != tensor || prepare->inner_width != placement->inner_width ||
        prepare->inner_height != placement->inner_height) {
        prepare->padded = tensor;
        prepare->inner_width = placement->inner_width;
        prepare->inner_height = placement->inner_height;
        fill_padding(prepare, tensor);
    }
    fill_picture(prepare, tensor);
    return 0;
}

void prepare_place(const struct card_input *input, uint32_t width, uint32_t height,
                   struct placement *placement)
{
    uint64_t inner_width = input->width, inner_height = input->height;
    if (input->fit == FIT_LETTERBOX) {
        /* The side that is relatively longer fills the input, the other is rounded. */
        uint64_t by_width = inner_width * height, by_height = inner_height * width;
        if (by_width <= by_height)
            inner_height = (by_width + width / 2) / width;
        else
            inner_width = (by_height + height / 2) / height;
    }
    *placement = (struct placement){ .picture_width = width,
                                     .picture_height = height,
                                     .inner_width = inner_width > 0 ? (uint32_t)inner_width : 1,
                                     .inner_height = inner_height > 0 ? (uint32_t)inner_height : 1 };
}

void prepare_set_colour(struct prepare *prepare, int colour)
{
    prepare->input.colour = colour;
    prepare->padded = NULL; /* the padding of a tensor follows the order too */
    set_scaling(prepare);
}

void prepare_destroy(struct prepare **prepare)
{
    if (!*prepare)
        return;
    scaler_destroy(&(*prepare)->scaler);
    free((*prepare)->memory);
    free(*prepare);
    *prepare = NULL;
}

static void set_scaling(struct prepare *prepare)
{
    const struct card_input *input = &prepare->input;
    const double mean[3] = { input->mean.r, input->mean.g, input->mean.b };
    const double deviation[3] = { input->deviation.r, input->deviation.g, input->deviation.b };
    for (uint32_t c = 0; c < 3; c++) {
        uint32_t colour = input->colour == COLOUR_BGR ? 2 - c : c;
        prepare->factor[c] = (float)(1 / (input->divisor * deviation[colour]));
        prepare->offset[c] = (float)(-mean[colour] / deviation[colour]);
    }
}

/* Everything right of and below the picture. */
static void fill_padding(const struct prepare *prepare, float *tensor)
{
    const struct card_input *input = &prepare->input;
    size_t channel_step = input->layout == LAYOUT_NCHW ? (size_t)input->width * input->height : 1;
    size_t pixel_step = input->layout == LAYOUT_NCHW ? 1 : 3;
    for (uint32_t c = 0; c < 3; c++) {
        float value = (float)input->pad * prepare->factor[c] + prepare->offset[c];
        for (uint32_t y = 0; y < input->height; y++) {
            float *row = tensor + c * channel_step + (size_t)y * input->width * pixel_step;
            for (uint32_t x = y < prepare->inner_height ? prepare->inner_width : 0;
                 x < input->width; x++)
                row[x * pixel_step] = value;
        }
    }
}

static void fill_picture(const struct prepare *prepare, float *tensor)
{
    const struct card_input *input = &prepare->input;
    const float *factor = prepare->factor, *offset = prepare->offset;
    for (uint32_t y = 0; y < prepare->inner_height; y++) {
        size_t at = (size_t)y * prepare->stride;
        if (input->layout == LAYOUT_NCHW) {
            for (uint32_t c = 0; c < 3; c++)
                pixels_to_floats(prepare->planes[c] + at,
                                 tensor + ((size_t)c * input->height + y) * input->width,
                                 prepare->inner_width, factor[c], offset[c]);
            continue;
        }
        float *row = tensor + (size_t)y * input->width * 3;
        for (uint32_t x = 0; x < prepare->inner_width; x++)
            for (uint32_t c = 0; c < 3; c++)
                row[3 * x + c] = prepare->planes[c][at + x] * factor[c] + offset[c];
    }
}
