/* decode_unit: the outside of a packet, looked at before a decoder sees it: is what is said to be a
 * keyframe one, and may what is in it come together. For media/ only. */
#ifndef RUNESPOOR_MEDIA_DECODE_UNIT_H
#define RUNESPOOR_MEDIA_DECODE_UNIT_H

#include "media/decode.h"

/* -ERROR_FORMAT, in words, where
 *   keyframe is said and the first slice is not that of an IDR (AV1: the frame is no shown key frame, or
 *   has no sequence header before it);
 *   H.265: a parameter set comes after a slice, where it could give the next packet another size;
 *   AV1: there is not exactly one frame, so that a few bytes cannot keep a thread for long. */
int decode_unit_check(enum video_codec codec, const uint8_t *bytes, size_t size, bool keyframe,
                      struct error *err);

#endif
