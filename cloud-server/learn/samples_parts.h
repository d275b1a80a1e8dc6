/* samples_parts: what the files of samples share: samples.c has threads and batches, samples_pictures.c
 * decoded and damaged pictures, samples_video.c the frames of videos, samples_crop.c what is cut out of
 * them. Nobody else includes this. */
#ifndef RUNESPOOR_LEARN_SAMPLES_PARTS_H
#define RUNESPOOR_LEARN_SAMPLES_PARTS_H

#include "base/random.h"
#include "learn/degrade.h"
#include "learn/enlarge.h"
#include "learn/samples.h"
#include "media/scale.h"
#include <pthread.h>

/* A number of its own for each thing that happens by chance: what, for which. */
enum samples_chance { CHANCE_ORDER, CHANCE_CROP, CHANCE_DAMAGE };
uint64_t samples_chance(uint64_t seed, enum samples_chance what, uint64_t a, uint64_t b);

/* 8-bit planes of a picture, r, g, b, without gaps. */
struct planes {
    uint32_t width, height;
    uint8_t *bytes; /* 3 * width * height */
};

/* A picture as it is kept. */
struct kept {
    struct picture *picture; /* NULL: not kept */
    uint8_t *labels;
    struct planes received; /* of `epoch`; bytes NULL: not kept */
    uint64_t epoch;
};

/* What is kept of a source that is a video: constant once it is open. */
struct sample_video {
    struct picture **frames; /* by number, each NULL where not needed; NULL: the source is a folder */
    bool *needed;            /* by number */
    size_t count;
    uint32_t stride; /* from one frame that is sent to the next */
    double fps;      /* at which those are sent */
};

struct sample_pictures {
    const struct samples_set *set;
    const struct samples_config *config;
    struct kept *kept;           /* by index in the set; nothing of videos */
    struct sample_video *videos; /* by source */
    uint64_t bytes_left;
    pthread_mutex_t lock; /* guards kept and bytes_left */
};

/* What one thread has: tools, and the pictures that it works on. */
struct sample_view {
    struct scaler *scaler;
    struct planes source, received;
    struct planes sent;                               /* received, before it is enlarged */
    struct enlarge *enlarge[SAMPLES_FACTORS_MAX + 1]; /* by factor; NULL: not needed yet */
    uint8_t *labels;                                  /* width * height, classes */
};

int sample_pictures_open(struct sample_pictures *pictures, const struct samples_set *set,
                         const struct samples_config *config, struct error *err);
void sample_pictures_finish(struct sample_pictures *pictures);
int sample_view_open(struct sample_view *view, const struct samples_config *config,
                     struct error *err);
void sample_view_finish(struct sample_view *view);
/* Fills the view with picture `index` of the list, as it is received in `epoch`. Any thread, each with
 * a view of its own. */
int sample_view_fill(struct sample_view *view, struct sample_pictures *pictures, size_t index,
                     uint64_t epoch, struct error *err);

/* Decodes the frames of all videos of the set. */
int sample_videos_open(struct sample_pictures *pictures, struct error *err);
void sample_videos_finish(struct sample_pictures *pictures);
/* Picture `index` of the list, which is of a video, behind those that were sent before it; gives their
 * number. */
size_t sample_video_clip(const struct sample_pictures *pictures, size_t index,
                         struct picture *clip[DEGRADE_CLIP_FRAMES]);

/* Cuts sample `slot` of a batch out of the view, by chance from random. */
void sample_cut(const struct sample_view *view, const struct samples_config *config,
                struct random_state *random, struct sample_batch *batch, uint32_t slot);

#endif
