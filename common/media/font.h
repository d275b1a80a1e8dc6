/* font: a bitmap font for what is drawn into pictures. For media/ only. */
#ifndef RUNESPOOR_MEDIA_FONT_H
#define RUNESPOOR_MEDIA_FONT_H

#include <stdint.h>

#define FONT_WIDTH 5u
#define FONT_HEIGHT 7u

/* FONT_HEIGHT rows, each FONT_WIDTH bits with the highest one left. Small letters look like capital
 * ones; what the font has not is an empty box. */
const uint8_t *font_glyph(char letter);

#endif
