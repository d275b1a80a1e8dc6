/* source_demux: what all sources through FFmpeg have in common: one video out of a container, device or
 * network, decoded, upright, with times that grow. Passes over a file and deadlines of a camera are
 * their owners' business. For media/ only; one thread. */
#ifndef RUNESPOOR_MEDIA_SOURCE_DEMUX_H
#define RUNESPOOR_MEDIA_SOURCE_DEMUX_H

#include "media/decode_choice.h"
#include "media/decode_device.h"
#include "media/frame_pool.h"
#include "media/scale_frame.h"
#include "media/source.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

struct demux {
    char place[256]; /* names it in errors; without a login */
    AVFormatContext *format;
    AVCodecContext *codec;
    struct decode_device *device; /* NULL: software */
    struct decoder_choice choice; /* what decodes, in words too */
    AVPacket *packet;
    AVFrame *frame;
    struct scaler *scaler;    /* for what is no I420 or NV12 */
    struct frame_pool turned; /* for what does not stand upright */
    int stream;               /* index of the video */
    uint32_t bad_max;         /* damaged in a row that are an error; 0: any number is none */
    uint32_t bad_in_row;
    bool begun;        /* a keyframe has come */
    uint32_t failures; /* of the device, in a row */
    uint64_t failing_since_ns;
    bool left_midway; /* since it was opened or rewound, the device was left for software */
    uint64_t skipped, pictures;
    int64_t packets;       /* of the video, since it was opened or rewound */
    uint64_t period_ns;    /* nominal, between two pictures */
    int64_t last_stamp_ns; /* what it said of the last picture; AV_NOPTS_VALUE: nothing since then */
    uint64_t last_time_ns; /* what we said */
    int end_averror;       /* why there are no more packets */
};

/* Memory for reading; demux_finish follows, also after an error. place is redacted. */
int demux_init(struct demux *demux, const char *place, struct error *err);
/* Once demux->format is open: finds the video, and lets all else be left out. */
int demux_choose_video(struct demux *demux, struct error *err);
/* wish: a kind of decoder; where it is not to be had, and later where it fails, software decodes. */
int demux_open_codec(struct demux *demux, enum decoder_kind wish, struct error *err);
/* What is known of the video before a picture is decoded; sizes may be 0. */
void demux_describe(struct demux *demux, struct source_info *info);

/* Gives the decoder one more packet. 0; at the end of packets -ERROR_END, with demux->end_averror. */
int demux_feed(struct demux *demux, struct error *err);
/* A decoded, undamaged picture into demux->frame: 0; -ERROR_AGAIN: feed it; -ERROR_END: the decoder
 * was told that there is no more and has given all. */
int demux_receive(struct demux *demux, struct error *err);
/* Brings info up to date with demux->frame. */
void demux_look(struct demux *demux, struct source_info *info);
/* demux->frame as a picture, and its time; info is brought up to date. The frame is let go. */
int demux_take(struct demux *demux, struct picture **picture, uint64_t *time_ns,
               struct source_info *info, struct error *err);
/* At the end of packets of which the device has decoded none: software is to try them, once demux is rewound. */
int demux_leave_device(struct demux *demux, struct error *err);
/* After a seek to the start: the next time goes on from the last. */
void demux_restart(struct demux *demux);
void demux_finish(struct demux *demux);

#endif
