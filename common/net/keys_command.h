/* keys_command: `keys new` and `keys show` of both daemons. */
#ifndef RUNESPOOR_NET_KEYS_COMMAND_H
#define RUNESPOOR_NET_KEYS_COMMAND_H

#include "config/cli.h"

extern const struct cli_flag keys_command_flags[]; /* --folder, --name */

/* Handles "new" and "show" (the first argument); fallback_name is the pair's name without --name.
 * Gives the exit status, or -1 when the verb is another one. */
int keys_command(const struct cli_values *values, const char *fallback_name);

#endif
