/* ffmpeg: one place for FFmpeg's log and error numbers. FFmpeg logs an error for every damaged
 * packet that the network may bring, so its errors are debug lines here; what matters to an operator
 * comes back as a struct error, with FFmpeg's complaint in it. */
#include "media/ffmpeg.h"
#include "base/log.h"
#include "media/picture.h"
#include <libavutil/error.h>
#include <libavutil/log.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES 160u
#define COMPLAINT_BYTES 240u
/* Video that does not tell its matrix: BT.601 up to this height, BT.709 above. */
#define SD_HEIGHT_MAX 576
/* Nearer to square than this is rounding in a scaler before us; further from it is nonsense. */
#define PIXEL_SHAPE_MIN 1.01
#define PIXEL_SHAPE_MAX 8.0

/* FFmpeg's error lines since they were forgotten, as far as they fit: the first one names the cause, the
 * last one often but that there was one. */
static _Thread_local char complaint[COMPLAINT_BYTES];

static void take_log_line(void *context, int level, const char *format, va_list arguments)
{
    if (level > AV_LOG_ERROR)
        return;
    char line[LINE_BYTES];
    int print_prefix = 1;
    av_log_format_line2(context, level, format, arguments, line, sizeof line, &print_prefix);
    line[strcspn(line, "\r\n")] = '\0';
    if (level <= AV_LOG_FATAL)
        log_warn("ffmpeg", "FFmpeg gave up", LOG_STR("text", line));
    else
        log_debug("ffmpeg", "FFmpeg complains", LOG_STR("text", line));
    /* Without the "[mov,mp4 @ 0x…] " in front, which tells an operator nothing. */
    const char *text = strstr(line, "] ");
    size_t used = strlen(complaint);
    snprintf(complaint + used, sizeof complaint - used, "%s%s", used > 0 ? "; " : "",
             text ? text + 2 : line);
}

static void route_log(void)
{
    av_log_set_callback(take_log_line);
}

void ffmpeg_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, route_log);
}

void ffmpeg_forget_complaint(void)
{
    complaint[0] = '\0';
}

bool ffmpeg_has_complained(void)
{
    return complaint[0] != '\0';
}

int ffmpeg_error(struct error *err, enum error_code code, int averror, const char *place,
                 const char *format, ...)
{
    char message[ERROR_TEXT_BYTES], words[AV_ERROR_MAX_STRING_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    av_strerror(averror, words, sizeof words);
    if (averror == AVERROR(ENOMEM))
        code = ERROR_MEMORY;
    int rc = complaint[0] ? error_set(err, code, place, "%s: %s (%s)", message, words, complaint)
                          : error_set(err, code, place, "%s: %s", message, words);
    ffmpeg_forget_complaint();
    return rc;
}

enum AVColorSpace ffmpeg_matrix(const AVFrame *frame)
{
    if (frame->colorspace != AVCOL_SPC_UNSPECIFIED)
        return frame->colorspace;
    return frame->height > SD_HEIGHT_MAX ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
}

void ffmpeg_display_size(uint32_t width, uint32_t height, AVRational pixel, uint32_t *display_width,
                         uint32_t *display_height)
{
    *display_width = width;
    *display_height = height;
    if (pixel.num <= 0 || pixel.den <= 0)
        return;
    double shape = av_q2d(pixel);
    bool upright = shape < 1;
    double longer = (upright ? height : width) * (upright ? 1 / shape : shape);
    if ((upright ? 1 / shape : shape) < PIXEL_SHAPE_MIN ||
        (upright ? 1 / shape : shape) > PIXEL_SHAPE_MAX || longer > PICTURE_SIDE_MAX)
        return;
    *(upright ? display_height : display_width) = (uint32_t)lround(longer);
}
