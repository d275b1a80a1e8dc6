/* samples: batches of crops for training, made ahead of it by threads of their own. What is in the batch
 * of a step follows from seed and step alone, so that a training that goes on in the middle needs nothing
 * but the step's number. */
#ifndef RUNESPOOR_LEARN_SAMPLES_H
#define RUNESPOOR_LEARN_SAMPLES_H

#include "learn/samples_set.h"
#include "media/encode.h"

#define SAMPLES_LOADERS_MAX 64u
#define SAMPLES_BATCH_MAX 4096u
#define SAMPLES_EPOCH_MAX 100000000u /* crops of an epoch */

/* What happens to a crop by chance. */
struct samples_augment {
    bool flip;                   /* left to right, every other one */
    double scale_min, scale_max; /* of what is seen, all sizes in between alike; 1 and 1: none */
    double jitter;               /* of brightness, contrast and colours: 0 none, 1 strong */
};
extern const struct option_spec samples_augment_options[];

#define SAMPLES_FACTORS_MAX 4u

/* What pictures lose on their way, one stream after the other at a bitrate from the range. */
struct samples_damage {
    struct option_strings factors;
    uint32_t bitrate_min_kbps, bitrate_max_kbps;
    double fps;       /* of the source */
    struct rung rung; /* width and height 0 */

    /* Not keys: what factors says for one of two uses, by how much sides of what is sent are less. */
    uint32_t factor; /* received pictures stand beside the source; 0: none */
    uint32_t drawn[SAMPLES_FACTORS_MAX], drawn_count; /* or in its place, enlarged to its size; one of
                                                         these by chance */
};
extern const struct option_spec samples_damage_options[];

struct samples_config {
    uint32_t width, height;           /* pictures are brought to this size */
    uint32_t crop_width, crop_height; /* of it; multiples of factor, if any */
    uint32_t batch;
    uint32_t crops; /* of each picture in an epoch */
    bool labelled;  /* batches have labels */
    struct samples_augment augment;
    struct samples_damage damage; /* with factor scale has to be 1 */
    uint64_t seed;
    uint32_t loaders;
    uint64_t cache_bytes; /* of decoded pictures, beyond what is being worked on */
    bool once;            /* each is looked at once: only those of videos are kept */
};

/* RGB in 0..1. */
struct sample_batch {
    uint64_t step;
    float *source; /* batch x 3 x crop_height x crop_width; or what takes its place */
    float *received; /* the same of what was received, both sides less by factor; NULL: nothing sent */
    int64_t *labels; /* batch x crop_height x crop_width; NULL: none */
    int failed;      /* samples_take gives it */
    struct error err;
};

struct samples;

/* Batches from first_step on, of the pictures of set, which is borrowed until samples_close. Those of
 * videos are decoded now, with the frames before them that they are sent behind, and must fit into the
 * cache together. */
int samples_open(struct samples **samples, const struct samples_set *set,
                 const struct samples_config *config, uint64_t first_step, struct error *err);
/* The batch of the next step, the caller's until it is given back. */
int samples_take(struct samples *samples, struct sample_batch **batch, struct error *err);
void sample_batch_free(struct sample_batch **batch); /* takes NULL */
void samples_close(struct samples **samples);        /* takes NULL */

/* Steps that show every picture `crops` times, the last one with a part of the next epoch. */
uint64_t samples_epoch_steps(size_t pictures, const struct samples_config *config);

#endif
