/* scores_match: predicted and reference boxes of one frame, one to one. */
#include "evaluate/scores_parts.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COVERED_MIN 0.5 /* of a prediction's area on an ignored box: includes every IoU above it */

struct ranked {
    const struct score_box *box;
    size_t order; /* as it came: the earlier of two equal scores goes first */
};

static int check_boxes(const char *side, const struct score_box *boxes, size_t count,
                       uint32_t class_count, struct error *err);
static int compare_ranked(const void *left, const void *right);
static double area_of(const struct score_box *box);
static double common_area(const struct score_box *a, const struct score_box *b);

/* The free reference that the prediction overlaps most, or reference_count. */
static size_t find_best(const struct score_box *prediction, const struct score_box *references,
                        size_t reference_count, const bool *taken)
{
    size_t best = reference_count;
    double best_iou = 0;
    for (size_t i = 0; i < reference_count; i++) {
        const struct score_box *reference = &references[i];
        if (taken[i] || reference->ignore || reference->class_id != prediction->class_id)
            continue;
        double common = common_area(prediction, reference);
        double iou = common / (area_of(prediction) + area_of(reference) - common);
        if (iou >= SCORE_IOU_MIN && iou > best_iou) {
            best_iou = iou;
            best = i;
        }
    }
    return best;
}

static bool lies_on_ignored(const struct score_box *prediction, const struct score_box *references,
                            size_t reference_count)
{
    for (size_t i = 0; i < reference_count; i++)
        if (references[i].ignore && references[i].class_id == prediction->class_id &&
            common_area(prediction, &references[i]) >= COVERED_MIN * area_of(prediction))
            return true;
    return false;
}

static void match(const struct ranked *ranked, size_t prediction_count,
                  const struct score_box *references, size_t reference_count, bool *taken,
                  struct score_counts *counts)
{
    for (size_t i = 0; i < prediction_count; i++) {
        const struct score_box *prediction = ranked[i].box;
        size_t best = find_best(prediction, references, reference_count, taken);
        if (best < reference_count) {
            taken[best] = true;
            counts[prediction->class_id].hits++;
        } else if (!lies_on_ignored(prediction, references, reference_count)) {
            counts[prediction->class_id].false_alarms++;
        }
    }
    for (size_t i = 0; i < reference_count; i++)
        if (!taken[i] && !references[i].ignore)
            counts[references[i].class_id].misses++;
}

int scores_match_boxes(const struct score_box *predictions, size_t prediction_count,
                       const struct score_box *references, size_t reference_count,
                       uint32_t class_count, struct score_counts *counts, struct error *err)
{
    int rc = check_boxes("prediction", predictions, prediction_count, class_count, err);
    if (rc == 0)
        rc = check_boxes("reference", references, reference_count, class_count, err);
    if (rc < 0)
        return rc;
    struct ranked *ranked = calloc(prediction_count + 1, sizeof *ranked);
    bool *taken = calloc(reference_count + 1, sizeof *taken);
    if (ranked && taken) {
        for (size_t i = 0; i < prediction_count; i++)
            ranked[i] = (struct ranked){ &predictions[i], i };
        qsort(ranked, prediction_count, sizeof *ranked, compare_ranked);
        memset(counts, 0, class_count * sizeof *counts);
        match(ranked, prediction_count, references, reference_count, taken, counts);
    } else {
        rc = error_set(err, ERROR_MEMORY, "boxes", "no room to match %zu with %zu",
                       prediction_count, reference_count);
    }
    free(ranked);
    free(taken);
    return rc;
}

static int check_boxes(const char *side, const struct score_box *boxes, size_t count,
                       uint32_t class_count, struct error *err)
{
    if (count > SCORE_BOXES_MAX)
        return error_set(err, ERROR_LIMIT, side, "%zu boxes in one frame; %u can be matched", count,
                         SCORE_BOXES_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct score_box *box = &boxes[i];
        if (box->class_id >= class_count)
            return error_set(err, ERROR_FORMAT, side,
                             "box %zu is of class %" PRIu32 "; there are %" PRIu32, i,
                             box->class_id, class_count);
        if (!isfinite(box->x) || !isfinite(box->y) || !isfinite(box->width) ||
            !isfinite(box->height) || !isfinite(box->score) || box->width <= 0 || box->height <= 0)
            return error_set(err, ERROR_FORMAT, side,
                             "box %zu (%g, %g, %g x %g, score %g) is not finite or has no area", i,
                             (double)box->x, (double)box->y, (double)box->width,
                             (double)box->height, (double)box->score);
    }
    return 0;
}

static int compare_ranked(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;
    if (a->box->score != b->box->score)
        return a->box->score > b->box->score ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

/* In double: products of large floats must not overflow. */
static double area_of(const struct score_box *box)
{
    return (double)box->width * box->height;
}

static double common_area(const struct score_box *a, const struct score_box *b)
{
    double right = fmin((double)a->x + a->width, (double)b->x + b->width);
    double bottom = fmin((double)a->y + a->height, (double)b->y + b->height);
    double width = right - (double)fmaxf(a->x, b->x);
    double height = bottom - (double)fmaxf(a->y, b->y);
    return width > 0 && height > 0 ? width * height : 0;
}
