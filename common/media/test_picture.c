/* test_picture: a generated clip for trying things without a camera: shapes move over a texture, and
 * a frame counter tells which picture is seen. The same pixels on every machine: integers only. */
#include "base/clock.h"
#include "media/draw.h"
#include "media/frame_pool.h"
#include "media/source_kinds.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHAPES 6u
#define LATTICE 32u /* pixels between the fixed points of the texture */

struct test_picture {
    uint32_t width, height, fps;
    uint64_t count; /* pictures in all; 0: no end */
    uint64_t next;
    struct picture *background;
    struct frame_pool pool;
};

/* Sides and speeds relative to the picture, in 1/256 of its height; speed a second. */
struct shape {
    uint32_t width, height;
    int32_t speed_x, speed_y;
    bool round;
};

static const struct shape shapes[SHAPES] = {
    { 20, 60, 40, 4, false },   { 24, 70, -28, 6, false }, { 90, 50, 110, 10, false },
    { 70, 44, -80, -8, false }, { 50, 50, 66, 52, true },  { 34, 34, -150, 90, true },
};

static uint32_t hash(uint32_t x, uint32_t y)
{
    uint32_t h = x * 0x9e3779b1u ^ y * 0x85ebca6bu;
    h = (h ^ h >> 15) * 0x2c1b3c6du;
    return h ^ h >> 13;
}

/* Soft spots (bilinear between hashed lattice points) under a fine grain. */
static uint8_t texture(uint32_t x, uint32_t y)
{
    uint32_t column = x / LATTICE, row = y / LATTICE, fx = x % LATTICE, fy = y % LATTICE;
    uint32_t corner[4];
    for (uint32_t i = 0; i < 4; i++)
        corner[i] = hash(column + i % 2, row + i / 2) % 100;
    uint32_t upper = corner[0] * (LATTICE - fx) + corner[1] * fx;
    uint32_t lower = corner[2] * (LATTICE - fx) + corner[3] * fx;
    uint32_t soft = (upper * (LATTICE - fy) + lower * fy) / (LATTICE * LATTICE);
    return (uint8_t)(60 + soft + hash(x + 7919, y) % 9);
}

static void paint_background(const struct picture_view *view)
{
    for (uint32_t y = 0; y < view->height; y++)
        for (uint32_t x = 0; x < view->width; x++)
            view->plane[0][(size_t)y * view->stride[0] + x] = texture(x, y);
    uint32_t columns = (view->width + 1) / 2, rows = (view->height + 1) / 2;
    for (uint32_t y = 0; y < rows; y++)
        for (uint32_t x = 0; x < columns; x++) {
            view->plane[1][(size_t)y * view->stride[1] + x] = (uint8_t)(118 + 20 * x / columns);
            view->plane[2][(size_t)y * view->stride[2] + x] = (uint8_t)(134 - 16 * y / rows);
        }
}

int test_picture_open(struct test_picture **test, const struct source_config *config,
                      struct source_info *info, struct error *err)
{
    if (config->fps == 0)
        return error_set(err, ERROR_CONFIG, "source", "fps of the test picture must not be 0");
    struct test_picture *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "source", "no room for a test picture");
    fresh->width = config->width;
    fresh->height = config->height;
    fresh->fps = config->fps;
    fresh->count = (uint64_t)config->seconds * config->fps;
    int failed = picture_create(&fresh->background, config->width, config->height, err);
    if (failed) {
        free(fresh);
        return failed;
    }
    struct picture_view view;
    picture_get_view(fresh->background, &view);
    paint_background(&view);
    *info = (struct source_info){ .width = fresh->width,
                                  .height = fresh->height,
                                  .display_width = fresh->width,
                                  .display_height = fresh->height,
                                  .fps = fresh->fps };
    snprintf(info->description, sizeof info->description, "test picture %ux%u %u fps", fresh->width,
             fresh->height, fresh->fps);
    *test = fresh;
    return 0;
}

