/* encode_device: how pictures get to encoders that do not take ours as they are: as NV12, or uploaded to
 * VAAPI's surfaces. For media/ only. */
#ifndef RUNESPOOR_MEDIA_ENCODE_DEVICE_H
#define RUNESPOOR_MEDIA_ENCODE_DEVICE_H

#include "media/encode.h"

struct AVCodecContext;
struct AVFrame;
struct encode_device;

/* For a context whose size and format (NV12 or VAAPI) are set and which is about to be opened. */
int encode_device_open(struct encode_device **device, struct AVCodecContext *context,
                       struct error *err);
/* Gives in frame (blank) what the encoder takes, made of a picture in memory. 0 or an AVERROR. */
int encode_device_take(struct encode_device *device, const struct AVFrame *picture,
                       struct AVFrame *frame);
void encode_device_close(struct encode_device **device); /* sets NULL, takes NULL */

#endif
