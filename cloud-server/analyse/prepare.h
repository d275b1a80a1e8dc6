/* prepare: makes a network's input from a picture: size, fit, colour order, scaling, layout. */
#ifndef RUNESPOOR_ANALYSE_PREPARE_H
#define RUNESPOOR_ANALYSE_PREPARE_H

#include "analyse/card.h"
#include "media/picture.h"

/* Where the picture lies in the network's input: top left, inner_width x inner_height of it. */
struct placement {
    uint32_t picture_width, picture_height;
    uint32_t inner_width, inner_height;
};

struct prepare;

/* input is copied. */
int prepare_create(struct prepare **prepare, const struct card_input *input, struct error *err);
/* Fills tensor (3 * width * height floats). Outside of the picture the padding of the last call is
 * relied on as long as the tensor and the picture's size stay the same. Allocates nothing once warm. */
int prepare_run(struct prepare *prepare, const struct picture_view *picture, float *tensor,
                struct placement *placement, struct error *err);
/* Where a picture of width x height comes to lie. */
void prepare_place(const struct card_input *input, uint32_t width, uint32_t height,
                   struct placement *placement);
/* Changes the colour order from the next call on. For checks. */
void prepare_set_colour(struct prepare *prepare, int colour);
void prepare_destroy(struct prepare **prepare); /* takes NULL */

#endif
