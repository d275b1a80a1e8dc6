/* report: the table of an evaluation: every arm's figures, and how sure each difference from the arm
 * it is compared with is. On a terminal, as CSV and as JSON. */
#ifndef RUNESPOOR_EVALUATE_REPORT_H
#define RUNESPOOR_EVALUATE_REPORT_H

#include "base/text.h"
#include "evaluate/intervals.h"
#include "evaluate/report_arm.h"
#include <stdbool.h>

#define REPORT_ARMS_MAX 1024u

struct report_plan {
    const char *title;     /* what was evaluated */
    const char *reference; /* what counts as the truth: "labels", or the golden model's name */
    const struct arm *const *arms;
    size_t arm_count;
    const size_t *versus; /* of each arm, the arm it is compared with; itself: with none */
    size_t baseline;      /* the arm whose worst classes are the class tail of all */
    struct resampling resampling;
};

struct report_row {
    double kbps;
    double figures[SCORE_FIGURE_COUNT]; /* NaN where not defined: no class is present */
    double *classes;                    /* accuracy of each; NaN where not present */
    uint32_t worst_class;               /* where figures[SCORE_WORST_CLASS] is a number */
    double psnr_db, time_ms;            /* per frame; NaN where not measured */
    size_t psnr_capped;                 /* frames that equal the source: SCORE_PSNR_MAX_DB each */
    bool compared[SCORE_FIGURE_COUNT];
    struct comparison comparisons[SCORE_FIGURE_COUNT]; /* where compared */
};

/* Filled by report_open; others only read. */
struct report {
    struct report_plan plan;
    enum score_kind kind;
    size_t frame_count;
    uint32_t class_count;
    struct score_tail_classes tail; /* none where no class is present */
    struct report_row *rows;        /* one per arm */
    char unknown[ERROR_TEXT_BYTES]; /* why some intervals are not known; "" when all are */
};

/* Works everything out. All that plan points to is borrowed until report_close. Refuses arms whose
 * kind, classes, frames or references differ, as they cannot be compared. */
int report_open(struct report **report, const struct report_plan *plan, struct error *err);
void report_close(struct report **report); /* takes NULL */

/* Three tables for people: figures, classes, comparisons (of the means and tails, without intervals). */
void report_add_table(const struct report *report, struct text *text);
/* A line per arm, under a line of names. Empty where not known. */
void report_add_csv(const struct report *report, struct text *text);
/* null where not known or infinite. */
void report_add_json(const struct report *report, struct text *text);

#endif
