/* eval_answer: what a model said of a picture, in the source's pixels and the classes that are scored. */
#ifndef RUNESPOOR_EVALUATE_EVAL_ANSWER_H
#define RUNESPOOR_EVALUATE_EVAL_ANSWER_H

#include "analyse/model.h"
#include "evaluate/eval_classes.h"

/* Sizes of the picture that the model was given, and of the source. */
struct eval_sides {
    uint32_t from_width, from_height, to_width, to_height;
};

/* Boxes of scored classes, by falling score; gives their number. of_class: see eval_classes.h. */
size_t eval_answer_boxes(const struct analysis *analysis, const int *of_class,
                         const struct eval_sides *sides,
                         struct score_box boxes[ANALYSIS_OBJECTS_MAX]);

/* A label for each of the source's pixels, from the model's last run. Pixels of no class become other,
 * or EVAL_LABEL_IGNORE where that is -1. */
void eval_answer_labels(struct model *model, const int *of_class, int other,
                        const struct eval_sides *sides, uint8_t *labels);

/* In place: each value below class_count becomes of_class[value], the rest (and EVAL_CLASS_NONE) becomes
 * other, or EVAL_LABEL_IGNORE where that is -1. */
void eval_relabel(uint8_t *labels, size_t count, const int *of_class, size_t class_count, int other);

#endif
