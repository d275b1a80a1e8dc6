/* encoded: back to pictures what encoder_encode made in the codecs that no stream carries, H.265 and
 * AV1, for comparisons. decode.h takes H.264 alone, from whoever sends it, into shared memory: what a
 * server lets a network reach stays small. One thread. */
#ifndef RUNESPOOR_MEDIA_ENCODED_H
#define RUNESPOOR_MEDIA_ENCODED_H

#include "media/encode.h"

struct encoded_decoder;

int encoded_decoder_open(struct encoded_decoder **decoder, enum video_codec codec, struct error *err);
/* The picture of this packet, in private memory. Packets come from one encoder, in order; a keyframe
 * may also be the first one of another encoder. */
int encoded_decoder_decode(struct encoded_decoder *decoder, struct packet *packet,
                           struct picture **picture, struct error *err);
void encoded_decoder_close(struct encoded_decoder **decoder); /* sets NULL, takes NULL */

#endif
