/* ffmpeg: what all of media/ shares of FFmpeg: its log inside ours, and its error numbers in words.
 * For files in media/ only. */
#ifndef RUNESPOOR_MEDIA_FFMPEG_H
#define RUNESPOOR_MEDIA_FFMPEG_H

#include "base/error.h"
#include <libavutil/frame.h>
#include <stdbool.h>

/* Routes FFmpeg's log, once per process. Every open in media/ calls it; any thread. */
void ffmpeg_init(void);

/* Forgets what FFmpeg complained about on this thread; called before an operation whose
 * failure is to be explained by ffmpeg_error. */
void ffmpeg_forget_complaint(void);
/* Whether FFmpeg has logged an error on this thread since. */
bool ffmpeg_has_complained(void);

/* error_set with FFmpeg's words for averror, and its complaints on this thread, appended. Code
 * MEMORY replaces code when FFmpeg ran out of it. */
int ffmpeg_error(struct error *err, enum error_code code, int averror, const char *place,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* A frame's matrix; when it does not tell, the usual one of its size, as players do. */
enum AVColorSpace ffmpeg_matrix(const AVFrame *frame);

/* The size in square pixels of a picture whose pixels have this shape (width to height): the larger
 * side of a pixel counts, so that nothing is lost. The same where they are square, nearly so, or of no
 * sensible shape. */
void ffmpeg_display_size(uint32_t width, uint32_t height, AVRational pixel, uint32_t *display_width,
                         uint32_t *display_height);

#endif
