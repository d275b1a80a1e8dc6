/* tail_report: what make bench-tail prints of a rung, and what its last line sums up. One thread. */
#ifndef RUNESPOOR_TESTS_TAIL_REPORT_H
#define RUNESPOOR_TESTS_TAIL_REPORT_H

#include "tail_simulate.h"

/* Streams of a rung that are simulated in each way of drawing. The first TAIL_LONG_RUNS go on to the last
 * check, the others to 300 probes. */
#define TAIL_RUNS 100u
#define TAIL_LONG_RUNS 10u
#define TAIL_SHORT_CHECKS 14u

/* How frames are drawn; TAIL_PLAIN: at random, and figures know nothing of how uncertain they look. That
 * stands for what order statistics alone give. */
enum tail_way { TAIL_RANDOM, TAIL_UNCERTAIN, TAIL_PLAIN, TAIL_WAYS };
#define TAIL_PRODUCT_WAYS 2

/* Of one rung. */
struct tail_results {
    const struct tail_rung *rung;
    struct tail_check checks[TAIL_WAYS][TAIL_RUNS][TAIL_CHECKS];
};

/* Of all rungs. Each is the worst one's but for probes_ratio, which is the mean. */
struct tail_summary {
    size_t rungs;
    double cover90,
        cover99;     /* of the first TAIL_LONG_RUNS runs at all checks that are printed, both of the
                     * product's ways */
    double width90;  /* mean of the same at 300 probes, drawn by uncertainty */
    double mean_off; /* mean of the same at 1000 probes, drawn by uncertainty */
    double probes_ratio_sum; /* for the width that 300 plain probes give; of all runs */
    double bits_share;       /* mean at the end of long runs */
};

#define TAIL_SUMMARY_START ((struct tail_summary){ .cover90 = 1, .cover99 = 1 })

void tail_report_truth(const struct tail_truth *truth, const char *video);
/* summary: NULL where the rung is not to be part of it. */
void tail_report_rung(const struct tail_results *results, struct tail_summary *summary);
void tail_report_summary(const struct tail_summary *summary);

#endif
