/* eval_frontier: what a user pays for an accuracy. The frontier of each codec without restoration, and
 * with each network; the bits that each saves against the first codec without; and the plots. */
#ifndef RUNESPOOR_EVALUATE_EVAL_FRONTIER_H
#define RUNESPOOR_EVALUATE_EVAL_FRONTIER_H

#include "evaluate/eval_arms.h"
#include "evaluate/report.h"

/* Writes bits_saved.json and the plots into config->out; adds a table to text, and key=value to last. */
int eval_frontiers(const struct eval_config *config, const struct eval_arms *arms,
                   const struct report *report, struct text *text, struct text *last,
                   struct error *err);

#endif
