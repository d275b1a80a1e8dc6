/* scores: one growing table per arm. The accuracy of a frame is worked out when the frame is added;
 * what is a matter of the set is summed anew from the counts of the frames asked for, so that a
 * bootstrap may ask for any. */
#include "evaluate/scores.h"
#include "evaluate/scores_parts.h"
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_FIRST 256u

struct scores {
    enum score_kind kind;
    uint32_t class_count;
    size_t frame_count, capacity;
    struct score_counts *counts; /* class_count per frame */
    struct score_cost *costs;    /* per frame */
    double *accuracies;          /* per frame, 0..1 */
};

const char *const score_kind_words[SCORE_KIND_COUNT] = { "labels", "boxes" };
const char *const score_figure_words[SCORE_FIGURE_COUNT] = {
#define X(name, word, meaning) word,
    SCORE_FIGURES(X)
#undef X
};

static int prepare_frame(struct scores *scores, const struct score_cost *cost, struct error *err);
static void add_frame(struct scores *scores, const struct score_cost *cost);
static double accuracy_of_frame(const struct scores *scores, const struct score_counts *counts);

int scores_open(struct scores **scores, enum score_kind kind, uint32_t class_count, struct error *err)
{
    uint32_t class_count_max = kind == SCORE_LABELS ? SCORE_LABELS_MAX : SCORE_CLASSES_MAX;
    if (class_count == 0 || class_count > class_count_max)
        return error_set(err, ERROR_LIMIT, "scores", "%" PRIu32 " classes; 1 to %u can be scored",
                         class_count, class_count_max);
    struct scores *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "scores", "no room for %zu bytes", sizeof *fresh);
    fresh->kind = kind;
    fresh->class_count = class_count;
    *scores = fresh;
    return 0;
}

void scores_close(struct scores **scores)
{
    struct scores *closed = *scores;
    if (!closed)
        return;
    *scores = NULL;
    free(closed->counts);
    free(closed->costs);
    free(closed->accuracies);
    free(closed);
}

/* Tables of 256 need no branch per pixel; labels that are no class show up in them afterwards. */
int scores_add_labels(struct scores *scores, const uint8_t *prediction, const uint8_t *reference,
                      size_t pixel_count, int ignore_label, const struct score_cost *cost,
                      struct error *err)
{
    struct score_counts tally[SCORE_LABELS_MAX] = { 0 };
    assert(scores->kind == SCORE_LABELS && ignore_label < (int)SCORE_LABELS_MAX);
    if (pixel_count > SCORE_PIXELS_MAX)
        return error_set(err, ERROR_LIMIT, "label maps", "%zu pixels; %u can be scored",
                         pixel_count, SCORE_PIXELS_MAX);
    for (size_t i = 0; i < pixel_count; i++) {
        uint8_t wanted = reference[i], found = prediction[i];
        if (wanted == ignore_label)
            continue;
        tally[wanted].hits += wanted == found;
        tally[wanted].misses += wanted != found;
        tally[found].false_alarms += wanted != found;
    }
    if (ignore_label >= 0)
        tally[ignore_label].false_alarms = 0;
    for (uint32_t label = scores->class_count; label < SCORE_LABELS_MAX; label++) {
        bool in_reference = tally[label].hits > 0 || tally[label].misses > 0;
        if (in_reference || tally[label].false_alarms > 0)
            return error_set(err, ERROR_FORMAT, in_reference ? "reference" : "prediction",
                             "label %" PRIu32 " in a label map of %" PRIu32
                             " classes: is it the one to ignore?",
                             label, scores->class_count);
    }
    return scores_add_counts(scores, tally, cost, err);
}

int scores_add_boxes(struct scores *scores, const struct score_box *predictions,
                     size_t prediction_count, const struct score_box *references,
                     size_t reference_count, const struct score_cost *cost, struct error *err)
{
    assert(scores->kind == SCORE_BOXES);
    int rc = prepare_frame(scores, cost, err);
    if (rc < 0)
        return rc;
    struct score_counts *counts = scores->counts + scores->frame_count * scores->class_count;
    rc = scores_match_boxes(predictions, prediction_count, references, reference_count,
                            scores->class_count, counts, err);
    if (rc < 0)
        return rc;
    add_frame(scores, cost);
    return 0;
}

int scores_add_counts(struct scores *scores, const struct score_counts *counts,
                      const struct score_cost *cost, struct error *err)
{
    uint64_t wanted = 0, false_alarms = 0, misses = 0;
    uint64_t most = scores->kind == SCORE_LABELS ? SCORE_PIXELS_MAX : SCORE_BOXES_MAX;
    for (uint32_t c = 0; c < scores->class_count; c++) {
        wanted += (uint64_t)counts[c].hits + counts[c].misses;
        false_alarms += counts[c].false_alarms;
        misses += counts[c].misses;
    }
    if (wanted > most || false_alarms > most)
        return error_set(err, ERROR_FORMAT, "counts", "more than a frame can hold (%" PRIu64 ")",
                         most);
    if (scores->kind == SCORE_LABELS && wanted == 0)
        return error_set(err, ERROR_UNSUPPORTED, "label maps",
                         "no pixel counts: all of the reference is to be ignored");
    if (scores->kind == SCORE_LABELS && false_alarms > misses)
        return error_set(err, ERROR_FORMAT, "counts",
                         "more wrong pixels than missed ones, which no label maps give");
    int rc = prepare_frame(scores, cost, err);
    if (rc < 0)
        return rc;
    memcpy(scores->counts + scores->frame_count * scores->class_count, counts,
           scores->class_count * sizeof *counts);
    add_frame(scores, cost);
    return 0;
}

