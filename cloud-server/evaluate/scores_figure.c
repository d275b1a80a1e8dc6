/* scores_figure: the figures of an arm over any frames. Called a thousand times per bootstrap: sums
 * over the frames asked for, and selection instead of sorting for the tails. */
#include "evaluate/scores_parts.h"
#include <assert.h>
#include <string.h>

static double mean_of_frames(const struct scores *scores, const uint32_t *frames, size_t count);
static double tail_of_frames(const struct scores *scores, const uint32_t *frames, size_t count,
                             unsigned percent, double *scratch);
static double figure_of_classes(const struct score_statistic *statistic, const uint32_t *frames,
                                size_t count);
static double select_nth(double *values, size_t count, size_t nth);

/* Written out without calls in the inner loop, which is where a bootstrap spends its time. */
uint32_t scores_of_classes(const struct scores *scores, const uint32_t *frames, size_t count,
                           double *accuracies)
{
    struct score_sums sums[SCORE_CLASSES_MAX];
    uint32_t class_count = scores_class_count(scores), present = 0;
    memset(sums, 0, class_count * sizeof *sums);
    assert(frames || count == scores_frame_count(scores));
    for (size_t i = 0; i < count; i++) {
        const struct score_counts *counts = scores_frame_counts(scores, frames ? frames[i] : i);
        for (uint32_t c = 0; c < class_count; c++)
            score_sums_add(&sums[c], &counts[c]);
    }
    for (uint32_t c = 0; c < class_count; c++) {
        bool is_present = sums[c].hits + sums[c].misses > 0;
        accuracies[c] = is_present ? score_sums_accuracy(&sums[c], scores_kind(scores)) : NAN;
        present += is_present;
    }
    return present;
}

/* The wanted classes of lowest accuracy, the worst first; classes that are NaN are never chosen. */
static void choose_lowest(const double *accuracies, uint32_t class_count, uint32_t wanted,
                          uint32_t *ids)
{
    uint32_t found = 0;
    for (uint32_t c = 0; c < class_count; c++) {
        if (isnan(accuracies[c]))
            continue;
        uint32_t at = found < wanted ? found++ : wanted; /* wanted: falls off the end */
        while (at > 0 && accuracies[ids[at - 1]] > accuracies[c]) {
            if (at < wanted)
                ids[at] = ids[at - 1];
            at--;
        }
        if (at < wanted)
            ids[at] = c;
    }
}

static uint32_t quarter_of(uint32_t class_count)
{
    return (class_count + 3) / 4;
}

int scores_choose_tail(const struct scores *scores, struct score_tail_classes *classes,
                       struct error *err)
{
    double accuracies[SCORE_CLASSES_MAX] = { 0 };
    size_t frame_count = scores_frame_count(scores);
    uint32_t present = scores_of_classes(scores, NULL, frame_count, accuracies);
    if (present == 0)
        return error_set(err, ERROR_UNSUPPORTED, "class tail",
                         "no class occurs in the reference of these %zu frames", frame_count);
    classes->count = quarter_of(present);
    choose_lowest(accuracies, scores_class_count(scores), classes->count, classes->ids);
    return 0;
}

double scores_figure(const void *statistic, const uint32_t *frames, size_t count, double *scratch)
{
    const struct score_statistic *asked = statistic;
    const struct scores *scores = asked->scores;
    assert(frames || count == scores_frame_count(scores));
    if (count == 0)
        return NAN;
    switch (asked->figure) {
    case SCORE_TAIL90:
        return tail_of_frames(scores, frames, count, 90, scratch);
    case SCORE_TAIL99:
        return tail_of_frames(scores, frames, count, 99, scratch);
    case SCORE_MEAN:
        if (scores_kind(scores) == SCORE_BOXES)
            return mean_of_frames(scores, frames, count);
        /* fall through */
    default:
        return figure_of_classes(asked, frames, count);
    }
}

int score_tail(double *values, size_t count, unsigned percent, double *tail, struct error *err)
{
    assert(percent >= 1 && percent <= 99);
    if (count == 0)
        return error_set(err, ERROR_UNSUPPORTED, "tail", "there are no frames");
    for (size_t i = 0; i < count; i++)
        if (isnan(values[i]))
            return error_set(err, ERROR_FORMAT, "tail", "the accuracy of frame %zu is no number", i);
    *tail = select_nth(values, count, ((100 - percent) * count + 99) / 100 - 1);
    return 0;
}

static double mean_of_frames(const struct scores *scores, const uint32_t *frames, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += scores_frame_accuracy(scores, frames ? frames[i] : i);
    return sum / (double)count;
}

static double tail_of_frames(const struct scores *scores, const uint32_t *frames, size_t count,
                             unsigned percent, double *scratch)
{
    double tail;
    for (size_t i = 0; i < count; i++)
        scratch[i] = scores_frame_accuracy(scores, frames ? frames[i] : i);
    return score_tail(scratch, count, percent, &tail, NULL) == 0 ? tail : NAN;
}

/* Mean over the classes of a list (NULL: all) that are present, or NaN. */
static double mean_of_list(const double *accuracies, const uint32_t *ids, uint32_t count)
{
    double sum = 0;
    uint32_t present = 0;
    for (uint32_t i = 0; i < count; i++) {
        double accuracy = accuracies[ids ? ids[i] : i];
        if (isnan(accuracy))
            continue;
        sum += accuracy;
        present++;
    }
    return present > 0 ? sum / present : NAN;
}

static double figure_of_classes(const struct score_statistic *statistic, const uint32_t *frames,
                                size_t count)
{
    double accuracies[SCORE_CLASSES_MAX] = { 0 };
    uint32_t ids[SCORE_CLASSES_MAX] = { 0 }, class_count = scores_class_count(statistic->scores);
    uint32_t present = scores_of_classes(statistic->scores, frames, count, accuracies);
    if (statistic->figure == SCORE_MEAN)
        return mean_of_list(accuracies, NULL, class_count);
    if (statistic->figure == SCORE_CLASS_TAIL)
        return mean_of_list(accuracies, statistic->tail->ids, statistic->tail->count);
    if (present == 0)
        return NAN;
    uint32_t wanted = statistic->figure == SCORE_WORST_CLASS ? 1 : quarter_of(present);
    choose_lowest(accuracies, class_count, wanted, ids);
    return mean_of_list(accuracies, ids, wanted);
}

static double median_of_three(double a, double b, double c)
{
    return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

/* Hoare's selection: what stands at nth when values are sorted upwards. Many equal values, which
 * accuracies have, are split evenly. */
static double select_nth(double *values, size_t count, size_t nth)
{
    size_t low = 0, high = count - 1;
    while (low < high) {
        double pivot = median_of_three(values[low], values[low + (high - low) / 2], values[high]);
        size_t left = low, right = high + 1; /* values before left are <= pivot, from right on >= */
        for (;;) {
            while (values[left] < pivot)
                left++;
            while (values[right - 1] > pivot)
                right--;
            if (left >= right)
                break;
            double moved = values[left];
            values[left++] = values[right - 1];
            values[--right] = moved;
            if (left >= right)
                break;
        }
        if (nth < right)
            high = right - 1;
        else if (nth >= left)
            low = left;
        else
            return pivot;
    }
    return values[low];
}
