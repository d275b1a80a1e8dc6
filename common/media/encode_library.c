/* encode_library: see the header. Each library is asked for the same: keyframes only when they are due
 * or asked for, one packet for each picture at once, the bitrate of the rung with its VBV.
 *
 * AV1 is libaom's in real-time use, which works inside the call that brings the picture. SVT-AV1 works
 * on in threads of its own: libavcodec's wrapper gives its packets when they happen to be ready, and
 * which picture that is depends on the machine's load. At the speed that goes with our veryfast it
 * takes several times as long as x264, as much as live video of a few hundred lines can afford.
 *
 * libx265 3.5 leaves about 4 kB behind for each encoder that it closes. */
#include "media/encode_library.h"
#include "media/rung.h"

#include <assert.h>
#include <libavcodec/avcodec.h>
#include <libavutil/opt.h>
#include <stdio.h>

/* libaom's cpu-used by rung_presets: lower is slower. From 5 up it is made for live video; above 8
 * Debian 12's wrapper knows none. */
static const int64_t aom_speeds[] = { 8, 7, 6, 6, 5, 5 };

const char *encode_library_name(enum video_codec codec)
{
    switch (codec) {
    case VIDEO_H264:
        return "libx264";
    case VIDEO_H265:
        return "libx265";
    case VIDEO_AV1:
        return "libaom-av1";
    }
    assert(!"a codec without a library");
    return "";
}

static void set_up_x264(AVCodecContext *context, const struct encoder_config *config)
{
    av_opt_set(context->priv_data, "preset", rung_presets[config->rung.preset], 0);
    av_opt_set(context->priv_data, "tune", "zerolatency", 0);
    av_opt_set(context->priv_data, "forced-idr", "1", 0);
    /* An IDR that nobody asked for is a burst on the uplink: no scene cuts. */
    av_opt_set(context->priv_data, "x264-params", "scenecut=0", 0);
    context->thread_count = (int)config->threads;
    context->thread_type = FF_THREAD_SLICE; /* frame threads would hold frames back */
}

static void set_up_x265(AVCodecContext *context, const struct encoder_config *config)
{
    char params[128], pools[16] = "none";
    if (config->threads > 1)
        snprintf(pools, sizeof pools, "%u", config->threads);
    /* Without open-gop=0 its keyframes are no IDRs. It writes its settings into each of them, about a
     * kilobyte, unless told not to. Its own log goes past ours, to stderr. */
    snprintf(params, sizeof params, "scenecut=0:open-gop=0:info=0:log-level=none:pools=%s", pools);
    av_opt_set(context->priv_data, "preset", rung_presets[config->rung.preset], 0);
    av_opt_set(context->priv_data, "tune", "zerolatency", 0);
    av_opt_set(context->priv_data, "forced-idr", "1", 0);
    av_opt_set(context->priv_data, "x265-params", params, 0);
    context->thread_count = 1; /* of frames, which would hold frames back; pools are within one */
}

static void set_up_aom(AVCodecContext *context, const struct encoder_config *config)
{
    av_opt_set(context->priv_data, "usage", "realtime", 0);
    av_opt_set_int(context->priv_data, "cpu-used", aom_speeds[config->rung.preset], 0);
    av_opt_set_int(context->priv_data, "lag-in-frames", 0, 0);
    context->thread_count = (int)config->threads;
}

void encode_library_set_up(AVCodecContext *context, const struct encoder_config *config)
{
    switch (config->codec) {
    case VIDEO_H264:
        set_up_x264(context, config);
        break;
    case VIDEO_H265:
        set_up_x265(context, config);
        break;
    case VIDEO_AV1:
        set_up_aom(context, config);
        break;
    }
}

void encode_library_set_rates(AVCodecContext *context, const struct encoder_config *config)
{
    const struct rung *rung = &config->rung;
    int64_t bits_per_s = (int64_t)rung->bitrate_kbps * 1000;
    context->rc_max_rate = bits_per_s;
    context->rc_buffer_size = (int)((int64_t)rung->bitrate_kbps * rung->vbv_ms);
    if (rung->mode == RATE_BITRATE)
        context->bit_rate = bits_per_s;
    else
        av_opt_set_double(context->priv_data, "crf", rung->quality, 0);
    if (config->codec != VIDEO_AV1)
        return;
    context->rc_min_rate =
        bits_per_s; /* all three the same: the wrapper's word for constant bitrate */
    context->rc_initial_buffer_occupancy = context->rc_buffer_size / 10 * 9; /* x264's and x265's */
}
