/* eval_models: the models whose arms are measured: the analytics model, and those that the config sets
 * beside it, such as the same network tuned to damaged pictures. All answer for the same classes. */
#ifndef RUNESPOOR_EVALUATE_EVAL_MODELS_H
#define RUNESPOOR_EVALUATE_EVAL_MODELS_H

#include "analyse/card.h"
#include "evaluate/eval_classes.h"
#include "evaluate/eval_config.h"

#define EVAL_MODELS_MAX (1 + EVAL_TUNED_MAX)

struct eval_model {
    const char *name; /* borrowed from config; NULL: the analytics model */
    struct card *card;
    int *of_class; /* by its class ids: a scored class, or EVAL_CLASS_NONE */
};

/* All-zero is empty. */
struct eval_models {
    struct eval_model items[EVAL_MODELS_MAX]; /* the analytics model first */
    size_t count;
};

/* Reads the cards. All must find the same, boxes or areas. config is borrowed until eval_models_finish. */
int eval_models_read(struct eval_models *models, const struct eval_config *config, struct error *err);
/* Finds out which of its classes each of them has; classes must be those of the analytics model. What
 * one does not have is said in *note; one that has none of them is refused. */
int eval_models_map(struct eval_models *models, const struct eval_classes *classes,
                    const struct option_list *groups, struct text *note, struct error *err);
void eval_models_finish(struct eval_models *models);

#endif
