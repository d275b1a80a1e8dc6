/* eval_report: the tables, files and plots of an evaluation whose arms are all done, and the line for
 * scripts. */
#ifndef RUNESPOOR_EVALUATE_EVAL_REPORT_H
#define RUNESPOOR_EVALUATE_EVAL_REPORT_H

#include "evaluate/eval_arms.h"

/* truth: what the report calls the reference. */
int eval_report(const struct eval_config *config, const struct eval_arms *arms,
                const struct eval_frames *frames, const char *truth, struct error *err);

#endif
