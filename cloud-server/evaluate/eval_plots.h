/* eval_plots: each figure over the bitrate, a line for each size, codec, model and way to restore, and the
 * frontiers; where those are too many to be told apart, the best of all sizes for each of the rest. */
#ifndef RUNESPOOR_EVALUATE_EVAL_PLOTS_H
#define RUNESPOOR_EVALUATE_EVAL_PLOTS_H

#include "evaluate/eval_arms.h"
#include "evaluate/report.h"

/* The arms of a codec and model without a network, or with the networks of one name. */
struct eval_set {
    enum video_codec codec;
    const struct eval_model *model;
    const char *network; /* NULL: without any */
    char name[128];      /* "h264 without restoration", "h264 tuned+network" */
};
#define EVAL_SETS_MAX (EVAL_CODECS_MAX * EVAL_MODELS_MAX * (EVAL_RESTORES_MAX + 1))
bool eval_set_has(const struct eval_set *set, const struct eval_arms *arms, size_t arm);

/* Writes mean.svg, tail90.svg, tail99.svg and class_tail.svg into config->out. Frontiers come first. */
int eval_plots(const struct eval_config *config, const struct eval_arms *arms,
               const struct report *report, const struct eval_set *sets, size_t set_count,
               struct error *err);

#endif
