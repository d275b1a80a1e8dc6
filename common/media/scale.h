/* scale: size and format conversion by swscale, with the filter that suits the direction (area when
 * it shrinks, bilinear when it grows). One thread per scaler; nothing allocated once warm. */
#ifndef RUNESPOOR_MEDIA_SCALE_H
#define RUNESPOOR_MEDIA_SCALE_H

#include "base/error.h"
#include "media/picture.h"

struct scaler;

int scaler_create(struct scaler **scaler, struct error *err);
/* Gives a picture of width x height: the same one, referenced, when it has that size, otherwise an
 * I420 one from the scaler's pool (even sides only), with the same matrix and range. */
int scaler_to_picture(struct scaler *scaler, struct picture *from, uint32_t width, uint32_t height,
                      struct picture **to, struct error *err);
/* Converts to 8-bit RGB planes (r, g, b; each stride bytes a row) of width x height. stride is at
 * least width, and at least 8. */
int scaler_to_rgb_planes(struct scaler *scaler, const struct picture_view *from, uint32_t width,
                         uint32_t height, uint8_t *const planes[3], uint32_t stride,
                         struct error *err);
void scaler_destroy(struct scaler **scaler);

#endif