/* Back and forth between 0 and range. */
static int32_t bounce(int64_t way, int32_t range)
{
    if (range <= 0)
        return 0;
    int64_t period = 2 * (int64_t)range, place = way % period;
    if (place < 0)
        place += period;
    return (int32_t)(place < range ? place : period - place);
}

/* Row by row, as wide as the circle is there. */
static void draw_disc(const struct picture_view *view, int32_t x, int32_t y, int32_t side,
                      struct draw_colour colour)
{
    int32_t half = 0;
    for (int32_t row = 0; row < side; row++) {
        int32_t off = 2 * row - side + 1;
        int32_t square = side * side - off * off;
        while ((half + 1) * (half + 1) <= square)
            half++;
        while (half * half > square)
            half--;
        draw_fill(view, x + (side - half) / 2, y + row, half, 1, colour);
    }
}

static void draw_shape(const struct test_picture *test, const struct picture_view *view,
                       uint32_t index)
{
    const struct shape *shape = &shapes[index];
    int32_t width = (int32_t)(shape->width * test->height / 256);
    int32_t height = (int32_t)(shape->height * test->height / 256);
    /* Place from the picture's number, not from the last place: any picture can be made first. */
    int64_t step = (int64_t)test->next * test->height;
    int64_t way_x = step * shape->speed_x / (256 * (int64_t)test->fps) + 97 * (int64_t)index;
    int64_t way_y = step * shape->speed_y / (256 * (int64_t)test->fps) + 61 * (int64_t)index;
    int32_t x = bounce(way_x, (int32_t)test->width - width);
    int32_t y = bounce(way_y, (int32_t)test->height - height);
    struct draw_colour colour = draw_class_colour(index);
    if (shape->round) {
        draw_disc(view, x, y, width, colour);
        return;
    }
    draw_fill(view, x, y, width, height, colour);
    draw_fill(view, x, y + height / 4, width, height / 8, draw_black); /* a stripe, to have edges */
}

static void draw_counter(const struct test_picture *test, const struct picture_view *view)
{
    char text[32];
    snprintf(text, sizeof text, "%08llu", (unsigned long long)test->next);
    uint32_t scale = 1 + test->height / 240;
    int32_t margin = (int32_t)(2 * scale);
    draw_text(view, margin, (int32_t)(test->height - draw_text_height(scale)) - margin, scale, text,
              draw_white, draw_black);
}

static void copy_planes(const struct picture_view *from, const struct picture_view *to)
{
    for (int plane = 0; plane < 3; plane++) {
        assert(from->stride[plane] == to->stride[plane]); /* of one layout */
        size_t rows = plane ? (from->height + 1) / 2 : from->height;
        memcpy(to->plane[plane], from->plane[plane], rows * from->stride[plane]);
    }
}

int test_picture_next(struct test_picture *test, struct picture **picture, uint64_t *time_ns,
                      struct error *err)
{
    if (test->count > 0 && test->next == test->count)
        return error_set(err, ERROR_END, "source", "end of the test picture");
    int failed = frame_pool_take(&test->pool, test->width, test->height, picture, err);
    if (failed)
        return failed;
    struct picture_view background, view;
    picture_get_view(test->background, &background);
    picture_get_view(*picture, &view);
    copy_planes(&background, &view);
    for (uint32_t i = 0; i < SHAPES; i++)
        draw_shape(test, &view, i);
    draw_counter(test, &view);
    *time_ns = test->next / test->fps * CLOCK_NS_PER_S +
               test->next % test->fps * CLOCK_NS_PER_S / test->fps;
    test->next++;
    return 0;
}

void test_picture_close(struct test_picture **test)
{
    struct test_picture *old = *test;
    *test = NULL;
    if (!old)
        return;
    picture_unref(&old->background);
    frame_pool_finish(&old->pool);
    free(old);
}
