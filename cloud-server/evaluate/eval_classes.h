/* eval_classes: the classes that are scored, and which of the model's and of the truth's classes each
 * of them takes in. Names are compared without regard to case. */
#ifndef RUNESPOOR_EVALUATE_EVAL_CLASSES_H
#define RUNESPOOR_EVALUATE_EVAL_CLASSES_H

#include "base/text.h"
#include "evaluate/eval_config.h"
#include "evaluate/scores.h"

#define EVAL_CLASS_NONE (-1)   /* boxes of this class are left out */
#define EVAL_LABEL_IGNORE 255u /* a pixel that counts for nothing */

/* The classes that one side speaks of; names are borrowed. */
struct eval_names {
    const char *const *names;
    size_t count;
    int ignore; /* one of them that counts for nothing, or -1 */
    bool gaps;  /* areas: pixels may be of no class at all */
};

struct eval_classes {
    enum score_kind kind;
    uint32_t count;
    const char **names;       /* borrowed from the two sides or the groups */
    int *of_model, *of_truth; /* by their class ids: a scored class, or EVAL_CLASS_NONE */
    size_t model_count, truth_count;
    /* Areas: the scored class "other" has the pixels of all classes that are in no other; -1: there
     * are none. */
    int other;
};

/* Without groups: each class of truth that model has, too. What is left out is said in *note, one line
 * each, empty when nothing is. */
int eval_classes_open(struct eval_classes *classes, enum score_kind kind,
                      const struct eval_names *model, const struct eval_names *truth,
                      const struct option_list *groups, struct text *note, struct error *err);
/* The same of a further model: *of gets, by its class ids, the scored class or EVAL_CLASS_NONE, and is the
 * caller's to free. Refuses a model that has none of the scored classes. groups: as at opening. */
int eval_classes_find(const struct eval_classes *classes, const struct eval_names *model,
                      const struct option_list *groups, int **of, struct error *err);
void eval_classes_finish(struct eval_classes *classes); /* all-zero is harmless */

#endif
