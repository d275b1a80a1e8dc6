/* inspect: looks at this box: opens each camera's source and really encodes and decodes a few frames
 * at its rung, so that a person sees before streaming what works and how fast. */
#ifndef RUNESPOOR_EDGE_INSPECT_H
#define RUNESPOOR_EDGE_INSPECT_H

#include "agent_config.h"
#include <stdio.h>

/* Prints a table to out. Gives the number of cameras that do not work. */
size_t inspect_cameras(const struct agent_config *config, FILE *out);

#endif
