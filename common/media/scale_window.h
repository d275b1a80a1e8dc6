/* scale_window: a picture as a camera would have seen it that looked a little aside or stood a little
 * nearer. For pictures that are made, not for the frame path: it allocates. */
#ifndef RUNESPOOR_MEDIA_SCALE_WINDOW_H
#define RUNESPOOR_MEDIA_SCALE_WINDOW_H

#include "base/error.h"
#include "media/picture.h"

struct window {
    double x, y; /* where the centre looks, in pixels away from the picture's own */
    double zoom; /* above 1: nearer */
};

/* A new I420 picture of the size, matrix and range of from, which has to be I420. What lies beyond its
 * edges is mirrored. Moved by whole even pixels the pixels stay as they are. */
int scale_window(const struct picture *from, const struct window *window, struct picture **to,
                 struct error *err);

#endif
