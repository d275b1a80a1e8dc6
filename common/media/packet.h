/* packet: the inside of an encoded frame, for the encoder that fills it. For media/ only. */
#ifndef RUNESPOOR_MEDIA_PACKET_H
#define RUNESPOOR_MEDIA_PACKET_H

#include "media/encode.h"

struct AVPacket;

/* An empty packet with one reference, whose memory may be that of an earlier one. */
int packet_create(struct packet **packet, struct error *err);
/* Gives av (size set, no buffer) a buffer inside packet's memory. 0 or an AVERROR. */
int packet_lend_memory(struct packet *packet, struct AVPacket *av);
/* Where the encoder puts its result. */
struct AVPacket *packet_av(struct packet *packet);

#endif
