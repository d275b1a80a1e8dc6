/* decode_device: what a libavcodec context needs to decode by hardware, and the way of its pictures into memory.
 * GPUs are opened once for all contexts of the process. For media/ only; one thread each. */
#ifndef RUNESPOOR_MEDIA_DECODE_DEVICE_H
#define RUNESPOOR_MEDIA_DECODE_DEVICE_H

#include "media/decode.h"
#include <libavcodec/avcodec.h>

struct decode_device;

/* kind: neither software nor auto. -ERROR_UNSUPPORTED where libavcodec or the box has none for the codec. */
int decode_device_open(struct decode_device **device, enum AVCodecID codec, enum decoder_kind kind,
                       struct error *err);
/* The decoder that a context is to be made for. */
const AVCodec *decode_device_library(const struct decode_device *device);
/* Before the context is opened. A get_format of the owner's asks decode_device_format; without one it is set. */
int decode_device_attach(struct decode_device *device, AVCodecContext *context, struct error *err);
/* Of the offered formats the one that this device decodes into, NONE when it is not among them. */
enum AVPixelFormat decode_device_format(struct decode_device *device,
                                        const enum AVPixelFormat *offered);
/* Whether NONE was the answer, or a picture was not of its surface's size: the stream is not for this device, and
 * will not be. */
bool decode_device_has_refused(const struct decode_device *device);
/* A picture that lies in the device becomes one in memory, usually NV12; one in memory stays. 0 or an
 * AVERROR. */
int decode_device_fetch(struct decode_device *device, AVFrame *frame);
void decode_device_close(struct decode_device **device); /* sets NULL, takes NULL; after its contexts */

#endif
