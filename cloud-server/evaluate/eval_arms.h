/* eval_arms: the rungs of an evaluation and the arms of each, what each arm's results hang on, and
 * which of them are on file already. */
#ifndef RUNESPOOR_EVALUATE_EVAL_ARMS_H
#define RUNESPOOR_EVALUATE_EVAL_ARMS_H

#include "analyse/card.h"
#include "evaluate/eval_classes.h"
#include "evaluate/eval_config.h"
#include "evaluate/eval_frames.h"
#include "evaluate/eval_models.h"
#include "evaluate/report_arm.h"

struct eval_rung {
    struct rung rung; /* sizes resolved */
    enum video_codec codec;
    bool full;           /* the source's size: nothing to scale back */
    size_t first, count; /* its arms */
};

/* One word of the configuration stands for all networks that the model's card may name. */
#define EVAL_WAYS_MAX (EVAL_RESTORES_MAX + CARD_NETWORKS_MAX)

struct eval_arm {
    size_t rung;
    const struct eval_restore *restore; /* one of the ways, or none */
    const struct eval_model *model;     /* borrowed */
    char name[128];     /* "h264-240x180-45-bicubic", "h264-240x180-45-tuned+bicubic" */
    char *path;         /* where its results are kept */
    struct arm *result; /* with all its frames once done */
    bool done;
};

/* Does not move while it is open: arms point into ways. */
struct eval_arms {
    const struct eval_models *models;        /* borrowed */
    struct eval_restore ways[EVAL_WAYS_MAX]; /* files are borrowed from config and card */
    size_t way_count;
    struct eval_rung *rungs;
    struct eval_arm *items;
    size_t rung_count, count, done_count;
    size_t reused_count; /* of the done ones, those that were on file */
};

/* All are borrowed for the call, config and models for as long as the arms live. */
struct eval_arms_config {
    const struct eval_config *config;
    const struct eval_classes *classes;
    const struct eval_frames *frames;
    const struct eval_models *models;
    const char *golden; /* folder; NULL: labels are the truth */
    struct text *note;  /* gets a line for each file that is not taken over */
};

/* The folder for results, where it is not there yet. */
int eval_arms_make_folder(const char *out, struct error *err);

/* Lays out all arms, and reads those on file whose recipe is the same. Networks are read, to see at
 * which sizes they fit. */
int eval_arms_open(struct eval_arms *arms, const struct eval_arms_config *config, struct error *err);
void eval_arms_finish(struct eval_arms *arms); /* all-zero is harmless */

#endif
