/* sample: compares what a model found in its sample picture with what the card says it must find. */
#ifndef RUNESPOOR_ANALYSE_SAMPLE_H
#define RUNESPOOR_ANALYSE_SAMPLE_H

#include "analyse/analysis.h"
#include "analyse/card.h"
#include "base/text.h"

/* *distance is how far all is off: 0 when all is as expected to the last digit, 1 and more for each
 * thing missing or too much. report (may be NULL) gets a line for each thing. Gives -ERROR_CONFIG
 * with the first thing that is beyond its tolerance. */
int sample_compare(const struct card *card, const struct analysis *analysis, double *distance,
                   struct text *report, struct error *err);

#endif
