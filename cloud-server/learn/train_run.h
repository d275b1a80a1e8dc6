/* train_run: a training from its configuration to the exported model. */
#ifndef RUNESPOOR_LEARN_TRAIN_RUN_H
#define RUNESPOOR_LEARN_TRAIN_RUN_H

#include "config/cli.h"
#include "learn/train_config.h"
#include <signal.h>

/* Trains, or goes on with what lies in config's out folder, and exports. *stop, set by a signal, ends it
 * with a checkpoint; that is no error, *finished says whether all was done. */
int train_run(const struct train_config *config, const volatile sig_atomic_t *stop, bool *finished,
              struct error *err);

/* `cloud-server train`. */
extern const char train_command_more[];
extern const struct cli_flag train_command_flags[];
int train_command(const struct cli_values *values);

#endif
