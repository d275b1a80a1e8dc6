/* report: checks that arms can be compared at all, then works the figures out. */
#include "evaluate/report.h"
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define US_PER_MS 1000.0

static int check_plan(const struct report_plan *plan, struct error *err);
static int fill_rows(struct report *report, struct error *err);

int report_open(struct report **report, const struct report_plan *plan, struct error *err)
{
    int rc = check_plan(plan, err);
    if (rc < 0)
        return rc;
    const struct scores *first = plan->arms[0]->scores;
    struct report *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "report", "no room for %zu bytes", sizeof *fresh);
    fresh->plan = *plan;
    fresh->kind = scores_kind(first);
    fresh->frame_count = scores_frame_count(first);
    fresh->class_count = scores_class_count(first);
    fresh->rows = calloc(plan->arm_count, sizeof *fresh->rows);
    rc = fresh->rows
             ? fill_rows(fresh, err)
             : error_set(err, ERROR_MEMORY, "report", "no room for %zu arms", plan->arm_count);
    if (rc < 0)
        report_close(&fresh);
    else
        *report = fresh;
    return rc;
}

void report_close(struct report **report)
{
    struct report *closed = *report;
    if (!closed)
        return;
    *report = NULL;
    for (size_t i = 0; closed->rows && i < closed->plan.arm_count; i++)
        free(closed->rows[i].classes);
    free(closed->rows);
    free(closed);
}

/* Checks */

/* Of two arms of the same kind and classes: both sides of a comparison must have been asked the same
 * questions. Pixels or boxes in the reference show whether they were. */
static int check_references(const struct arm *arm, const struct arm *first, struct error *err)
{
    for (size_t i = 0; i < scores_frame_count(arm->scores); i++) {
        const struct score_counts *counts = scores_frame_counts(arm->scores, i);
        const struct score_counts *wanted = scores_frame_counts(first->scores, i);
        for (uint32_t c = 0; c < scores_class_count(arm->scores); c++) {
            uint64_t has = (uint64_t)counts[c].hits + counts[c].misses;
            uint64_t must = (uint64_t)wanted[c].hits + wanted[c].misses;
            if (has != must)
                return error_set(err, ERROR_FORMAT, arm->name,
                                 "was scored against another reference than %s: frame %zu has "
                                 "%" PRIu64 " of class %s instead of %" PRIu64,
                                 first->name, i, has, arm->classes[c], must);
        }
    }
    return 0;
}

static int check_arm(const struct arm *arm, const struct arm *first, struct error *err)
{
    const struct scores *scores = arm->scores, *wanted = first->scores;
    if (scores_kind(scores) != scores_kind(wanted))
        return error_set(err, ERROR_FORMAT, arm->name, "scores %s, but %s scores %s",
                         score_kind_words[scores_kind(scores)], first->name,
                         score_kind_words[scores_kind(wanted)]);
    if (scores_class_count(scores) != scores_class_count(wanted))
        return error_set(err, ERROR_FORMAT, arm->name, "has %" PRIu32 " classes, %s %" PRIu32,
                         scores_class_count(scores), first->name, scores_class_count(wanted));
    for (uint32_t c = 0; c < scores_class_count(scores); c++)
        if (strcmp(arm->classes[c], first->classes[c]) != 0)
            return error_set(err, ERROR_FORMAT, arm->name, "class %" PRIu32 " is %s, and %s in %s",
                             c, arm->classes[c], first->classes[c], first->name);
    if (scores_frame_count(scores) != scores_frame_count(wanted))
        return error_set(err, ERROR_FORMAT, arm->name, "has %zu frames, %s %zu",
                         scores_frame_count(scores), first->name, scores_frame_count(wanted));
    return check_references(arm, first, err);
}

