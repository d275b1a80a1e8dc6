/* decoder_report: tells an operator what decodes a camera's video, and what was left out and why: log lines and
 * metrics. */
#ifndef RUNESPOOR_EDGE_DECODER_REPORT_H
#define RUNESPOOR_EDGE_DECODER_REPORT_H

#include "figures.h"
#include "media/decode_choice.h"

/* choice: source_decoder's; NULL says nothing. Nothing is said twice. The camera's thread. */
void decoder_report(struct figures *figures, const struct decoder_choice *choice);

#endif
