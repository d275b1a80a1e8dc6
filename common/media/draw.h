/* draw: boxes and text straight into the planes of an I420 picture, for people to look at. Whatever
 * lies outside of the picture is cut off. For media/ only. */
#ifndef RUNESPOOR_MEDIA_DRAW_H
#define RUNESPOOR_MEDIA_DRAW_H

#include "media/picture.h"

struct draw_colour {
    uint8_t y, u, v;
};

extern const struct draw_colour draw_black, draw_white;

/* A colour of its own for each small number, the same each time; all light enough for black text. */
struct draw_colour draw_class_colour(uint32_t class_id);

/* Sides in pixels; any values, also such that overflow when added. Chroma is drawn where the
 * rectangle covers any of a chroma sample's pixels. */
void draw_fill(const struct picture_view *view, int32_t x, int32_t y, int32_t width, int32_t height,
               struct draw_colour colour);
/* An outline inside the rectangle. Values that are not finite draw nothing. */
void draw_box(const struct picture_view *view, float x, float y, float width, float height,
              uint32_t thickness, struct draw_colour colour);
/* Text in letters scale times as large as the font's, with a margin of scale pixels around it. x and
 * y within a few pictures' sizes; text beyond DRAW_LETTERS_MAX letters is left out. */
void draw_text(const struct picture_view *view, int32_t x, int32_t y, uint32_t scale,
               const char *text, struct draw_colour ink, struct draw_colour paper);
/* What draw_text covers. */
uint32_t draw_text_width(uint32_t scale, const char *text);
uint32_t draw_text_height(uint32_t scale);

#define DRAW_LETTERS_MAX 256u

#endif
