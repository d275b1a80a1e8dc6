/* rung: the table of a sender's settings, and the size that a rung means for a given camera. */
#include "media/encode.h"
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

const struct option_spec rung_options[] = {
    OPTION_U32(rung, width, "0", 0, RUNG_SIDE_MAX, "px",
               "width to send; 0: the camera's, or what keeps its aspect when height is given"),
    OPTION_U32(rung, height, "0", 0, RUNG_SIDE_MAX, "px",
               "height to send; 0: the camera's, or what keeps its aspect when width is given"),
    OPTION_F64(rung, fps, "0", 0, 240, "1/s", "most frames to send each second; 0: all"),
    OPTION_ENUM(rung, mode, "bitrate", rate_modes,
                "what is held: the bitrate, or the quality with the bitrate as its ceiling"),
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

void rung_write_words(const struct rung *rung, enum video_codec codec, char words[RUNG_WORDS_BYTES])
{
    static const char *const codecs[] = { [VIDEO_H264] = "h264", [VIDEO_H265] = "h265", [VIDEO_AV1] = "av1" };
    char rate[32];
    if (rung->mode == RATE_BITRATE)
        snprintf(rate, sizeof rate, "%u kbit/s", rung->bitrate_kbps);
    else
        snprintf(rate, sizeof rate, "quality %g", rung->quality);
    snprintf(words, RUNG_WORDS_BYTES, "%ux%u %.4g fps %s %s", rung->width, rung->height, rung->fps,
             codecs[codec], rate);
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
