/* scale: swscale with a few contexts kept, because making one costs more than using it and a worker
 * sees several cameras' sizes in turn. */
#include "media/scale.h"
#include "media/ffmpeg.h"
#include "media/frame_pool.h"
#include "media/scale_frame.h"

#include <assert.h>
#include <libavutil/frame.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <stdlib.h>
#include <string.h>

#define CONTEXTS_MAX 8u
/* Averages where a side shrinks and is bilinear where it grows, which swscale decides by itself for
 * each axis. Rounding and chroma at full effort: the difference is seen by detectors. */
#define FILTER_FLAGS (SWS_AREA | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT)

/* swscale writes this many pixels of a row even when it is narrower. */
#define RGB_STRIDE_MIN 8u

/* What a context was made for; compared as bytes, so no padding. */
struct conversion {
    int32_t from_width, from_height, from_format;
    int32_t to_width, to_height, to_format;
    int32_t bt709, from_full, to_full;
};

struct context {
    struct conversion conversion;
    struct SwsContext *sws; /* NULL: free */
    uint64_t used;          /* when last; the oldest makes room */
};

struct scaler {
    struct frame_pool pool; /* for what scaler_to_picture gives */
    struct context contexts[CONTEXTS_MAX];
    uint64_t uses;
};

static int find_context(struct scaler *scaler, const struct conversion *conversion,
                        struct SwsContext **sws, struct error *err);

int scaler_create(struct scaler **scaler, struct error *err)
{
    assert(scaler);
    ffmpeg_init();
    struct scaler *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "scaler", "no room for a scaler");
    *scaler = fresh;
    return 0;
}

int scaler_to_picture_from_frame(struct scaler *scaler, const AVFrame *from, uint32_t width,
                                 uint32_t height, struct picture **to, struct error *err)
{
    const AVPixFmtDescriptor *description = av_pix_fmt_desc_get(from->format);
    if (!description || (description->flags & AV_PIX_FMT_FLAG_HWACCEL))
        return error_set(err, ERROR_UNSUPPORTED, "scaler", "pixel format %d is not in memory",
                         from->format);
    /* RGB has no range of its own to keep: full range keeps all its values. */
    bool rgb = description->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL);
    bool full =
        rgb || from->color_range == AVCOL_RANGE_JPEG || strncmp(description->name, "yuvj", 4) == 0;
    enum AVColorSpace matrix = rgb ? AVCOL_SPC_SMPTE170M : ffmpeg_matrix(from);
    const struct conversion conversion = {
        .from_width = from->width,
        .from_height = from->height,
        .from_format = from->format,
        .to_width = (int32_t)width,
        .to_height = (int32_t)height,
        .to_format = AV_PIX_FMT_YUV420P,
        .bt709 = matrix == AVCOL_SPC_BT709,
        .from_full = full,
        .to_full = full,
    };
    struct SwsContext *sws = NULL;
    int failed = find_context(scaler, &conversion, &sws, err);
    if (!failed)
        failed = frame_pool_take(&scaler->pool, width, height, to, err);
    if (failed)
        return failed;
    AVFrame *frame = picture_frame(*to);
    frame->colorspace = matrix;
    frame->color_range = full ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    int rows = sws_scale(sws, (const uint8_t *const *)from->data, from->linesize, 0, from->height,
                         frame->data, frame->linesize);
    if (rows == (int)height)
        return 0;
    picture_unref(to);
    return ffmpeg_error(err, ERROR_IO, rows, "scaler", "cannot scale %dx%d to %ux%u", from->width,
                        from->height, width, height);
}

int scaler_to_picture(struct scaler *scaler, struct picture *from, uint32_t width, uint32_t height,
                      struct picture **to, struct error *err)
{
    assert(scaler && from && to);
    const AVFrame *frame = picture_frame(from);
    if (frame->width == (int)width && frame->height == (int)height) {
        *to = picture_ref(from);
        return 0;
    }
    if (width % 2 || height % 2)
        return error_set(err, ERROR_LIMIT, "scaler", "%ux%u has an odd side", width, height);
    return scaler_to_picture_from_frame(scaler, frame, width, height, to, err);
}

