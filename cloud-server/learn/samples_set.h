/* samples_set: pictures of one or several data sets as one list. Of each the middle counts that has the
 * shape of what is learnt: nothing is squeezed. */
#ifndef RUNESPOOR_LEARN_SAMPLES_SET_H
#define RUNESPOOR_LEARN_SAMPLES_SET_H

#include "learn/data.h"
#include "media/picture_cut.h"

#define SAMPLES_IGNORE 255u /* a label that counts for nothing */

/* What a model says of the pictures of a data set, in place of labels. */
struct samples_golden {
    uint32_t width, height; /* of each map, which shows the picture's middle */
    uint8_t **maps; /* by number of the picture: classes, or SAMPLES_IGNORE; NULL: not asked for */
    size_t count;
};

/* A data set, and what its labels mean. */
struct samples_source {
    struct data *data;
    struct samples_golden golden; /* maps NULL: labels are the set's own */
    uint8_t classes[256]; /* what is learnt of each value of its label maps, or SAMPLES_IGNORE */
};

struct samples_picture {
    uint32_t source, number; /* number within the source's data */
};

/* Any thread may read it, as far as its sources allow (data.h). */
struct samples_set {
    struct samples_source *sources; /* borrowed */
    size_t source_count;
    struct samples_picture *pictures;
    size_t count;
};

/* Which part of which picture. */
struct samples_window {
    uint32_t width, height; /* of the whole picture */
    struct picture_part part;
};

const struct samples_source *samples_set_source(const struct samples_set *set, size_t index);
const char *samples_set_name(const struct samples_set *set, size_t index);
/* Decodes a picture and cuts out the middle that has the shape of width x height; its pixels stay as they
 * are. The caller unrefs it. */
int samples_source_picture(const struct samples_source *source, size_t number, uint32_t width,
                           uint32_t height, struct picture **picture, struct samples_window *window,
                           struct error *err);
/* The same of picture `index` of the list. */
int samples_set_picture(const struct samples_set *set, size_t index, uint32_t width, uint32_t height,
                        struct picture **picture, struct samples_window *window, struct error *err);
/* The classes of that window at width x height, by nearest neighbour. window may be NULL where the labels
 * are golden. */
int samples_set_labels(const struct samples_set *set, size_t index,
                       const struct samples_window *window, uint32_t width, uint32_t height,
                       uint8_t *labels, struct error *err);

#endif