enum score_kind scores_kind(const struct scores *scores)
{
    return scores->kind;
}

uint32_t scores_class_count(const struct scores *scores)
{
    return scores->class_count;
}

size_t scores_frame_count(const struct scores *scores)
{
    return scores->frame_count;
}

const struct score_counts *scores_frame_counts(const struct scores *scores, size_t frame)
{
    assert(frame < scores->frame_count);
    return scores->counts + frame * scores->class_count;
}

const struct score_cost *scores_frame_cost(const struct scores *scores, size_t frame)
{
    assert(frame < scores->frame_count);
    return &scores->costs[frame];
}

double scores_frame_accuracy(const struct scores *scores, size_t frame)
{
    assert(frame < scores->frame_count);
    return scores->accuracies[frame];
}

uint64_t score_squared_error(const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride,
                             uint32_t width, uint32_t height)
{
    uint64_t sum = 0;
    for (uint32_t y = 0; y < height; y++) {
        const uint8_t *row_a = a + y * a_stride, *row_b = b + y * b_stride;
        for (uint32_t x = 0; x < width; x++) {
            int difference = row_a[x] - row_b[x];
            sum += (uint64_t)(difference * difference);
        }
    }
    return sum;
}

double scores_psnr_db(const struct scores *scores, size_t *capped_count)
{
    double sum_db = 0;
    size_t measured = 0;
    *capped_count = 0;
    for (size_t i = 0; i < scores->frame_count; i++) {
        const struct score_cost *cost = &scores->costs[i];
        if (cost->samples == 0)
            continue;
        double mean = (double)cost->squared_error / (double)cost->samples;
        double db = mean > 0 ? 10 * log10(SCORE_SQUARED_ERROR_MAX / mean) : INFINITY;
        *capped_count += db > SCORE_PSNR_MAX_DB;
        sum_db += fmin(db, SCORE_PSNR_MAX_DB);
        measured++;
    }
    return measured > 0 ? sum_db / (double)measured : NAN;
}

/* Checks the cost and makes room; the table is unchanged to those who look at it. */
static int prepare_frame(struct scores *scores, const struct score_cost *cost, struct error *err)
{
    if (cost && (cost->samples > SCORE_PIXELS_MAX ||
                 cost->squared_error > cost->samples * SCORE_SQUARED_ERROR_MAX))
        return error_set(err, ERROR_FORMAT, "squared_error",
                         "%" PRIu64 " over %" PRIu64 " samples is more than a frame can have",
                         cost->squared_error, cost->samples);
    if (scores->frame_count < scores->capacity)
        return 0;
    if (scores->frame_count >= SCORE_FRAMES_MAX)
        return error_set(err, ERROR_LIMIT, "scores", "more than %u frames", SCORE_FRAMES_MAX);
    size_t capacity = scores->capacity ? 2 * scores->capacity : FRAMES_FIRST;
    struct score_counts *counts =
        realloc(scores->counts, capacity * scores->class_count * sizeof *counts);
    scores->counts = counts ? counts : scores->counts;
    struct score_cost *costs = realloc(scores->costs, capacity * sizeof *costs);
    scores->costs = costs ? costs : scores->costs;
    double *accuracies = realloc(scores->accuracies, capacity * sizeof *accuracies);
    scores->accuracies = accuracies ? accuracies : scores->accuracies;
    if (!counts || !costs || !accuracies)
        return error_set(err, ERROR_MEMORY, "scores", "no room for %zu frames", capacity);
    scores->capacity = capacity;
    return 0;
}

/* The counts are in their place already. */
static void add_frame(struct scores *scores, const struct score_cost *cost)
{
    size_t frame = scores->frame_count++;
    scores->costs[frame] = cost ? *cost : (struct score_cost){ 0 };
    scores->accuracies[frame] = accuracy_of_frame(scores, scores_frame_counts(scores, frame));
}

static double accuracy_of_frame(const struct scores *scores, const struct score_counts *counts)
{
    if (scores->kind == SCORE_BOXES) {
        struct score_sums all = { 0 };
        for (uint32_t c = 0; c < scores->class_count; c++)
            score_sums_add(&all, &counts[c]);
        double f1 = score_sums_accuracy(&all, SCORE_BOXES);
        return isnan(f1) ? 1 : f1; /* nothing there and nothing found */
    }
    double total = 0;
    uint32_t present = 0;
    for (uint32_t c = 0; c < scores->class_count; c++) {
        struct score_sums one = { 0 };
        score_sums_add(&one, &counts[c]);
        double iou = score_sums_accuracy(&one, SCORE_LABELS);
        if (isnan(iou))
            continue;
        total += iou;
        present++;
    }
    assert(present > 0); /* add_counts refuses a frame without pixels */
    return total / present;
}
