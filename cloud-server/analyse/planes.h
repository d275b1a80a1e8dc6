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

/* How planes come to the device: from where they lie, which saves copying them on the processor, or packed
 * into the plan's own memory. In place they are read as whole rows, from 64-byte boundaries. */
enum planes_way { PLANES_PACKED, PLANES_IN_PLACE };

/* The second where the memory, which ends at end, allows it. */
enum planes_way planes_find_way(const struct picture_view *picture, const uint8_t *end);

/* Makes a graph that reads the planes of pictures like this one (planes_alike) out of a network whose one
 * input is as *input says, for so many pictures, each of which has planes of its own. It has the network's
 * outputs under their own names and in their own order. network, input and like are borrowed for the call; *whole, written on success, shares nothing with
 * them. */
int planes_embed(struct graph **whole, const struct graph *network, const struct card_input *input,
                 const struct picture_view *like, enum planes_way way, uint32_t pictures,
                 struct error *err);
/* True when they have size, format, colours and, in place, the length of their rows in common. */
bool planes_alike(const struct picture_view *one, const struct picture_view *other,
                  enum planes_way way);
/* Makes the picture that of number place in the next run of such a plan. In place it stays as it is until that
 * run has been finished. */
int planes_put(const struct picture_view *picture, uint32_t place, enum planes_way way,
               struct plan *plan, struct error *err);

#endif
