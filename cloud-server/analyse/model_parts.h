/* model_parts: what the files behind model.h share: model.c (pictures through a plan), model_open.c (from a
 * folder to a plan) and model_check.c (the sample). */
#ifndef RUNESPOOR_ANALYSE_MODEL_PARTS_H
#define RUNESPOOR_ANALYSE_MODEL_PARTS_H

#include "analyse/head_graph.h"
#include "analyse/model.h"
#include "analyse/prepare.h"

/* Pictures under way, one run of the plan. */
struct begun {
    struct placement placement[MODEL_PICTURES_MAX];
    uint64_t since_ns[MODEL_PICTURES_MAX]; /* the network has it */
    uint32_t prepare_us[MODEL_PICTURES_MAX];
};

struct model {
    struct card *card;
    struct device *device; /* borrowed */
    enum precision precision;
    uint32_t pictures;             /* of a run */
    struct card_input input;       /* what the plan reads: the card's, or restoration's */
    struct restore_config restore; /* kind and sizes; its strings are gone */
    struct plan *plan;
    struct head *head;                              /* reads: */
    struct tensor results[HEAD_REDUCED_MAX];        /* of one picture, within */
    size_t outputs[HEAD_REDUCED_MAX], output_count; /* these of the plan */
    struct prepare *prepare[MODEL_PICTURES_MAX];    /* NULL: the plan reads planes, */
    enum planes_way way;
    struct picture_view like; /* of pictures like this, without pixels */
    struct begun begun[MODEL_DEPTH_MAX];
    uint32_t oldest, under_way; /* of begun */
    struct placement placement; /* of the picture that was decoded last */
};

/* model.c */

bool model_reads_planes(const struct model *model);
/* model_run with another threshold than the card's, for all pictures of a run. */
int model_run_with_score(struct model *model, const struct picture_view *const *pictures,
                         double score, struct analysis *const *analyses, struct error *err);

#endif
