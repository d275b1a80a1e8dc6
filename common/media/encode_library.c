/* encode_library: see the header. Each encoder is asked for the same: keyframes only when they are due
 * or asked for, one packet for each picture at once, the bitrate of the rung with its VBV.
 *
 * AV1 is libaom's in real-time use, which works inside the call that brings the picture. SVT-AV1 works
 * on in threads of its own: libavcodec's wrapper gives its packets when they happen to be ready, and
 * which picture that is depends on the machine's load. At the speed that goes with our veryfast it
 * takes several times as long as x264, as much as live video of a few hundred lines can afford.
 *
 * libx265 3.5 leaves about 5 kB behind for each encoder that it closes.
 *
 * Of the hardware, NVENC alone changes its bitrate in libavcodec 5.1 while it runs. */
#include "media/encode_library.h"
#include "media/rung.h"

#include <libavcodec/avcodec.h>
#include <libavutil/opt.h>
#include <stdio.h>

/* libaom's cpu-used by rung_presets: lower is slower. From 5 up it is made for live video; above 8
 * Debian 12's wrapper knows none. */
static const int64_t aom_speeds[] = { 8, 7, 6, 6, 5, 5 };

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

static void set_up_nvenc(AVCodecContext *context, const struct encoder_config *config)
{
    char preset[16];
    snprintf(preset, sizeof preset, "p%d", 1 + config->rung.preset);
    av_opt_set(context->priv_data, "preset", preset, 0);
    av_opt_set(context->priv_data, "tune", "ull", 0);
    av_opt_set(context->priv_data, "rc", "cbr", 0);
    av_opt_set(context->priv_data, "delay", "0", 0);
    av_opt_set(context->priv_data, "zerolatency", "1", 0);
    av_opt_set(context->priv_data, "no-scenecut", "1", 0);
    av_opt_set(context->priv_data, "forced-idr", "1", 0);
}

static void set_up_vaapi(AVCodecContext *context, const struct encoder_config *config)
{
    (void)config; /* each driver numbers its efforts as it likes: its own choice holds */
    av_opt_set(context->priv_data, "rc_mode", "CBR", 0);
    av_opt_set(context->priv_data, "async_depth", "1", 0);
}

static void set_up_qsv(AVCodecContext *context, const struct encoder_config *config)
{
    static const char *const presets[] = { "veryfast", "veryfast", "veryfast",
                                           "faster",   "fast",     "medium" };
    av_opt_set(context->priv_data, "preset", presets[config->rung.preset], 0);
    av_opt_set(context->priv_data, "async_depth", "1", 0);
    av_opt_set(context->priv_data, "forced_idr", "1", 0);
}

static void set_up_v4l2(AVCodecContext *context, const struct encoder_config *config)
{
    (void)context; /* it knows no efforts, and one picture at a time is how it works */
    (void)config;
}

#define IN_PLACE true
#define NEW_ENCODER false

/* By codec and kind. av1_nvenc, av1_vaapi and av1_qsv are of libavcodec 6 and later. */
static const struct encode_library libraries[] = {
    { VIDEO_H264, ENCODER_SOFTWARE, "libx264", IN_PLACE, true, AV_PIX_FMT_NONE, set_up_x264 },
    { VIDEO_H264, ENCODER_NVENC, "h264_nvenc", IN_PLACE, false, AV_PIX_FMT_NONE, set_up_nvenc },
    { VIDEO_H264, ENCODER_VAAPI, "h264_vaapi", NEW_ENCODER, false, AV_PIX_FMT_VAAPI, set_up_vaapi },
    { VIDEO_H264, ENCODER_QSV, "h264_qsv", NEW_ENCODER, false, AV_PIX_FMT_NV12, set_up_qsv },
    { VIDEO_H264, ENCODER_V4L2M2M, "h264_v4l2m2m", NEW_ENCODER, false, AV_PIX_FMT_NV12, set_up_v4l2 },
    { VIDEO_H265, ENCODER_SOFTWARE, "libx265", NEW_ENCODER, false, AV_PIX_FMT_NONE, set_up_x265 },
    { VIDEO_H265, ENCODER_NVENC, "hevc_nvenc", IN_PLACE, false, AV_PIX_FMT_NONE, set_up_nvenc },
    { VIDEO_H265, ENCODER_VAAPI, "hevc_vaapi", NEW_ENCODER, false, AV_PIX_FMT_VAAPI, set_up_vaapi },
    { VIDEO_H265, ENCODER_QSV, "hevc_qsv", NEW_ENCODER, false, AV_PIX_FMT_NV12, set_up_qsv },
    { VIDEO_H265, ENCODER_V4L2M2M, "hevc_v4l2m2m", NEW_ENCODER, false, AV_PIX_FMT_NV12, set_up_v4l2 },
    { VIDEO_AV1, ENCODER_SOFTWARE, "libaom-av1", NEW_ENCODER, false, AV_PIX_FMT_NONE, set_up_aom },
    { VIDEO_AV1, ENCODER_NVENC, "av1_nvenc", IN_PLACE, false, AV_PIX_FMT_NONE, set_up_nvenc },
    { VIDEO_AV1, ENCODER_VAAPI, "av1_vaapi", NEW_ENCODER, false, AV_PIX_FMT_VAAPI, set_up_vaapi },
    { VIDEO_AV1, ENCODER_QSV, "av1_qsv", NEW_ENCODER, false, AV_PIX_FMT_NV12, set_up_qsv },
};

const struct encode_library *encode_library_find(enum video_codec codec, enum encoder_kind kind)
{
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        if (libraries[i].codec == codec && libraries[i].kind == kind)
            return &libraries[i];
    return NULL;
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
    if (rung->codec != VIDEO_AV1 || rung->encoder != ENCODER_SOFTWARE)
        return;
    /* all three the same: libaom's wrapper's word for constant bitrate */
    context->rc_min_rate = bits_per_s;
    context->rc_initial_buffer_occupancy = context->rc_buffer_size / 10 * 9; /* x264's and x265's */
}
