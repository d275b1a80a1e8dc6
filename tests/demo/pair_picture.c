/* pair_picture: see the header. */
#include "pair_picture.h"
#include "media/draw.h"
#include <math.h>
#include <stdlib.h>

#define GAP 8u /* between the halves */
#define CAPTION_LINES 2u
#define FOUND_THICKNESS 3u
#define TRUTH_THICKNESS 1u

int rgb_planes_init(struct rgb_planes *planes, uint32_t width, uint32_t height, struct error *err)
{
    size_t pixels = (size_t)width * height;
    *planes = (struct rgb_planes){ .width = width, .height = height };
    if (width == 0 || height == 0 || width % 2 != 0 || height % 2 != 0)
        return error_set(err, ERROR_UNSUPPORTED, "picture", "%ux%u has an odd side", width, height);
    planes->plane[0] = malloc(3 * pixels);
    if (!planes->plane[0])
        return error_set(err, ERROR_MEMORY, "picture", "no room for %ux%u", width, height);
    planes->plane[1] = planes->plane[0] + pixels;
    planes->plane[2] = planes->plane[1] + pixels;
    return 0;
}

void rgb_planes_finish(struct rgb_planes *planes)
{
    free(planes->plane[0]);
    *planes = (struct rgb_planes){ 0 };
}

static uint8_t to_byte(float value)
{
    return value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)lrintf(value);
}

void rgb_planes_fill(struct rgb_planes *planes, const float *restored)
{
    size_t samples = 3 * (size_t)planes->width * planes->height;
    for (size_t i = 0; i < samples; i++)
        planes->plane[0][i] = to_byte(255 * restored[i]);
}

/* Letters twice as large from about 480 lines on, and so forth: as in the server's recordings. */
static uint32_t text_scale(uint32_t height)
{
    return 1 + height / 400;
}

static uint32_t band_height(uint32_t height)
{
    return (CAPTION_LINES * draw_text_height(text_scale(height)) + 1) & ~1u;
}

void pair_picture_size(uint32_t width, uint32_t height, uint32_t *whole_width, uint32_t *whole_height)
{
    *whole_width = 2 * width + GAP;
    *whole_height = height + band_height(height);
}

/* What a colour becomes in a picture of this matrix and range. */
struct conversion {
    float red, green, blue; /* of luma */
    float luma, chroma, black;
};

static struct conversion find_conversion(const struct picture_view *view)
{
    bool bt709 = view->matrix == MATRIX_BT709;
    float red = bt709 ? 0.2126f : 0.299f, blue = bt709 ? 0.0722f : 0.114f;
    return (struct conversion){ .red = red,
                                .green = 1 - red - blue,
                                .blue = blue,
                                .luma = view->full_range ? 1 : 219.0f / 255,
                                .chroma = view->full_range ? 1 : 224.0f / 255,
                                .black = view->full_range ? 0 : 16 };
}

/* Four pixels with their one chroma sample. */
static void put_square(const struct picture_view *view, uint32_t x, uint32_t y,
                       const struct rgb_planes *pixels, uint32_t column, uint32_t row,
                       const struct conversion *to)
{
    float red = 0, blue = 0, light = 0;
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t across = column + i % 2, down = row + i / 2;
        size_t at = (size_t)down * pixels->width + across;
        float r = pixels->plane[0][at], g = pixels->plane[1][at], b = pixels->plane[2][at];
        float luma = to->red * r + to->green * g + to->blue * b;
        view->plane[0][(size_t)(y + down) * view->stride[0] + x + across] =
            to_byte(to->black + to->luma * luma);
        red += r / 4, blue += b / 4, light += luma / 4;
    }
    uint32_t left = (x + column) / 2, top = (y + row) / 2;
    view->plane[1][(size_t)top * view->stride[1] + left] =
        to_byte(128 + to->chroma * (blue - light) / (2 * (1 - to->blue)));
    view->plane[2][(size_t)top * view->stride[2] + left] =
        to_byte(128 + to->chroma * (red - light) / (2 * (1 - to->red)));
}

static void put_pixels(const struct picture_view *view, uint32_t x, uint32_t y,
                       const struct rgb_planes *pixels)
{
    const struct conversion to = find_conversion(view);
    for (uint32_t row = 0; row < pixels->height; row += 2)
        for (uint32_t column = 0; column < pixels->width; column += 2)
            put_square(view, x, y, pixels, column, row, &to);
}

static void put_boxes(const struct picture_view *view, uint32_t x, uint32_t y,
                      const struct pair_side *side)
{
    for (size_t i = 0; i < side->truth_count; i++) {
        const struct score_box *box = &side->truth[i];
        draw_box(view, (float)x + box->x, (float)y + box->y, box->width, box->height,
                 TRUTH_THICKNESS, draw_white);
    }
    for (size_t i = 0; i < side->found_count; i++) {
        const struct score_box *box = &side->found[i];
        draw_box(view, (float)x + box->x, (float)y + box->y, box->width, box->height,
                 FOUND_THICKNESS, draw_class_colour(box->class_id));
    }
}

static void put_side(const struct picture_view *view, uint32_t x, const struct pair_side *side)
{
    uint32_t height = side->pixels->height, band = band_height(height), scale = text_scale(height);
    put_pixels(view, x, band, side->pixels);
    put_boxes(view, x, band, side);
    for (uint32_t i = 0; i < CAPTION_LINES; i++)
        draw_text(view, (int32_t)x, (int32_t)(i * draw_text_height(scale)), scale, side->caption[i],
                  draw_white, draw_black);
}

int pair_picture_make(struct picture **whole, const struct pair_side sides[2], struct error *err)
{
    struct picture_view view;
    const struct rgb_planes *pixels = sides[0].pixels;
    uint32_t width, height;
    pair_picture_size(pixels->width, pixels->height, &width, &height);
    int failed = picture_create(whole, width, height, err);
    if (failed)
        return failed;
    picture_get_view(*whole, &view);
    put_side(&view, 0, &sides[0]);
    put_side(&view, pixels->width + GAP, &sides[1]);
    return 0;
}
