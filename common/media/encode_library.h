/* encode_library: what libx264, libx265 and libaom each want to be told so that they encode at a rung
 * with no delay. For media/ only. */
#ifndef RUNESPOOR_MEDIA_ENCODE_LIBRARY_H
#define RUNESPOOR_MEDIA_ENCODE_LIBRARY_H

#include "media/encode.h"

struct AVCodecContext;

/* libavcodec's name of the library that encodes this codec. */
const char *encode_library_name(enum video_codec codec);
/* Effort, threads and no delay; before the context is opened. */
void encode_library_set_up(struct AVCodecContext *context, const struct encoder_config *config);
/* Bitrate, VBV and quality. H.264's may be set again at any time: the wrapper reads them before each
 * frame. */
void encode_library_set_rates(struct AVCodecContext *context, const struct encoder_config *config);

#endif