int scaler_to_rgb_planes(struct scaler *scaler, const struct picture_view *from, uint32_t width,
                         uint32_t height, uint8_t *const planes[3], uint32_t stride,
                         struct error *err)
{
    assert(scaler && from && planes && stride >= width && stride >= RGB_STRIDE_MIN);
    const struct conversion conversion = {
        .from_width = (int32_t)from->width,
        .from_height = (int32_t)from->height,
        .from_format = from->format == PIXEL_NV12 ? AV_PIX_FMT_NV12 : AV_PIX_FMT_YUV420P,
        .to_width = (int32_t)width,
        .to_height = (int32_t)height,
        .to_format = AV_PIX_FMT_GBRP,
        .bt709 = from->matrix == MATRIX_BT709,
        .from_full = from->full_range,
        .to_full = 1,
    };
    struct SwsContext *sws = NULL;
    int failed = find_context(scaler, &conversion, &sws, err);
    if (failed)
        return failed;
    const uint8_t *source[4] = { from->plane[0], from->plane[1], from->plane[2] };
    const int source_stride[4] = { (int)from->stride[0], (int)from->stride[1], (int)from->stride[2] };
    uint8_t *target[4] = { planes[1], planes[2], planes[0] }; /* swscale's order is G, B, R */
    const int target_stride[4] = { (int)stride, (int)stride, (int)stride };
    int rows = sws_scale(sws, source, source_stride, 0, (int)from->height, target, target_stride);
    if (rows == (int)height)
        return 0;
    return ffmpeg_error(err, ERROR_IO, rows, "scaler", "cannot convert %ux%u to RGB %ux%u",
                        from->width, from->height, width, height);
}

void scaler_destroy(struct scaler **scaler)
{
    assert(scaler);
    struct scaler *old = *scaler;
    *scaler = NULL;
    if (!old)
        return;
    for (size_t i = 0; i < CONTEXTS_MAX; i++)
        sws_freeContext(old->contexts[i].sws);
    frame_pool_finish(&old->pool);
    free(old);
}

static bool within_limits(int32_t width, int32_t height)
{
    return width > 0 && height > 0 && width <= (int32_t)PICTURE_SIDE_MAX &&
           height <= (int32_t)PICTURE_SIDE_MAX;
}

static struct SwsContext *make_sws(const struct conversion *conversion)
{
    struct SwsContext *sws =
        sws_getContext(conversion->from_width, conversion->from_height, conversion->from_format,
                       conversion->to_width, conversion->to_height, conversion->to_format,
                       FILTER_FLAGS, NULL, NULL, NULL);
    if (!sws)
        return NULL;
    const int *matrix = sws_getCoefficients(conversion->bt709 ? SWS_CS_ITU709 : SWS_CS_ITU601);
    sws_setColorspaceDetails(sws, matrix, conversion->from_full, matrix, conversion->to_full, 0,
                             1 << 16, 1 << 16);
    return sws;
}

/* The context that was made for this conversion, or a new one in place of the one that has not been
 * used for the longest time. */
static int find_context(struct scaler *scaler, const struct conversion *conversion,
                        struct SwsContext **sws, struct error *err)
{
    struct context *oldest = scaler->contexts;
    for (struct context *c = scaler->contexts; c < scaler->contexts + CONTEXTS_MAX; c++) {
        if (c->sws && memcmp(&c->conversion, conversion, sizeof *conversion) == 0) {
            c->used = ++scaler->uses;
            *sws = c->sws;
            return 0;
        }
        if (c->used < oldest->used)
            oldest = c;
    }
    if (!within_limits(conversion->from_width, conversion->from_height) ||
        !within_limits(conversion->to_width, conversion->to_height))
        return error_set(err, ERROR_LIMIT, "scaler", "%dx%d to %dx%d: sides must be within 1 and %u",
                         conversion->from_width, conversion->from_height, conversion->to_width,
                         conversion->to_height, PICTURE_SIDE_MAX);
    sws_freeContext(oldest->sws);
    *oldest = (struct context){ .conversion = *conversion, .used = ++scaler->uses };
    ffmpeg_forget_complaint();
    oldest->sws = make_sws(conversion);
    if (!oldest->sws)
        return ffmpeg_error(err, ERROR_UNSUPPORTED, AVERROR(EINVAL), "scaler",
                            "cannot convert %dx%d to %dx%d", conversion->from_width,
                            conversion->from_height, conversion->to_width, conversion->to_height);
    *sws = oldest->sws;
    return 0;
}
