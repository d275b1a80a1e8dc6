/* eval_frames: which pictures of a data set are sent, and which of them are scored. */
#ifndef RUNESPOOR_EVALUATE_EVAL_FRAMES_H
#define RUNESPOOR_EVALUATE_EVAL_FRAMES_H

#include "evaluate/eval_config.h"

struct eval_frame {
    uint32_t picture, clip;
    bool starts_clip; /* the first of its clip that is sent */
    bool scored;
};

struct eval_frames {
    struct eval_frame *items; /* those that are sent, in order */
    size_t count;
    double source_fps, sent_fps; /* of stills the same: no picture of a pan is left out */
    uint32_t width, height;      /* of all pictures */
};

/* config says how many are sent and scored; borrowed for the call. The first picture is decoded, for the
 * size of all. */
int eval_frames_open(struct eval_frames *frames, struct data *data,
                     const struct eval_config *config, struct error *err);
size_t eval_frames_scored(const struct eval_frames *frames);
/* Decodes a picture that is sent, and refuses one of another size. The caller unrefs it. */
int eval_frames_picture(const struct eval_frames *frames, struct data *data, size_t index,
                        struct picture **picture, struct error *err);
void eval_frames_finish(struct eval_frames *frames); /* all-zero is harmless */

#endif
