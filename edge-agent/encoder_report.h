/* encoder_report: tells an operator which encoder a camera got, and what was left out and why: log lines
 * and metrics. */
#ifndef RUNESPOOR_EDGE_ENCODER_REPORT_H
#define RUNESPOOR_EDGE_ENCODER_REPORT_H

#include "figures.h"
#include "media/encode_rung.h"

/* For rung_encoder_config.chosen; arg: the camera's struct figures. The camera's thread. */
void encoder_report(void *arg, const struct encoder_choice *choice);

#endif
