/* keys_command: what `keys` does with a daemon's own pair, the same at both daemons. */
#ifndef RUNESPOOR_NET_KEYS_COMMAND_H
#define RUNESPOOR_NET_KEYS_COMMAND_H

#include "config/cli.h"

/* What differs between the daemons: the pair's name without --name, and what is to be done after each
 * verb. %s in these texts is the name of the pair. */
struct keys_words {
    const char *name;
    const char *after_new, *after_rotate, *after_switch;
};

extern const struct cli_flag keys_command_flags[]; /* --folder, --name, --switch */

/* Handles "new", "show" and "rotate" (the first argument). Gives the exit status, or -1 when the verb is
 * another one. */
int keys_command(const struct cli_values *values, const struct keys_words *words);

/* FOLDER and NAME that the flags give. */
const char *keys_command_folder(const struct cli_values *values);
const char *keys_command_name(const struct cli_values *values, const struct keys_words *words);

#endif
