/* probe_score: the answer that a frame was given, held against what the golden model says of the same frame at
 * source quality: counts per class and the frame's accuracy, as evaluate/scores.h defines them. */
#ifndef RUNESPOOR_CONTROL_PROBE_SCORE_H
#define RUNESPOOR_CONTROL_PROBE_SCORE_H

#include "analyse/analysis.h"
#include "evaluate/scores.h"

/* What a model said of a picture of this size. */
struct probe_answer {
    const struct analysis *analysis;
    uint32_t width, height;
};

struct probe_score {
    enum score_kind kind;
    double accuracy;
    struct score_counts counts[SCORE_CLASSES_MAX]; /* of the first class_count classes */
};

/* Compares both on the camera's pixels, width x height. to_class names, for each class of the golden model,
 * the answer's own class, or PROBE_CLASS_NONE for one that the answer could not have given; NULL where
 * both have the same. class_count is the number of the answer's classes. Areas are compared as they lie in the masks, a class
 * at a time, so they may overlap. -ERROR_UNSUPPORTED, for people, where the two cannot be compared: boxes
 * with areas, masks of different sizes or not there. -ERROR_MEMORY. */
#define PROBE_CLASS_NONE UINT32_MAX
int probe_score(const struct probe_answer *answer, const struct probe_answer *golden,
                uint32_t width, uint32_t height, const uint32_t *to_class, uint32_t class_count,
                struct probe_score *score, struct error *err);

#endif