static int check_plan(const struct report_plan *plan, struct error *err)
{
    size_t clip_frames = 0;
    if (plan->arm_count == 0 || plan->arm_count > REPORT_ARMS_MAX)
        return error_set(err, ERROR_LIMIT, "report", "%zu arms; 1 to %u can be reported",
                         plan->arm_count, REPORT_ARMS_MAX);
    assert(plan->baseline < plan->arm_count);
    for (size_t i = 0; i < plan->arm_count; i++) {
        assert(plan->versus[i] < plan->arm_count);
        int rc = check_arm(plan->arms[i], plan->arms[0], err);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < plan->resampling.clip_count; i++)
        clip_frames += plan->resampling.clip_frames[i];
    if (clip_frames != scores_frame_count(plan->arms[0]->scores))
        return error_set(err, ERROR_FORMAT, "report", "clips of %zu frames, but %zu were scored",
                         clip_frames, scores_frame_count(plan->arms[0]->scores));
    return 0;
}

/* Figures */

static double mean_time_ms(const struct scores *scores)
{
    double sum_us = 0;
    for (size_t i = 0; i < scores_frame_count(scores); i++)
        sum_us += (double)scores_frame_cost(scores, i)->time_us;
    return sum_us > 0 ? sum_us / US_PER_MS / (double)scores_frame_count(scores) : NAN;
}

static int fill_row(const struct report *report, const struct arm *arm, struct report_row *row,
                    double *scratch, struct error *err)
{
    row->classes = calloc(report->class_count, sizeof *row->classes);
    if (!row->classes)
        return error_set(err, ERROR_MEMORY, "report", "no room for classes");
    scores_of_classes(arm->scores, NULL, report->frame_count, row->classes);
    for (uint32_t c = 0; c < report->class_count; c++) {
        double worst = row->classes[row->worst_class];
        if (isnan(worst) || row->classes[c] < worst)
            row->worst_class = c;
    }
    for (int which = 0; which < SCORE_FIGURE_COUNT; which++) {
        struct score_statistic statistic = { arm->scores, (enum score_figure)which, &report->tail };
        row->figures[which] = scores_figure(&statistic, NULL, report->frame_count, scratch);
    }
    row->kbps = arm_kbps(arm);
    row->psnr_db = scores_psnr_db(arm->scores, &row->psnr_capped);
    row->time_ms = mean_time_ms(arm->scores);
    return 0;
}

/* What cannot be known stays so, with the reason; only want of memory ends the report. */
static int compare_row(struct report *report, size_t index, struct error *err)
{
    const struct report_plan *plan = &report->plan;
    struct report_row *row = &report->rows[index];
    struct error cause;
    if (plan->versus[index] == index)
        return 0;
    for (int which = 0; which < SCORE_FIGURE_COUNT; which++) {
        enum score_figure figure = (enum score_figure)which;
        struct score_statistic arm = { plan->arms[index]->scores, figure, &report->tail };
        struct score_statistic baseline = { plan->arms[plan->versus[index]]->scores, figure,
                                            &report->tail };
        int rc = interval_compare(&plan->resampling, scores_figure, &baseline, &arm,
                                  &row->comparisons[which], &cause);
        if (rc == -ERROR_MEMORY)
            return error_set(err, ERROR_MEMORY, "report", "%s", cause.text);
        row->compared[which] = rc == 0;
        if (rc < 0 && !report->unknown[0])
            memcpy(report->unknown, cause.text, sizeof cause.text);
    }
    return 0;
}

static int fill_rows(struct report *report, struct error *err)
{
    const struct report_plan *plan = &report->plan;
    if (report->frame_count == 0)
        return error_set(err, ERROR_UNSUPPORTED, "report", "no frame was scored");
    /* Without any object in the reference there is no class tail; the rest stands. */
    if (scores_choose_tail(plan->arms[plan->baseline]->scores, &report->tail, NULL) < 0)
        report->tail.count = 0;
    double *scratch = calloc(report->frame_count, sizeof *scratch);
    if (!scratch)
        return error_set(err, ERROR_MEMORY, "report", "no room for %zu frames", report->frame_count);
    int rc = 0;
    for (size_t i = 0; i < plan->arm_count && rc == 0; i++)
        rc = fill_row(report, plan->arms[i], &report->rows[i], scratch, err);
    free(scratch);
    for (size_t i = 0; i < plan->arm_count && rc == 0; i++)
        rc = compare_row(report, i, err);
    return rc;
}
