/* restorer: the plans of one worker that are for one size of pictures: those with restoration in front of
 * a model, and on a GPU, which makes its input of decoded planes itself (analyse/planes.h), all. A stream's
 * picture size is known when its first picture comes, so each plan is made then, for one model, one received
 * and, to be restored, one camera's size, and one number of pictures together, and kept as long as it is among the last RESTORER_PLANS_MAX that
 * were used. */
#ifndef RUNESPOOR_DEVICES_RESTORER_H
#define RUNESPOOR_DEVICES_RESTORER_H

#include "analyse/model.h"
#include "devices/runner.h"

/* With more at the same time, plans are made again and again: each holds the weights of its model and the
 * pictures between its layers. A size takes as many as there are batches of it: 1, 2, 4, … */
#define RESTORER_PLANS_MAX 32u

struct restorer;

/* One of a model's networks. */
struct restorer_network {
    char *file;
    char name[ORDER_NETWORK_BYTES]; /* in answers */
    uint32_t scale;
};

/* What plans differ by. */
struct restored_for {
    uint32_t model, count;                /* pictures that are analysed together */
    uint32_t width, height;               /* of received pictures */
    uint32_t camera_width, camera_height; /* 0: not to be restored */
    uint32_t format, matrix,
        full_range;     /* as in struct picture_view; 0 unless the plan reads planes */
    uint32_t stride[3]; /* the same; 0 unless it reads them in place */
};

/* How pictures of one kind are analysed. */
struct restored_plan {
    struct model *model;                    /* NULL: with the model that reads all sizes */
    uint32_t kind;                          /* enum restore_kind */
    const struct restorer_network *network; /* for RESTORE_NETWORK, else NULL */
    char fallback[ERROR_TEXT_BYTES]; /* why no network serves, "" when one does or none has to */
    struct restored_for pictures;
    uint64_t used; /* 0: nothing in this place; the lowest was used longest ago */
};

/* device is borrowed until restorer_close. */
int restorer_open(struct restorer **restorer, struct device *device, struct error *err);
/* Takes over what the order of model number order->index says about restoration, with the networks of
 * its card (borrowed for the call) where the order has the word for them. All are read and tried; the
 * error names the file that cannot be used. */
int restorer_add_model(struct restorer *restorer, const struct order_model *order,
                       const struct card *card, struct error *err);
/* True when restorer_find would make a plan. */
bool restorer_must_prepare(const struct restorer *restorer, const struct runner_picture *picture,
                           uint32_t count);
/* The plan for so many pictures like this one. NULL: the model that reads all sizes is for this picture: nothing is to be restored in it, as it has the
 * camera's size (and no network is for that) or more than the model reads, and the processor makes the
 * network's input. Holds until the next call. What cannot be had is replaced by the next best, down to
 * the picture as it was received; fallback says why no network serves. */
const struct restored_plan *restorer_find(struct restorer *restorer,
                                          const struct runner_picture *picture, uint32_t count);
void restorer_close(struct restorer **restorer); /* takes NULL */

#endif
