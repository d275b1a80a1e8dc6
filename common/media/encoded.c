/* encoded: libavcodec's own H.265 decoder, and dav1d through it, with one thread and no delay. */
#include "media/encoded.h"
#include "media/ffmpeg.h"
#include "media/packet.h"

#include <assert.h>
#include <libavcodec/avcodec.h>
#include <stdlib.h>

struct encoded_decoder {
    AVCodecContext *codec;
    AVFrame *frame; /* shell for what comes out */
};

int encoded_decoder_open(struct encoded_decoder **decoder, enum video_codec codec, struct error *err)
{
    assert(decoder && codec != VIDEO_H264);
    ffmpeg_init();
    const AVCodec *library = codec == VIDEO_AV1 ? avcodec_find_decoder_by_name("libdav1d")
                                                : avcodec_find_decoder(AV_CODEC_ID_HEVC);
    if (!library)
        return error_set(err, ERROR_UNSUPPORTED, "decoder",
                         "this libavcodec has no %s decoder: install the distribution's full build",
                         codec == VIDEO_AV1 ? "AV1 (libdav1d)" : "H.265");
    struct encoded_decoder *fresh = calloc(1, sizeof *fresh);
    if (fresh) {
        fresh->codec = avcodec_alloc_context3(library);
        fresh->frame = av_frame_alloc();
    }
    if (!fresh || !fresh->codec || !fresh->frame) {
        encoded_decoder_close(&fresh);
        return error_set(err, ERROR_MEMORY, "decoder", "no room for a decoder");
    }
    fresh->codec->thread_count = 1;
    fresh->codec->flags |= AV_CODEC_FLAG_LOW_DELAY;
    int rc = avcodec_open2(fresh->codec, library, NULL);
    if (rc < 0) {
        encoded_decoder_close(&fresh);
        return ffmpeg_error(err, ERROR_UNSUPPORTED, rc, "decoder", "cannot open %s", library->name);
    }
    *decoder = fresh;
    return 0;
}

int encoded_decoder_decode(struct encoded_decoder *decoder, struct packet *packet,
                           struct picture **picture, struct error *err)
{
    assert(decoder && packet && picture);
    AVFrame *frame = decoder->frame;
    const AVPacket *av = packet_av(packet);
    ffmpeg_forget_complaint();
    if (packet_is_keyframe(packet)) /* nothing of another encoder's stream may linger */
        avcodec_flush_buffers(decoder->codec);
    int rc = avcodec_send_packet(decoder->codec, av);
    if (rc == 0)
        rc = avcodec_receive_frame(decoder->codec, frame);
    if (rc < 0)
        return ffmpeg_error(err, ERROR_FORMAT, rc, "decoder", "cannot decode a packet of %d bytes",
                            av->size);
    int failed = frame->pts == av->pts ? picture_from_frame(picture, frame, err)
                                       : error_set(err, ERROR_FORMAT, "decoder",
                                                   "the picture is that of another packet");
    av_frame_unref(frame);
    return failed;
}

void encoded_decoder_close(struct encoded_decoder **decoder)
{
    assert(decoder);
    struct encoded_decoder *old = *decoder;
    *decoder = NULL;
    if (!old)
        return;
    avcodec_free_context(&old->codec);
    av_frame_free(&old->frame);
    free(old);
}
