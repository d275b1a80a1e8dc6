/* source_turn: pictures whose container or camera says that they are to be turned or mirrored before
 * they are shown. For media/ only. */
#ifndef RUNESPOOR_MEDIA_SOURCE_TURN_H
#define RUNESPOOR_MEDIA_SOURCE_TURN_H

#include "media/frame_pool.h"
#include "media/scale_frame.h"

struct AVFrame;
struct AVStream;

/* Rows and columns change places first, then they are mirrored: all eight ways a picture can lie. */
struct source_turn {
    bool transpose, mirror_x, mirror_y;
};

/* What the frame says, or else its stream; frame may be blank. Angles between are left alone. */
void source_turn_find(struct source_turn *turn, const struct AVStream *stream,
                      const struct AVFrame *frame);
bool source_turn_is_none(const struct source_turn *turn);
/* Replaces *picture by one that is turned, in the pool's memory, with its colours. On an error
 * *picture stays as it was. The scaler makes planes of other formats. */
int source_turn_picture(const struct source_turn *turn, struct scaler *scaler,
                        struct frame_pool *pool, struct picture **picture, struct error *err);

#endif
