/* tail_command: `cloud-server tail FILE…`, the figures of probes made later, from recorded lines. */
#ifndef RUNESPOOR_CONTROL_TAIL_COMMAND_H
#define RUNESPOOR_CONTROL_TAIL_COMMAND_H

#include "config/cli.h"

/* As in model.h. */
#define TAIL_COMMAND_ARGUMENTS "FILE…"
extern const char tail_command_more[];
extern const struct cli_flag tail_command_flags[]; /* --window, --svg, --step */
int tail_command(const struct cli_values *values);

#endif
