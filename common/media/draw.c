/* draw: everything is made of filled rectangles, so that cutting off is done in one place. */
#include "media/draw.h"
#include "media/font.h"

#include <assert.h>
#include <math.h>
#include <string.h>

const struct draw_colour draw_black = { 16, 128, 128 }, draw_white = { 235, 128, 128 };

struct draw_colour draw_class_colour(uint32_t class_id)
{
    /* BT.601: green, orange, light blue, yellow, pink, mint, violet, grey */
    static const struct draw_colour palette[] = {
        { 145, 54, 34 },   { 165, 50, 185 }, { 150, 180, 70 },  { 210, 16, 146 },
        { 150, 150, 190 }, { 190, 130, 60 }, { 140, 175, 150 }, { 180, 128, 128 },
    };
    return palette[class_id % (sizeof palette / sizeof *palette)];
}

/* [from, from + count) cut to [0, limit), as the half-open range *first to *end. */
static void cut(int32_t from, int32_t count, uint32_t limit, uint32_t *first, uint32_t *end)
{
    int64_t low = from, high = (int64_t)from + count;
    *first = low < 0 ? 0 : low > limit ? limit : (uint32_t)low;
    *end = high < 0 ? 0 : high > limit ? limit : (uint32_t)high;
}

static void fill_plane(uint8_t *plane, uint32_t stride, uint32_t left, uint32_t right, uint32_t top,
                       uint32_t bottom, uint8_t value)
{
    for (uint32_t row = top; row < bottom; row++)
        memset(plane + (size_t)row * stride + left, value, right - left);
}

void draw_fill(const struct picture_view *view, int32_t x, int32_t y, int32_t width, int32_t height,
               struct draw_colour colour)
{
    assert(view->format == PIXEL_I420);
    uint32_t left, right, top, bottom;
    cut(x, width, view->width, &left, &right);
    cut(y, height, view->height, &top, &bottom);
    if (left >= right || top >= bottom)
        return;
    fill_plane(view->plane[0], view->stride[0], left, right, top, bottom, colour.y);
    left /= 2, top /= 2, right = (right + 1) / 2, bottom = (bottom + 1) / 2;
    fill_plane(view->plane[1], view->stride[1], left, right, top, bottom, colour.u);
    fill_plane(view->plane[2], view->stride[2], left, right, top, bottom, colour.v);
}

/* To the nearest pixel, at most one picture's width outside, where nothing is seen any more. */
static int32_t to_pixel(float value)
{
    float limit = (float)PICTURE_SIDE_MAX * 2;
    return (int32_t)lrintf(fminf(fmaxf(value, -limit), limit));
}

void draw_box(const struct picture_view *view, float x, float y, float width, float height,
              uint32_t thickness, struct draw_colour colour)
{
    if (!isfinite(x) || !isfinite(y) || !isfinite(width) || !isfinite(height) || width < 0 ||
        height < 0)
        return;
    int32_t left = to_pixel(x), right = to_pixel(x + width);
    int32_t top = to_pixel(y), bottom = to_pixel(y + height);
    int32_t pen = (int32_t)thickness;
    if (right - left <= 2 * pen || bottom - top <= 2 * pen) { /* no room for an inside */
        draw_fill(view, left, top, right - left, bottom - top, colour);
        return;
    }
    draw_fill(view, left, top, right - left, pen, colour);
    draw_fill(view, left, bottom - pen, right - left, pen, colour);
    draw_fill(view, left, top, pen, bottom - top, colour);
    draw_fill(view, right - pen, top, pen, bottom - top, colour);
}

uint32_t draw_text_width(uint32_t scale, const char *text)
{
    size_t letters = strnlen(text, DRAW_LETTERS_MAX);
    return letters > 0 ? ((uint32_t)letters * (FONT_WIDTH + 1) + 1) * scale : 0;
}

uint32_t draw_text_height(uint32_t scale)
{
    return (FONT_HEIGHT + 2) * scale;
}

static void draw_letter(const struct picture_view *view, int32_t x, int32_t y, uint32_t scale,
                        char letter, struct draw_colour ink)
{
    const uint8_t *rows = font_glyph(letter);
    int32_t side = (int32_t)scale;
    for (int32_t row = 0; row < (int32_t)FONT_HEIGHT; row++)
        for (int32_t column = 0; column < (int32_t)FONT_WIDTH; column++)
            if (rows[row] >> (FONT_WIDTH - 1 - (uint32_t)column) & 1)
                draw_fill(view, x + column * side, y + row * side, side, side, ink);
}

void draw_text(const struct picture_view *view, int32_t x, int32_t y, uint32_t scale,
               const char *text, struct draw_colour ink, struct draw_colour paper)
{
    int32_t margin = (int32_t)scale, step = (int32_t)((FONT_WIDTH + 1) * scale);
    draw_fill(view, x, y, (int32_t)draw_text_width(scale, text), (int32_t)draw_text_height(scale),
              paper);
    size_t letters = strnlen(text, DRAW_LETTERS_MAX);
    for (size_t i = 0; i < letters; i++)
        draw_letter(view, x + margin + (int32_t)i * step, y + margin, scale, text[i], ink);
}
