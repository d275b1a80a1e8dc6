/* scale_frame: the scaler's way in for frames that are no pictures (yet). For media/ only. */
#ifndef RUNESPOOR_MEDIA_SCALE_FRAME_H
#define RUNESPOOR_MEDIA_SCALE_FRAME_H

#include "media/scale.h"

/* Converts a frame of any format that lies in memory to an I420 picture of its own, of any size, even
 * when it already is one. RGB becomes full range BT.601. */
int scaler_to_picture_from_frame(struct scaler *scaler, const struct AVFrame *from, uint32_t width,
                                 uint32_t height, struct picture **to, struct error *err);

#endif
