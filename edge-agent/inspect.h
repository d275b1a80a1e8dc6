/* inspect: looks at this box: really encodes and decodes a few frames with every encoder that there may
 * be, then opens each camera's source and does the same at its rung, so that a person sees before
 * streaming what works, how fast, and why not otherwise. */
#ifndef RUNESPOOR_EDGE_INSPECT_H
#define RUNESPOOR_EDGE_INSPECT_H

#include "agent_config.h"
#include <stdio.h>

/* Prints a table of this box's encoders, tried with test pictures. */
void inspect_encoders(FILE *out);
/* The same of its decoders. */
void inspect_decoders(FILE *out);
/* Prints a table of the cameras. Gives the number of those that do not work. */
size_t inspect_cameras(const struct agent_config *config, FILE *out);

#endif
