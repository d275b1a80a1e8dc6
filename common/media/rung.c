/* rung: the table of a sender's settings, and the size that a rung means for a given camera. */
#include "media/encode.h"
#include "media/encode_library.h"
#include "media/rung.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

#define RUNG_SIDE_MIN 16u
#define RUNG_SIDE_MAX 8192u /* of H.264's highest level, about */

/* In x264's order, fastest first. Slower ones than medium do not suit a live camera. */
const char *const rung_presets[] = { "ultrafast", "superfast", "veryfast", "faster",
                                     "fast",      "medium",    NULL };
static const char *const rate_modes[] = { "bitrate", "quality", NULL };
const char *const encoder_kind_words[] = { [ENCODER_SOFTWARE] = "software",
                                           [ENCODER_AUTO] = "auto",
                                           [ENCODER_NVENC] = "nvenc",
                                           [ENCODER_VAAPI] = "vaapi",
                                           [ENCODER_QSV] = "qsv",
                                           [ENCODER_V4L2M2M] = "v4l2m2m",
                                           NULL };

const struct option_spec rung_options[] = {
    OPTION_U32(rung, width, "0", 0, RUNG_SIDE_MAX, "px",
               "width to send; 0: the camera's, or what keeps its aspect when height is given"),
    OPTION_U32(rung, height, "0", 0, RUNG_SIDE_MAX, "px",
               "height to send; 0: the camera's, or what keeps its aspect when width is given"),
    OPTION_F64(rung, fps, "0", 0, 240, "1/s", "most frames to send each second; 0: all"),
    OPTION_ENUM(rung, codec, "h264", video_codec_words,
                "how it is compressed; h265 and av1 save bits and take this box more work"),
    OPTION_ENUM(rung, encoder, "auto", encoder_kind_words,
                "what compresses; one that does not work here is left out for software, and the "
                "log says why; "
                "auto: hardware that works, where new bitrates cost no more keyframes with it than "
                "in software"),
    OPTION_ENUM(
        rung, mode, "bitrate",
        rate_modes, "what is held: the bitrate, or the quality with the bitrate as its ceiling (h264 in software)"),
    OPTION_U32(rung, bitrate_kbps, "1500", 16, 200000, "kbit/s",
               "bitrate to hold, or its ceiling in mode quality"),
    OPTION_U32(
        rung, vbv_ms, "500", 20, 5000, "ms",
        "how far the encoder may run ahead of bitrate_kbps; less is steadier, more is sharper"),
    OPTION_F64(rung, quality, "23", 0, 51, "CRF",
               "quality to hold in mode quality; lower is better, 23 is usual"),
    OPTION_ENUM(rung, preset, "veryfast", rung_presets,
                "effort of the encoder; slower ones give better pictures at the same bitrate"),
    OPTION_U32(rung, keyframe_s, "10", 1, 600, "s", "longest time between two keyframes"),
    OPTION_END,
};

int rung_check(const struct rung *rung, struct error *err)
{
    const int kind = rung->encoder == ENCODER_AUTO ? ENCODER_SOFTWARE : rung->encoder;
    const struct encode_library *library =
        encode_library_find((enum video_codec)rung->codec, (enum encoder_kind)kind);
    if (!library)
        return error_set(err, ERROR_CONFIG, "encoder", "%s makes no %s", encoder_kind_words[kind],
                         video_codec_words[rung->codec]);
    if (rung->mode == RATE_QUALITY && !library->holds_quality)
        return error_set(err, ERROR_CONFIG, "mode",
                         "only h264 in software can hold a quality: give a bitrate instead");
    return 0;
}

void rung_write_words(const struct rung *rung, char words[RUNG_WORDS_BYTES])
{
    char rate[32];
    if (rung->mode == RATE_BITRATE)
        snprintf(rate, sizeof rate, "%u kbit/s", rung->bitrate_kbps);
    else
        snprintf(rate, sizeof rate, "quality %g", rung->quality);
    snprintf(words, RUNG_WORDS_BYTES, "%ux%u %.4g fps %s %s", rung->width, rung->height, rung->fps,
             video_codec_words[rung->codec], rate);
}

static uint32_t even_side(double side)
{
    double even = 2.0 * round(side / 2.0);
    if (even < RUNG_SIDE_MIN)
        return RUNG_SIDE_MIN;
    return even > RUNG_SIDE_MAX ? RUNG_SIDE_MAX : (uint32_t)even;
}

void rung_resolve(struct rung *rung, uint32_t camera_width, uint32_t camera_height)
{
    assert(rung && camera_width > 0 && camera_height > 0);
    double width = rung->width, height = rung->height;
    if (width == 0 && height == 0) {
        /* An odd row or column is left out rather than made up. */
        width = camera_width & ~1u;
        height = camera_height & ~1u;
    } else if (width == 0) {
        width = height * camera_width / camera_height;
    } else if (height == 0) {
        height = width * camera_height / camera_width;
    }
    rung->width = even_side(width);
    rung->height = even_side(height);
}
