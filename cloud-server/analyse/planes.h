/* planes: pictures whose decoded planes a device takes as they are. Scaling, padding, colours and
 * normalisation become the first node of the network's graph, for one size and kind of picture, in the
 * place of prepare's work on the processor. */
#ifndef RUNESPOOR_ANALYSE_PLANES_H
#define RUNESPOOR_ANALYSE_PLANES_H

#include "analyse/card.h"
#include "device.h"
#include "media/picture.h"

/* True where the device makes its input beside the processor, which has other things to do then. */
bool planes_pay(const struct device *device);

/* Makes a graph that reads the planes of pictures like this one (of its size, format and colours) out of a
 * network whose one input is as *input says. It has the network's outputs under their own names and in
 * their own order. network, input and like are borrowed for the call; *whole, written on success,
 * shares nothing with them. */
int planes_embed(struct graph **whole, const struct graph *network, const struct card_input *input,
                 const struct picture_view *like, struct error *err);
/* True when planes_fill may be called with the one where a graph was made for the other. */
bool planes_alike(const struct picture_view *one, const struct picture_view *other);
/* Copies the picture's planes to the inputs of such a plan. */
void planes_fill(const struct picture_view *picture, struct plan *plan);

#endif
